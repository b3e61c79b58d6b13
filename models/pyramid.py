"""The complex steerable pyramid: local phase, by scale and orientation (Portilla & Simoncelli 2000).

A band answers to one octave (or half an octave) and one orientation, on one side of the frequency plane only, so its
coefficients are analytic: magnitude says how much of that pattern is there, phase says where, and a motion turns the
phase. Everything is done in the frequency domain, and each band is cut there to its own size, 1, 1/2, 1/4 ... of the
picture: half of the work of filters that keep the full size is never done.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch

Bandwidth = Literal["octave", "half-octave"]

ORIENTATIONS = 4  # as in the paper (section 3.3)
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

    def with_bands(self, bands: Sequence[torch.Tensor]) -> Coefficients:
        """The same residuals with other bands."""
        return replace(self, bands=tuple(bands))


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
        radius, angle = _polar(height, width)
        self._high = _high(radius, 0.0, step)[:, : width // 2 + 1].to(device)
        self._cuts: list[_Cut] = []
        for level in range(self.levels):
            cut = _Cut(size, level * step, device)
            r, theta = cut.of(radius), cut.of(angle)
            radial = _low(r, level * step, step) * _high(r, (level + 1) * step, step)
            cut.filters = torch.stack(
                [radial * _angular(theta, o, orientations) for o in range(orientations)]
            ).to(device)
            self._cuts.append(cut)
        self._rest = _Cut(size, self.levels * step, device)
        self._rest.filters = _low(self._rest.of(radius), self.levels * step, step).to(device)

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
    """The middle of a spectrum, as a smaller spectrum: what one level needs of the picture's."""

    filters: torch.Tensor

    def __init__(self, size: tuple[int, int], octaves: float, device: str | torch.device) -> None:
        scale = 2.0**-octaves
        # a filter is zero from its upper corner on, so the cut spectrum's own Nyquist row may lie on it
        rows, columns = (min(n, math.ceil(n * scale - 1e-9)) for n in size)
        self.shape = (rows, columns)
        self._from = [_middle(n, m).to(device) for n, m in zip(size, self.shape, strict=True)]
        self._scale: float = rows * columns / (size[0] * size[1])

    def of(self, picture: torch.Tensor) -> torch.Tensor:
        """The cut's part of (height, width)."""
        if self.shape == picture.shape[-2:]:
            return picture
        rows, columns = (index.to(picture.device) for index in self._from)
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


def _middle(n: int, m: int) -> torch.Tensor:
    """Indices of the m lowest frequencies of n, in the order of a transform of m."""
    positive = (m + 1) // 2
    return torch.cat([torch.arange(positive), torch.arange(n - (m - positive), n)])


def _whole(half: torch.Tensor, width: int) -> torch.Tensor:
    """The full spectrum of a real picture, from the half that rfft2 gives."""
    mirrored = half[..., 1 : (width + 1) // 2].flip(-1)
    mirrored = torch.cat([mirrored[..., :1, :], mirrored[..., 1:, :].flip(-2)], -2).conj()
    return torch.cat([half, mirrored], -1)


def _polar(height: int, width: int) -> tuple[torch.Tensor, torch.Tensor]:
    """log2(frequency / pi) and the angle of each frequency, both (height, width) float64."""
    y = torch.fft.fftfreq(height, dtype=torch.float64)[:, None] * 2.0
    x = torch.fft.fftfreq(width, dtype=torch.float64)[None] * 2.0
    radius = torch.hypot(x, y)
    radius[0, 0] = radius.flatten()[radius.flatten() > 0].min() * 2.0**-8  # the mean: below every band
    return torch.log2(radius), torch.atan2(y.expand_as(radius), x.expand_as(radius))


def _low(log_radius: torch.Tensor, octaves: float, step: float) -> torch.Tensor:
    """Low-pass that falls over the ``step`` octaves that end ``octaves`` below the highest frequency."""
    t = ((log_radius + octaves) / step + 1.0).clamp(0.0, 1.0)
    return torch.cos(0.5 * math.pi * t).to(torch.float32)


def _high(log_radius: torch.Tensor, octaves: float, step: float) -> torch.Tensor:
    """What `_low` of the same corner leaves: their squares add to one."""
    t = ((log_radius + octaves) / step + 1.0).clamp(0.0, 1.0)
    return torch.sin(0.5 * math.pi * t).to(torch.float32)


def _angular(angle: torch.Tensor, index: int, orientations: int) -> torch.Tensor:
    """One side of an orientation: a power of a cosine, whose squares over all orientations and both sides add to one.

    Twice that, under a root on either way, since only one of two sides is kept and the real part taken.
    """
    order = orientations - 1
    scale = 2.0**order * math.factorial(order) / math.sqrt(orientations * math.factorial(2 * order))
    offset = torch.remainder(angle - math.pi * index / orientations + math.pi, 2 * math.pi) - math.pi
    side = offset.abs() < 0.5 * math.pi
    return (math.sqrt(2.0) * scale * torch.cos(offset) ** order * side).to(torch.float32)
