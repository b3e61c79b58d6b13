"""Quantiles of the latencies of the last seconds."""

from __future__ import annotations

import threading
from collections import deque

import numpy as np

SPAN = 10.0  # s
CAPACITY = 2400  # values: 240 a second, more than any camera sends


class LatencyWindow:
    """The latencies of the last 10 s. Times in s, ``now`` from any one clock; any thread may call."""

    def __init__(self, span: float = SPAN) -> None:
        self._span = span
        self._values: deque[tuple[float, float]] = deque(maxlen=CAPACITY)
        self._lock = threading.Lock()

    def add(self, now: float, latency: float) -> None:
        """Remember one latency."""
        with self._lock:
            self._values.append((now, latency))

    def quantiles(self, now: float) -> tuple[float, float] | None:
        """(p50, p95), or None where nothing was added in the last seconds."""
        with self._lock:
            while self._values and self._values[0][0] < now - self._span:
                self._values.popleft()
            values = [latency for _, latency in self._values]
        if not values:
            return None
        p50, p95 = np.quantile(values, (0.5, 0.95))
        return float(p50), float(p95)
