"""Timestamps for pictures that come live and without any: when they arrive, evened out. Pure."""

from __future__ import annotations

from collections import deque

SPAN = 60  # pictures whose mean period counts
GAP = 0.5  # s without a picture, after which time goes on from its arrival
PULL = 0.05  # of the distance to a picture's own arrival, by which its time is moved there
FAST = 0.85  # of the period before a gap: pictures that come faster after it were held up in it
FEW = 12  # pictures whose mean tells whether they do: one by itself comes early or late, or in a clump


class ArrivalClock:
    """Of one connection.

    Networks hand pictures over in clumps: how many come in two seconds is right, when each one does is not. Those that
    were held up while the network hung come all at once afterwards, which says nothing about the camera's rate.
    """

    def __init__(self) -> None:
        self._arrivals: deque[float] = deque(maxlen=SPAN + 1)
        self._stamp = 0.0
        self._period = 0.0  # s, of the pictures before the newest gap
        self._held_up = 0.0  # pictures that may still come of those which gaps held up
        self._after: deque[float] = deque(maxlen=FEW + 1)  # arrivals since the newest gap

    def stamp(self, arrived: float, *, missed: bool = False) -> float:
        """The next picture's timestamp, s. arrived: on the monotonic clock, s. missed: pictures came before it.

        Those that were left out here make a hole, which is not to be evened out.
        """
        if not self._arrivals or self._begins_anew(arrived) or missed:
            self._arrivals.clear()
            self._stamp = max(self._stamp, arrived)
        else:
            first, periods = self._arrivals[0], len(self._arrivals)
            even = self._stamp + (arrived - first) / periods
            self._stamp = max(self._stamp, even + PULL * (arrived - even))
        self._arrivals.append(arrived)
        return self._stamp

    def _begins_anew(self, arrived: float) -> bool:
        """Whether a picture says nothing about the period, after a gap or held up in one."""
        since = arrived - self._arrivals[-1]
        if since > GAP:
            if len(self._arrivals) > FEW:  # fewer tell none, and it is as it was
                self._period = (self._arrivals[-1] - self._arrivals[0]) / (len(self._arrivals) - 1)
            if self._period:
                self._held_up += since / self._period  # to those which an earlier one still holds up
            self._after.clear()
            self._after.append(arrived)
            return True
        if self._held_up:
            self._after.append(arrived)
            self._held_up = max(0.0, self._held_up + since / self._period - 1.0)
            if arrived - self._after[0] > FAST * FEW * self._period:
                self._held_up = 0.0
        return self._held_up > 0.0
