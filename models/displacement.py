"""Full-resolution output of a motion: the frame, moved by a smooth field of displacements."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from deepmag.models.phase import SIDE, Floats
from deepmag.models.remap import shift_pixels

VISIBLE = 0.02  # px: what moves less is left as it is, to the byte
MARGIN = 2  # cells of the field around what moves, in which it fades


def displace_frame(image: NDArray[np.uint8], motion: Floats) -> NDArray[np.uint8]:
    """Move a frame's parts. image: (H, W, 3) uint8. motion: (2, h, w) cells of the bands, down and right.

    What is seen at p comes from p minus the displacement there, which for a smooth field of small ones is where it came
    from. Only the box that moves is touched; a frame in which nothing moves is returned as it is.
    """
    height, width = image.shape[:2]
    down, right = in_pixels(motion, height, width)
    moving = moving_part(down, right, height, width)
    if moving is None:
        return image
    # the field at each pixel, bilinear between the cells' middles; of the whole picture, which takes 0.1 ms
    y, x = (cv2.resize(part, (width, height), interpolation=cv2.INTER_LINEAR) for part in (down, right))
    return shift_pixels(
        np.ascontiguousarray(image), np.asarray(y, np.float32), np.asarray(x, np.float32), moving
    )


def in_pixels(motion: Floats, height: int, width: int) -> tuple[Floats, Floats]:
    """A field of displacements, cells, in px of a picture: down and right."""
    # a cell is a 123rd of the picture each way
    return motion[0] * np.float32(height / SIDE), motion[1] * np.float32(width / SIDE)


def moving_part(down: Floats, right: Floats, height: int, width: int) -> tuple[int, int, int, int] | None:
    """Where a field (h, w), px, moves a picture: top, bottom, left and right (exclusive), px; None where nowhere."""
    moving = np.hypot(down, right) > VISIBLE
    if not moving.any():
        return None
    rows, columns = np.nonzero(moving)
    return (*_extent(rows, moving.shape[0], height), *_extent(columns, moving.shape[1], width))


def _extent(occupied: NDArray[np.intp], cells: int, size: int) -> tuple[int, int]:
    """First and last (exclusive) px of what is occupied, with the margin."""
    first, last = max(0, int(occupied.min()) - MARGIN), min(cells, int(occupied.max()) + 1 + MARGIN)
    return int(first * size / cells), int(-(-last * size // cells))
