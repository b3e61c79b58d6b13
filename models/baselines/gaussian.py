"""The Gaussian pyramid, down and up, and what is added to a frame from one of its levels.

The binomial kernel is the even one, [1 3 3 1] / 8: a sample of the next level then lies in the middle of the four
pixels it replaces, which is where bilinear upsampling, and `reconstruction.add_difference`, take it to be. With the
usual odd kernel, [1 4 6 4 1] / 16, it lies on one of them, and four levels down the change would be added 7.5 px off.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from deepmag.models.reconstruction import add_difference

Floats = NDArray[np.float32]

BINOMIAL = np.array([1.0, 3.0, 3.0, 1.0], np.float32) / 8.0


def reduce(picture: NDArray[Any]) -> Floats:
    """One level down: blur and take every second pixel. picture: (H, W) or (H, W, 3). Returns float32, halved."""
    blurred = cv2.sepFilter2D(
        picture, cv2.CV_32F, BINOMIAL, BINOMIAL, anchor=(1, 1), borderType=cv2.BORDER_REFLECT
    )
    return np.asarray(blurred[::2, ::2], np.float32)


def expand(picture: Floats, shape: tuple[int, ...]) -> Floats:
    """One level up, bilinear, which is the same kernel. shape: of the level above, (H, W, ...)."""
    return np.asarray(
        cv2.resize(picture, (shape[1], shape[0]), interpolation=cv2.INTER_LINEAR), dtype=np.float32
    )


def pad(image: NDArray[np.uint8], multiple: int) -> NDArray[np.uint8]:
    """Repeat the last row and column until both sides are multiples; the picture itself where they are."""
    below, right = -image.shape[0] % multiple, -image.shape[1] % multiple
    if below == right == 0:
        return image
    return np.asarray(cv2.copyMakeBorder(image, 0, below, 0, right, cv2.BORDER_REPLICATE), np.uint8)


def add_upsampled(image: NDArray[np.uint8], difference: Floats, multiple: int) -> NDArray[np.uint8]:
    """Upsample a difference, bilinear, and add it to a frame, dithered as `reconstruction.add_difference` does.

    image: (H, W, 3). difference: (3, h, w), grey levels, of the picture padded to multiples of ``multiple``.
    Returns (H, W, 3). A difference of zero gives the very frame.
    """
    padded = pad(image, multiple)
    height, width = padded.shape[:2]
    shown = add_difference(padded, difference, (0, 0, width, height))
    if padded is image:
        return shown
    return np.ascontiguousarray(shown[: image.shape[0], : image.shape[1]])
