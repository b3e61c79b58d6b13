"""Timestamps for pictures that come live and without any: when they arrive, evened out. Pure."""

from __future__ import annotations

from collections import deque

SPAN = 60  # pictures whose mean period counts
GAP = 0.5  # s without a picture, after which time goes on from its arrival
PULL = 0.05  # of the distance to a picture's own arrival, by which its time is moved there


class ArrivalClock:
    """Of one connection.

    Networks hand pictures over in clumps: how many come in two seconds is right, when each one does is not.
    """

    def __init__(self) -> None:
        self._arrivals: deque[float] = deque(maxlen=SPAN + 1)
        self._stamp = 0.0

    def stamp(self, arrived: float) -> float:
        """The next picture's timestamp, s. arrived: on the monotonic clock, s."""
        if not self._arrivals or arrived - self._arrivals[-1] > GAP:
            self._arrivals.clear()
            self._stamp = arrived
        else:
            first, periods = self._arrivals[0], len(self._arrivals)
            even = self._stamp + (arrived - first) / periods
            self._stamp = max(self._stamp, even + PULL * (arrived - even))
        self._arrivals.append(arrived)
        return self._stamp
