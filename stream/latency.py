"""Latencies and frame rate over the last seconds, as percentiles: what the screen and the benchmarks show."""

from __future__ import annotations

import threading
from collections import deque

import numpy as np

SPAN = 10.0  # s


class LatencyMeter:
    """Latencies of the last ``span`` seconds. Times in s; ``now`` is an argument. Any thread may add and read."""

    def __init__(self, span: float = SPAN) -> None:
        self._span = span
        self._lock = threading.Lock()
        # bounded even where a clock stands still: 240 Hz for the span
        self._samples: deque[tuple[float, float]] = deque(maxlen=round(240 * span))

    def add(self, now: float, latency: float) -> None:
        """Take the latency of one frame that was finished at ``now``."""
        with self._lock:
            self._samples.append((now, latency))
            self._forget(now)

    def values(self, now: float) -> list[float]:
        """Return the latencies in the span, oldest first."""
        return [latency for _, latency in self._recent(now)]

    def percentiles(self, now: float, *wanted: float) -> tuple[float | None, ...]:
        """Percentiles (0 to 100) of the latencies in the span, or None for each where there are none."""
        latencies = self.values(now)
        if not latencies:
            return tuple(None for _ in wanted)
        return tuple(float(value) for value in np.percentile(latencies, wanted))

    def rate(self, now: float) -> float:
        """Frames per second over the last two seconds."""
        recent = [at for at, _ in self._recent(now) if now - at <= 2.0]
        if len(recent) < 2 or recent[-1] <= recent[0]:
            return 0.0
        return (len(recent) - 1) / (recent[-1] - recent[0])

    def _recent(self, now: float) -> list[tuple[float, float]]:
        with self._lock:
            self._forget(now)
            return list(self._samples)

    def _forget(self, now: float) -> None:
        while self._samples and now - self._samples[0][0] > self._span:
            self._samples.popleft()
