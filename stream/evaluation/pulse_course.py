"""The pulse's jobs: clips are judged at strengths that all references on task A decide."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from deepmag.stream.evaluation import calibration
from deepmag.stream.evaluation.ascent_studies import StudyJob
from deepmag.stream.evaluation.clip_jobs import ClipResult, JudgeJob, ReferenceJob
from deepmag.stream.evaluation.methods import METHODS
from deepmag.stream.evaluation.plan import FAIR_METHOD, LARGE, REFERENCE_STRENGTH
from deepmag.stream.evaluation.real import RealJob

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from deepmag.stream.evaluation.plan import Plan
    from deepmag.stream.evaluation.real_clip import RealClips
    from deepmag.stream.evaluation.workers import Job

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


class PulseCourse:
    """Implements ``schedule.Course``. kept: a folder for clips that are looked at twice. clips: how many there are."""

    def __init__(self, plan: Plan, weights: Path, kept: Path, real: RealClips) -> None:
        self._plan, self._weights = plan, weights
        self.found = Findings(real={name: {"left_out": reason} for name, reason in real.left_out.items()})
        first = plan.subjects[0]
        self._references = [
            ReferenceJob(plan, who, "A", METHODS, weights, kept, reduced=who is first)
            for who in plan.subjects
        ]
        fair = [
            ReferenceJob(plan, who, task, (FAIR_METHOD,), weights)
            for task in plan.fair_tasks
            for who in plan.more
        ]
        self._beside: list[Job[Any]] = [*(RealJob(clip, weights) for clip in real.clips), *fair]
        judged = [(task, who) for task in reversed(plan.tasks) for who in plan.subjects]
        # what is judged is not known before its strengths are, but its cost is
        equal = tuple(dict.fromkeys(METHODS, REFERENCE_STRENGTH).items())
        self._judged = [
            JudgeJob(plan, who, task, equal, equal, LARGE, weights, kept, shown=who is first)
            for task, who in judged
        ]
        self.clips = len(self._references) + len(fair) + len(judged)

    @property
    def cost(self) -> float:
        """See ``schedule.Course``."""
        planned = (*self._references, *self._beside, *self._judged)
        return sum(job.cost for job in planned) + StudyJob.cost

    @property
    def jobs(self) -> int:
        """See ``schedule.Course``."""
        return len(self._references) + len(self._beside) + len(self._judged) + 1

    def first(self) -> Sequence[Job[Any]]:
        """One clip of each person who sits still, by all methods."""
        return self._references

    def beside(self) -> Sequence[Job[Any]]:
        """Real clips, and the people who are there for fairness only."""
        return self._beside

    def rest(self) -> Sequence[Job[Any]]:
        """All tasks, at the strengths that the references tell, and the studies of the ascent."""
        self._calibrate()
        study = StudyJob(self.found.small, self._weights, self._plan.iterations)
        return [study, *(self._at_strengths(job) for job in self._judged)]

    def take(self, job: Any, result: Any) -> None:
        """See ``schedule.Course``."""
        if isinstance(job, RealJob):
            self.found.real[job.clip.name] = result
        elif isinstance(job, StudyJob):
            self.found.studies = result
        else:
            self.found.clips.append(result)
            self.found.small = result.exhibits.pop("small", self.found.small)

    def _calibrate(self) -> None:
        found = self.found
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

    def _at_strengths(self, job: JudgeJob) -> JudgeJob:
        found = self.found
        return replace(
            job, factor=found.factor, matched=tuple(found.matched.items()), large=tuple(found.large.items())
        )
