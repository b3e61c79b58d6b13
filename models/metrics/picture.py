"""Likeness of two pictures: PSNR, and the Gaussian SSIM of Wang et al. (2004)."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from deepmag.models.phase import LUMA

PEAK = 255.0  # grey levels
MID = 128.0
PSNR_LIMIT = 100.0  # dB, of equal pictures, so that a mean over frames exists
SIGMA = 1.5  # px, of the window (Wang et al. 2004)
RADIUS = 5  # px: the window is 11 x 11
C1, C2 = (0.01 * PEAK) ** 2, (0.03 * PEAK) ** 2


def psnr(a: NDArray[Any], b: NDArray[Any]) -> float:
    """Peak signal-to-noise ratio of two pictures of the same shape in [0, 255], dB; PSNR_LIMIT for equal ones."""
    _same_shape(a, b)
    if a.dtype != b.dtype or a.dtype not in (np.uint8, np.float32):
        a, b = a.astype(np.float32, copy=False), b.astype(np.float32, copy=False)
    # OpenCV's, which sums in double precision: a tenth of the time that NumPy takes for its intermediate pictures
    error = cv2.norm(a, b, cv2.NORM_L2SQR) / a.size
    return PSNR_LIMIT if error == 0 else min(PSNR_LIMIT, 10 * float(np.log10(PEAK**2 / error)))


def luma(image: NDArray[Any]) -> NDArray[np.float32]:
    """Brightness of a picture. image: (H, W, 3) RGB in [0, 255]. Returns (H, W) float32, of the same range."""
    return np.asarray(image.astype(np.float32) @ LUMA)


def ssim(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    """Structural similarity of two grey pictures (H, W) in [0, 255]: the mean of its map; see `ssim_map`."""
    return float(ssim_map(a, b).mean(dtype=np.float64))


def ssim_map(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float32]:
    """Structural similarity around each pixel of two grey pictures (H, W), RADIUS px of border left out.

    Returns (H - 2 RADIUS, W - 2 RADIUS). Gaussian window of 11 x 11 with sigma 1.5 px, K1 = 0.01, K2 = 0.03 (Wang et
    al. 2004, Eq. 13). Raises ValueError for pictures that differ in shape or have no pixel inside the border.
    """
    _same_shape(a, b)
    if a.ndim != 2 or min(a.shape) <= 2 * RADIUS:
        raise ValueError(f"SSIM needs grey pictures of more than {2 * RADIUS} px a side, not {a.shape}")
    # About mid-grey: a variance is the small difference of two squares, in single precision worse the larger they are.
    x, y = a - np.float32(MID), b - np.float32(MID)
    mean_x, mean_y = _blur(x), _blur(y)
    var_x = _blur(x * x) - mean_x**2
    var_y = _blur(y * y) - mean_y**2
    covariance = _blur(x * y) - mean_x * mean_y
    mean_x += np.float32(MID)
    mean_y += np.float32(MID)
    likeness = ((2 * mean_x * mean_y + C1) * (2 * covariance + C2)) / (
        (mean_x**2 + mean_y**2 + C1) * (var_x + var_y + C2)
    )
    return np.asarray(likeness[RADIUS:-RADIUS, RADIUS:-RADIUS], np.float32)


def _blur(x: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(cv2.GaussianBlur(x, (2 * RADIUS + 1, 2 * RADIUS + 1), SIGMA))


def _same_shape(a: NDArray[Any], b: NDArray[Any]) -> None:
    if a.shape != b.shape:
        raise ValueError(f"pictures of the shapes {a.shape} and {b.shape} cannot be compared")
