"""How far the skin really moves with the network's output, where it is certain that there is a pulse.

The `steady` direction is scaled by the network's gradient: one unit along it raises y by one. A pulse in compressed
video raises y by less: an encoder drops much of its colour, and sends it block by block, not all at once. What is
magnified is then too small by as much. A regression of the skin's own difference on what the network says of it knows
better, but it follows noise as well, and would show more of a pulse where there is none. So it counts only while a
pulse is sure.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

MEMORY = 10.0  # s, time constant of the regression
EXPECTED = 0.5  # standard deviation that the scale is expected to have around 1
MOST = 4.0  # of 320x240 in H.264 of 0.5 Mb/s it is 3 to 5, and nothing else needs as much
# s, time constants with which it is taken on, and forgotten once no pulse is sure any more
COMES, GOES = 2.0, 20.0

Floats = NDArray[np.float32]


class ConfirmedScale:
    """Causal. 1 at first; at least 1, since noise in y makes the regression's scale too small."""

    def __init__(self) -> None:
        self.reset()

    @property
    def value(self) -> float:
        """By what to multiply what the ascent adds."""
        return self._value

    def reset(self) -> None:
        """Forget everything."""
        self._value = 1.0
        self._both = self._square = self._power = self._seconds = 0.0

    def update(self, moved: float, said: float, seconds: float, independent: float, *, sure: bool) -> None:
        """Take the skin's difference and what the network says of it, of ``seconds`` s; see `RunningEstimate.in_band`.

        independent: values a second. sure: whether there is a pulse.
        """
        self._seconds += seconds
        share = max(seconds / self._seconds, 1.0 - float(np.exp(-seconds / MEMORY)))
        self._both += share * (moved * said - self._both)
        self._square += share * (moved**2 - self._square)
        self._power += share * (said**2 - self._power)
        target = self._estimate(independent) if sure else 1.0
        self._value += (1.0 - float(np.exp(-seconds / (COMES if sure else GOES)))) * (target - self._value)

    def _estimate(self, independent: float) -> float:
        """Drawn towards 1 by as much as it is uncertain, as in `amplitude.Amplitudes`."""
        # an exponential average holds as many values as a plain one over twice its time constant
        count = min(self._seconds, 2.0 * MEMORY) * independent
        if self._power <= 0.0 or count <= 2.0:
            return 1.0
        scale = self._both / self._power
        variance = max(0.0, self._square / self._power - scale**2) / count
        certain = EXPECTED**2 / (EXPECTED**2 + variance)
        return min(MOST, max(1.0, 1.0 + certain * (scale - 1.0)))
