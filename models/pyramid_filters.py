"""The filters of the complex steerable pyramid (Portilla & Simoncelli 2000), in the frequency domain.

A band answers to one octave (or a part of one) and one orientation, on one side of the frequency plane only. The
squares of all filters add to one, so that what a picture was taken apart by also puts it together.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

ORIENTATIONS = 4  # as in the paper (section 3.3)

Plane = NDArray[np.float64]


def polar(height: int, width: int) -> tuple[Plane, Plane]:
    """log2(frequency / pi) and the angle of each frequency, both (height, width), in the order of a transform."""
    y = np.fft.fftfreq(height)[:, None] * 2.0
    x = np.fft.fftfreq(width)[None] * 2.0
    radius = np.hypot(x, y)
    radius[0, 0] = radius[radius > 0].min() * 2.0**-8  # the mean: below every band
    return np.log2(radius), np.arctan2(np.broadcast_to(y, radius.shape), x)


def low_pass(log_radius: Plane, octaves: float, step: float) -> NDArray[np.float32]:
    """Low-pass that falls over the ``step`` octaves that end ``octaves`` below the highest frequency."""
    t = np.clip((log_radius + octaves) / step + 1.0, 0.0, 1.0)
    return np.cos(0.5 * math.pi * t).astype(np.float32)


def high_pass(log_radius: Plane, octaves: float, step: float) -> NDArray[np.float32]:
    """What `low_pass` of the same corner leaves: their squares add to one."""
    t = np.clip((log_radius + octaves) / step + 1.0, 0.0, 1.0)
    return np.sin(0.5 * math.pi * t).astype(np.float32)


def level_filters(
    log_radius: Plane, angle: Plane, octaves: float, step: float, orientations: int
) -> NDArray[np.float32]:
    """All orientations of the level that begins ``octaves`` below the highest frequency: (orientations, h, w).

    log_radius, angle: (h, w), as of `polar`. step: octaves of a level.
    """
    radial = low_pass(log_radius, octaves, step) * high_pass(log_radius, octaves + step, step)
    return np.stack([radial * _angular(angle, index, orientations) for index in range(orientations)])


def middle(n: int, m: int) -> NDArray[np.int64]:
    """Indices of the m lowest frequencies of n, in the order of a transform of m."""
    positive = (m + 1) // 2
    return np.concatenate([np.arange(positive), np.arange(n - (m - positive), n)])


def cut_size(n: int, octaves: float) -> int:
    """Samples along a side of n that a band needs whose upper corner is ``octaves`` below the highest frequency."""
    # a filter is zero from its upper corner on, so the cut spectrum's own Nyquist row may lie on it
    return min(n, math.ceil(n * math.pow(2.0, -octaves) - 1e-9))


def _angular(angle: Plane, index: int, orientations: int) -> NDArray[np.float32]:
    """One side of an orientation: a power of a cosine, whose squares over all orientations and both sides add to one.

    Twice that, under a root on either way, since only one of two sides is kept and the real part taken.
    """
    order = orientations - 1
    scale = 2.0**order * math.factorial(order) / math.sqrt(orientations * math.factorial(2 * order))
    offset = np.remainder(angle - math.pi * index / orientations + math.pi, 2 * math.pi) - math.pi
    side = np.abs(offset) < 0.5 * math.pi
    return (math.sqrt(2.0) * scale * np.cos(offset) ** order * side).astype(np.float32)
