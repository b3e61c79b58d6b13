"""Pictures to bytes: JPEG for the live view, PNG for a snapshot."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MAX_WIDTH = 1280  # px: wider pictures cost more to encode, send and decode than a screen shows of them
QUALITY = 95  # of 100

# High, because the signal is a tint of one or two grey levels: on evenly coloured skin the coarse steps of a
# JPEG of quality 85 distort it by up to 0.7 levels, at 95 by 0.25. That costs 0.4 ms and 40 kB a picture of
# 640x480. Chroma at half resolution, which saves 0.6 ms: the tint is smooth over centimetres of skin.
_JPEG = (
    cv2.IMWRITE_JPEG_QUALITY,
    QUALITY,
    cv2.IMWRITE_JPEG_SAMPLING_FACTOR,
    cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420,
)
_PNG = (cv2.IMWRITE_PNG_COMPRESSION, 2)  # of 9: twice as fast as the default, a few percent larger


def shown_size(width: int, height: int, max_width: int = MAX_WIDTH) -> tuple[int, int]:
    """(width, height) at which a picture is sent, px."""
    if width <= max_width:
        return width, height
    return max_width, max(1, round(height * max_width / width))


def jpeg(image: NDArray[np.uint8], max_width: int = MAX_WIDTH) -> bytes:
    """Encode as JPEG: (H, W, 3) uint8 RGB, at most ``max_width`` px wide."""
    height, width = image.shape[:2]
    size = shown_size(width, height, max_width)
    if size != (width, height):
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA).astype(image.dtype, copy=False)
    return _encode(".jpg", image, _JPEG)


def png(image: NDArray[np.uint8]) -> bytes:
    """Encode as PNG: (H, W, 3) uint8 RGB: every pixel as it is."""
    return _encode(".png", image, _PNG)


def _encode(suffix: str, image: NDArray[np.uint8], options: tuple[int, ...]) -> bytes:
    # OpenCV's codecs take BGR.
    done, buffer = cv2.imencode(suffix, cv2.cvtColor(image, cv2.COLOR_RGB2BGR), options)
    if not done:
        raise ValueError(f"a picture of shape {image.shape} cannot be encoded as {suffix}")
    return buffer.tobytes()
