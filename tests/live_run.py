"""Runs the live magnifier and the offline algorithm on pictures in memory, for tests of their physics."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from scipy.signal import butter, sosfiltfilt

from deepmag.export.runtime import open_ascender
from deepmag.models.magnify import BANDS, log_factors, magnify_steps, merge_repeats
from deepmag.models.reconstruction import magnify_frame
from deepmag.models.representation import reduce_frame
from deepmag.models.synthetic.layers import LayeredPerson
from deepmag.models.synthetic.waveforms import Rhythm
from deepmag.models.weights import PULSE
from deepmag.stream.frames import Frame, MagnifiedFrame, Reading
from deepmag.stream.magnifier import PulseMagnifier
from deepmag.stream.roi import RoiTracker
from deepmag.stream.settings import Settings

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from deepmag.export.runtime import Ascender


@lru_cache(maxsize=1)
def person() -> LayeredPerson:
    return LayeredPerson()


def rhythm(bpm: float) -> Rhythm:
    return Rhythm(bpm=bpm, variability=0.02, seed=3)


@lru_cache(maxsize=8)
def pictures(
    bpm: float = 72.0, rate: float = 30.0, seconds: float = 12.0, strength: float = 1.0
) -> tuple[NDArray[np.uint8], ...]:
    """A synthetic take, shared by all tests that ask for the same; nobody writes to it."""
    t = np.arange(round(seconds * rate)) / rate
    return tuple(person().frames(t, rhythm(bpm), strength=strength))


@lru_cache(maxsize=1)
def shipped() -> Remembering:
    """The network that ships with the package."""
    return Remembering(open_ascender(PULSE, device="cpu", threads=1))


REPEATS: dict[str, Callable[[NDArray[np.int64]], NDArray[np.int64]]] = {
    "twice": lambda i: i // 2 * 2,
    "three times": lambda i: i // 3 * 3,
    "one of five": lambda i: i - (i % 5 == 4),  # 24 pictures a second in a file of 30
}
"""Which picture stands at each place where pictures repeat."""


class NoMeter:
    """Measures no rate."""

    def update(self, *_arguments: object) -> None:
        pass

    def reading(self, _t: float) -> Reading:
        return Reading(None, 0.0, "not measured")

    def reset(self) -> None:
        pass


class Remembering:
    """Ascends each pair once: runs that differ only behind the ascent (gain, lag) cost nothing more."""

    def __init__(self, ascender: Ascender) -> None:
        self._ascender = ascender
        self._known: dict[int, tuple[NDArray[np.float32], ...]] = {}
        self.description = ascender.description

    def paper(self, x, gamma):
        return self._look_up(("paper", float(gamma)), (x,), lambda: self._ascender.paper(x, gamma))

    def steady(self, x, direction, growth):
        return self._look_up(
            ("steady", float(growth)), (x, direction), lambda: self._ascender.steady(x, direction, growth)
        )

    def _look_up(self, key, arrays, ascend):
        name = hash((*key, *(array.tobytes() for array in arrays)))
        if name not in self._known:
            self._known[name] = tuple(ascend())
        return self._known[name]


def as_frames(
    images: Iterable[NDArray[np.uint8]], t: Sequence[float], session: int = 0, seq: int = 0
) -> list[Frame]:
    return [
        Frame(session, seq + i, float(now), 0.0, image)
        for i, (image, now) in enumerate(zip(images, t, strict=True))
    ]


def magnifier(
    ascender, *, rate: float | None = 30.0, lag: float = 0.25, meter: NoMeter | None = None
) -> PulseMagnifier:
    return PulseMagnifier(
        ascender, RoiTracker(), meter or NoMeter(), clock=lambda: 0.0, nominal_rate=lambda: rate, lag=lag
    )


def live(
    ascender,
    frames: Iterable[Frame],
    settings: Settings | Callable[[Frame], Settings],
    *,
    rate: float | None = 30.0,
    lag: float = 0.25,
    meter: NoMeter | None = None,
) -> list[MagnifiedFrame]:
    machine = magnifier(ascender, rate=rate, lag=lag, meter=meter)
    done = []
    for frame in frames:
        done += machine.push(frame, settings(frame) if callable(settings) else settings)
    return done + machine.flush()


def offline(ascender, images, region, rate: float, *, mode="steady", gain=10.0) -> list[NDArray[np.uint8]]:
    x, y, w, h = region
    small = np.stack([reduce_frame(image[y : y + h, x : x + w]) for image in images])
    ticks = merge_repeats(small, np.ones(len(small) - 1, np.int64), rate)
    steps = magnify_steps(ascender, small, rate, mode, gain, ticks)
    factors = log_factors(steps, rate, ticks, BANDS[mode])
    return [magnify_frame(image, s, f, region) for image, s, f in zip(images, small, factors, strict=True)]


def added(before, after, mask) -> NDArray[np.float64]:
    """Mean of what was added to each colour over a mask (H, W): (T, 3) grey levels."""
    total = mask.sum()
    return np.array(
        [
            np.tensordot(mask, after_image.astype(np.float32) - before_image, ([0, 1], [0, 1])) / total
            for before_image, after_image in zip(before, after, strict=True)
        ]
    )


def in_band(x, rate: float):
    return sosfiltfilt(butter(3, (0.7, 2.5), "bandpass", fs=rate, output="sos"), x, axis=0)


def lag_of(x, truth, rate: float, limit: float = 0.4) -> tuple[float, float]:
    """By how many seconds x is later than the truth, and their correlation there. Both (T,)."""
    fine = 10
    times = np.arange(len(x)) / rate
    dense = np.arange(0, times[-1], 1 / rate / fine)
    a, b = np.interp(dense, times, x), np.interp(dense, times, truth)
    most = round(limit * rate * fine)
    middle = slice(most, len(dense) - most)
    r = [np.corrcoef(np.roll(a, -shift)[middle], b[middle])[0, 1] for shift in range(-most, most + 1)]
    best = int(np.argmax(r))
    return (best - most) / rate / fine, float(r[best])
