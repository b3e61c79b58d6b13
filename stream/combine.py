"""One picture of two that were made of the same one: what was added to the colours of one, on the other."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

CACHED = 1 << 17  # bytes of a picture that are combined at a time


def combine(
    original: NDArray[np.uint8], moved: NDArray[np.uint8], coloured: NDArray[np.uint8]
) -> NDArray[np.uint8]:
    """Add to the moved picture what was added to the original's colours. All (H, W, 3) uint8; clipped to [0, 255].

    What became brighter and what became darker, each cut at 0, are added and taken away one after the other: in a pixel
    one of them is nothing, and bytes are many times as fast as the 16 bits that their difference would need. Some rows
    at a time, so that what is between the steps stays in the cache.
    """
    out = np.empty(original.shape, np.uint8)
    rows = max(1, CACHED // original[0].nbytes)
    for top in range(0, len(original), rows):
        part = slice(top, top + rows)
        cv2.add(moved[part], cv2.subtract(coloured[part], original[part]), dst=out[part])
        cv2.subtract(out[part], cv2.subtract(original[part], coloured[part]), dst=out[part])
    return out
