"""The evaluation from start to end: jobs in the right order, then tables, figures and the report."""

from __future__ import annotations

import logging
import tempfile
import time
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Future, wait
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deepmag.export.runtime import open_ascender
from deepmag.stream.evaluation import calibration, figures, output, report, tables, verdict
from deepmag.stream.evaluation.ascent_studies import StudyJob
from deepmag.stream.evaluation.clip_jobs import ClipResult, JudgeJob, ReferenceJob
from deepmag.stream.evaluation.methods import METHODS
from deepmag.stream.evaluation.plan import FAIR_METHOD, LARGE, REFERENCE_STRENGTH
from deepmag.stream.evaluation.real import RealJob
from deepmag.stream.evaluation.real_clip import RealClips
from deepmag.stream.evaluation.setup import setup
from deepmag.stream.evaluation.workers import Crew, StoppedError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from deepmag.stream.evaluation.figures import Caption
    from deepmag.stream.evaluation.plan import Plan
    from deepmag.stream.evaluation.workers import Job

POLL = 0.2  # s between two looks at the jobs

log = logging.getLogger("deepmag.stream.evaluation")


@dataclass
class Outcome:
    """What was written. complete: whether the person waited for all of it. clips, of: done and planned."""

    complete: bool
    files: list[Path]
    clips: int
    of: int


@dataclass
class _Findings:
    """What the jobs have given so far."""

    clips: list[ClipResult] = field(default_factory=list)
    real: dict[str, Any] = field(default_factory=dict)
    studies: dict[str, Any] = field(default_factory=dict)
    matched: dict[str, float | None] = field(default_factory=dict)
    large: dict[str, float | None] = field(default_factory=dict)
    factor: float = float("nan")
    small: Any = None


def evaluate(
    plan: Plan,
    folder: Path,
    weights: Path,
    *,
    jobs: int,
    real: RealClips | None = None,
    progress: Callable[[str, int, int, float], None] = lambda _stage, _done, _of, _share: None,
    stop: Callable[[], bool] = lambda: False,
) -> Outcome:
    """Run ``plan`` and write report, figures and numbers to ``folder``.

    progress: called with the stage, jobs done, jobs in all, and the share of all work done. stop: asked often; once
    true, the numbers of the finished clips are written, marked as incomplete. They are written too where something
    fails; the exception then has a note that names the file. Raises ValueError where the folder cannot be written to
    or the weights not read.
    """
    real = real or RealClips((), {})
    output.prepare(folder)
    try:
        about = setup(plan, weights, jobs)
        # opened here only to see that they are the network's: the jobs would say so after the first clip is made
        open_ascender(weights, device="cpu", threads=1)
    except OSError as error:
        raise ValueError(f"cannot read the weights {weights}: {error.strerror or error}") from None
    began = time.monotonic()
    found = _Findings(real={name: {"left_out": reason} for name, reason in real.left_out.items()})
    try:
        with tempfile.TemporaryDirectory(prefix="deepmag-evaluate-") as kept:
            schedule = _Schedule(plan, weights, Path(kept), real, jobs, progress, stop)
            complete = schedule.run(found)
        _add_outcome(about, found, time.monotonic() - began)
        if not complete:
            numbers = _raw(found, about, complete=False) | _tables(found)
            return Outcome(False, [output.write_partial(folder, numbers)], len(found.clips), schedule.clips)
        progress("writing", schedule.total, schedule.total, 1.0)
        return Outcome(True, _publish(found, about, folder), len(found.clips), schedule.clips)
    except BaseException as error:
        _add_outcome(about, found, time.monotonic() - began)
        _keep(found, about, folder, error)
        raise


def _publish(found: _Findings, about: dict[str, Any], folder: Path) -> list[Path]:
    """Draw, judge and write all, then move it to its place at once."""
    numbers = _raw(found, about, complete=True) | _tables(found)
    staging = output.Staging(folder)
    try:
        captions = _draw(found, staging.path)
        judged = verdict.findings(
            *(numbers[name] for name in ("table1", "large", "table2", "fairness", "falls", "region_share"))
        )
        numbers["verdict"] = [asdict(finding) for finding in judged]
        numbers["figures"] = _figure_numbers(found)
        (staging.path / output.REPORT).write_text(report.markdown(numbers, judged, captions))
        output.write_json(staging.path / output.NUMBERS, numbers)
        return staging.publish()
    finally:
        staging.discard()


def _keep(found: _Findings, about: dict[str, Any], folder: Path, error: BaseException) -> None:
    """Write the clips that are done, without tables, which may be what failed; the error tells where they are."""
    if not found.clips and not any("measurement" in clip for clip in found.real.values()):
        return
    try:
        file = output.write_partial(folder, _raw(found, about, complete=False))
    except OSError as second:
        error.add_note(f"the numbers of the finished clips cannot be written: {second.strerror or second}")
    else:
        error.add_note(f"the numbers of the {len(found.clips)} finished clips are in {file}")


