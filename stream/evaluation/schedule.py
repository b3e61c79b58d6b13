"""Which job of an evaluation waits for which, and what they have found so far."""

from __future__ import annotations

import logging
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Future, wait
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from deepmag.stream.evaluation import calibration
from deepmag.stream.evaluation.ascent_studies import StudyJob
from deepmag.stream.evaluation.clip_jobs import ClipResult, JudgeJob, ReferenceJob
from deepmag.stream.evaluation.methods import METHODS
from deepmag.stream.evaluation.plan import FAIR_METHOD, LARGE, REFERENCE_STRENGTH
from deepmag.stream.evaluation.real import RealJob
from deepmag.stream.evaluation.workers import Crew
from deepmag.stream.stopped import StoppedError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from deepmag.stream.evaluation.plan import Plan
    from deepmag.stream.evaluation.real_clip import RealClips
    from deepmag.stream.evaluation.workers import Job

POLL = 0.2  # s between two looks at the jobs

log = logging.getLogger("deepmag.stream.evaluation")


@dataclass
class Findings:
    """What the jobs have given so far."""

    clips: list[ClipResult] = field(default_factory=list)
    real: dict[str, Any] = field(default_factory=dict)
    studies: dict[str, Any] = field(default_factory=dict)
    matched: dict[str, float | None] = field(default_factory=dict)
    large: dict[str, float | None] = field(default_factory=dict)
    factor: float = float("nan")
    small: Any = None


class Schedule:
    """Which job waits for which: clips are judged at strengths that all references on task A decide."""

    def __init__(
        self,
        plan: Plan,
        weights: Path,
        kept: Path,
        real: RealClips,
        jobs: int,
        progress: Callable[[str, int, int, float], None],
        stop: Callable[[], bool],
    ) -> None:
        self._plan, self._weights, self._kept = plan, weights, kept
        self._progress, self._stop = progress, stop
        self._jobs = jobs
        self._pending: dict[Future[Any], tuple[str, Any]] = {}
        self._done = 0
        self._stage = "finding equal strengths"
        first = plan.subjects[0]
        self._references = [
            ReferenceJob(plan, who, "A", METHODS, weights, kept, reduced=who is first)
            for who in plan.subjects
        ]
        self._others: list[tuple[str, Any]] = [
            *(("real", RealJob(clip, weights)) for clip in real.clips),
            *(
                ("fair", ReferenceJob(plan, who, task, (FAIR_METHOD,), weights))
                for task in plan.fair_tasks
                for who in plan.more
            ),
        ]
        judged = [(task, who) for task in reversed(plan.tasks) for who in plan.subjects]
        self.clips = len(self._references) + len(judged) + sum(kind == "fair" for kind, _ in self._others)
        self.total = len(self._references) + len(self._others) + len(judged) + 1
        # what is judged is not known before its strengths are, but its cost is
        equal = tuple(dict.fromkeys(METHODS, REFERENCE_STRENGTH).items())
        self._judged = [
            JudgeJob(plan, who, task, equal, equal, LARGE, weights, kept, shown=who is first)
            for task, who in judged
        ]
        planned = (*self._references, *(job for _, job in self._others), *self._judged)
        self._cost = sum(job.cost for job in planned) + StudyJob.cost

    def run(self, found: Findings) -> bool:
        """Run all; False where it was stopped. Raises what a job raised, once what else is finished has been taken."""
        try:
            with Crew(self._jobs, self._report) as crew:
                self._crew = crew
                return self._run_in_order(found)
        finally:
            # the crew has gone: what is finished now is all that will be
            for future, (kind, job) in self._pending.items():
                if future.done() and not future.cancelled() and future.exception() is None:
                    self._take(found, kind, job, future.result())

    def _run_in_order(self, found: Findings) -> bool:
        try:
            self._submit(found, [("reference", job) for job in self._references] + self._others)
            self._collect(found, until_kind="reference")
            self._calibrate(found)
            self._stage = "judging"
            study = StudyJob(found.small, self._weights, self._plan.iterations)
            judged = [("judge", self._at_strengths(job, found)) for job in self._judged]
            self._submit(found, [("study", study), *judged])
            self._collect(found)
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

    def _submit(self, found: Findings, jobs: Sequence[tuple[str, Job[Any]]]) -> None:
        for kind, job in jobs:
            if self._stop():
                raise StoppedError
            self._pending[self._crew.submit(job)] = (kind, job)
            self._take_ready(found, 0.0)  # with one process it is done already

    def _collect(self, found: Findings, until_kind: str | None = None) -> None:
        """Take results until nothing is pending, or nothing of one kind."""
        while any(until_kind in (None, kind) for kind, _ in self._pending.values()):
            self._report(self._crew.done)
            self._take_ready(found, POLL)
            if self._stop():
                raise StoppedError

    def _take_ready(self, found: Findings, timeout: float) -> None:
        """Take what is finished within ``timeout``, s. Raises what a job raised."""
        ready, _ = wait(self._pending, timeout=timeout, return_when=FIRST_COMPLETED)
        for future in ready:
            kind, job = self._pending.pop(future)
            self._take(found, kind, job, future.result())
            self._done += 1
            self._report(self._crew.done)

    def _take(self, found: Findings, kind: str, job: Any, result: Any) -> None:
        if kind == "real":
            found.real[job.clip.name] = result
        elif kind == "study":
            found.studies = result
        else:
            found.clips.append(result)
            found.small = result.exhibits.pop("small", found.small)

    def _calibrate(self, found: Findings) -> None:
        gains = [
            {method: scores["gain"] for method, scores in clip.scores["reference"].items()}
            for clip in found.clips
            if clip.task == "A" and len(clip.scores["reference"]) == len(METHODS)
        ]
        seen = calibration.mean_gains(gains)
        found.factor = calibration.matched_gain(seen)
        found.matched = calibration.matched_strengths(seen, REFERENCE_STRENGTH)
        found.large = calibration.equal_strengths(LARGE, seen, REFERENCE_STRENGTH)
        log.info("coherent gain for Table 1 %.3g; strengths %s", found.factor, found.matched)

    def _at_strengths(self, job: JudgeJob, found: Findings) -> JudgeJob:
        return JudgeJob(
            job.plan, job.subject, job.task, tuple(found.matched.items()), tuple(found.large.items()), found.factor,
            job.weights, job.folder, job.shown,
        )  # fmt: skip

    def _report(self, work: float) -> None:
        self._progress(self._stage, self._done, self.total, min(1.0, work / self._cost))
        if self._stop():
            self._crew.stop()
