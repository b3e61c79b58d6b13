"""How old the pictures are that come all at once after a network, or this process, hung. Pure.

They waited in the system's buffers, a minute of a small stream, and are read faster than they were taken: for four
seconds after a minute's stop pictures of that minute were shown as if of now, and as late by less than the lag.
"""

from __future__ import annotations

HELD = 1.0  # s without a picture, beyond what its timestamp tells
CAUGHT_UP = 0.1  # s
WINDOW = 1.0  # s of arrivals that tell whether what comes is what was held up
FASTER = 1.1  # times as fast as time does: what was held up comes so


class HeldUp:
    """Of one connection, whose timestamps are its own."""

    def __init__(self) -> None:
        self._session: int | None = None
        self._pts = self._arrived = 0.0  # of the picture before, s
        self._behind = 0.0
        self._window = (0.0, 0.0)  # since when it is watched whether it catches up: pts and arrival, s

    def add(self, session: int, pts: float, arrived: float) -> float:
        """Take the next picture: its time, and when it arrived, s. Returns how much sooner it would have come, s.

        A camera that rested, and whose own time did meanwhile, held nothing up: what it sends then comes no faster than
        time goes, which is known after WINDOW.
        """
        if session != self._session:
            self._session, self._behind = session, 0.0
        else:
            late = (arrived - self._arrived) - (pts - self._pts)
            if late > HELD:
                self._behind += late
                self._window = pts, arrived
            elif self._behind:
                self._behind = max(0.0, self._behind + late)
                if self._behind < CAUGHT_UP or self._comes_no_faster(pts, arrived):
                    self._behind = 0.0
        self._pts, self._arrived = pts, arrived
        return self._behind

    def _comes_no_faster(self, pts: float, arrived: float) -> bool:
        since_pts, since = self._window
        if arrived - since < WINDOW:
            return False
        self._window = pts, arrived
        return pts - since_pts < FASTER * (arrived - since)
