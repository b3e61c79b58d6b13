"""Linear Eulerian magnification of colour (Wu et al. 2012): the fourth level of a Gaussian pyramid, band-passed."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.signal import sosfiltfilt

from deepmag.models.baselines.gaussian import Floats, add_upsampled, pad, reduce
from deepmag.models.temporal import PULSE_BAND, Band, band_at, butterworth, zero_phase

LEVEL = 4  # of the Gaussian pyramid, the frame itself being level 0
KERNEL_REACH = 8.0  # periods of the lower corner, after which the Butterworth's response has died out


def analyse_colour(image: NDArray[np.uint8], level: int) -> Floats:
    """One level of the Gaussian pyramid. image: (H, W, 3) uint8. Returns (3, h, w) float32, grey levels."""
    picture = reduce(pad(image, 1 << level))
    for _ in range(level - 1):
        picture = reduce(picture)
    return np.ascontiguousarray(picture.transpose(2, 0, 1))


def butterworth_kernel(band: Band, rate: float) -> NDArray[np.float64]:
    """Response of the Butterworth band-pass run forward and backward. Returns (2 n + 1,), centred."""
    sos = butterworth(band, rate)
    half = round(KERNEL_REACH * rate / band[0])
    impulse = np.zeros(2 * half + 1)
    impulse[half] = 1.0
    kernel: NDArray[np.float64] = sosfiltfilt(sos, impulse, padlen=0)
    return kernel


@dataclass(frozen=True, slots=True)
class ColourEulerian:
    """Colour changes of the whole picture within ``band``, Hz, at one ``level`` of its Gaussian pyramid."""

    level: int = LEVEL
    band: Band = PULSE_BAND
    name: str = field(default="evm", init=False)

    def analyse(self, image: NDArray[np.uint8]) -> Floats:
        """Level ``level`` of the frame's Gaussian pyramid, (3, h, w), grey levels."""
        return analyse_colour(image, self.level)

    def step(self, before: Floats, after: Floats) -> Floats:
        """See `linear.LinearMethod`."""
        return after - before

    def temporal_kernel(self, rate: float) -> NDArray[np.float64]:
        """Response of the sixth-order Butterworth, forward and backward; see `linear.LinearMethod`."""
        return butterworth_kernel(band_at(self.band, rate), rate)

    def filter_clip(self, coefficients: NDArray[np.float64], rate: float) -> NDArray[np.float64]:
        """Run the sixth-order Butterworth forward and backward (Eq. 15), over (T, ...)."""
        return zero_phase(coefficients, band_at(self.band, rate), rate)

    def synthesise(self, image: NDArray[np.uint8], filtered: Floats, gain: float) -> NDArray[np.uint8]:
        """Add the filtered level, ``gain - 1`` times and upsampled, to the frame."""
        return add_upsampled(image, filtered * np.float32(gain - 1.0), 1 << self.level)
