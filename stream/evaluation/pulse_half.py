"""What the half of the pulse adds to a report: numbers, figures, verdict."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from deepmag.export.runtime import open_ascender
from deepmag.stream.evaluation import figures, tables, verdict
from deepmag.stream.evaluation.pulse_course import PulseCourse
from deepmag.stream.evaluation.setup import pulse_setup

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from deepmag.stream.evaluation.clip_jobs import ClipResult
    from deepmag.stream.evaluation.figures import Caption
    from deepmag.stream.evaluation.plan import Plan
    from deepmag.stream.evaluation.real_clip import RealClips
    from deepmag.stream.evaluation.verdict import Finding


class PulseHalf:
    """Implements ``run.Half``."""

    def __init__(self, plan: Plan, weights: Path, kept: Path, real: RealClips) -> None:
        """Raises OSError where the weights cannot be read, ValueError where they are others."""
        self._about = pulse_setup(plan, weights)
        # opened here only to see that they are the network's: the jobs would say so after the first clip is made
        open_ascender(weights, device="cpu", threads=1)
        self.course = PulseCourse(plan, weights, kept, real)

    @property
    def clips(self) -> Sequence[ClipResult]:
        """The same order however the processes finished."""
        return sorted(self.course.found.clips, key=lambda c: (c.task, c.subject.seed, c.phase))

    def raw(self) -> dict[str, Any]:
        """Nothing in it has been computed from several clips."""
        found = self.course.found
        return {
            "setup": self._about
            | {"matched_gain": found.factor, "strengths": {"matched": found.matched, "large": found.large}},
            "real": {name: numbers_only(entry) for name, entry in sorted(found.real.items())},
            "clips": [numbers_only(asdict(clip)) for clip in self.clips],
        }

    def tables(self) -> dict[str, Any]:
        """From clips to tables."""
        clips = self.clips
        return {
            "table1": tables.method_table(clips, "matched"),
            "large": tables.method_table(clips, "large"),
            "table2": tables.gamma_table(clips),
            "falls": tables.fall_table(clips),
            "region_share": tables.region_share(clips),
            "measurement": tables.measurement_table(clips),
            "fairness": tables.fairness_table(clips),
        }

    def verdict(self, numbers: dict[str, Any]) -> list[Finding]:
        """numbers: of `tables`."""
        names = ("table1", "large", "table2", "fairness", "falls", "region_share")
        return verdict.findings(*(numbers[name] for name in names))

    def draw(self, path: Path) -> list[Caption]:
        """All figures for which there is something to show."""
        found = self.course.found
        shown = {clip.task: clip.exhibits for clip in self.clips if clip.exhibits}
        captions = []
        if "D" in shown:
            captions.append(figures.scan_lines(shown["D"], found.large, path))
        if "B" in shown:
            captions.append(figures.pixel_traces(shown["B"], path))
        if found.studies:
            captions.append(figures.learning_curves(found.studies["curves"], path))
            captions.append(figures.l1_norms(found.studies["norms"], path))
            captions.append(figures.correlation_maps(found.studies["maps"], found.studies["dark"], path))
        real = {name: entry["exhibits"] for name, entry in sorted(found.real.items()) if "exhibits" in entry}
        if real:
            captions.append(figures.real_faces(real, path))
        return captions

    def figure_numbers(self) -> dict[str, Any]:
        """The numbers behind the figures, but for pictures."""
        numbers: dict[str, Any] = {}
        for clip in self.clips:
            if clip.task == "B" and clip.exhibits:
                numbers["7"] = {"rms_by_step": figures.trace_amplitudes(clip.exhibits)}
        studies = self.course.found.studies
        if studies:
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


def numbers_only(entry: dict[str, Any]) -> dict[str, Any]:
    """An entry without what only figures show."""
    return {name: value for name, value in entry.items() if name != "exhibits"}
