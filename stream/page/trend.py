"""The rates of the last day, for who comes back to a display that has run all night: one point for ten seconds."""

from __future__ import annotations

import math
import threading
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from deepmag.stream.frames import Reading, SignalName

PERIOD = 10.0  # s that a point stands for
POINTS = 8640  # a day


class Trend:
    """Means of what was shown, and nothing where for half of the time nothing was. Any thread adds, any thread reads.

    began: s (monotonic), when the first point's time begins.
    """

    def __init__(self, began: float) -> None:
        self._lock = threading.Lock()
        self._began = began
        self._done = 0  # points so far, those that are forgotten included
        self._courses: dict[SignalName, _Course] = {}

    def add(self, readings: Mapping[SignalName, Reading], now: float) -> None:
        """Take what is shown now, s (monotonic); to be called several times a point, at even times."""
        with self._lock:
            self._settle(now)
            for name in readings.keys() | self._courses.keys():
                course = self._courses.setdefault(name, _Course())
                course.looks += 1
                reading = readings.get(name)
                if reading is not None and reading.rate is not None:
                    course.shown.append((reading.rate, reading.quality))

    def message(self, now: float) -> dict[str, Any]:
        """Return it for JSON, oldest point first.

        period: s that a point stands for. ended: s since the newest point's time was over. signals: by name, `rate` of
        each point (null: none could be trusted) and `quality` of the rate.
        """
        with self._lock:
            self._settle(now)
            kept = np.arange(max(0, self._done - POINTS), self._done) % POINTS
            return {
                "period": PERIOD,
                "ended": round(now - self._began - self._done * PERIOD, 3),
                "signals": {
                    name: {"rate": _plain(course.rate[kept], 1), "quality": _plain(course.quality[kept], 2)}
                    for name, course in self._courses.items()
                },
            }

    def _settle(self, now: float) -> None:
        """Close the points whose time is over; where nobody looked for long, they are empty."""
        over = int((now - self._began) / PERIOD)
        if over <= self._done:
            return
        for course in self._courses.values():
            course.close(self._done, over)
        self._done = over


class _Course:
    """One signal's points, in a ring, and what the next one is made of."""

    def __init__(self) -> None:
        self.rate = np.full(POINTS, np.nan, np.float32)
        self.quality = np.full(POINTS, np.nan, np.float32)
        self.looks = 0
        self.shown: list[tuple[float, float]] = []

    def close(self, first: int, after: int) -> None:
        """Write the point `first`, and those that follow before `after` as empty."""
        places = np.arange(max(first, after - POINTS), after) % POINTS
        self.rate[places] = self.quality[places] = np.nan
        if self.shown and 2 * len(self.shown) >= self.looks and after - first <= POINTS:
            self.rate[first % POINTS], self.quality[first % POINTS] = np.mean(self.shown, axis=0)
        self.looks, self.shown = 0, []


def _plain(values: NDArray[np.float32], digits: int) -> list[float | None]:
    # all at once: value by value a day of them held up the pictures by 30 ms
    rounded = np.round(values.astype(np.float64), digits).tolist()
    return [None if math.isnan(value) else value for value in rounded]
