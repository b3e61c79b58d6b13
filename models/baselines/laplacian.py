"""Linear Eulerian magnification of motion (Wu et al. 2012): the levels of a Laplacian pyramid, band-passed.

A picture that moves by delta changes, to first order, by delta times its slope; more of that change looks like more
motion, as long as (1 + alpha) delta < lambda / 8 (their Eq. 14), lambda being the wavelength of what moves. So the
finer the level, the less it is magnified.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from deepmag.models.baselines.eulerian import butterworth_kernel
from deepmag.models.baselines.gaussian import Floats, add_upsampled, expand, pad, reduce
from deepmag.models.temporal import PULSE_BAND, Band, band_at, zero_phase

FINEST = 2  # level; at 640x480 the live window over 6 s then takes 18 MB, with level 1 it would take 74
# px, side of the smallest picture that the pyramid has below its levels; it has one level at least.
SMALLEST = 8
WAVELENGTH = 4.0  # px of a level: where a Laplacian level answers most
WAVELENGTH_SHARE = 8.0  # of a wavelength, that a magnified motion may reach


@dataclass(frozen=True, slots=True)
class MotionEulerian:
    """Motion of the whole picture within ``band``, Hz, in its luma.

    displacement: px, the largest motion that is expected; it says how far each level may be magnified.
    finest: level of the pyramid, the frame being level 0; finer ones, and what is left below the coarsest, are not
    magnified.
    """

    displacement: float = 0.25
    finest: int = FINEST
    band: Band = PULSE_BAND
    name: str = field(default="evm-motion", init=False)

    def alpha(self, level: int, gain: float) -> float:
        """By how much a level is magnified: ``gain - 1``, or less where the wavelength rule says so."""
        wavelength = WAVELENGTH * 2.0**level
        most = wavelength / (WAVELENGTH_SHARE * self.displacement)
        return float(max(0.0, min(gain, most) - 1.0))

    def analyse(self, image: NDArray[np.uint8]) -> Floats:
        """All levels of the luma's Laplacian pyramid, one after the other, the finest first, (n,), grey levels."""
        # float before the luma: as bytes it would be rounded
        colours = pad(image, 1 << self.finest).astype(np.float32)
        picture: Floats = np.asarray(cv2.cvtColor(colours, cv2.COLOR_RGB2GRAY), np.float32)
        for _ in range(self.finest):
            picture = reduce(picture)
        levels = []
        for _ in range(len(self._shapes(image.shape)) - 1):
            below = reduce(picture)
            levels.append((picture - expand(below, picture.shape)).ravel())
            picture = below
        return np.concatenate(levels)

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
        """Magnify each level by its own `alpha`, collapse the pyramid, and add it to all three colours."""
        shapes = self._shapes(image.shape)[:-1]
        ends = np.cumsum([0] + [height * width for height, width in shapes])
        total: Floats = np.zeros((1, 1), np.float32)
        for index in reversed(range(len(shapes))):
            level = filtered[ends[index] : ends[index + 1]].reshape(shapes[index])
            total = level * np.float32(self.alpha(self.finest + index, gain)) + expand(total, shapes[index])
        return add_upsampled(image, np.repeat(total[None], 3, axis=0), 1 << self.finest)

    def _shapes(self, shape: tuple[int, ...]) -> list[tuple[int, int]]:
        """(height, width) of each level of a picture's pyramid from ``finest`` on, and of what is left below."""
        unit = 1 << self.finest
        shapes = [(-(-shape[0] // unit), -(-shape[1] // unit))]
        while len(shapes) < 2 or min(shapes[-1]) >= 2 * SMALLEST:
            shapes.append(((shapes[-1][0] + 1) // 2, (shapes[-1][1] + 1) // 2))
        return shapes
