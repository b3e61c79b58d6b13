"""The direction of the `steady` ascent: the pulse network's gradient, averaged over time and kept to what blood can do.

One frame pair's gradient, and the sign of one reduced pixel's difference, are mostly noise at 30 Hz: the literal
Eq. 3 pushes pixels at random. Averaged over about a second the gradient shows where the network sees the pulse, and
its projection on the colour of blood how a pulse would move each pixel: all three channels together, green most, and
all skin alike.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from deepmag.models.blood import BLOOD

MEMORY = 1.0  # s, time constant of the average
SPREAD = 0.7  # reduced pixels: the gradient has the grain of its average pools, blood has not
# Of the gradient's RMS over the picture: the strength from which a pixel is taken for skin, half and half. The gradient
# says where the network looks, not how far the skin pulses there. Made even, what is added varies by 8 % over a still
# synthetic face, and by 17 % otherwise. A lower level is more even still, but adds more outside the face.
EVEN = 1.2


class SmoothedDirection:
    """Exponential average of gradients (3, L, L), as a direction along which one unit raises y by one."""

    def __init__(self, memory: float = MEMORY, spread: float = SPREAD) -> None:
        self._memory = memory
        self._spread = spread
        self.reset()

    def reset(self) -> None:
        """Forget everything."""
        self._mean: NDArray[np.float32] | None = None
        self._weight = 0.0

    @property
    def ready(self) -> bool:
        """Whether a gradient has been seen."""
        return self._mean is not None

    def update(self, gradient: NDArray[np.float32], seconds: float) -> None:
        """Take the signed gradient dy/dX (3, L, L) of a pair that spans ``seconds``."""
        share = 1.0 - np.exp(-seconds / self._memory)
        if self._mean is None:
            self._mean = np.zeros_like(gradient)
        self._mean += np.float32(share) * (gradient - self._mean)
        # the average starts at zero; this is how much of it is filled, so that early directions are unbiased
        self._weight += share * (1.0 - self._weight)

    def direction(self) -> NDArray[np.float32]:
        """(3, L, L), units of X per unit of y. Zero where the network sees no pulse."""
        if self._mean is None:
            raise ValueError("no gradient has been seen")
        mean = self._mean / np.float32(self._weight)
        # y rises with blood volume, and X falls: the pulse's own direction is -BLOOD
        strength = -np.tensordot(BLOOD, mean, 1)
        strength = np.maximum(cv2.GaussianBlur(strength, (0, 0), self._spread), 0.0)
        level = EVEN * float(np.sqrt(np.mean(strength**2)))
        if level == 0.0:
            return np.zeros_like(mean)
        strength = strength**2 / (strength**2 + np.float32(level**2))
        pattern = -BLOOD[:, None, None] * strength
        rise = float((mean * pattern).sum())
        if rise <= 0.0:
            return np.zeros_like(mean)
        return np.ascontiguousarray(pattern / np.float32(rise))
