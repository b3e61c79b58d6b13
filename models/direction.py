"""The direction of the `steady` ascent: the pulse network's gradient, averaged over time and kept to what blood can do.

One frame pair's gradient, and the sign of one reduced pixel's difference, are mostly noise at 30 Hz: the literal
Eq. 3 pushes pixels at random. Averaged over about a second the gradient shows where the network sees the pulse, and
its projection on the colour of blood how a pulse would move each pixel: all three channels together, green most, all
skin of one colour alike, but for what is known of how far each pixel pulses.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from deepmag.models.amplitude import Amplitudes
from deepmag.models.blood import BLOOD
from deepmag.models.reconstruction import FloatRoi
from deepmag.models.representation import regrid
from deepmag.models.skin_colour import likeness

MEMORY = 1.0  # s, time constant of the average
BLUR = 0.7  # reduced pixels: the gradient has the grain of its average pools, blood has not
# Of the gradient's RMS over the picture: the strength from which a pixel is taken for skin, half and half. A lower
# level is more even over the face, but adds more outside it.
EVEN = 0.7
SURE = 1.2  # the same, to tell the skin's colour from

Floats = NDArray[np.float32]


class SmoothedDirection:
    """Exponential average of gradients (3, L, L), as a direction along which one unit raises y by one."""

    def __init__(self, memory: float = MEMORY, blur: float = BLUR) -> None:
        self._memory = memory
        self._blur = blur
        self.reset()

    def reset(self) -> None:
        """Forget everything."""
        self._mean: Floats | None = None
        self._weight = 0.0

    @property
    def ready(self) -> bool:
        """Whether a gradient has been seen."""
        return self._mean is not None

    def update(self, gradient: Floats, seconds: float) -> None:
        """Take the signed gradient dy/dX (3, L, L) of a pair that spans ``seconds``."""
        share = 1.0 - np.exp(-seconds / self._memory)
        if self._mean is None:
            self._mean = np.zeros_like(gradient)
        self._mean += np.float32(share) * (gradient - self._mean)
        # the average starts at zero; this is how much of it is filled, so that early directions are unbiased
        self._weight += share * (1.0 - self._weight)

    def move(self, before: FloatRoi, after: FloatRoi) -> None:
        """Go on in another square of the picture; see `representation.regrid`."""
        if self._mean is not None:
            self._mean = regrid(self._mean, before, after)

    def direction(self, picture: Floats | None = None, amplitudes: Amplitudes | None = None) -> Floats:
        """(3, L, L), units of X per unit of y. Zero where the network sees no pulse.

        picture: (3, L, L) grey levels, for the skin's colour; amplitudes: of the last seconds; each where it is known.
        """
        if self._mean is None:
            raise ValueError("no gradient has been seen")
        return pulse_direction(self._mean / np.float32(self._weight), picture, amplitudes, self._blur)


def pulse_direction(
    gradient: Floats, picture: Floats | None, amplitudes: Amplitudes | None, blur: float = BLUR
) -> Floats:
    """The direction of an averaged gradient (3, L, L); see `SmoothedDirection.direction`."""
    # y rises with blood volume, and X falls: the pulse's own direction is -BLOOD
    strength = np.maximum(cv2.GaussianBlur(-np.tensordot(BLOOD, gradient, 1), (0, 0), blur), 0.0)
    size = float(np.sqrt(np.mean(strength**2)))
    if size == 0.0:
        return np.zeros_like(gradient)
    share = _above(strength, EVEN * size)
    if picture is not None:
        share = share * likeness(picture, _above(strength, SURE * size) ** 2)
    if amplitudes is not None:
        share = share * amplitudes.relative(share)
    pattern = -BLOOD[:, None, None] * share
    rise = float((gradient * pattern).sum())
    if rise <= 0.0:
        return np.zeros_like(gradient)
    return np.ascontiguousarray(pattern / np.float32(rise))


def _above(strength: Floats, level: float) -> Floats:
    """From 0 to 1, a half at the level."""
    share: Floats = strength**2 / (strength**2 + np.float32(level**2))
    return share
