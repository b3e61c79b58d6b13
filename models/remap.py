"""Pictures moved by a field of displacements, by cubic interpolation: the CPU's pass of `displacement`.

What OpenCV's remap does, in a third of the CPU's time: the colours of a pixel's four neighbours in a row, twelve
numbers, are one vector. The cubic's weights come from a table of a 128th of a pixel.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numba import njit, types

from deepmag.models import cpu_vector
from deepmag.models.compiled import compiled
from deepmag.models.cpu_vector import LANES, load, load_bytes, multiply, multiply_add, spread, store_colours

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Floats = NDArray[np.float32]

BITS = 7
STEPS = 1 << BITS  # of a pixel
SHARPNESS = -0.75  # the cubic's slope at one pixel's distance, as OpenCV has it
FARTHEST = np.float32(16.0)  # px outside the picture: beyond, all is as its edge is
# unsigned, or Numba would allow for negative ones
FIRST, SECOND, THIRD, FOURTH = (np.uint64(n) for n in range(4))
HALF, NONE, MOST = np.float32(0.5), np.float32(0.0), np.float32(255.0)


def shift_pixels(
    image: NDArray[np.uint8], down: Floats, right: Floats, part: tuple[int, int, int, int]
) -> NDArray[np.uint8]:
    """Move a part of a picture. image: (H, W, 3) uint8, C-contiguous. down, right: (H, W) float32, px, finite.

    What is seen at p comes from p minus the displacement there; outside, the picture's edge goes on. part: top, bottom,
    left and right (exclusive), px. Returns a new picture, the same outside the part.
    """
    height, width = image.shape[:2]
    out = image.copy()
    _kernel()(image.reshape(-1), height, width, down, right, *part, *_weights(), out.reshape(-1))
    return out


def warm_up() -> None:
    """Compile it, or load what an earlier run compiled."""
    _kernel()


@lru_cache(maxsize=1)
def _weights() -> tuple[Floats, Floats]:
    """Of each step the four neighbours' weights, (STEPS, 4); and as vectors, flat, where each colour has its own."""
    t, a = np.arange(STEPS) / STEPS, SHARPNESS

    def near(distance: NDArray[np.float64]) -> NDArray[np.float64]:
        return 1.0 + distance**2 * ((a + 2.0) * distance - (a + 3.0))

    def far(distance: NDArray[np.float64]) -> NDArray[np.float64]:
        return a * (distance - 1.0) * (distance - 2.0) ** 2

    weights = np.stack([far(1.0 + t), near(t), near(1.0 - t), far(2.0 - t)], 1).astype(np.float32)
    vectors = np.zeros((STEPS, LANES), np.float32)
    vectors[:, :12] = np.repeat(weights, 3, 1)
    return weights, vectors.reshape(-1)


@njit(fastmath=True)
def _locate(start: int, up: int, along: Any, of: Any, size: int, whole: Any, step: Any) -> None:
    """Of a row of pixels the first neighbour's place along an axis, px, and the step from there to the second.

    Pixel i is at ``start`` + ``up`` i; of: its displacement. A loop without branches, of which LLVM makes SIMD.
    """
    for i in range(along):
        place = np.float32(start + up * i) - of[i]
        place = min(max(place, -FARTHEST), np.float32(size) + FARTHEST)
        fine = np.int32(np.floor(place * np.float32(STEPS) + HALF))
        whole[i] = (fine >> np.int32(BITS)) - np.int32(1)
        step[i] = fine & np.int32(STEPS - 1)


@njit(fastmath=True)
def _at_edge(
    image: Any, height: int, width: int, row: int, column: int, down: Any, across: Any, out: Any, to: int
) -> None:
    """A pixel some of whose neighbours are outside. row, column: the first one's place. down, across: weights."""
    for colour in range(3):
        total = HALF
        for k in range(4):
            line = min(max(row + k, 0), height - 1) * width
            for n in range(4):
                neighbour = line + min(max(column + n, 0), width - 1)
                total += np.float32(image[3 * neighbour + colour]) * down[k] * across[3 * n]
        out[to + colour] = np.uint8(np.int32(min(max(total, NONE), MOST)))


@lru_cache(maxsize=1)
def _kernel() -> Callable[..., None]:
    """Compiled, or loaded from what an earlier run compiled; for arrays that are marked read-only, and others."""
    sources = cpu_vector.sources(cpu_vector)

    def shift(
        image: Any, height: int, width: int, down: Any, right: Any, top: int, bottom: int, left: int, end: int,
        weights: Any, vectors: Any, out: Any,
    ) -> None:  # fmt: skip
        sources  # noqa: B018  # see cpu_vector.sources
        count, line = end - left, 3 * width
        columns, across = np.empty(count, np.int32), np.empty(count, np.int32)
        rows, along = np.empty(count, np.int32), np.empty(count, np.int32)
        for y in range(top, bottom):
            _locate(left, 1, count, right[y, left:end], width, columns, across)
            _locate(y, 0, count, down[y, left:end], height, rows, along)
            for i in range(count):
                row, column = np.int64(rows[i]), np.int64(columns[i])
                step, lane, to = np.uint64(along[i]), np.int64(across[i]) * LANES, y * line + 3 * (left + i)
                # A vector is five pixels and a third, and the last of the bytes that are written is the next pixel's.
                if 0 <= column <= width - 6 and 0 <= row <= height - 4 and i < count - 1:
                    at = row * line + 3 * column
                    value = multiply(load_bytes(image, at), spread(weights[step, FIRST]))
                    value = multiply_add(load_bytes(image, at + line), spread(weights[step, SECOND]), value)
                    value = multiply_add(
                        load_bytes(image, at + 2 * line), spread(weights[step, THIRD]), value
                    )
                    value = multiply_add(
                        load_bytes(image, at + 3 * line), spread(weights[step, FOURTH]), value
                    )
                    store_colours(out, to, multiply(value, load(vectors, lane)))
                else:
                    _at_edge(image, height, width, row, column, weights[step], vectors[lane:], out, to)

    def flat(dtype: Any, *, readonly: bool = True) -> Any:
        return types.Array(dtype, 1, "C", readonly=readonly)

    table, px = types.Array(types.float32, 2, "C", readonly=True), types.int64
    signature = types.void(
        flat(types.uint8), px, px, table, table, px, px, px, px, table, flat(types.float32),
        flat(types.uint8, readonly=False),
    )  # fmt: skip
    return compiled(shift, signature, fastmath=True)
