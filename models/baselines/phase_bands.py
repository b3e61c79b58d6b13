"""A picture's octaves as complex bands, how far their phases turn between two pictures, and how to turn them."""

from __future__ import annotations

import math
from functools import lru_cache

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from deepmag.models.baselines.gaussian import Floats
from deepmag.models.pyramid import SMALLEST, Coefficients, SteerablePyramid
from deepmag.models.pyramid_filters import ORIENTATIONS
from deepmag.models.reconstruction import add_difference

# Cells of a band each way that turn together, one or two of its wavelengths, and of the finest level four, since motion
# does not vary faster there. With pools of 4 and 8, textures move 1 % further and the live window is thrice as large.
FINEST_POOL, POOL = 16, 6
# Grey levels: a pattern of this amplitude is moved half as far as it should be, and what is weaker is left alone.
# A camera's noise leaves 0.2 to 1 in a band.
FAINT = 1.0

Bands = tuple[torch.Tensor, ...]


def steps(before: Bands, after: Bands) -> Floats:
    """How far the phase turns between two frames, (n,), rad: all bands' pools, the finest level first."""
    pairs = zip(before, after, pools(after), strict=True)
    return np.concatenate([phase_step(a, b, size).ravel() for a, b, size in pairs])


def phase_step(before: torch.Tensor, after: torch.Tensor, size: tuple[int, int]) -> Floats:
    """How far a level's phase turns between two frames, (orientations, h, w) complex each.

    size: (rows, columns) of pools. Returns (orientations, rows, columns), rad.
    The angle of the mean cross product: each cell counts by its squared amplitude, which is the precision of its
    phase. Wadhwa et al. weight by the amplitude, and after the filter; before it, a cell without a pattern never
    sends a step of noise into the filter, and there are a hundred times fewer angles to find and to filter.
    """
    turned = np.empty((before.shape[0], *size), np.float32)
    for a, b, out in zip(_planes(before), _planes(after), turned, strict=True):
        cross = cv2.mulSpectrums(b, a, 0, conjB=True)  # b times a conjugate, cell by cell
        real, imaginary = cv2.split(cv2.resize(cross, size[::-1], interpolation=cv2.INTER_AREA))
        weight = np.hypot(real, imaginary)
        np.multiply(np.arctan2(imaginary, real), weight / (weight + np.float32(FAINT**2)), out=out)
    return turned


def turn(bands: Bands, angles: Floats) -> Bands:
    """Make of bands what turning them by pooled angles changes in them. angles: (n,) rad, as `steps`."""
    real, imaginary = np.cos(angles) - np.float32(1.0), np.sin(angles)
    start = 0
    for band, (height, width) in zip(bands, pools(bands), strict=True):
        factor = np.empty((*band.shape[-2:], 2), np.float32)
        for plane in band:
            stop = start + height * width
            pooled = np.stack([part[start:stop].reshape(height, width) for part in (real, imaginary)], -1)
            cv2.resize(pooled, factor.shape[1::-1], dst=factor, interpolation=cv2.INTER_LINEAR)
            plane.mul_(torch.view_as_complex(torch.from_numpy(factor)))
            start = stop
    return bands


def pools(bands: Bands) -> list[tuple[int, int]]:
    """(rows, columns) of the pools of each level."""
    sides = [FINEST_POOL] + [POOL] * (len(bands) - 1)
    return [
        (-(-band.shape[-2] // side), -(-band.shape[-1] // side))
        for band, side in zip(bands, sides, strict=True)
    ]


class PictureBands:
    """The pyramid's bands of a picture whose longest side is cut down to ``side`` px, and the way back.

    Cut is the spectrum, so that what remains is exact, and what is put back as sharp as it was; but of a picture larger
    than twice the cut, which is averaged before and interpolated after: a large transform costs more than all the rest.
    """

    def __init__(self, shape: tuple[int, int], side: int) -> None:
        share = min(1.0, side / max(shape))
        if min(shape) * share < 2 * SMALLEST:
            raise ValueError(
                f"a picture of {shape[1]}x{shape[0]} px is too small to find motion in: each side needs "
                f"{math.ceil(2 * SMALLEST / share)} px"
            )
        self._cut = (round(shape[0] * share), round(shape[1] * share))
        self._whole = (min(shape[0], 2 * self._cut[0]), min(shape[1], 2 * self._cut[1]))
        self._pyramid = SteerablePyramid(self._cut, orientations=ORIENTATIONS)

    @classmethod
    def of(cls, shape: tuple[int, ...], side: int) -> PictureBands:
        """The bands of pictures of a shape (H, W, ...), made once. Raises ValueError where it is too small."""
        return _picture_bands((shape[0], shape[1]), side)

    def analyse(self, image: NDArray[np.uint8]) -> Bands:
        """Bands of the luma of (H, W, 3), the finest level first, each (orientations, h, w) complex64, grey levels."""
        # float before the luma: as bytes it would be rounded
        grey = cv2.cvtColor(image.astype(np.float32), cv2.COLOR_RGB2GRAY)
        if grey.shape != self._whole:
            grey = cv2.resize(grey, self._whole[::-1], interpolation=cv2.INTER_AREA)
        luma = torch.from_numpy(np.asarray(grey))
        if self._cut != self._whole:
            luma = _resample(luma, self._cut)
        return self._pyramid.analyse(luma, only=range(self._pyramid.levels)).bands

    def add(self, image: NDArray[np.uint8], bands: Bands) -> NDArray[np.uint8]:
        """Put a change of the bands together and add it to all three colours of a frame, dithered."""
        luma = self._pyramid.synthesise(Coefficients(None, bands, None))
        if self._cut != self._whole:
            luma = _resample(luma, self._whole)
        difference = np.repeat(luma[None].numpy(), 3, axis=0)
        return add_difference(image, difference, (0, 0, image.shape[1], image.shape[0]))


@lru_cache(maxsize=8)
def _picture_bands(shape: tuple[int, int], side: int) -> PictureBands:
    return PictureBands(shape, side)


def _planes(band: torch.Tensor) -> Floats:
    """A level's bands as real and imaginary parts, (orientations, h, w, 2), without a copy."""
    return np.asarray(torch.view_as_real(band).numpy(), np.float32)


def _resample(picture: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """A picture of another size with the same spectrum, cut or filled up with zeros."""
    height, width = picture.shape
    spectrum = torch.fft.rfft2(picture) * (size[0] * size[1] / (height * width))
    rows, columns = min(height, size[0]), min(width, size[1]) // 2 + 1
    resized = spectrum.new_zeros((size[0], size[1] // 2 + 1))
    positive, negative = (rows + 1) // 2, rows // 2
    resized[:positive, :columns] = spectrum[:positive, :columns]
    if negative:
        resized[-negative:, :columns] = spectrum[-negative:, :columns]
    changed: torch.Tensor = torch.fft.irfft2(resized, s=size)
    return changed
