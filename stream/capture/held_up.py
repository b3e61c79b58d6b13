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
        self._doubted = 0.0  # s, of stops before of which nothing has told yet what they held up
        self._window = (0.0, 0.0)  # since when it is watched whether it catches up: pts and arrival, s

    def add(self, session: int, pts: float, arrived: float) -> float:
        """Take the next picture: its time, and when it arrived, s. Returns how much sooner it would have come, s.

        A camera that rested, and whose own time did meanwhile, held nothing up: what it sends then comes no faster than
        time goes, which is known after WINDOW.
        """
        if session != self._session:
            self._session, self._behind, self._doubted = session, 0.0, 0.0
        else:
            late = (arrived - self._arrived) - (pts - self._pts)
            if late > HELD:
                if not self._faster(self._pts, self._arrived):
                    # before it could catch up, or the clock is slow and pictures are rare: what comes next tells
                    self._doubted, self._behind = self._doubted + self._behind, 0.0
                self._behind += late
                self._window = pts, arrived
            elif self._behind:
                if self._faster(pts, arrived):
                    self._behind, self._doubted = self._behind + self._doubted, 0.0
                self._behind = max(0.0, self._behind + late)
                if arrived - self._window[1] >= WINDOW:
                    if not self._faster(pts, arrived):
                        self._behind = 0.0
                    self._window = pts, arrived
                if self._behind < CAUGHT_UP:
                    self._behind = self._doubted = 0.0
        self._pts, self._arrived = pts, arrived
        return self._behind

    def _faster(self, pts: float, arrived: float) -> bool:
        since_pts, since = self._window
        return pts - since_pts > FASTER * (arrived - since)
