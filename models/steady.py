"""The `steady` ascent on frame pairs: the odd part of the network, along a smoothed direction.

A pulse that falls is a pulse that rises, negated: what the network says of -X should be the negative of what it says of
X. It nearly is. Its odd part, (y(X) - y(-X)) / 2, is free of what it says of noise alone, and follows the contact PPG
of clip_a at r = 0.81 where the network as it is reaches 0.77 (benchmarks/network.py).
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from deepmag.models.step_size import STEADY_ITERATIONS

Floats = NDArray[np.float32]

REFERENCE_GAIN = 10.0  # the ascent's own; another gain scales what the filter gives, so that it acts at once
# Of y in each step, so that all steps together raise the network's own measure of the pulse to REFERENCE_GAIN times.
GROWTH = REFERENCE_GAIN ** (1 / (STEADY_ITERATIONS - 1)) - 1


class SteadyAscent(Protocol):
    """What runs the steps; see ``deepmag.export.runtime.Ascender``."""

    def steady(self, x: Floats, direction: Floats, growth: float | Floats) -> tuple[Floats, Floats, Floats]:
        """Steps of growth * y * direction. Returns X_N - X_1 like x, y (B,), and dy/dX like x."""


def ascend_odd(
    ascent: SteadyAscent, x: Floats, direction: Floats, growth: float = GROWTH
) -> tuple[Floats, Floats, Floats]:
    """Ascent with the odd part of the network. x, direction: (B, 3, L, L), units of X.

    Returns X_N - X_1 like x, y (B,), and dy/dX like x, all of the odd part.
    """
    dx, y, gradient = ascent.steady(np.concatenate([x, -x]), np.concatenate([direction, direction]), growth)
    n = len(x)
    half = np.float32(0.5)
    return half * (dx[:n] - dx[n:]), half * (y[:n] - y[n:]), half * (gradient[:n] + gradient[n:])
