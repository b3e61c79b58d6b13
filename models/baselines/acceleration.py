"""Video acceleration magnification of colour (Zhang et al. 2017): what is linear in time is no signal.

The temporal filter is the second derivative of a Gaussian. It takes a constant and a ramp to nothing, so a motion
that is steady while the signal swings is not magnified; it is not a band-pass: it falls off as f^2 below its
frequency, and has its peak at 1.27 times it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.signal import fftconvolve

from deepmag.models.baselines.eulerian import LEVEL, analyse_colour
from deepmag.models.baselines.gaussian import Floats, add_upsampled
from deepmag.models.temporal import PULSE_BAND, Band, band_at

REACH = 6.0  # standard deviations of the Gaussian, beyond which it is cut


def acceleration_kernel(frequency: float, rate: float) -> NDArray[np.float64]:
    """Second derivative of a Gaussian, as a magnifier's filter: unit gain and no delay at ``frequency`` Hz.

    rate: Hz. Returns (2 n + 1,), centred; its sum is zero, and so is its first moment, to rounding.
    The Gaussian's standard deviation is a quarter period over the root of two: r / (4 sqrt(2) omega) frames in
    Zhang et al. (2017), after the radius of the blob to which a Laplacian of Gaussian answers most.
    Its sign is turned, since a swing accelerates against its own displacement.
    """
    sigma = 1.0 / (4.0 * np.sqrt(2.0) * frequency)
    half = int(np.ceil(REACH * sigma * rate))
    t = np.arange(-half, half + 1) / rate
    gaussian = np.exp(-0.5 * (t / sigma) ** 2)
    kernel: NDArray[np.float64] = (1.0 - (t / sigma) ** 2) * gaussian
    kernel -= gaussian * (kernel.sum() / gaussian.sum())  # sampled and cut, it only nearly sums to zero
    kernel /= (kernel * np.cos(2.0 * np.pi * frequency * t)).sum()
    return kernel


def accelerate(coefficients: NDArray[np.float64], kernel: NDArray[np.float64]) -> NDArray[np.float64]:
    """Convolve along time, (T, ...). The ends are continued by reflection in their point, which keeps a ramp."""
    half = kernel.size // 2
    flat = coefficients.reshape(len(coefficients), -1)
    reach = min(half, len(flat) - 1)
    start = 2.0 * flat[0] - flat[reach:0:-1]
    end = 2.0 * flat[-1] - flat[-2 : -reach - 2 : -1]
    # a clip shorter than the kernel: what lies beyond its reflection is taken as constant
    continued = np.pad(np.concatenate([start, flat, end]), ((half - reach,) * 2, (0, 0)), mode="edge")
    # in FFT a large constant leaves its rounding in the small result
    continued -= flat.mean(axis=0)
    filtered = fftconvolve(continued, kernel[:, None], mode="valid", axes=0)
    return np.asarray(filtered, np.float64).reshape(coefficients.shape)


@dataclass(frozen=True, slots=True)
class ColourAcceleration:
    """Accelerating colour changes of the whole picture, at one ``level`` of its Gaussian pyramid.

    band: Hz; the filter has one frequency only, the band's geometric mean.
    """

    level: int = LEVEL
    band: Band = PULSE_BAND
    name: str = field(default="vam", init=False)

    @property
    def frequency(self) -> float:
        """Where the gain is one, Hz."""
        return float(np.sqrt(self.band[0] * self.band[1]))

    def analyse(self, image: NDArray[np.uint8]) -> Floats:
        """Level ``level`` of the frame's Gaussian pyramid, (3, h, w), grey levels."""
        return analyse_colour(image, self.level)

    def step(self, before: Floats, after: Floats) -> Floats:
        """See `linear.LinearMethod`."""
        return after - before

    def temporal_kernel(self, rate: float) -> NDArray[np.float64]:
        """See `acceleration_kernel`."""
        band_at(self.band, rate)  # only to see that there is enough of it
        return acceleration_kernel(self.frequency, rate)

    def filter_clip(self, coefficients: NDArray[np.float64], rate: float) -> NDArray[np.float64]:
        """See `accelerate`."""
        return accelerate(coefficients, self.temporal_kernel(rate))

    def synthesise(self, image: NDArray[np.uint8], filtered: Floats, gain: float) -> NDArray[np.uint8]:
        """Add the filtered level, ``gain - 1`` times and upsampled, to the frame."""
        return add_upsampled(image, filtered * np.float32(gain - 1.0), 1 << self.level)
