"""Where in a whole clip a pulse is sure, and what its rate is: the meter of the live path, run over all its pairs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from deepmag.stream.stopped import StoppedError
from deepmag.stream.vitals import WINDOW, PulseRate

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from deepmag.stream.roi import Roi


def sure_rates(
    small: NDArray[np.float32],
    times: NDArray[np.float64],
    ticks: NDArray[np.int64],
    roi: Roi,
    stop: Callable[[], bool],
    y: NDArray[np.float32],
) -> NDArray[np.float64]:
    """Beats a minute at each pair, (T-1,), 0 where no pulse is sure.

    small: (T, 3, L, L), all reduced from ``roi``. times: (T,) s. ticks: (T-1,) of the filter's clock. y: (T-1,), the
    network's output of each pair, summed over its ticks. A rate tells of the seconds before it, too, that it was found
    in: of a whole clip these are known when they are magnified. stop: asked at each pair; StoppedError once true.
    """
    meter = PulseRate()
    rates = np.zeros(len(y))
    for i, value in enumerate(y):
        if stop():
            raise StoppedError
        before, after = np.asarray(small[i]), np.asarray(small[i + 1])
        meter.update(times[i + 1], float(value), before, after, roi, max(int(ticks[i]), 1))
        rates[i] = meter.reading(times[i + 1]).rate or 0.0
    known = np.flatnonzero(rates)
    if not len(known):
        return rates
    following = known[np.minimum(np.searchsorted(known, np.arange(len(rates))), len(known) - 1)]
    ahead = times[following + 1] - times[1:]
    return np.where((ahead >= 0.0) & (ahead <= WINDOW), rates[following], rates)
