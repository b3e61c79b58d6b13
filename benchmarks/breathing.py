"""Breathing of synthetic people, magnified live: how far the chest moves, what moves besides, and which rate is shown.

    python benchmarks/breathing.py [--tasks ABCD] [--people 2] [--gain 5] [--seconds 25] [--lag 2] [--breaths 5]
        [--light 0.1]

The paper's tasks: A still, B and C the head turns by 10 and 30 degrees a second, D it turns somewhere else each second.
gain, coherence and rough are of the chest's motion in 0.16 to 0.5 Hz, leak what is added to the head's motion over what
is added to the chest's (deepmag.models.metrics.motion). PSNR against the original and against the true video, in which
the breath is as many times larger. rate: what was shown, and for how much of the time. Of slow
breaths, which take longer to be counted: --breaths 5 --seconds 60. --light: of a dim room, with a camera's noise of 1
grey level.
"""

from __future__ import annotations

import argparse

import numpy as np

from deepmag.export.respiration import open_respiration_ascender
from deepmag.models.metrics.motion import added_displacement, displacement, motion_scores
from deepmag.models.metrics.picture import luma, psnr, ssim
from deepmag.models.synthetic.clip import make_clip
from deepmag.models.weights import RESPIRATION
from deepmag.stream.frames import Frame
from deepmag.stream.respiration import RespirationMagnifier
from deepmag.stream.settings import Settings

BAND = (0.16, 0.5)
RATE = 15.0
SIZE = (320, 240)
CHEST = (0.28, 0.75, 0.44, 0.25)  # of the picture
HEAD = (0.38, 0.2, 0.24, 0.45)


def box(part):
    """A part of the picture in px."""
    return tuple(round(share * side) for share, side in zip(part, (*SIZE, *SIZE), strict=True))


def dimmed(video, light):
    """The same in less light. video: (T, H, W, 3)."""
    rng = np.random.default_rng(0)
    noise = (rng.normal(0.5, 1.0, image.shape) for image in video)
    return [
        np.clip(light * image + one, 0, 255).astype(np.uint8) for image, one in zip(video, noise, strict=True)
    ]


def magnified(video, gain, lag):
    """Run a video through the live magnifier."""
    magnifier = RespirationMagnifier(
        open_respiration_ascender(RESPIRATION, "cpu"), clock=lambda: 0.0, lag=lag
    )
    settings = Settings(gain=gain, lag=lag)
    out = []
    for i, image in enumerate(video):
        out += magnifier.push(Frame(0, i, i / RATE, 0.0, image), settings)
    return out + magnifier.flush()


def main():
    """Print one line for each clip."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tasks", default="ABCD")
    parser.add_argument("--people", type=int, default=2)
    parser.add_argument("--gain", type=float, default=5.0)
    parser.add_argument("--seconds", type=float, default=25.0)
    parser.add_argument("--lag", type=float, default=2.0)
    parser.add_argument(
        "--breaths", type=float, help="per minute, of everybody; else each has a rate of their own"
    )
    parser.add_argument("--light", type=float, default=1.0, help="share of it that there is")
    args = parser.parse_args()
    print(
        f"{'task':4} {'who':>3} {'px':>5} {'gain':>5} {'coherence':>9} {'leak':>5} {'rough':>5} "
        f"{'PSNR':>5} {'SSIM':>5} {'true':>5} {'ideal':>5}  rate"
    )
    for task in args.tasks:
        for seed in range(1, args.people + 1):
            clip = make_clip(
                task,
                seed=seed,
                seconds=args.seconds,
                rate=RATE,
                size=SIZE,
                breath_factor=args.gain,
                breaths=args.breaths,
            )
            video, larger = clip.video, clip.ideal
            if args.light < 1:
                video, larger = dimmed(video, args.light), dimmed(larger, args.light)
            done = magnified(video, args.gain, args.lag)
            before, after = [luma(image) for image in video], [luma(one.image) for one in done]
            scores = motion_scores(
                displacement(before, box(CHEST)),
                displacement(after, box(CHEST)),
                added_displacement(before, after, box(HEAD)),
                BAND,
                RATE,
            )
            pictures = list(zip(video, done, larger, strict=True))[::5]
            likeness = np.mean([psnr(a, b.image) for a, b, _ in pictures])
            alike = np.mean([ssim(luma(a), luma(b.image)) for a, b, _ in pictures])
            true = np.mean([psnr(c, b.image) for _, b, c in pictures])
            ideal = np.mean([psnr(a, c) for a, _, c in pictures])
            rates = [one.respiration.reading.rate for one in done]
            shown = [rate for rate in rates if rate is not None]
            text = f"{min(shown):.1f}..{max(shown):.1f}" if shown else "--"
            print(
                f"{task:4} {seed:3} {scores.before:5.2f} {scores.gain:5.2f} {scores.coherence:9.3f} "
                f"{scores.leak:5.2f} {scores.rough:5.2f} {likeness:5.1f} {alike:5.3f} {true:5.1f} {ideal:5.1f}  "
                f"{text} of {clip.breaths:.1f}, {100 * len(shown) / len(rates):.0f} %",
                flush=True,
            )


if __name__ == "__main__":
    main()
