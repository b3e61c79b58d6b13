"""Learning-based magnification of motion (Oh et al. 2018), filtered in time, with a network light enough to run live.

The encoder's shape of each picture is what is filtered: the manipulator's first part, g, is linear, so it is the
difference of two shapes, and steps from frame to frame add up to it. What the filter leaves is amplified and goes
through the second part, h; the decoder then says from the frame's texture how far each place is to move.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from deepmag.models.baselines.eulerian import butterworth_kernel
from deepmag.models.baselines.gaussian import Floats
from deepmag.models.baselines.phase import MOTION_BAND
from deepmag.models.temporal import Band, zero_phase
from deepmag.models.weights import LEARNED

SIDE = 320  # px, the longest side of the working picture: it bounds memory and time at any picture size

# The network is imported where it is used: it needs torch, for which no other method has to wait.


@dataclass(frozen=True, slots=True)
class LearnedEulerian:
    """Motion of the whole picture within ``band``, Hz, of all three colours.

    Pictures move ``gain`` times as far, within 10 %, where they swing by 0.02 to 1 px of the working picture, what is
    added is below 8 px of it (at 640x480: 0.04 to 2, and 16 px of the frame) and their wavelengths are from 4 to 26 px
    of it. A soft picture, that has only longer ones, moves up to 18 % too far; lone edges on a plain ground up to 12 %
    too short; what is finer than 3 px by 0.6 of what it should. What is added is held at 8 px.
    A pattern that moves on by wavelengths is taken for one that swings.
    side: px, the longest side of the working picture. weights: of a MotionNet, safetensors.
    """

    side: int = SIDE
    band: Band = MOTION_BAND
    weights: Path = LEARNED
    name: str = field(default="learned", init=False)

    def analyse(self, image: NDArray[np.uint8]) -> Floats:
        """Shape of the frame, (SHAPE, h, w), unitless; see `learned_picture.LearnedPicture.shape_of`.

        Raises ValueError for a picture that is too small, or weights that are not a MotionNet's.
        """
        from deepmag.models.baselines.learned_picture import LearnedPicture

        return LearnedPicture.of(image.shape, self.side, self.weights).shape_of(image)

    def step(self, before: Floats, after: Floats) -> Floats:
        """How the shape changes between two frames, (n,): the manipulator's g of Oh et al., linear."""
        return (after - before).ravel()

    def temporal_kernel(self, rate: float) -> NDArray[np.float64]:
        """Response of the sixth-order Butterworth, forward and backward; see `linear.LinearMethod`."""
        return butterworth_kernel(self.band, rate)

    def filter_clip(self, coefficients: NDArray[np.float64], rate: float) -> NDArray[np.float64]:
        """Run the sixth-order Butterworth forward and backward (Eq. 15), over (T, ...)."""
        return zero_phase(coefficients, self.band, rate)

    def synthesise(self, image: NDArray[np.uint8], filtered: Floats, gain: float) -> NDArray[np.uint8]:
        """Add ``gain - 1`` times what the filter leaves of the shape; decode; add what changes in the picture."""
        from deepmag.models.baselines.learned_picture import LearnedPicture

        picture = LearnedPicture.of(image.shape, self.side, self.weights)
        return picture.moved(image, picture.motion_of(image, filtered * np.float32(gain - 1.0)))
