"""One rising time axis for an output that is fed by many sessions."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fractions import Fraction


class Timeline:
    """Places frames on the output's time axis, in ticks of ``time_base`` seconds, from 0.

    Within a session the distances between frames are the source's own, so a variable rate stays one. A new
    session, whose clock starts anywhere, continues ``gap`` seconds after the last frame; so does one that was bridged
    by repeated pictures and then goes on as if no time had passed, as where the lag is raised. Ticks always rise:
    containers refuse a time that stands still, and a camera that repeats one must not end a recording.
    """

    def __init__(self, time_base: Fraction) -> None:
        self.time_base = time_base
        self._session: int | None = None
        self._origin = 0.0  # s on the output's axis minus s on the session's
        self._last = -1  # ticks
        self._bridged = False  # by a repeated picture, since the last frame

    def place(self, session: int, pts: float, gap: float) -> int:
        """Return a frame's ticks. pts: s, in its session. gap: s, used where it begins anew."""
        bridged, self._bridged = self._bridged, False
        if session != self._session or (bridged and self._ticks(pts) <= self._last):
            last = float(self._last * self.time_base)
            self._origin = (last + gap if self._last >= 0 else 0.0) - pts
            self._session = session
        self._last = max(self._ticks(pts), self._last + 1)
        return self._last

    def advance(self, elapsed: float) -> int:
        """Return the ticks of a repeated picture, ``elapsed`` s after the last one."""
        self._bridged = True
        self._last += max(round(elapsed / self.time_base), 1)
        return self._last

    def _ticks(self, pts: float) -> int:
        return round((pts + self._origin) / self.time_base)
