"""What a job tells of itself: the processor time of its stages, and how far it is."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from deepmag.stream.evaluation.workers import tick

if TYPE_CHECKING:
    from collections.abc import Iterator


class Stopwatch:
    """seconds: of processor time, by stage."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Add what the block takes to a stage's seconds, of processor time: what else the machine does is no matter."""
        began = time.process_time()
        yield
        self.seconds[stage] = self.seconds.get(stage, 0.0) + time.process_time() - began


class Ticks:
    """Progress of one step as units of work. cost: of the whole step."""

    def __init__(self, cost: float) -> None:
        self._cost = cost
        self._done = 0.0

    def to(self, share: float) -> None:
        """Report that a share of the step is done."""
        tick(max(0.0, self._cost * (share - self._done)))
        self._done = max(self._done, share)

    def of(self, done: int, of: int) -> None:
        """Report that ``done`` of ``of`` parts are done."""
        self.to(done / of)
