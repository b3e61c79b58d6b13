"""Phase-based magnification of motion (Wadhwa et al. 2013): local phase, filtered in time and turned further.

A motion turns the phase of a complex steerable pyramid's coefficients; how far they turn from frame to frame, added
up, is the motion, and it is unwrapped as long as a frame's motion stays below half a wavelength. Turning each
coefficient further by alpha times what the filter leaves moves the pattern: there is no lambda / 8 rule as for the
linear method, and noise is moved, not amplified.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from deepmag.models.baselines.eulerian import butterworth_kernel
from deepmag.models.baselines.gaussian import Floats, pad
from deepmag.models.pyramid import SMALLEST, Coefficients, SteerablePyramid
from deepmag.models.reconstruction import add_difference
from deepmag.models.temporal import PULSE_BAND, Band, zero_phase

SIDE = (
    240  # px, the longest side that the finest bands may have: it bounds memory and time at any picture size
)
SPREAD = 2.0  # cells, standard deviation of the blur of phase
# Grey levels: a pattern of this amplitude is moved half as far as it should be, and what is weaker is left alone.
# A camera's noise leaves 0.2 to 1 in a band.
FAINT = 1.0
LIMIT = np.pi  # rad, to which the added phase is held: beyond it a band's pattern leaves its own envelope


@dataclass(frozen=True, slots=True)
class PhaseEulerian:
    """Motion of the whole picture within ``band``, Hz, in its luma.

    side: px, the longest side of the finest bands that are moved; finer patterns, and what is left below the coarsest
    band, stay where they are.
    """

    side: int = SIDE
    band: Band = PULSE_BAND
    name: str = field(default="phase", init=False)

    def analyser(self) -> Callable[[NDArray[np.uint8]], Floats]:
        """See `linear.LinearMethod`: a `PhaseTrack`."""
        return PhaseTrack(self.side)

    def temporal_kernel(self, rate: float) -> NDArray[np.float64]:
        """Response of the sixth-order Butterworth, forward and backward; see `linear.LinearMethod`."""
        return butterworth_kernel(self.band, rate)

    def filter_clip(self, coefficients: NDArray[np.float64], rate: float) -> NDArray[np.float64]:
        """Run the sixth-order Butterworth forward and backward (Eq. 15), over (T, ...)."""
        return zero_phase(coefficients, self.band, rate)

    def synthesise(self, image: NDArray[np.uint8], filtered: Floats, gain: float) -> NDArray[np.uint8]:
        """Turn each coefficient of the frame by ``gain - 1`` times its filtered phase; add what changes in luma."""
        bands = Bands.of(image.shape, self.side)
        added = torch.from_numpy(filtered * np.float32(gain - 1.0)).clamp(-LIMIT, LIMIT)
        changed, start = [], 0
        for band in bands.analyse(image):
            angle = added[start : start + band.numel()].view(band.shape)
            changed.append(band * (torch.polar(torch.ones_like(angle), angle) - 1.0))
            start += band.numel()
        return bands.add(image, changed)


class PhaseTrack:
    """How far each coefficient's phase has turned since the first frame, frame by frame. Has the state of one clip."""

    def __init__(self, side: int) -> None:
        self._side = side
        self._before: list[torch.Tensor] = []
        self._turned = np.zeros(0, np.float32)

    def __call__(self, image: NDArray[np.uint8]) -> Floats:
        """Take the next frame. Returns (n,), rad: all bands one after the other, the finest first.

        Raises ValueError for a picture that is too small.
        """
        bands = Bands.of(image.shape, self._side).analyse(image)
        if self._before:
            steps = [phase_step(a, b).ravel() for a, b in zip(self._before, bands, strict=True)]
            self._turned = self._turned + np.concatenate(steps)
        else:
            self._turned = np.zeros(sum(band.numel() for band in bands), np.float32)
        self._before = bands
        return self._turned


