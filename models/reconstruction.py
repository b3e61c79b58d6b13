"""Full-resolution output (Eq. 17): the frame plus the upsampled change of its small picture.

C - U(c) + U(c exp S) = C + U(c (exp S - 1)): one upsampling of a small difference. On the CPU, upsampling,
addition, dither, clipping and conversion to bytes are one pass over the picture; as separate calls of a
library each reads and writes it again, in float (docs/temporal.md has the times).
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from deepmag.models.compiled import compiled

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

Roi = tuple[int, int, int, int]
"""x, y, width, height, px."""
FloatRoi = tuple[float, float, float, float]
"""The same, with parts of a pixel."""


def _widen(difference: Any, left: Any, share: Any, fade: Any, wide: Any) -> None:
    """Interpolate each row of ``difference`` (3, h, w) along x into ``wide`` (h, 3 W), colour by colour."""
    for row in range(difference.shape[1]):
        for x in range(left.shape[0]):
            a = left[x]
            b = min(a + 1, difference.shape[2] - 1)
            for c in range(3):
                low = difference[c, row, a]
                wide[row, 3 * x + c] = fade[x] * (low + share[x] * (difference[c, row, b] - low))


def _add(
    image: Any, wide: Any, x: int, y: int, top: Any, share: Any, fade: Any, dither: Any, out: Any
) -> None:
    """Interpolate ``wide`` along y and add it to ``image`` (H, 3 W) from column ``x``, row ``y`` on."""
    start, stop = 3 * x, 3 * x + wide.shape[1]
    for row in range(top.shape[0]):
        source = image[y + row, start:stop]
        target = out[y + row, start:stop]
        low = wide[top[row]]
        high = wide[min(top[row] + 1, wide.shape[0] - 1)]
        threshold = dither[(y + row) % dither.shape[0]]
        share_high = fade[row] * share[row]
        share_low = fade[row] - share_high
        for i in range(source.shape[0]):  # contiguous and without a branch: the compiler makes SIMD of it
            value = np.float32(source[i]) + share_low * low[i] + share_high * high[i] + threshold[i]
            target[i] = np.uint8(np.int32(min(max(value, np.float32(0.0)), np.float32(255.0))))


@lru_cache(maxsize=1)
def _kernels() -> tuple[Callable[..., None], Callable[..., None]]:
    """`_widen` and `_add`, compiled, or loaded from what an earlier run compiled.

    With stated types, read-only where nothing is written: left to itself numba compiles anew, for seconds and
    in the middle of a stream, when a frame first comes that is marked read-only.
    """
    from numba import types

    def read(dtype: Any, dimensions: int) -> Any:
        return types.Array(dtype, dimensions, "C", readonly=True)

    byte, real, index = types.uint8, types.float32, types.int32
    lines, row, cells = read(real, 2), read(real, 1), read(index, 1)
    widen = types.void(read(real, 3), cells, row, row, real[:, ::1])
    add = types.void(read(byte, 2), lines, types.int64, types.int64, cells, row, row, lines, byte[:, ::1])

    return compiled(_widen, widen, fastmath=True), compiled(_add, add, fastmath=True)


@lru_cache(maxsize=64)
def interpolation(
    start: int, size: int, full: int, cells: int
) -> tuple[NDArray[np.int32], NDArray[np.float32], NDArray[np.float32]]:
    """Of each of ``size`` pixels: the cell before it, its share of the next one, and its fade.

    The fade goes from 0 at the region's edge to 1 one cell inside it, but not where the edge is the frame's.
    """
    position = np.clip((np.arange(size) + 0.5) * cells / size - 0.5, 0.0, cells - 1.0)
    cell = position.astype(np.int32)
    inside = (np.arange(size) + 0.5) * cells / size
    fade = np.ones(size)
    if start > 0:
        fade = np.minimum(fade, inside)
    if start + size < full:
        fade = np.minimum(fade, inside[::-1])
    return cell, (position - cell).astype(np.float32), fade.astype(np.float32)


@lru_cache(maxsize=16)
def dither_rows(start: int, size: int) -> NDArray[np.float32]:
    """Thresholds (8, 3 size) in (0, 1), an ordered 8 x 8 dither, for pixels from column ``start`` on.

    A whole number plus a threshold never reaches the next one, so where nothing is added nothing changes.
    Each colour has its own phase, so that the pattern is weaker in brightness than in any of them.
    """
    bayer = np.zeros((1, 1))
    for _ in range(3):
        bayer = np.block([[4 * bayer, 4 * bayer + 2], [4 * bayer + 3, 4 * bayer + 1]])
    levels = [(bayer + 0.5) / 64.0, np.roll(bayer + 0.5, (4, 2), (0, 1)) / 64.0]
    levels.append(np.roll(bayer + 0.5, (2, 5), (0, 1)) / 64.0)
    pattern = np.stack(levels, axis=-1)[:, (start + np.arange(size)) % 8]
    return np.ascontiguousarray(pattern.reshape(8, 3 * size), dtype=np.float32)


def magnify_frame(
    image: NDArray[np.uint8],
    small: NDArray[np.float32],
    log_factor: NDArray[np.float32],
    roi: Roi,
    out: NDArray[np.uint8] | None = None,
) -> NDArray[np.uint8]:
    """Magnify one frame inside a region (Eq. 17).

    image: (H, W, 3) uint8. small: (3, h, w) float32 in [0, 255], the region reduced. log_factor: as small, S.
    roi: (x, y, w, h), px. out: (H, W, 3) uint8 to write to, other than ``image``; made where not given.
    Returns out. Outside the region it is the very frame; within one cell of the region's border the change
    fades to nothing, so that no edge shows. S = 0 gives the very frame everywhere.

    Raises ValueError for a region that is not inside the frame, or arrays that do not fit.
    """
    if small.shape != log_factor.shape:
        raise ValueError(f"reduced frame and log factor differ: {small.shape} and {log_factor.shape}")
    return add_difference(image, (small * np.expm1(log_factor)).astype(np.float32), roi, out)


def add_difference(
    image: NDArray[np.uint8],
    difference: NDArray[np.float32],
    roi: Roi,
    out: NDArray[np.uint8] | None = None,
) -> NDArray[np.uint8]:
    """Upsample a small difference, bilinear, and add it to a frame inside a region, with an ordered dither.

    difference: (3, h, w) float32, grey levels. The rest as in `magnify_frame`. Raises ValueError as that does.
    """
    height, width = image.shape[:2]
    x, y, w, h = roi
    if w < 1 or h < 1 or x < 0 or y < 0 or x + w > width or y + h > height:
        raise ValueError(f"the region {x},{y},{w},{h} is not inside the picture of {width}x{height}")
    if difference.ndim != 3 or difference.shape[0] != 3:
        raise ValueError(f"a difference is (3, h, w), not {difference.shape}")
    if out is None:
        out = np.empty_like(image, order="C")
    elif out.shape != image.shape or not out.flags.c_contiguous or np.may_share_memory(out, image):
        raise ValueError("the output must be a contiguous picture of the same size, not the frame itself")
    if (w, h) != (width, height):
        np.copyto(out, image)

    left, share_x, fade_x = interpolation(x, w, width, difference.shape[2])
    top, share_y, fade_y = interpolation(y, h, height, difference.shape[1])
    wide = np.empty((difference.shape[1], 3 * w), np.float32)
    widen, add = _kernels()
    widen(np.ascontiguousarray(difference), left, share_x, fade_x, wide)
    rows = np.ascontiguousarray(image).reshape(height, 3 * width)
    add(rows, wide, x, y, top, share_y, fade_y, dither_rows(x % 8, w), out.reshape(height, 3 * width))
    return out


def warm_up() -> None:
    """Compile, or load what an earlier run compiled, so that the first frame is not late."""
    image = np.zeros((8, 8, 3), np.uint8)
    small = np.zeros((3, 2, 2), np.float32)
    magnify_frame(image, small, small, (0, 0, 8, 8))
