"""A limit that follows what it limits: several times the running mean of its size; what exceeds it is no pulse."""

from __future__ import annotations

import math

OUTLIER = 4.0  # times the mean: what exceeds it is motion, or another light, and is held to it
MEMORY = 3.0  # s, of the mean
SETTLED = 0.5  # s before it is trusted


class RunningLimit:
    """Causal. least: what the mean is taken for at least, so that a still does not hold down the pulse after it."""

    def __init__(self, least: float) -> None:
        self._least = least
        self.reset()

    def reset(self) -> None:
        """Forget everything."""
        self._mean = self._seen = 0.0

    @property
    def settled(self) -> bool:
        """Whether enough has been seen to limit anything."""
        return self._seen > SETTLED

    def hold(self, size: float, seconds: float) -> float:
        """Take the size, at least 0, of what spans ``seconds``; return it, or the limit where it is larger."""
        self._seen += seconds
        held = min(size, OUTLIER * max(self._mean, self._least)) if self.settled else size
        # a plain mean until the memory is filled: else the first pair, however quiet, would hold down what follows
        share = max(seconds / self._seen, 1.0 - math.exp(-seconds / MEMORY))
        self._mean += share * (held - self._mean)
        return held
