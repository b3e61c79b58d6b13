"""Smooth random fields on the head's map, the same at any resolution of the map."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Map = NDArray[np.float32]
BASE = 96  # rows on which fields are drawn


def smooth_noise(rng: np.random.Generator, shape: tuple[int, int], sigma: float, tall: float = 1.0) -> Map:
    """Gaussian noise blurred by sigma px (``tall`` times that along columns), unit variance; wraps along rows."""
    drawn = rng.standard_normal(shape).astype(np.float32)
    field = ndimage.gaussian_filter(drawn, (sigma * tall, sigma), mode=("nearest", "wrap"), truncate=3.0)
    return np.asarray((field - field.mean()) / field.std())


def map_noise(rng: np.random.Generator, rows: int, sigma: float, tall: float = 1.0) -> Map:
    """`smooth_noise` with sigma in rows of a map of 96, on a map of any size. Returns (rows, 2 rows)."""
    step = 1
    # a broad field needs few samples: blurring is the cost
    while step < 4 and sigma >= 4 * step and tall >= 1:
        step *= 2
    field = smooth_noise(rng, (BASE // step, 2 * BASE // step), sigma / step, tall)
    if rows * step == BASE:
        return field
    return np.asarray(
        cv2.resize(field, (2 * rows, rows), interpolation=cv2.INTER_LINEAR if step == 1 else cv2.INTER_CUBIC)
    )
