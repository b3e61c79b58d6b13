"""Pictures whose brightness or pattern swings as told, for tests of what a magnifier makes of it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from deepmag.stream.frames import Frame
from deepmag.stream.linear_magnifier import LinearMagnifier
from deepmag.stream.roi import RoiTracker
from deepmag.stream.settings import Settings
from deepmag.stream.vitals import PulseRate

RATE = 30.0
CENTRE = float(np.sqrt(0.7 * 2.5))  # Hz


def brightening(
    change: NDArray[np.float64], size: tuple[int, int] = (64, 48), seed: int = 0
) -> list[NDArray[np.uint8]]:
    """A still texture whose grey rises by ``change`` (T,), rounded at random so that fractions of a level count."""
    random = np.random.default_rng(seed)
    texture = random.uniform(90, 130, (size[1], size[0], 3))
    return [
        np.floor(texture + level + random.uniform(0, 1, texture.shape)).astype(np.uint8) for level in change
    ]


def mean_of(images: list[NDArray[np.uint8]]) -> NDArray[np.float64]:
    """Mean green (T,), grey levels."""
    return np.array([image[..., 1].mean() for image in images])


def phasor(x: NDArray[np.float64], frequency: float, rate: float = RATE) -> complex:
    """Complex amplitude of x at a frequency, by least squares beside a constant and a trend."""
    t = np.arange(len(x)) / rate
    basis = np.stack(
        [np.cos(2 * np.pi * frequency * t), np.sin(2 * np.pi * frequency * t), np.ones_like(t), t]
    )
    cosine, sine, *_ = np.linalg.lstsq(basis.T, x, rcond=None)[0]
    return complex(cosine, -sine)


def as_frames(
    images: list[NDArray[np.uint8]], times: NDArray[np.float64] | None = None, session: int = 0, seq: int = 0
) -> list[Frame]:
    t = np.arange(len(images)) / RATE if times is None else times
    return [Frame(session, seq + i, float(t[i]), 0.0, image) for i, image in enumerate(images)]


def linear_magnifier(method, lag: float = 0.25) -> LinearMagnifier:
    return LinearMagnifier(
        method, RoiTracker(), PulseRate(), clock=lambda: 0.0, nominal_rate=lambda: RATE, lag=lag
    )


def run_live(
    method, frames: list[Frame], gain: float = 10.0, lag: float = 0.25, settings: Callable | None = None
):
    machine = linear_magnifier(method, lag)
    done = []
    for frame in frames:
        done += machine.push(frame, settings(frame) if settings else Settings(gain=gain, lag=lag))
    return done + machine.flush()
