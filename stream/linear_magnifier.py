"""A linear method live: each frame's coefficients through a sliding window, instead of a network's ascent.

The window holds the coefficients' steps from frame to frame, as that of the network holds the ascent's, so a constant
and a linear drift add exactly nothing, and a gap is an empty stretch. The whole picture is magnified; the region is
only where the pulse rate is measured, so that the rate stays as trustworthy as it is with the network.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from deepmag.models.representation import normalized_difference
from deepmag.models.temporal import PULSE_BAND, band_at
from deepmag.models.window import WINDOW, SlidingWindow, causal_kernel, step_kernel
from deepmag.stream.delayed import ASSUMED_RATE, DelayedMagnifier, clock_rate

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from deepmag.models.baselines.linear import LinearMethod
    from deepmag.stream.delayed import Pair, RateMeter, RegionTracker, Waiting
    from deepmag.stream.frames import Frame, MagnifiedFrame
    from deepmag.stream.settings import Settings

PERIODS = WINDOW * PULSE_BAND[0]  # of the band's lower corner that the window holds, as for the pulse


def live_kernel(method: LinearMethod, rate: float, seconds: float, lag: float) -> NDArray[np.float64]:
    """Design the method's causal kernel, on steps; see `window.causal_kernel`.

    Raises ValueError for a rate too low for the method, or a lag not inside the window.
    """
    ideal = step_kernel(method.temporal_kernel(rate), rate, 2.0 * seconds)
    return causal_kernel(ideal, band_at(method.band, rate), rate, seconds, lag)


class LinearMagnifier(DelayedMagnifier):
    """Magnifies what a linear method filters out of the whole picture. Implements ``Magnifier``.

    ``Settings.mode`` does not matter, and ``Settings.roi`` only for the pulse rate. tracker, meter, clock and
    nominal_rate as for ``PulseMagnifier``.
    """

    def __init__(
        self,
        method: LinearMethod,
        tracker: RegionTracker,
        meter: RateMeter,
        *,
        clock: Callable[[], float],
        nominal_rate: Callable[[], float | None] = lambda: None,
        lag: float = 0.25,
    ) -> None:
        self._method = method
        window = self._window_of((0,), clock_rate(nominal_rate() or ASSUMED_RATE), lag)
        super().__init__(window, tracker, meter, clock=clock, nominal_rate=nominal_rate)
        self._analysed: Any = None
        self._gain = 1.0

    def _window_of(self, shape: tuple[int, ...], rate: float, lag: float) -> SlidingWindow:
        seconds = PERIODS / self._method.band[0]
        return SlidingWindow(shape, rate, seconds=seconds, lag=lag, design=partial(live_kernel, self._method))

    def _take_settings(self, settings: Settings) -> None:
        super()._take_settings(settings)
        self._gain = settings.gain

    def _leave_region(self) -> list[MagnifiedFrame]:
        return []  # it is only where the rate is looked for

    def _begin(self, frame: Frame) -> None:
        self._analysed = self._method.analyse(frame.image)
        shape = self._method.step(self._analysed, self._analysed).shape
        if shape != self._window.shape:  # a picture of another size, and all frames are out
            self._window = self._window_of(shape, self.rate, self._window.lag)

    def _measure(self, pair: Pair, settings: Settings) -> tuple[NDArray[np.float32], float, float | None]:
        before, self._analysed = self._analysed, self._method.analyse(pair.frame.image)
        return self._method.step(before, self._analysed), _rise_of_blood(pair), None

    def _magnify(self, waiting: Waiting) -> NDArray[np.uint8]:
        return self._method.synthesise(waiting.frame.image, self._window.filtered(), self._gain)


def _rise_of_blood(pair: Pair) -> float:
    """Mean of the green's normalized difference over the face, or the region where there is none, upside down."""
    green = normalized_difference(pair.before, pair.after)[1]
    cells = pair.roi.face_cells
    if cells is not None:
        x, y, w, h = cells
        rows, columns = slice(max(0, round(y)), round(y + h)), slice(max(0, round(x)), round(x + w))
        green = green[rows, columns] if green[rows, columns].size else green
    return -float(green.mean())
