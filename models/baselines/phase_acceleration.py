"""Video acceleration magnification of motion (Zhang et al. 2017): of the local phase, its second derivative in time.

A steady motion, however large, has none, so a small swing is magnified on somebody who also moves; what starts, stops
or turns is magnified too.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from deepmag.models.baselines.acceleration import accelerate, acceleration_kernel
from deepmag.models.baselines.phase import PhaseEulerian
from deepmag.models.temporal import check_band


@dataclass(frozen=True, slots=True)
class PhaseAcceleration(PhaseEulerian):
    """Accelerating motion of the whole picture, in its luma; in space all is as in `PhaseEulerian`.

    band: Hz; the filter has one frequency only, the band's geometric mean, and its peak, of 1.1, at 1.27 times it.
    """

    name: str = field(default="phase-vam", init=False)

    @property
    def frequency(self) -> float:
        """Where the gain is one, Hz."""
        return float(np.sqrt(self.band[0] * self.band[1]))

    def temporal_kernel(self, rate: float) -> NDArray[np.float64]:
        """See `acceleration_kernel`."""
        check_band(self.band, rate)
        return acceleration_kernel(self.frequency, rate)

    def filter_clip(self, coefficients: NDArray[np.float64], rate: float) -> NDArray[np.float64]:
        """See `accelerate`."""
        return accelerate(coefficients, self.temporal_kernel(rate))
