"""The live path against the offline one: correlation of what each adds to a synthetic face's green, by lag and rate.

  python benchmarks/live_vs_offline.py [--seconds 20] [--modes steady paper] [--json]

r        correlation of the live added signal (mean green over the skin) with the offline zero-phase one
blocks   median of the same over 12 x 12 pixel blocks of skin
lag_ms   by how much the live one is later (the picture is late by --lag as well, and not counted)
gain     in-band RMS of the face's mean green, live output / input, at --gain 10; `offline` the same offline
"""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING, Any

import numpy as np

from deepmag.export.runtime import open_ascender
from deepmag.models.magnify import BANDS, log_factors, magnify_steps
from deepmag.models.reconstruction import magnify_frame
from deepmag.models.representation import reduce_frame
from deepmag.models.steady import REFERENCE_GAIN
from deepmag.models.synthetic.layers import LayeredPerson
from deepmag.models.synthetic.waveforms import Rhythm
from deepmag.models.temporal import PULSE_BAND, zero_phase
from deepmag.models.weights import PULSE
from deepmag.stream.frames import Frame
from deepmag.stream.magnifier import PulseMagnifier
from deepmag.stream.roi import RoiTracker
from deepmag.stream.settings import Settings
from deepmag.stream.vitals import PulseRate

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from deepmag.export.runtime import Ascender

    Pictures = list[NDArray[np.uint8]]

RATE = 30.0  # Hz
BEATS = (50, 72, 120)  # per minute
LAGS = (0.0, 0.25, 0.5, 1.0)  # s
START, END = 6.0, 2.0  # s left out: the live window fills, the offline filter has no future
BLOCK = 12  # px


def live(
    ascender: Ascender, pictures: Pictures, region: tuple[int, int, int, int], mode: str, lag: float
) -> Pictures:
    """What the live path shows, one picture for each given."""
    magnifier = PulseMagnifier(
        ascender, RoiTracker(), PulseRate(), clock=lambda: 0.0, nominal_rate=lambda: RATE, lag=lag
    )
    settings = Settings(mode=mode, lag=lag, roi=region, gain=REFERENCE_GAIN)  # type: ignore[arg-type]
    done = []
    for i, picture in enumerate(pictures):
        done += magnifier.push(Frame(0, i, i / RATE, 0.0, picture), settings)
    return [magnified.image for magnified in [*done, *magnifier.flush()]]


def offline(ascender: Ascender, pictures: Pictures, region: tuple[int, int, int, int], mode: str) -> Pictures:
    """What the paper's algorithm gives, with the same ascent."""
    x, y, w, h = region
    small = np.stack([reduce_frame(picture[y : y + h, x : x + w]) for picture in pictures])
    factors = log_factors(magnify_steps(ascender, small, RATE, mode), RATE, band=BANDS[mode])  # type: ignore[arg-type, index]
    return [magnify_frame(p, s, f, region) for p, s, f in zip(pictures, small, factors, strict=True)]


def green(pictures: Pictures) -> NDArray[np.float64]:
    """Block means of green, (T, rows, columns)."""
    rows, columns = pictures[0].shape[0] // BLOCK, pictures[0].shape[1] // BLOCK
    return np.array(
        [
            p[: rows * BLOCK, : columns * BLOCK, 1]
            .reshape(rows, BLOCK, columns, BLOCK)
            .mean((1, 3), dtype=np.float64)
            for p in pictures
        ]
    )


def delay(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    """By how many ms x is later than y, from the phase of their cross spectrum at its peak."""
    cross = np.fft.rfft(x - x.mean()) * np.conj(np.fft.rfft(y - y.mean()))
    peak = int(np.abs(cross).argmax())
    return float(-1e3 * np.angle(cross[peak]) / (2 * np.pi * peak / len(x) * RATE))


def measure(ascender: Ascender, bpm: float, mode: str, seconds: float) -> list[dict[str, Any]]:
    """One row for each lag."""
    person = LayeredPerson()
    t = np.arange(round(seconds * RATE)) / RATE
    pictures = list(person.frames(t, Rhythm(bpm=bpm, variability=0.02, seed=3)))
    rows, columns = person.size[1] // BLOCK, person.size[0] // BLOCK
    skin = (
        person.skin[: rows * BLOCK, : columns * BLOCK].reshape(rows, BLOCK, columns, BLOCK).mean((1, 3)) > 0.8
    )
    cut = slice(round(START * RATE), -round(END * RATE))

    original = green(pictures)[:, skin]
    reference = green(offline(ascender, pictures, person.region, mode))[:, skin]

    def gain(shown: NDArray[np.float64]) -> float:
        inside = [zero_phase(x.mean(1), PULSE_BAND, RATE)[cut].std() for x in (shown, original)]
        return float(inside[0] / inside[1])

    wanted = (reference - original)[cut]
    found = []
    for lag in LAGS:
        shown = green(live(ascender, pictures, person.region, mode, lag))[:, skin]
        added = (shown - original)[cut]
        blocks = [np.corrcoef(added[:, i], wanted[:, i])[0, 1] for i in range(added.shape[1])]
        mean, wanted_mean = added.mean(1), wanted.mean(1)
        found.append(
            {
                "mode": mode,
                "bpm": bpm,
                "lag": lag,
                "r": float(np.corrcoef(mean, wanted_mean)[0, 1]),
                "blocks": float(np.median(blocks)),
                "lag_ms": delay(mean, wanted_mean),
                "gain": gain(shown),
                "offline": gain(reference),
            }
        )
    return found


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n", maxsplit=1)[0])
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--modes", nargs="+", choices=("steady", "paper"), default=["steady", "paper"])
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--threads", type=int)
    arguments = parser.parse_args()
    ascender = open_ascender(PULSE, threads=arguments.threads)
    if not arguments.json:
        print(f"{'mode':8}{'bpm':>5}{'lag, s':>8}{'r':>8}{'blocks':>8}{'lag_ms':>8}{'gain':>7}{'offline':>9}")
    rows = []
    for mode in arguments.modes:
        for bpm in BEATS:
            for row in measure(ascender, bpm, mode, arguments.seconds):
                rows.append(row)
                if not arguments.json:
                    print(
                        f"{mode:8}{bpm:5d}{row['lag']:8.2f}{row['r']:8.4f}{row['blocks']:8.4f}{row['lag_ms']:8.1f}"
                        f"{row['gain']:7.2f}{row['offline']:9.2f}",
                        flush=True,
                    )
    if arguments.json:
        print(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
