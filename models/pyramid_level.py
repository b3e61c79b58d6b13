"""One level of the complex steerable pyramid: all that the live path needs of it, without torch."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from deepmag.models.pyramid_filters import ORIENTATIONS, cut_size, level_filters, middle, polar


class PyramidLevel:
    """Bands of octave bandwidth, as those of `pyramid.SteerablePyramid` at that level.

    size: (height, width) of the pictures, px. shape: of a band.
    """

    def __init__(self, size: tuple[int, int], level: int) -> None:
        height, width = size
        self.shape = cut_size(height, level), cut_size(width, level)
        rows, columns = middle(height, self.shape[0]), middle(width, self.shape[1])
        radius, angle = polar(height, width)
        where = np.ix_(rows, columns)
        filters = level_filters(radius[where], angle[where], level, 1.0, ORIENTATIONS)
        # amplitudes stay in the picture's units
        self._filters = filters * np.float32(self.shape[0] * self.shape[1] / (height * width))
        # of a real picture half a spectrum is known: the other half is its conjugate, through the middle
        there = columns <= width // 2
        self._given: tuple[Any, ...] = (..., *np.ix_(rows, columns[there]))
        self._mirrored: tuple[Any, ...] = (..., *np.ix_(-rows % height, -columns[~there] % width))

    def bands(self, pictures: NDArray[np.float32]) -> NDArray[np.complex64]:
        """pictures: (..., height, width). Returns (..., ORIENTATIONS, *shape)."""
        half: NDArray[Any] = fft.rfft2(pictures)
        given, mirrored = half[self._given], half[self._mirrored]
        part = np.concatenate([given, mirrored.conj()], -1)
        found: NDArray[np.complex64] = fft.ifft2(part[..., None, :, :] * self._filters, overwrite_x=True)
        return found
