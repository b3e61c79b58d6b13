"""The complex steerable pyramid: local phase, by scale and orientation (Portilla & Simoncelli 2000).

A band's coefficients are analytic (see `pyramid_filters`): magnitude says how much of that pattern is there, phase says
where, and a motion turns the phase. Everything is done in the frequency domain, and each band is cut there to its own
size, 1, 1/2, 1/4 ... of the picture: half of the work of filters that keep the full size is never done.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch

from deepmag.models.pyramid_filters import (
    ORIENTATIONS,
    cut_size,
    high_pass,
    level_filters,
    low_pass,
    middle,
    polar,
)

Bandwidth = Literal["octave", "half-octave"]

SMALLEST = 8  # px, side below which no further band is cut
_OCTAVES: dict[str, float] = {"octave": 1.0, "half-octave": 0.5}


@dataclass(frozen=True)
class Coefficients:
    """A picture taken apart. high, low: residuals above and below all bands, real, or None where not asked for.

    bands: by level, the finest first: (..., orientations, h, w) complex. Band ``o`` answers to patterns whose phase
    grows along the direction pi o / orientations, counted from the columns' axis towards growing rows.
    """

    high: torch.Tensor | None
    bands: tuple[torch.Tensor, ...]
    low: torch.Tensor | None


class SteerablePyramid:
    """Transform of pictures of one size, and its inverse.

    size: (height, width), px. levels: how many; None is as many as fit. bandwidth: of a level. The filters are made
    once, for ``device``. Raises ValueError for a picture that is smaller than one level needs, or for too many levels.
    """

    def __init__(
        self,
        size: tuple[int, int],
        *,
        orientations: int = ORIENTATIONS,
        bandwidth: Bandwidth = "octave",
        levels: int | None = None,
        device: str | torch.device = "cpu",
    ) -> None:
        height, width = size
        step = _OCTAVES[bandwidth]
        most = int((math.log2(max(min(size), 1) / SMALLEST)) // step)
        if most < 1:
            raise ValueError(
                f"a picture of {width}x{height} px is too small for a pyramid: each side needs {2 * SMALLEST} px"
            )
        if levels is not None and not 1 <= levels <= most:
            raise ValueError(f"a picture of {width}x{height} px has 1 to {most} levels, not {levels}")
        self.size = size
        self.orientations = orientations
        self.bandwidth = bandwidth
        self.levels = most if levels is None else levels
        radius, angle = polar(height, width)
        self._high = torch.from_numpy(high_pass(radius, 0.0, step)[:, : width // 2 + 1].copy()).to(device)
        self._cuts: list[_Cut] = []
        for level in range(self.levels):
            cut = _Cut(size, level * step, device)
            where = np.ix_(*cut.kept)
            filters = level_filters(radius[where], angle[where], level * step, step, orientations)
            cut.filters = torch.from_numpy(filters).to(device)
            self._cuts.append(cut)
        self._rest = _Cut(size, self.levels * step, device)
        rest = low_pass(radius[np.ix_(*self._rest.kept)], self.levels * step, step)
        self._rest.filters = torch.from_numpy(rest).to(device)

    def shape(self, level: int) -> tuple[int, int]:
        """(height, width) of a level's bands."""
        return self._cuts[level].shape

    def analyse(self, picture: torch.Tensor, *, only: Sequence[int] | None = None) -> Coefficients:
        """Take pictures apart. picture: (..., height, width) float.

        only: the levels wanted, without residuals; None is everything.
        """
        half = torch.fft.rfft2(picture)
        spectrum = _whole(half, self.size[1])
        levels = range(self.levels) if only is None else only
        bands = tuple(self._cuts[level].bands(spectrum) for level in levels)
        if only is not None:
            return Coefficients(None, bands, None)
        high = torch.fft.irfft2(half * self._high, s=self.size)
        low = torch.fft.ifft2(self._rest.take(spectrum) * self._rest.filters).real
        return Coefficients(high, bands, low)

    def synthesise(self, coefficients: Coefficients) -> torch.Tensor:
        """Put pictures together again; exact where nothing was changed. Returns (..., height, width).

        A residual that is None counts as zero, so that a change of some bands can be taken back by itself.
        """
        shape = (*coefficients.bands[0].shape[:-3], *self.size)
        total = coefficients.bands[0].new_zeros(shape)
        if coefficients.low is not None:
            self._rest.put(total, torch.fft.fft2(coefficients.low) * self._rest.filters)
        for cut, band in zip(self._cuts, coefficients.bands, strict=True):
            cut.put(total, cut.spectrum(band))
        picture: torch.Tensor = torch.fft.ifft2(total).real
        if coefficients.high is not None:
            picture = picture + torch.fft.irfft2(torch.fft.rfft2(coefficients.high) * self._high, s=self.size)
        return picture


class _Cut:
    """The middle of a spectrum, as a smaller one: what a level needs of the picture's. kept: its rows and columns."""

    filters: torch.Tensor

    def __init__(self, size: tuple[int, int], octaves: float, device: str | torch.device) -> None:
        rows, columns = (cut_size(n, octaves) for n in size)
        self.shape = (rows, columns)
        self.kept = [middle(n, m) for n, m in zip(size, self.shape, strict=True)]
        self._from = [torch.from_numpy(index).to(device) for index in self.kept]
        self._scale: float = rows * columns / (size[0] * size[1])

    def of(self, picture: torch.Tensor) -> torch.Tensor:
        """The cut's part of (height, width)."""
        if self.shape == picture.shape[-2:]:
            return picture
        rows, columns = self._from
        return picture.index_select(-2, rows).index_select(-1, columns)

    def take(self, spectrum: torch.Tensor) -> torch.Tensor:
        """The cut's part of a spectrum, scaled so that amplitudes stay in the picture's units."""
        part = self.of(spectrum)
        return part if self._scale == 1.0 else part * self._scale

    def bands(self, spectrum: torch.Tensor) -> torch.Tensor:
        """The pictures of all filters, (..., n, h, w), one after the other: the memory for all at once costs more."""
        part = self.take(spectrum)
        bands = part.new_empty((*part.shape[:-2], len(self.filters), *self.shape))
        for index, answer in enumerate(self.filters):
            bands[..., index, :, :] = torch.fft.ifft2(part * answer)
        return bands

    def spectrum(self, bands: torch.Tensor) -> torch.Tensor:
        """What pictures of all filters, (..., n, h, w), are in the cut when put together; the adjoint of `bands`."""
        total = bands.new_zeros((*bands.shape[:-3], *self.shape))
        for index, answer in enumerate(self.filters):
            total += torch.fft.fft2(bands[..., index, :, :]).mul_(answer)
        return total

    def put(self, spectrum: torch.Tensor, part: torch.Tensor) -> None:
        """Add a part to the spectrum it was cut from, in place."""
        if self.shape == spectrum.shape[-2:]:
            spectrum += part
            return
        rows, columns = self._from
        spectrum[..., rows[:, None], columns] += part / self._scale


def _whole(half: torch.Tensor, width: int) -> torch.Tensor:
    """The full spectrum of a real picture, from the half that rfft2 gives."""
    mirrored = half[..., 1 : (width + 1) // 2].flip(-1)
    mirrored = torch.cat([mirrored[..., :1, :], mirrored[..., 1:, :].flip(-2)], -2).conj()
    return torch.cat([half, mirrored], -1)
