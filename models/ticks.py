"""Time for the sliding window: a uniform clock of ticks, and the camera's nominal rate, from timestamps.

Taking 30 fps as given turns 72 bpm into 92 where 20 % of the frames are lost, and into 86 at 25 fps.
"""

from __future__ import annotations

from statistics import fmean, median

COMMON_RATES = (15.0, 24.0, 25.0, 30.0, 50.0, 60.0, 120.0)  # Hz; 29.97 is 30 to the tick clock
SNAP = 0.03  # of a common rate
MAX_GAP = 0.5  # s without a frame, after which what came before says nothing


class TickClock:
    """Turns the timestamps of frames into whole ticks of a uniform clock, without drift.

    A late frame does not move the ones after it: the ticks handed out so far stay within 0.75 of pts * rate.
    """

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._last: float | None = None
        self._behind = 0.0

    @property
    def rate(self) -> float:
        """Ticks per second."""
        return self._rate

    def set_rate(self, rate: float) -> None:
        """Change the ticks per second; the next frame starts afresh."""
        self._rate = rate
        self._last = None

    def advance(self, pts: float) -> int | None:
        """Ticks between the frame before and this one, at ``pts`` seconds.

        Returns None where the two make no pair and the window must be emptied: at the first frame, after a
        gap of more than 0.5 s, where time does not advance. Returns 0 for two frames within one tick.
        """
        last, self._last = self._last, pts
        if last is None or not 0.0 < pts - last <= MAX_GAP:
            self._behind = 0.0
            return None
        self._behind += (pts - last) * self._rate
        # One tick for a frame that is roughly due: plain rounding alternates 0 and 2 where a steady camera
        # has drifted to half a tick, as 29.97 against 30 does every 33 s, and its timestamps jitter.
        ticks = 1 if abs(self._behind - 1.0) < 0.75 else max(0, round(self._behind))
        self._behind -= ticks
        return ticks


class RateEstimator:
    """The camera's nominal rate, from its timestamps.

    Robust to lost frames, since the typical pair is a whole one, and to timestamps rounded to milliseconds.
    Feed it every captured frame, also those that are dropped later.
    """

    PAIRS = 15  # before the first estimate
    PATIENCE = 2.0  # s for which another rate must be seen before it is believed
    TOLERANCE = 0.08  # of the rate

    def __init__(self) -> None:
        self._periods: list[float] = []
        self._last: float | None = None
        self._off_since: float | None = None
        self._rate: float | None = None

    @property
    def rate(self) -> float | None:
        """Hz, or None before enough frames have come."""
        return self._rate

    def update(self, pts: float) -> float | None:
        """Take a frame at ``pts`` seconds. Returns the rate where it is new or has changed, else None."""
        last, self._last = self._last, pts
        if last is None:
            return None
        if not 0.0 < pts - last <= MAX_GAP:
            self._off_since = None
            return None
        self._periods = [*self._periods[1 - self.PAIRS :], pts - last]
        if len(self._periods) < self.PAIRS:
            return None
        seen = _typical_rate(self._periods)
        if self._rate is None:
            self._rate = seen
            return seen
        if abs(seen / self._rate - 1.0) < self.TOLERANCE:
            self._off_since = None
            return None
        if self._off_since is None:
            self._off_since = pts
        if pts - self._off_since < self.PATIENCE:
            return None
        self._off_since = None
        self._rate = seen
        return seen


def _typical_rate(periods: list[float]) -> float:
    # without numpy, for each frame: of so few numbers its mean and median take longer than the pulse's filter
    middle = median(periods)
    # The mean of those near the median: 8.33 ms in whole milliseconds have a median of 8 (125 Hz).
    rate = 1.0 / fmean(period for period in periods if abs(period - middle) <= 0.4 * middle)
    nearest = min(COMMON_RATES, key=lambda common: abs(rate / common - 1.0))
    return nearest if abs(rate / nearest - 1.0) <= SNAP else rate
