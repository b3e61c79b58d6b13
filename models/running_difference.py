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


class RunningDifference:
    """Causal: the mean of X over the newest pairs that together span `span_ticks`, or more where one is longer."""

    def __init__(self) -> None:
        self._pairs: deque[tuple[Floats, int]] = deque()
        self._ticks = 0

    def reset(self) -> None:
        """Forget everything."""
        self._pairs.clear()
        self._ticks = 0

    def update(self, x: Floats, ticks: int, rate: float) -> Floats:
        """Take X of a pair (Eq. 14), (3, L, L), that spans ``ticks`` > 0. Returns the mean per tick, like x."""
        self._pairs.append((x, ticks))
        self._ticks += ticks
        while self._ticks - self._pairs[0][1] >= span_ticks(rate):
            self._ticks -= self._pairs.popleft()[1]
        total = self._pairs[0][0].copy()
        for one, _ in list(self._pairs)[1:]:
            total += one
        total /= np.float32(self._ticks)
        return total


def centred_difference(
    x: Floats, ticks: NDArray[np.int64], pairs: slice, rate: float, span: float = SPAN
) -> Floats:
    """Zero-phase: the mean of X per tick over `span_ticks` around the middle of some pairs, (P, 3, L, L).

    x: (T-1, 3, L, L), Eq. 14's. ticks: (T-1,), those that each spans; its X lies on them evenly. pairs: which. One
    that spans more has the mean over itself; at the ends it is that over what there is. rate: ticks per second.
    span: s.
    """
    place = np.concatenate([[0], np.cumsum(ticks)]).astype(np.float64)
    sums = np.concatenate([np.zeros_like(x[:1], np.float64), np.cumsum(x, axis=0, dtype=np.float64)])
    start, stop = place[:-1][pairs], place[1:][pairs]
    middle, reach = (start + stop) / 2, np.maximum(stop - start, span_ticks(rate, span)) / 2
    low, high = np.maximum(middle - reach, 0.0), np.minimum(middle + reach, place[-1])
    total = _at(sums, place, high) - _at(sums, place, low)
    mean: Floats = (total / np.maximum(high - low, 1e-9)[:, None, None, None]).astype(np.float32)
    return mean


def _at(
    sums: NDArray[np.float64], place: NDArray[np.float64], where: NDArray[np.float64]
) -> NDArray[np.float64]:
    """``sums`` (T, ...), known at ``place`` (T,), linearly between."""
    after = np.clip(np.searchsorted(place, where), 1, len(place) - 1)
    share = (where - place[after - 1]) / np.maximum(place[after] - place[after - 1], 1e-9)
    share = share.reshape(-1, *(1,) * (sums.ndim - 1))
    found: NDArray[np.float64] = sums[after - 1] * (1 - share) + sums[after] * share
    return found
