"""Is a breathing rate shown where there is none? Real and made-up clips through the live path, as a table.

    python benchmarks/breath_negatives.py [--data ../shared/data] [NAME ...]

Ends with exit status 1 where a rate is shown for a clip in which nobody breathes, or a wrong one for a clip in which
somebody does, or none for a clip in which the breath is plain to see. Left out: carphone played to and fro, whose head
then swings at 7.9 a minute, which is shown; and a curtain, a hose or a cradle that swings evenly, which is shown, too.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from negatives import DATA, Frames, Image, encoded, photo, still_picture, video, wave
from numpy.typing import NDArray

from deepmag.models.phase import reduce_luma
from deepmag.models.synthetic.clip import make_clip
from deepmag.stream.breath_ticks import TICK, BreathTicks
from deepmag.stream.capture.portrait import BREATHS, Portrait
from deepmag.stream.networks import open_respiration

# of the clips made up: the longer window is 40 s, and what shows none at first may show one later
SECONDS = 50.0
RATE = 10.0  # frames per second of most of them: five are looked at
SLOW = 0.25  # Hz, of what swings without breathing: 15 a minute
EMPTY = ("images_skimage/coffee.png", "images_skimage/brick.png", "images_backgrounds/mate_Blinds.jpg")


@dataclass(frozen=True, slots=True)
class Clip:
    """A clip and what may be shown for it. truth: breaths per minute, None: nobody breathes. plain: must be shown.

    frames: makes the clip, or the clip and its truth, where that is known only then.
    """

    frames: Callable[[], Frames | tuple[Frames, float]]
    truth: float | None = None
    tolerance: float = 1.0
    plain: bool = False

    def made(self) -> tuple[Frames, float | None]:
        """Its frames and its truth."""
        made = self.frames()
        return made if isinstance(made, tuple) else (made, self.truth)


@dataclass(frozen=True, slots=True)
class Outcome:
    """shown: (t, breaths per minute) of each tick with a rate. best: highest quality. reason: the last one."""

    ticks: int
    shown: list[tuple[float, float]]
    best: float
    best_at: float
    reason: str


def judge(frames: Frames, ticks: BreathTicks) -> Outcome:
    """Do with frames what `RespirationMagnifier` does, and read the rate after each tick."""
    ticks.reset()
    period, last = TICK, -np.inf
    shown: list[tuple[float, float]] = []
    best, best_at, count, reason = 0.0, 0.0, 0, ""
    for t, image in frames:
        if np.isfinite(last):
            period += 0.1 * (t - last - period)
        last = t
        if not ticks.due(t, period):
            if ticks.glances(t, period):
                ticks.glance(t, reduce_luma(image))
            continue
        luma = reduce_luma(image)
        if not ticks.take(t, luma):
            ticks.reset()
            ticks.take(t, luma)
        reading = ticks.reading(t)
        count, reason = count + 1, reading.reason
        if reading.rate is not None:
            shown.append((t, reading.rate))
        if reading.quality > best:
            best, best_at = reading.quality, t
    return Outcome(count, shown, best, best_at, reason)


def thinned(frames: Frames) -> list[tuple[float, Image]]:
    """The frames that are looked at: few enough to be turned round."""
    kept: list[tuple[float, Image]] = []
    for t, image in frames:
        if t >= len(kept) * TICK - 1e-3:
            kept.append((t, image))
    return kept


def backwards(frames: Frames) -> list[tuple[float, Image]]:
    """Play a clip from its end."""
    kept = thinned(frames)
    return [(kept[-1][0] - t, image) for t, image in reversed(kept)]


def to_and_fro(frames: Frames) -> list[tuple[float, Image]]:
    """Play a short clip forth and back until it can be judged."""
    kept = [image for _, image in thinned(frames)]
    turn = kept + kept[-2:0:-1]
    return [(i * TICK, turn[i % len(turn)]) for i in range(round(SECONDS / TICK))]


def picture(path: Path) -> Image:
    """Load a picture, at most 640 px wide."""
    image = cv2.imread(str(path))
    if image is None:
        raise FileNotFoundError(f"no picture {path}")
    share = min(1.0, 640 / image.shape[1])
    small = cv2.resize(image, None, fx=share, fy=share, interpolation=cv2.INTER_AREA)
    return np.ascontiguousarray(small[..., ::-1])


def synthetic(task: str, seed: int, noise: float = 1.0) -> tuple[Frames, float]:
    """One of the people of `benchmarks/breathing.py`, and their rate."""
    clip = make_clip(task, seed=seed, seconds=25.0, rate=RATE, noise=noise)
    return [(i / RATE, image) for i, image in enumerate(clip.video)], clip.breaths


def trembling(image: Image, part: NDArray[np.float32], by: Callable[[float], float]) -> Frames:
    """Move a part of a picture, (H, W) from 0 to 1, up and down by so many px at t, 30 times a second."""
    rows, columns = np.mgrid[: image.shape[0], : image.shape[1]].astype(np.float32)
    rng = np.random.default_rng(0)
    for i in range(round(30 * SECONDS)):
        moved = cv2.remap(
            image,
            columns,
            rows + part * np.float32(by(i / 30)),
            cv2.INTER_CUBIC,
            borderMode=cv2.BORDER_REFLECT,
        )
        yield i / 30, np.clip(moved + rng.normal(0, 1.5, moved.shape) + 0.5, 0, 255).astype(np.uint8)


def real(folder: Path) -> dict[str, Clip]:
    """Videos, and what can be cut from them."""

    def clip(name: str, change: Callable[[Image], Image] | None = None) -> Callable[[], Frames]:
        return lambda: video(folder / f"{name}.mp4", change)

    found = {
        # 31.6 to 32.6 by its zero crossings, which alternate between 1.6 and 2.2 s
        "evm_baby": Clip(clip("evm_baby"), 31.0, 2.0, plain=True),
        "evm_baby to and fro": Clip(lambda: to_and_fro(clip("evm_baby")()), 31.0, 3.0),
        "evm_baby, the bed only": Clip(clip("evm_baby", lambda i: i[:110, 200:380])),
        "baby_monitor": Clip(clip("baby_monitor"), 19.0, 3.0),
    }
    # The camera bobs at 28 a minute, and whoever lies there breathes at 18.5: relative to the floor, which only bobs
    # (a fit of both sines: 0.00 px at 18.5 a minute), the chest moves by 0.65 px.
    found["camera_bob"] = Clip(clip("camera_bob"), 18.5, 2.0)
    found["camera_bob backwards"] = Clip(lambda: backwards(clip("camera_bob")()), 18.5, 2.0)
    found["camera_bob cropped"] = Clip(clip("camera_bob", lambda i: i[100:400, 150:500]), 18.5, 2.0)
    for name in ("talking_head_1", "camera", "crane_crop", "evm_guitar", "evm_shadow"):
        found[name] = Clip(clip(name))
        found[f"{name} backwards"] = Clip(lambda n=name: backwards(clip(n)()))
    found["talking_head_1 cropped"] = Clip(clip("talking_head_1", lambda i: i[40:280, 60:330]))
    found["talking_head_1 crf 34"] = Clip(
        lambda: encoded(clip("talking_head_1")(), 25, crf="34", g="25"),
    )
    for name in ("smiling_1", "carphone"):
        found[name] = Clip(clip(name))
    return found


def made(data: Path) -> dict[str, Clip]:
    """Nobody who breathes: walls, photographs, rooms."""
    face = still_picture(data)

    def still(image: Image, **how) -> Callable[[], Frames]:
        return lambda: photo(image, seconds=SECONDS, rate=RATE, **how)

    def coded(image: Image, noise: float, key: float, crf: int, **how) -> Callable[[], Frames]:
        frames = lambda: photo(image, seconds=SECONDS, rate=30.0, noise=noise, **how)  # noqa: E731
        return lambda: encoded(frames(), crf=str(crf), g=str(round(30 * key)))

    found = {
        "wall": Clip(still(np.full((240, 320, 3), (190, 170, 150), np.uint8), noise=2)),
        "noise": Clip(still(np.full((240, 320, 3), 128, np.uint8), noise=40)),
    }
    for noise in (0, 1, 3, 10):
        found[f"photo, noise {noise}"] = Clip(still(face, noise=noise))
    for name in EMPTY:
        room = picture(data / "assets" / name)
        title = Path(name).stem
        found[f"{title}, noise 3"] = Clip(still(room, noise=3))
        found[f"{title}, crf 30, key frame each 4 s"] = Clip(coded(room, 3, 4.0, 30))
    for key in (1.2, 4.0):
        for crf in (23, 32, 40):
            found[f"photo, crf {crf}, key frame each {key:g} s"] = Clip(coded(face, 3, key, crf))
    for size in (0.01, 0.05, 0.2):
        found[f"photo, light {100 * size:g} % at {SLOW} Hz"] = Clip(
            still(face, noise=1, light=lambda t, s=size: 1 + wave(s, SLOW)(t))
        )
        found[f"photo, light {100 * size:g} % at {SLOW} Hz, crf 30"] = Clip(
            coded(face, 2, 4.0, 30, light=lambda t, s=size: 1 + wave(s, SLOW)(t))
        )
    # a lamp at the left
    side = np.linspace(1, 0, face.shape[1])[None, :, None]
    found[f"photo, a lamp beside it, 10 % at {SLOW} Hz"] = Clip(
        still(face, noise=1, light=lambda t: 1 + wave(0.1, SLOW)(t) * side)
    )
    # mains light that beats with the camera, as a shutter sees it that reads line by line
    down = np.linspace(0, 1, face.shape[0])[:, None, None]
    for hertz in (0.12, 0.3):
        for bands in (0.5, 0.75, 2.0, 8.0):
            for size in (0.04, 0.1):
                found[f"photo, {bands:g} bands of light {100 * size:g} % at {hertz} Hz"] = Clip(
                    still(
                        face,
                        noise=1,
                        light=lambda t, s=size, b=bands, f=hertz: (
                            1 + s * np.sin(2 * np.pi * (f * t + b * down))
                        ),
                    )
                )
    for size in (0.2, 1.0, 4.0):
        for x, y in ((1, 0), (0, 1), (1, 1)):
            found[f"photo, moves {size * x:g},{size * y:g} px at {SLOW} Hz"] = Clip(
                still(
                    face,
                    noise=2,
                    move=lambda t, s=size, x=x, y=y: (wave(s * x, SLOW)(t), wave(s * y, SLOW)(t)),
                )
            )
    # what five looks a second cannot tell from 12 or 15 breaths a minute
    near = np.clip(4 * (down - 0.6), 0, 1)[..., 0].astype(np.float32)
    for hertz in (4.8, 5.2, 10.25):
        found[f"photo, its lower part trembles 1 px at {hertz} Hz"] = Clip(
            lambda f=hertz: trembling(face, near, wave(1.0, f))
        )
    found[f"photo, moves 1,1 px at {SLOW} Hz, crf 30"] = Clip(
        coded(face, 2, 4.0, 30, move=lambda t: (wave(1.0, SLOW)(t), wave(1.0, SLOW)(t)))
    )
    return found


def people() -> dict[str, Clip]:
    """Synthetic people who breathe at a known rate, and the demo."""
    portrait = Portrait((640, 480))
    found = {
        "demo": Clip(
            lambda: ((i * TICK, portrait.frame(i * TICK)) for i in range(round(25 / TICK))),
            BREATHS,
            plain=True,
        )
    }
    for task in "ABCD":
        for seed in (1, 2):
            found[f"task {task}, person {seed}"] = Clip(lambda t=task, s=seed: synthetic(t, s))
    return found


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=DATA, help="folder of the real clips")
    parser.add_argument("names", nargs="*", help="clips to run; default: all")
    arguments = parser.parse_args()
    if not arguments.data.is_dir():
        sys.exit(f"the real clips are not in {arguments.data}; name their folder with --data")
    ticks = BreathTicks(open_respiration("cpu"))
    wrong = 0
    print(
        f"{'clip':44s} {'truth':>6s} {'ticks':>5s} {'shown, s':>8s} {'rate':>13s} {'first, s':>8s} quality at, s"
    )
    for name, clip in (real(arguments.data / "video") | made(arguments.data) | people()).items():
        if arguments.names and name not in arguments.names:
            continue
        frames, truth = clip.made()
        found = judge(frames, ticks)
        rates = [rate for _, rate in found.shown]
        bad = any(truth is None or abs(rate - truth) > clip.tolerance for rate in rates)
        bad |= clip.plain and not rates
        wrong += bad
        print(
            f"{name:44s} {f'{truth:.1f}' if truth else '-':>6s} {found.ticks:5d} {len(rates) * TICK:8.1f} "
            f"{f'{min(rates):.1f}..{max(rates):.1f}' if rates else '--':>13s} "
            f"{f'{found.shown[0][0]:.1f}' if rates else '-':>8s} {found.best:7.2f} {found.best_at:5.1f} "
            f"{found.reason}{'  WRONG' if bad else ''}",
            flush=True,
        )
    print(f"{wrong} wrong" if wrong else "no wrong rate")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
