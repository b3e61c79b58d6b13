"""Playing a file as if it were a camera. Pure: the caller has the clock and does the waiting."""

from __future__ import annotations

# s behind schedule, after which the schedule moves: a machine that slept must not race to catch up
TOO_LATE = 0.5


class Pacer:
    """When each frame of a file is due."""

    def __init__(self) -> None:
        self._session = -1
        self._start = 0.0  # when time 0 of the session is due, s

    def delay(self, session: int, time: float, now: float) -> float:
        """Tell how long to wait before the frame at ``time``, s, of ``session`` is shown; never negative."""
        if session != self._session:
            self._session, self._start = session, now - time
        delay = self._start + time - now
        if delay < -TOO_LATE:
            self._start = now - time
        return max(0.0, delay)
