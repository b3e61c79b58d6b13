"""Full-resolution output of a motion: the frame, moved by a smooth field of displacements."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from deepmag.models.phase import SIDE, Floats

VISIBLE = 0.02  # px: what moves less is left as it is, to the byte
MARGIN = 2  # cells of the field around what moves, in which it fades


def displace_frame(image: NDArray[np.uint8], motion: Floats) -> NDArray[np.uint8]:
    """Move a frame's parts. image: (H, W, 3) uint8. motion: (2, h, w) cells of the bands, down and right.

    What is seen at p comes from p minus the displacement there, which for a smooth field of small ones is where it came
    from. Only the box that moves is touched; a frame in which nothing moves is returned as it is.
    """
    height, width = image.shape[:2]
    rows, columns = motion.shape[1:]
    # a cell is a 123rd of the picture each way
    down, right = motion[0] * np.float32(height / SIDE), motion[1] * np.float32(width / SIDE)
    moving = np.hypot(down, right) > VISIBLE
    if not moving.any():
        return image
    box = [_extent(moving.any(axis), size) for axis, size in ((1, rows), (0, columns))]
    (top, bottom), (left, end) = (
        (int(a * full / size), int(-(-b * full // size)))
        for (a, b), full, size in zip(box, (height, width), (rows, columns), strict=True)
    )
    y = np.arange(top, bottom, dtype=np.float32)
    x = np.arange(left, end, dtype=np.float32)
    # the field at each pixel, bilinear between the cells' middles; of the whole picture, which takes 0.1 ms
    moved_y, moved_x = (
        cv2.resize(part, (width, height), interpolation=cv2.INTER_LINEAR)[top:bottom, left:end]
        for part in (down, right)
    )
    out = image.copy()
    out[top:bottom, left:end] = cv2.remap(
        image, x[None] - moved_x, y[:, None] - moved_y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
    )
    return out


def _extent(occupied: NDArray[np.bool_], size: int) -> tuple[int, int]:
    """First and last (exclusive) of what is occupied, with the margin."""
    places = np.flatnonzero(occupied)
    return max(0, int(places[0]) - MARGIN), min(size, int(places[-1]) + 1 + MARGIN)
