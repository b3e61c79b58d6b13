"""The evaluation from start to end: jobs in the right order, then tables, figures and the report."""

from __future__ import annotations

import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deepmag.export.runtime import open_ascender
from deepmag.stream.evaluation import figures, output, report, tables, verdict
from deepmag.stream.evaluation.real_clip import RealClips
from deepmag.stream.evaluation.schedule import Findings, Schedule
from deepmag.stream.evaluation.setup import setup

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from deepmag.stream.evaluation.clip_jobs import ClipResult
    from deepmag.stream.evaluation.figures import Caption
    from deepmag.stream.evaluation.plan import Plan


@dataclass
class Outcome:
    """What was written. complete: whether the person waited for all of it. clips, of: done and planned."""

    complete: bool
    files: list[Path]
    clips: int
    of: int


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
    found = Findings(real={name: {"left_out": reason} for name, reason in real.left_out.items()})
    try:
        with tempfile.TemporaryDirectory(prefix="deepmag-evaluate-") as kept:
            schedule = Schedule(plan, weights, Path(kept), real, jobs, progress, stop)
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


def _publish(found: Findings, about: dict[str, Any], folder: Path) -> list[Path]:
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


def _keep(found: Findings, about: dict[str, Any], folder: Path, error: BaseException) -> None:
    """Write the clips that are done, without tables, which may be what failed; the error tells where they are."""
    if not found.clips and not any("measurement" in clip for clip in found.real.values()):
        return
    try:
        file = output.write_partial(folder, _raw(found, about, complete=False))
    except OSError as second:
        error.add_note(f"the numbers of the finished clips cannot be written: {second.strerror or second}")
    else:
        error.add_note(f"the numbers of the {len(found.clips)} finished clips are in {file}")


def _add_outcome(about: dict[str, Any], found: Findings, seconds: float) -> None:
    """Add to the setup what is known of it only afterwards."""
    about["durations"] = {"total": seconds, "work": _work(found.clips)}
    about["matched_gain"] = found.factor
    about["strengths"] = {"matched": found.matched, "large": found.large}


def _raw(found: Findings, about: dict[str, Any], *, complete: bool) -> dict[str, Any]:
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


def _tables(found: Findings) -> dict[str, Any]:
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


def _draw(found: Findings, path: Path) -> list[Caption]:
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


def _figure_numbers(found: Findings) -> dict[str, Any]:
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
