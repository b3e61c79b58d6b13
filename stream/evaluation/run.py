"""The evaluation from start to end: jobs in the right order, then tables, figures and the report."""

from __future__ import annotations

import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from deepmag.models.weights import PULSE, RESPIRATION
from deepmag.stream.evaluation import output, report
from deepmag.stream.evaluation.pulse_half import PulseHalf
from deepmag.stream.evaluation.real_clip import RealClips
from deepmag.stream.evaluation.respiration.half import BreathHalf
from deepmag.stream.evaluation.schedule import Course, Schedule
from deepmag.stream.evaluation.setup import setup

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from deepmag.stream.evaluation.figures import Caption
    from deepmag.stream.evaluation.plan import Plan
    from deepmag.stream.evaluation.respiration.plan import BreathPlan
    from deepmag.stream.evaluation.verdict import Finding


FIRST = "pulse"  # the half whose numbers are not in a part of their own


@dataclass
class Outcome:
    """What was written. complete: whether the person waited for all of it. clips, of: done and planned."""

    complete: bool
    files: list[Path]
    clips: int
    of: int


class Judged(Protocol):
    """One finished clip. seconds: of processor time by stage."""

    seconds: dict[str, float]


class CountedCourse(Course, Protocol):
    """A course that knows how many synthetic clips it looks at."""

    clips: int


class Half(Protocol):
    """One signal's part of an evaluation."""

    @property
    def course(self) -> CountedCourse:
        """Its jobs."""
        ...

    @property
    def clips(self) -> Sequence[Judged]:
        """Finished clips, in order."""
        ...

    def raw(self) -> dict[str, Any]:
        """Numbers of single clips: nothing in it has been computed from several."""
        ...

    def tables(self) -> dict[str, Any]:
        """Tables by name, of whatever is there."""
        ...

    def verdict(self, numbers: dict[str, Any]) -> list[Finding]:
        """Judge the tables."""
        ...

    def draw(self, path: Path) -> list[Caption]:
        """Draw figures into a folder."""
        ...

    def figure_numbers(self) -> dict[str, Any]:
        """Numbers behind the figures, by the figure's number."""
        ...


def evaluate(
    plan: Plan | None,
    folder: Path,
    weights: Path = PULSE,
    *,
    breath: BreathPlan | None = None,
    breath_weights: Path = RESPIRATION,
    jobs: int,
    real: RealClips | None = None,
    progress: Callable[[str, int, int, float], None] = lambda _stage, _done, _of, _share: None,
    stop: Callable[[], bool] = lambda: False,
) -> Outcome:
    """Run the plans and write report, figures and numbers to ``folder``.

    plan, weights: of the pulse; breath, breath_weights: of respiration; no plan, no such half. progress: called with
    the stage, jobs done, jobs in all, and the share of all work done. stop: asked often; once true, the numbers of the
    finished clips are written, marked as incomplete. They are written too where something fails; the exception then has
    a note that names the file. Raises ValueError where the folder cannot be written to or the weights not read.
    """
    real = real or RealClips((), {})
    output.prepare(folder)
    with tempfile.TemporaryDirectory(prefix="deepmag-evaluate-") as kept:
        halves = _halves(plan, weights, breath, breath_weights, Path(kept), real)
        about = setup(jobs)
        planned = sum(half.course.clips for half in halves.values())
        began = time.monotonic()
        try:
            schedule = Schedule([half.course for half in halves.values()], jobs, progress, stop)
            complete = schedule.run()
            _add_durations(about, halves.values(), time.monotonic() - began)
            done = sum(len(half.clips) for half in halves.values())
            if not complete:
                numbers = _numbers(halves, about, complete=False)
                return Outcome(False, [output.write_partial(folder, numbers)], done, planned)
            progress("writing", schedule.total, schedule.total, 1.0)
            return Outcome(True, _publish(halves, about, folder), done, planned)
        except BaseException as error:
            _add_durations(about, halves.values(), time.monotonic() - began)
            _keep(halves, about, folder, error)
            raise


def _halves(
    plan: Plan | None,
    weights: Path,
    breath: BreathPlan | None,
    breath_weights: Path,
    kept: Path,
    real: RealClips,
) -> dict[str, Half]:
    halves: dict[str, Half] = {}
    file = weights
    try:
        if plan is not None:
            halves["pulse"] = PulseHalf(plan, weights, kept, real)
        file = breath_weights
        if breath is not None:
            halves["respiration"] = BreathHalf(breath, breath_weights, kept, real)
    except OSError as error:
        raise ValueError(f"cannot read the weights {file}: {error.strerror or error}") from None
    if not halves:
        raise ValueError("there is nothing to evaluate")
    return halves


def _publish(halves: Mapping[str, Half], about: dict[str, Any], folder: Path) -> list[Path]:
    """Draw, judge and write all, then move it to its place at once."""
    numbers = _numbers(halves, about, complete=True)
    staging = output.Staging(folder)
    try:
        captions = [caption for half in halves.values() for caption in half.draw(staging.path)]
        parts = {name: numbers if name == FIRST else numbers[name] for name in halves}
        judged = [finding for name, half in halves.items() for finding in half.verdict(parts[name])]
        numbers["verdict"] = [asdict(finding) for finding in judged]
        for name, half in halves.items():
            parts[name]["figures"] = half.figure_numbers()
        (staging.path / output.REPORT).write_text(report.markdown(numbers, judged, captions))
        output.write_json(staging.path / output.NUMBERS, numbers)
        return staging.publish()
    finally:
        staging.discard()


def _keep(halves: Mapping[str, Half], about: dict[str, Any], folder: Path, error: BaseException) -> None:
    """Write the clips that are done, without tables, which may be what failed; the error tells where they are."""
    done = sum(len(half.clips) for half in halves.values())
    real = (clip for half in halves.values() for clip in half.raw()["real"].values())
    if not done and not any({"measurement", "scores"} & clip.keys() for clip in real):
        return
    try:
        file = output.write_partial(folder, _numbers(halves, about, complete=False, tables=False))
    except OSError as second:
        error.add_note(f"the numbers of the finished clips cannot be written: {second.strerror or second}")
    else:
        error.add_note(f"the numbers of the {done} finished clips are in {file}")


def _numbers(
    halves: Mapping[str, Half], about: dict[str, Any], *, complete: bool, tables: bool = True
) -> dict[str, Any]:
    """What evaluate.json has: of each half its clips, and its tables where asked for; those of the pulse on top."""
    numbers: dict[str, Any] = {"complete": complete}
    parts = {name: half.raw() | (half.tables() if tables else {}) for name, half in halves.items()}
    first = parts.pop(FIRST, {})
    return numbers | first | {"setup": first.get("setup", {}) | about} | parts


def _add_durations(about: dict[str, Any], halves: Iterable[Half], seconds: float) -> None:
    """Add to the setup what is known of it only afterwards: s in all, and of processor time by stage."""
    work: dict[str, float] = {}
    for half in halves:
        for clip in half.clips:
            for stage, spent in clip.seconds.items():
                work[stage] = work.get(stage, 0.0) + spent
    about["durations"] = {"total": seconds, "work": work}
