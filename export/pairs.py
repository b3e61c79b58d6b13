"""What every ascender does with its arrays before a runtime sees them: checks, and runs of few sizes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from deepmag.models.representation import L

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

MOST = 512  # pairs in a run


def require_pairs(x: NDArray[np.float32], pairs: int | None = None) -> NDArray[np.float32]:
    """Frame pairs as contiguous float32 (B, 3, L, L).

    Raises ValueError for another shape, for no pair, for what is no finite number, and for a number of pairs other than
    ``pairs`` if that is given.
    """
    if x.ndim != 4 or x.shape[1:] != (3, L, L) or len(x) == 0 or (pairs is not None and len(x) != pairs):
        wanted = "B" if pairs is None else pairs
        raise ValueError(f"expected frame pairs of shape ({wanted}, 3, {L}, {L}), not {x.shape}")
    x = np.ascontiguousarray(x, dtype=np.float32)
    # 5 us for a pair, 0.4 ms for 512. A ReLU of ours takes NaN for a number below zero, ONNX Runtime's does not, and
    # torch's only forwards: one gave y without a word, one no number at all, and one y of NaN with a gradient.
    if not np.isfinite(x).all():
        raise ValueError("expected finite numbers in frame pairs, not NaN or infinity")
    return x


def per_pair(value: float | NDArray[np.float32], pairs: int) -> NDArray[np.float32]:
    """A number or (B,) as float32 (B,). Raises ValueError if it does not broadcast to that."""
    return np.ascontiguousarray(np.broadcast_to(np.asarray(value, dtype=np.float32), (pairs,)))


def padded(array: NDArray[np.float32], pairs: int) -> NDArray[np.float32]:
    """As many pairs as a run is made for: what is missing is zero."""
    missing = pairs - len(array)
    if not missing:
        return array
    return np.concatenate([array, np.zeros((missing, *array.shape[1:]), np.float32)])


def turns(pairs: int, most: int = MOST) -> Iterator[tuple[slice, int]]:
    """Split pairs into runs: which of them, and for how many a run is made, a power of two up to ``most``."""
    for start in range(0, pairs, most):
        count = min(most, pairs - start)
        yield slice(start, start + count), 1 << (count - 1).bit_length()
