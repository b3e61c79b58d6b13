"""Which job of an evaluation waits for which: each course's strengths are found first, then all is judged at them."""

from __future__ import annotations

from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Future, wait
from typing import TYPE_CHECKING, Any, Protocol

from deepmag.stream.evaluation.workers import Crew
from deepmag.stream.stopped import StoppedError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from deepmag.stream.evaluation.workers import Job

POLL = 0.2  # s between two looks at the jobs


class Course(Protocol):
    """The jobs of one signal."""

    @property
    def cost(self) -> float:
        """Work of all its jobs, also of those not known yet, in the units of `Job.cost`."""
        ...

    @property
    def jobs(self) -> int:
        """How many there are in all."""
        ...

    def first(self) -> Sequence[Job[Any]]:
        """Jobs whose results decide how the rest is run."""
        ...

    def beside(self) -> Sequence[Job[Any]]:
        """Jobs that wait for none, and for which none waits."""
        ...

    def rest(self) -> Sequence[Job[Any]]:
        """The jobs that remain; asked for once the results of all `first` have been taken."""
        ...

    def take(self, job: Any, result: Any) -> None:
        """Keep what a job gave."""
        ...


class Schedule:
    """Runs courses side by side in one crew of ``jobs`` processes. progress, stop: as for ``run.evaluate``."""

    def __init__(
        self,
        courses: Sequence[Course],
        jobs: int,
        progress: Callable[[str, int, int, float], None],
        stop: Callable[[], bool],
    ) -> None:
        self._courses = courses
        self._jobs = jobs
        self._progress, self._stop = progress, stop
        self._pending: dict[Future[Any], tuple[Course, Any, bool]] = {}  # whether others wait for it
        self._done = 0
        self._stage = "finding equal strengths"
        self.total = sum(course.jobs for course in courses)
        self._cost = sum(course.cost for course in courses)

    def run(self) -> bool:
        """Run all; False where it was stopped. Raises what a job raised, once what else is finished has been taken."""
        try:
            with Crew(self._jobs, self._report) as crew:
                self._crew = crew
                return self._run_in_order()
        finally:
            # the crew has gone: what is finished now is all that will be
            for future, (course, job, _) in self._pending.items():
                if future.done() and not future.cancelled() and future.exception() is None:
                    course.take(job, future.result())

    def _run_in_order(self) -> bool:
        try:
            for course in self._courses:
                self._submit(course, course.first(), awaited=True)
            for course in self._courses:
                self._submit(course, course.beside())
            self._collect(awaited_only=True)
            self._stage = "judging"
            for course in self._courses:
                self._submit(course, course.rest())
            self._collect()
        except StoppedError:
            return False
        except BrokenExecutor:
            # a process that still starts is not yet deaf to the Ctrl-C that goes to all processes of a terminal
            if self._stop():
                return False
            raise ValueError(
                "a process of the evaluation was ended from outside, most likely for lack of memory: "
                "try again with fewer --jobs"
            ) from None
        return True

    def _submit(self, course: Course, jobs: Sequence[Job[Any]], *, awaited: bool = False) -> None:
        for job in jobs:
            if self._stop():
                raise StoppedError
            self._pending[self._crew.submit(job)] = (course, job, awaited)
            self._take_ready(0.0)  # with one process it is done already

    def _collect(self, *, awaited_only: bool = False) -> None:
        """Take results until nothing is pending, or nothing that others wait for."""
        while any(awaited or not awaited_only for _, _, awaited in self._pending.values()):
            self._report(self._crew.done)
            self._take_ready(POLL)
            if self._stop():
                raise StoppedError

    def _take_ready(self, timeout: float) -> None:
        """Take what is finished within ``timeout``, s. Raises what a job raised."""
        ready, _ = wait(self._pending, timeout=timeout, return_when=FIRST_COMPLETED)
        for future in ready:
            course, job, _ = self._pending.pop(future)
            course.take(job, future.result())
            self._done += 1
            self._report(self._crew.done)

    def _report(self, work: float) -> None:
        self._progress(self._stage, self._done, self.total, min(1.0, work / self._cost))
        if self._stop():
            self._crew.stop()