def _add_outcome(about: dict[str, Any], found: _Findings, seconds: float) -> None:
    """Add to the setup what is known of it only afterwards."""
    about["durations"] = {"total": seconds, "work": _work(found.clips)}
    about["matched_gain"] = found.factor
    about["strengths"] = {"matched": found.matched, "large": found.large}


class _Schedule:
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

    def run(self, found: _Findings) -> bool:
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

    def _run_in_order(self, found: _Findings) -> bool:
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

    def _submit(self, found: _Findings, jobs: Sequence[tuple[str, Job[Any]]]) -> None:
        for kind, job in jobs:
            if self._stop():
                raise StoppedError
            self._pending[self._crew.submit(job)] = (kind, job)
            self._take_ready(found, 0.0)  # with one process it is done already

    def _collect(self, found: _Findings, until_kind: str | None = None) -> None:
        """Take results until nothing is pending, or nothing of one kind."""
        while any(until_kind in (None, kind) for kind, _ in self._pending.values()):
            self._report(self._crew.done)
            self._take_ready(found, POLL)
            if self._stop():
                raise StoppedError

    def _take_ready(self, found: _Findings, timeout: float) -> None:
        """Take what is finished within ``timeout``, s. Raises what a job raised."""
        ready, _ = wait(self._pending, timeout=timeout, return_when=FIRST_COMPLETED)
        for future in ready:
            kind, job = self._pending.pop(future)
            self._take(found, kind, job, future.result())
            self._done += 1
            self._report(self._crew.done)

    def _take(self, found: _Findings, kind: str, job: Any, result: Any) -> None:
        if kind == "real":
            found.real[job.clip.name] = result
        elif kind == "study":
            found.studies = result
        else:
            found.clips.append(result)
            found.small = result.exhibits.pop("small", found.small)

    def _calibrate(self, found: _Findings) -> None:
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

    def _at_strengths(self, job: JudgeJob, found: _Findings) -> JudgeJob:
        return JudgeJob(
            job.plan, job.subject, job.task, tuple(found.matched.items()), tuple(found.large.items()), found.factor,
            job.weights, job.folder, job.shown,
        )  # fmt: skip

    def _report(self, work: float) -> None:
        self._progress(self._stage, self._done, self.total, min(1.0, work / self._cost))
        if self._stop():
            self._crew.stop()


def _raw(found: _Findings, about: dict[str, Any], *, complete: bool) -> dict[str, Any]:
    """What every evaluate.json has: nothing in it has been computed from several clips."""
    return {
        "complete": complete,
        "setup": about,
        "real": dict(sorted(found.real.items())),
        "clips": [
            {name: value for name, value in asdict(clip).items() if name != "exhibits"}
            for clip in _in_order(found.clips)
        ],
    }


def _tables(found: _Findings) -> dict[str, Any]:
    clips = _in_order(found.clips)
    return {
        "table1": tables.method_table(clips, "matched"),
        "large": tables.method_table(clips, "large"),
        "table2": tables.gamma_table(clips),
        "falls": tables.fall_table(clips),
        "region_share": tables.region_share(clips),
        "measurement": tables.measurement_table(clips),
        "fairness": tables.fairness_table(clips),
    }


def _in_order(clips: Sequence[ClipResult]) -> list[ClipResult]:
    """The same order however the processes finished."""
    return sorted(clips, key=lambda c: (c.task, c.subject.seed, c.phase))


def _draw(found: _Findings, path: Path) -> list[Caption]:
    shown = {clip.task: clip.exhibits for clip in found.clips if clip.exhibits}
    captions = []
    if "D" in shown:
        captions.append(figures.scan_lines(shown["D"], found.large, path))
    if "B" in shown:
        captions.append(figures.pixel_traces(shown["B"], path))
    if found.studies:
        captions.append(figures.learning_curves(found.studies["curves"], path))
        captions.append(figures.l1_norms(found.studies["norms"], path))
        captions.append(figures.correlation_maps(found.studies["maps"], found.studies["dark"], path))
    return captions


def _figure_numbers(found: _Findings) -> dict[str, Any]:
    """The numbers behind the figures, but for pictures."""
    numbers: dict[str, Any] = {}
    for clip in found.clips:
        if clip.task == "B" and clip.exhibits:
            numbers["7"] = {"rms_by_step": figures.trace_amplitudes(clip.exhibits)}
    if found.studies:
        studies = found.studies
        numbers["9"] = {times: list(losses) for times, losses in studies["curves"].items()}
        numbers["10"] = {
            name: {"skewness": figures.skewness(series), "series": list(series)}
            for name, series in studies["norms"].items()
        }
        numbers["11"] = {
            kind: {"negative": float((values < 0).mean()), "mean": float(values.mean())}
            for kind, values in studies["maps"].items()
        }
    return numbers


def _work(clips: Sequence[ClipResult]) -> dict[str, float]:
    """Seconds of processor time by stage, summed over clips."""
    total: dict[str, float] = {}
    for clip in clips:
        for stage, seconds in clip.seconds.items():
            total[stage] = total.get(stage, 0.0) + seconds
    return total