def phase_step(before: torch.Tensor, after: torch.Tensor) -> Floats:
    """How far a level's phase turns between two frames (..., h, w), complex. Returns the same shape, rad.

    Wrapped, and averaged over SPREAD cells by its precision: the variance of a phase is that of the noise over the
    square of the amplitude. Wadhwa et al. weight by the amplitude, and after the filter; before it, a step of noise
    at a cell without a pattern never enters the filter.
    """
    cross = after * before.conj()
    weight = cross.abs()
    return weighted_mean((cross.angle() * weight).numpy(), weight.numpy())


def weighted_mean(product: Floats, weight: Floats) -> Floats:
    """Blurred product over blurred weight, (..., h, w): a local mean of their ratio, nothing where there is no weight.

    weight: squared grey levels, against FAINT.
    """
    mean = np.empty_like(product)
    planes, weights, means = (x.reshape(-1, *product.shape[-2:]) for x in (product, weight, mean))
    for plane, share, out in zip(planes, weights, means, strict=True):
        total = cv2.GaussianBlur(share, (0, 0), SPREAD, borderType=cv2.BORDER_REFLECT)
        total += np.float32(FAINT**2)
        np.divide(cv2.GaussianBlur(plane, (0, 0), SPREAD, borderType=cv2.BORDER_REFLECT), total, out=out)
    return mean


def finest_level(shape: tuple[int, ...], side: int) -> int:
    """How often a picture of a shape (H, W, ...) is halved until neither of its sides is longer than ``side`` px."""
    longest, level = max(shape[:2]), 0
    while longest > side << level:
        level += 1
    return level


class Bands:
    """The pyramid's bands from a picture's `finest_level` on, and the way back.

    They are cut from the spectrum of the full-size luma. The finest bands' filters end at the cut, so this is what
    the full pyramid has there, without its finer levels ever being made.
    """

    def __init__(self, shape: tuple[int, int], side: int) -> None:
        height, width = shape
        self._unit = 1 << finest_level(shape, side)
        least = 2 * SMALLEST * self._unit
        if min(shape) < least:
            raise ValueError(
                f"a picture of {width}x{height} px is too small to find motion in: each side needs {least} px"
            )
        # the same number of cells on either way, so that the cut spectrum is that of a picture in step with the frame
        self._full = (height + -height % self._unit, width + -width % self._unit)
        self._cut = (self._full[0] // self._unit, self._full[1] // self._unit)
        self._pyramid = SteerablePyramid(self._cut)

    @classmethod
    def of(cls, shape: tuple[int, ...], side: int) -> Bands:
        """The bands of pictures of a shape (H, W, ...), made once. Raises ValueError where it is too small."""
        return _bands((shape[0], shape[1]), side)

    def analyse(self, image: NDArray[np.uint8]) -> list[torch.Tensor]:
        """Bands of the luma of (H, W, 3), the finest level first, each (orientations, h, w) complex64, grey levels."""
        colours = pad(image, self._unit).astype(np.float32)
        luma = torch.from_numpy(np.asarray(cv2.cvtColor(colours, cv2.COLOR_RGB2GRAY), np.float32))
        if self._unit > 1:
            luma = _resample(luma, self._cut)
        return list(self._pyramid.analyse(luma, only=range(self._pyramid.levels)).bands)

    def add(self, image: NDArray[np.uint8], bands: list[torch.Tensor]) -> NDArray[np.uint8]:
        """Put a change of the bands together and add it to all three colours of a frame, dithered."""
        luma = self._pyramid.synthesise(Coefficients(None, tuple(bands), None))
        if self._unit > 1:
            luma = _resample(luma, self._full)
        height, width = image.shape[:2]
        difference = luma[:height, :width].expand(3, height, width).numpy()
        return add_difference(image, np.ascontiguousarray(difference), (0, 0, width, height))


@lru_cache(maxsize=8)
def _bands(shape: tuple[int, int], side: int) -> Bands:
    return Bands(shape, side)


def _resample(picture: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """A picture of another size with the same spectrum, cut or filled up with zeros. Even a frequency on the cut."""
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
