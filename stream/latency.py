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
        self._samples: deque[tuple[float, float, bool]] = deque(maxlen=round(240 * span))

    def add(self, now: float, latency: float, *, early: bool = False) -> None:
        """Take one frame that was finished at ``now``. early: its latency tells nothing, see ``MagnifiedFrame``."""
        with self._lock:
            self._samples.append((now, latency, early))
            self._forget(now)

    def values(self, now: float) -> list[float]:
        """Return the latencies in the span, oldest first."""
        return [latency for _, latency, early in self._recent(now) if not early]

    def quantiles(self, now: float) -> tuple[float, float] | None:
        """(p50, p95) of the latencies in the span, or None where there are none."""
        latencies = self.values(now)
        if not latencies:
            return None
        p50, p95 = np.quantile(latencies, (0.5, 0.95))
        return float(p50), float(p95)

    def rate(self, now: float) -> float:
        """Frames per second over the last two seconds, of fewer than two in them over the last two frames.

        In them a lag's worth of frames may have come out at once, or come at once after a network hung: what counts is
        the longer of the times in which they came and came out. Frames that are missing for twice as long as the last
        two lay apart have stopped.
        """
        frames = [(at, at - latency) for at, latency, _ in self._recent(now)]
        recent = [frame for frame in frames if now - frame[0] <= 2.0]
        slow = len(recent) < 2
        recent = frames[-2:] if slow else recent
        if len(recent) < 2:
            return 0.0
        span = max(last - first for first, last in zip(recent[0], recent[-1], strict=True))
        if span == 0.0 or (slow and now - recent[-1][0] > 2.0 * span):
            return 0.0
        return (len(recent) - 1) / span

    def _recent(self, now: float) -> list[tuple[float, float, bool]]:
        with self._lock:
            self._forget(now)
            return list(self._samples)

    def _forget(self, now: float) -> None:
        while self._samples and now - self._samples[0][0] > self._span:
            self._samples.popleft()
