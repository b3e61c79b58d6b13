"""Jobs spread over processes, one thread each; they can be stopped between two frames, and tell how far they are.

A job is a picklable object with a ``cost`` and a ``run``; inside it, `tick` reports work done, in the units of cost,
and raises StoppedError once the person does not want to wait.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from concurrent.futures import Future, ProcessPoolExecutor
from typing import TYPE_CHECKING, Any, Protocol, Self, TypeVar

from deepmag.models.training.deaf import deaf
from deepmag.stream.stopped import StoppedError

if TYPE_CHECKING:
    from collections.abc import Callable

T_co = TypeVar("T_co", covariant=True)
T = TypeVar("T")

THREAD_LIMITS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")


class Job(Protocol[T_co]):
    """Work for one process. cost: in any unit, the same for all jobs: what it ticks in all."""

    @property
    def cost(self) -> float:
        """Work in all."""
        ...

    def run(self) -> T_co:
        """Do it."""
        ...


class _Flag(Protocol):
    def is_set(self) -> bool: ...
    def set(self) -> None: ...


class _SharedFlag:
    """No `multiprocessing.Event`: its lock is kept for good by a process that is ended while it looks."""

    def __init__(self, value: Any) -> None:
        self._value = value

    def is_set(self) -> bool:
        return bool(self._value.value)

    def set(self) -> None:
        self._value.value = 1


class _Tally(Protocol):
    def add(self, amount: float) -> None: ...


class _SharedTally:
    def __init__(self, value: Any) -> None:
        self._value = value

    def add(self, amount: float) -> None:
        with self._value.get_lock():
            self._value.value += amount


class _LocalTally:
    def __init__(self, report: Callable[[float], None]) -> None:
        self._report = report
        self.total = 0.0

    def add(self, amount: float) -> None:
        self.total += amount
        self._report(self.total)


class _Context:
    """What this process knows of the crew that it works for. A process has one: it is set when the process starts."""

    stop: _Flag | None = None
    tally: _Tally | None = None


def tick(amount: float = 0.0) -> None:
    """Report ``amount`` more units of work done. Raises StoppedError where the crew has been stopped."""
    if _Context.stop is not None and _Context.stop.is_set():
        raise StoppedError
    if _Context.tally is not None and amount:
        _Context.tally.add(amount)


class Crew:
    """Runs jobs in ``jobs`` processes, or, for 1, in this one, at once. A context manager.

    report: called in this process with the units of work done so far, as a job in this process ticks.
    """

    def __init__(self, jobs: int, report: Callable[[float], None] = lambda _done: None) -> None:
        self._local = _LocalTally(report)
        self._pool: ProcessPoolExecutor | None = None
        self._flag: _Flag = threading.Event()
        self._value: Any = None
        if jobs > 1:
            # Spawned, not forked: a fork of a process with threads (torch's, ONNX Runtime's) may hang.
            context = multiprocessing.get_context("spawn")
            self._flag = _SharedFlag(context.RawValue("b", 0))
            self._value = context.Value("d", 0.0)
            self._pool = ProcessPoolExecutor(jobs, context, _begin, (self._flag, self._value))

    def __enter__(self) -> Self:
        # The children read these when their libraries load, which is before any code of ours can run.
        self._before = {name: os.environ.get(name) for name in THREAD_LIMITS}
        if self._pool is None:
            _Context.stop, _Context.tally = self._flag, self._local
        else:
            os.environ.update(dict.fromkeys(THREAD_LIMITS, "1"))
        return self

    def __exit__(self, *_: object) -> None:
        if self._pool is None:
            _Context.stop = _Context.tally = None
            return
        self._flag.set()  # what still runs is of no use any more
        self._pool.shutdown(wait=True, cancel_futures=True)
        for name, value in self._before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value

    @property
    def done(self) -> float:
        """Units of work done so far, over all processes."""
        if self._value is None:
            return self._local.total
        return float(self._value.get_obj().value)  # without its lock, which a process may have taken with it

    def stop(self) -> None:
        """Make every job raise StoppedError at its next tick."""
        self._flag.set()

    def submit(self, job: Job[T]) -> Future[T]:
        """Queue a job; with one process it is done when this returns."""
        if self._pool is not None:
            with deaf():  # this may start a process
                return self._pool.submit(_run, job)
        future: Future[T] = Future()
        try:
            future.set_result(_run(job))
        except Exception as error:
            future.set_exception(error)
        return future


def _begin(flag: Any, value: Any) -> None:
    """Set up a child: one thread, deaf to Ctrl-C, which goes to all processes of a terminal."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _Context.stop, _Context.tally = flag, _SharedTally(value)
    import cv2
    import torch

    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)  # numbers too small for a normal float cost a CPU up to tenfold


def _run(job: Job[T]) -> T:
    tick()
    return job.run()
