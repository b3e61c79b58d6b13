"""Whether a camera's own time runs as fast as time does. Pure: the caller has the clock.

Cheap cameras count their pictures in place of reading a clock: one that says 25 frames/s and sends 21, as in the dark,
has a pulse of 60 shown as 71, and nothing in the picture tells. When pictures arrive does.
"""

from __future__ import annotations

import math

BLOCK = 4.0  # s, of which the picture that was delayed least counts: networks hand them over in clumps
OFF = 0.03  # of its rate, by which a clock must be off to count; a network's delay changes, but not for long
DRIFT = 0.6  # s


class ClockCheck:
    """Compares the times of a live stream with those of arrival.

    What a network that cannot keep up does looks the same for as long as it gets worse. It ends, at the latest where
    its buffers are full; a wrong clock does not. (A decoder that cannot is none of this: see ``overload``.)
    """

    def __init__(self) -> None:
        self._session: int | None = None
        self._began = 0.0  # of the block, by arrival, s
        self._least = math.inf  # its least delay, s
        self._before: tuple[float, float] | None = None  # of the block before, the same two
        self._drift = 0.0  # s, over blocks in a row that drift the same way
        self._over = 0.0  # s that they took

    def add(self, session: int, pts: float, arrived: float) -> bool:
        """Take the next picture: its time, s, and when it arrived, s. Returns whether the times can be believed."""
        if session != self._session:
            self._session, self._began, self._least = session, arrived, math.inf
            self._before, self._drift, self._over = None, 0.0, 0.0
        elif arrived - self._began >= BLOCK:
            self._end_block()
            self._began, self._least = arrived, math.inf
        self._least = min(self._least, arrived - pts)
        return abs(self._drift) < DRIFT

    @property
    def speed(self) -> float:
        """Seconds of the stream in a second, over the blocks that drift."""
        return 1.0 - self._drift / self._over if self._over else 1.0

    def _end_block(self) -> None:
        if self._before is not None:
            took = self._began - self._before[0]
            drift = self._least - self._before[1]
            if abs(drift) < OFF * took:
                self._drift = self._over = 0.0
            elif drift * self._drift > 0:
                self._drift, self._over = self._drift + drift, self._over + took
            else:
                self._drift, self._over = drift, took
        self._before = self._began, self._least
