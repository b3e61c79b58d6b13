"""The normalized difference as a mean over a fifteenth of a second: what the `steady` ascent of the pulse looks at.

Between two frames at 30 a second the camera's noise is several times the pulse, and the network is not linear: much of
its output is what it makes of noise. Eq. 14's differences add up, to first order, to that of the frames further apart,
so over a longer span the pulse counts more; but so does a head that turns.
"""

from __future__ import annotations

from collections import deque

import numpy as np
from numpy.typing import NDArray

SPAN = 1 / 15  # s

Floats = NDArray[np.float32]


def span_ticks(rate: float, span: float = SPAN) -> int:
    """Ticks over which X is averaged. rate: ticks per second. span: s."""
    return max(1, round(rate * span))


def delay(rate: float) -> float:
    """Ticks by which the mean over the last ones is late for the newest; a fraction counts. rate: ticks per second."""
    return (span_ticks(rate) - 1) / 2


def mean_response(rate: float, frequency: NDArray[np.float64]) -> NDArray[np.float64]:
    """How much the mean keeps of what changes at some frequencies, Hz, above 0 and below ``rate``, ticks per second."""
    ticks, turn = span_ticks(rate), np.pi * frequency / rate
    kept: NDArray[np.float64] = np.sin(ticks * turn) / (ticks * np.sin(turn))
    return kept


class RunningDifference:
    """Causal: X per tick, a pair's being even over its ticks, as a mean over the last `span_ticks` at each tick.

    So whatever the pairs span, all count alike in the sum of what comes out, and it is late by `delay`.
    """

    def __init__(self) -> None:
        self._ticks: deque[Floats] = deque()

    def reset(self) -> None:
        """Forget everything."""
        self._ticks.clear()

    def update(self, x: Floats, ticks: int, rate: float) -> Floats:
        """Take X of a pair (Eq. 14), (3, L, L), that spans ``ticks`` > 0. Returns the mean per tick, like x."""
        even, total = x / np.float32(ticks), np.zeros_like(x)
        for _ in range(ticks):
            self._ticks.append(even)
            while len(self._ticks) > span_ticks(rate):
                self._ticks.popleft()
            share = np.float32(1 / (ticks * len(self._ticks)))
            for one in self._ticks:
                total += share * one
        return total


def centred_difference(
    x: Floats, ticks: NDArray[np.int64], pairs: slice, rate: float, span: float = SPAN
) -> Floats:
    """Zero-phase: X per tick as a mean over `span_ticks` around each, and of that the mean over a pair, (P, 3, L, L).

    x: (T-1, 3, L, L), Eq. 14's. ticks: (T-1,), those that each spans; its X lies on them evenly. pairs: which, from
    start to stop; one of no ticks has 0. At the ends the mean is over what there is. rate: ticks per second. span: s.
    """
    place = np.concatenate([[0], np.cumsum(ticks)])
    sums = np.concatenate([np.zeros_like(x[:1], np.float64), np.cumsum(x, axis=0, dtype=np.float64)])
    first, reach = place[pairs.start], span_ticks(rate, span) / 2
    middle = np.arange(first, place[pairs.stop]) + 0.5
    low, high = np.maximum(middle - reach, 0.0), np.minimum(middle + reach, float(place[-1]))
    total = _at(sums, place, high) - _at(sums, place, low)
    total /= (high - low)[:, None, None, None]
    until = np.concatenate([np.zeros_like(total, shape=(1, *x.shape[1:])), np.cumsum(total, axis=0)])
    own = until[place[1:][pairs] - first] - until[place[:-1][pairs] - first]
    mean: Floats = (own / np.maximum(ticks[pairs], 1)[:, None, None, None]).astype(np.float32)
    return mean


def _at(
    sums: NDArray[np.float64], place: NDArray[np.int64], where: NDArray[np.float64]
) -> NDArray[np.float64]:
    """``sums`` (T, ...), known at ``place`` (T,), linearly between."""
    after = np.clip(np.searchsorted(place, where), 1, len(place) - 1)
    share = (where - place[after - 1]) / np.maximum(place[after] - place[after - 1], 1)
    share = share.reshape(-1, *(1,) * (sums.ndim - 1))
    found: NDArray[np.float64] = sums[after - 1] * (1 - share) + sums[after] * share
    return found
