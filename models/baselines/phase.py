"""Phase-based magnification of motion (Wadhwa et al. 2013): local phase, filtered in time and turned further.

A motion turns the phase of a complex steerable pyramid's coefficients; how far they turn from frame to frame, added
up, is the motion, and it is unwrapped as long as a frame's motion stays below half a wavelength. Turning each
coefficient further by alpha times what the filter leaves moves the pattern: there is no lambda / 8 rule as for the
linear method, and noise is moved, not amplified.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from deepmag.models.baselines.eulerian import butterworth_kernel
from deepmag.models.baselines.gaussian import Floats
from deepmag.models.temporal import Band, zero_phase

# The bands are imported where they are used: they need torch, for which no other method has to wait.
if TYPE_CHECKING:
    from deepmag.models.baselines.phase_bands import Bands

MOTION_BAND: Band = (0.16, 0.8)  # Hz: a breath, from an adult's at rest to an infant's
SIDE = 480  # px, the longest side of the finest bands: it bounds memory and time at any picture size
# Turning a band by the mean of its components' phases moves the finer ones, which make the edges, too short: textures
# lose 15 % of what is added. Half is given back, so that a grating moves 8 % too far.
MIXTURE = 1.08
LIMIT = np.pi  # rad, to which the added phase is held: beyond it a band's pattern leaves its own envelope


@dataclass(frozen=True, slots=True)
class PhaseEulerian:
    """Motion of the whole picture within ``band``, Hz, in its luma.

    Patterns move ``gain`` times as far, within 10 %, where their wavelength is from 4 cells of the finest bands to a
    seventh of the picture's shorter side and what is added is below a quarter of it; it is held at half. What is finer
    than 2 cells or coarser than a quarter of that side stays where it is. Between two frames a pattern may move by less
    than half its wavelength. side: px, the longest side of the finest bands.
    """

    side: int = SIDE
    band: Band = MOTION_BAND
    name: str = field(default="phase", init=False)

    def analyse(self, image: NDArray[np.uint8]) -> Bands:
        """Bands of the frame; see `PictureBands.analyse`."""
        from deepmag.models.baselines.phase_bands import PictureBands

        return PictureBands.of(image.shape, self.side).analyse(image)

    def step(self, before: Bands, after: Bands) -> Floats:
        """How far the phase turns between two frames, (n,), rad; see `phase_bands.steps`."""
        from deepmag.models.baselines.phase_bands import steps

        return steps(before, after)

    def temporal_kernel(self, rate: float) -> NDArray[np.float64]:
        """Response of the sixth-order Butterworth, forward and backward; see `linear.LinearMethod`."""
        return butterworth_kernel(self.band, rate)

    def filter_clip(self, coefficients: NDArray[np.float64], rate: float) -> NDArray[np.float64]:
        """Run the sixth-order Butterworth forward and backward (Eq. 15), over (T, ...)."""
        return zero_phase(coefficients, self.band, rate)

    def synthesise(self, image: NDArray[np.uint8], filtered: Floats, gain: float) -> NDArray[np.uint8]:
        """Turn each coefficient of the frame by ``gain - 1`` times its filtered phase; add what changes in luma."""
        from deepmag.models.baselines.phase_bands import PictureBands, turn

        bands = PictureBands.of(image.shape, self.side)
        added = np.clip(filtered * np.float32(MIXTURE * (gain - 1.0)), -LIMIT, LIMIT)
        return bands.add(image, turn(bands.analyse(image), added))
