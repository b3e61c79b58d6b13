"""The jobs of respiration's half: clips are judged at strengths that the still people decide."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from deepmag.stream.evaluation import calibration
from deepmag.stream.evaluation.respiration.jobs import BreathJudgeJob, BreathReferenceJob, BreathResult
from deepmag.stream.evaluation.respiration.methods import METHODS
from deepmag.stream.evaluation.respiration.plan import LARGE, REFERENCE_STRENGTH
from deepmag.stream.evaluation.respiration.real import RealBreathJob
from deepmag.stream.evaluation.respiration.studies import BreathStudyJob

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from deepmag.stream.evaluation.real_clip import BreathingClip
    from deepmag.stream.evaluation.respiration.plan import BreathPlan
    from deepmag.stream.evaluation.workers import Job

QUICK_REAL = ("phase", "paper", "steady")  # methods of a quick run's real clips, which are large

log = logging.getLogger("deepmag.stream.evaluation")


@dataclass
class BreathFindings:
    """What the jobs have given so far. matched, large: strengths; of `paper`, times its own step."""

    clips: list[BreathResult] = field(default_factory=list)
    real: dict[str, Any] = field(default_factory=dict)
    studies: dict[str, Any] = field(default_factory=dict)
    matched: dict[str, float | None] = field(default_factory=dict)
    large: dict[str, float | None] = field(default_factory=dict)
    factor: float = float("nan")


class BreathCourse:
    """Implements ``schedule.Course``. kept: a folder for clips that are looked at twice. clips: how many there are."""

    def __init__(self, plan: BreathPlan, weights: Path, kept: Path, real: Sequence[BreathingClip]) -> None:
        self.found = BreathFindings()
        first = plan.subjects[0]
        self._references = [BreathReferenceJob(plan, who, weights, kept) for who in plan.subjects]
        methods = QUICK_REAL if plan.quick else METHODS
        self._real = [RealBreathJob(clip, weights, methods) for clip in real]
        self._study = BreathStudyJob(kept, f"breath-{first.seed}-A", plan.rate, weights, plan.iterations)
        # what is judged is not known before its strengths are, but its cost is
        equal = tuple(dict.fromkeys(METHODS, REFERENCE_STRENGTH).items())
        self._judged = [
            BreathJudgeJob(plan, who, task, equal, equal, LARGE, weights, kept, shown=who is first)
            for task in reversed(plan.tasks)
            for who in plan.subjects
        ]
        self.clips = len(self._references) + len(self._judged)

    @property
    def cost(self) -> float:
        """See ``schedule.Course``."""
        jobs: list[Job[Any]] = [*self._references, *self._real, self._study, *self._judged]
        return sum(job.cost for job in jobs)

    @property
    def jobs(self) -> int:
        """See ``schedule.Course``."""
        return self.clips + len(self._real) + 1

    def first(self) -> Sequence[Job[Any]]:
        """One clip of each person who sits still, by all methods."""
        return self._references

    def beside(self) -> Sequence[Job[Any]]:
        """Real clips."""
        return self._real

    def rest(self) -> Sequence[Job[Any]]:
        """All tasks, at the strengths that the references tell, and the study of the ascent."""
        self._calibrate()
        found = self.found
        matched, large = tuple(found.matched.items()), tuple(found.large.items())
        judged = [replace(job, factor=found.factor, matched=matched, large=large) for job in self._judged]
        return [*judged, self._study]

    def take(self, job: Any, result: Any) -> None:
        """See ``schedule.Course``."""
        if isinstance(job, RealBreathJob):
            self.found.real[job.clip.name] = result
        elif isinstance(job, BreathStudyJob):
            self.found.studies = result
        else:
            if isinstance(job, BreathJudgeJob) and job.task == "A":
                self._add_paper(result)
            self.found.clips.append(result)

    def _calibrate(self) -> None:
        found = self.found
        references = [clip.scores["reference"] for clip in found.clips if "reference" in clip.scores]
        seen = calibration.mean_gains(
            [{method: scores["gain"] for method, scores in clip.items()} for clip in references]
        )
        found.factor = calibration.matched_gain(seen)
        for target, strengths in ((found.factor, found.matched), (LARGE, found.large)):
            for method, gain in seen.items():
                if method == "paper":
                    strengths[method] = (target - 1.0) / (gain - 1.0) if gain > 1.0 else None
                else:
                    strengths[method] = calibration.strength_for(target, gain, REFERENCE_STRENGTH)
        if found.matched["paper"] is not None:
            found.matched["paper"] = 1.0  # its own step, to the last digit
        log.info("motion gain for Table 1 %.3g; strengths %s", found.factor, found.matched)

    def _add_paper(self, result: BreathResult) -> None:
        """`paper` at its own step on a still person was run for the reference: Table 1 takes it from there."""
        for clip in self.found.clips:
            if clip.subject == result.subject and "reference" in clip.scores:
                result.scores.setdefault("matched", {})["paper"] = clip.scores["reference"]["paper"]
