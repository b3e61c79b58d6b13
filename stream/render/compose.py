"""The original and the magnified picture of one frame in one picture, and its pixels made square."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from deepmag.stream.frames import MagnifiedFrame


def picture(frame: MagnifiedFrame, *, original_beside: bool) -> NDArray[np.uint8]:
    """Return the magnified picture, (H, W, 3) uint8 RGB; with the original at its left, (H, 2 W, 3)."""
    return np.hstack([frame.frame.image, frame.image]) if original_beside else frame.image


def square(image: NDArray[np.uint8], pixel_aspect: float) -> NDArray[np.uint8]:
    """Widen, or heighten, what has other pixels than a screen, so that nobody looks thinner. pixel_aspect: see `Frame`.

    Returns ``image`` itself where its pixels are square.
    """
    height, width = image.shape[:2]
    size = round(width * max(pixel_aspect, 1.0)), round(height / min(pixel_aspect, 1.0))
    if size == (width, height):
        return image
    return cv2.resize(image, size, interpolation=cv2.INTER_LINEAR).astype(np.uint8, copy=False)
