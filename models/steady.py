"""The `steady` ascent on frame pairs: the symmetric part of the network, along a smoothed direction.

Two symmetries hold of a pulse, and of the network only nearly. A pulse that falls is a pulse that rises, negated: what
the network says of -X should be the negative of what it says of X. And a face in the mirror has the same pulse. The
part of the network that has both, the mean of (y(X) - y(-X)) / 2 over X and its mirror image, is free of much that it
says of noise alone. Of single pairs, the contact PPG of a real clip is followed at r = 0.77 by the network as it is,
at 0.81 with the first symmetry and at 0.82 with both (benchmarks/network.py); with the second the coherence of the
magnified evm_face rises from 0.978 to 0.982 (benchmarks/scores.py).
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

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


@runtime_checkable
class WholeAscent(Protocol):
    """What runs all of `ascend_symmetric` by itself: many streams' pairs at once, or on a GPU, which returns sums."""

    def symmetric(
        self, x: Floats, direction: Floats, growth: float | Floats
    ) -> tuple[Floats, Floats, Floats]:
        """As `ascend_symmetric`, mirrored."""


def ascend_symmetric(
    ascent: SteadyAscent,
    x: Floats,
    direction: Floats,
    growth: float | Floats = GROWTH,
    *,
    mirrored: bool = True,
) -> tuple[Floats, Floats, Floats]:
    """Ascent with the symmetric part of the network. x, direction: (B, 3, L, L), units of X.

    mirrored: False leaves the mirror image out. Returns X_N - X_1 like x, y (B,), and dy/dX like x, all of that part.
    """
    if mirrored and isinstance(ascent, WholeAscent):
        return ascent.symmetric(x, direction, growth)
    # in one call: what runs pairs side by side has more of them
    images, along = [x, -x], [direction, direction]
    if mirrored:
        images += [_mirror(image) for image in images]
        along += [_mirror(direction)] * 2
    if isinstance(growth, np.ndarray):
        growth = np.tile(growth, len(images))
    dx, y, gradient = ascent.steady(np.concatenate(images), np.concatenate(along), growth)
    half, n = np.float32(0.5), len(x)

    def odd(first: int) -> tuple[Floats, Floats, Floats]:
        up, down = slice(first * n, (first + 1) * n), slice((first + 1) * n, (first + 2) * n)
        return half * (dx[up] - dx[down]), half * (y[up] - y[down]), half * (gradient[up] + gradient[down])

    plain = odd(0)
    if not mirrored:
        return plain
    mirror = odd(2)
    return (
        half * (plain[0] + _mirror(mirror[0])),
        half * (plain[1] + mirror[1]),
        half * (plain[2] + _mirror(mirror[2])),
    )


def _mirror(x: Floats) -> Floats:
    """Left and right exchanged."""
    return np.ascontiguousarray(x[..., ::-1])
