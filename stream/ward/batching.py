"""Requests of many threads run together: whoever comes first waits a little for the others.

One batch of many frame pairs costs a GPU hardly more than one pair. Nobody waits longer than the budget for others,
and nobody is passed over: requests run in the order in which they came.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Request = TypeVar("Request")
Result = TypeVar("Result")

BUDGET = 0.005  # s that the first of a batch waits for the others
LARGEST = 64  # requests run at once: it bounds the memory
CLOSE_TIMEOUT = 5.0  # s for what waits to be run at the end

log = logging.getLogger("deepmag.stream.ward")


@dataclass(slots=True)
class _Waiting(Generic[Request, Result]):
    request: Request
    came: float
    done: threading.Event = field(default_factory=threading.Event)
    result: Result | None = None
    error: BaseException | None = None


class Batcher(Generic[Request, Result]):
    """Runs requests together. run: called in one thread with at most ``largest`` requests; one result for each.

    budget: s. A batch runs as soon as all of ``members`` threads wait, or the budget of its first is spent. A request
    that makes a batch fail fails alone: the others are run again without it.
    """

    def __init__(
        self,
        run: Callable[[Sequence[Request]], Sequence[Result]],
        *,
        members: Callable[[], int],
        budget: float = BUDGET,
        largest: int = LARGEST,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._run = run
        self._members = members
        self._budget = budget
        self._largest = largest
        self._clock = clock
        self._waiting: deque[_Waiting[Request, Result]] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self.batches = 0
        self.requests = 0
        self._thread = threading.Thread(target=self._serve, name="deepmag-batch", daemon=True)
        self._thread.start()

    def submit(self, request: Request) -> Result:
        """Wait for the result of a request. Raises what running it raised, RuntimeError after `close`."""
        mine: _Waiting[Request, Result] = _Waiting(request, self._clock())
        with self._changed:
            if self._closed:
                raise RuntimeError("nothing runs any more")
            self._waiting.append(mine)
            self._changed.notify_all()
        mine.done.wait()
        if mine.error is not None:
            raise mine.error
        return mine.result  # type: ignore[return-value]  # set, since there was no error

    def close(self) -> None:
        """Run what waits, and end; what hangs, in a GPU's driver, say, is left behind."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._thread.join(CLOSE_TIMEOUT)
        if self._thread.is_alive():
            log.error("a network did not end within %g s", CLOSE_TIMEOUT)

    def _serve(self) -> None:
        while batch := self._next():
            self.batches += 1
            self.requests += len(batch)
            self._answer(batch)

    def _next(self) -> list[_Waiting[Request, Result]]:
        """The next batch; empty once all is closed and done."""
        with self._changed:
            while not self._waiting and not self._closed:
                self._changed.wait()
            while not self._closed and len(self._waiting) < min(self._largest, self._members()):
                left = self._waiting[0].came + self._budget - self._clock()
                if left <= 0:
                    break
                self._changed.wait(left)
            count = min(self._largest, len(self._waiting))
            return [self._waiting.popleft() for _ in range(count)]

    def _answer(self, batch: Sequence[_Waiting[Request, Result]]) -> None:
        try:
            results = self._run([one.request for one in batch])
            for one, result in zip(batch, results, strict=True):
                one.result = result
        except Exception as error:
            if len(batch) > 1:
                for one in batch:
                    self._answer([one])
                return
            batch[0].error = error
        for one in batch:
            one.done.set()
