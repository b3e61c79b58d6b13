"""What the half of respiration adds to a report: numbers, figures, verdict."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from deepmag.export.respiration import open_respiration_ascender
from deepmag.stream.evaluation import tables
from deepmag.stream.evaluation.pulse_half import numbers_only
from deepmag.stream.evaluation.respiration import figures, verdict
from deepmag.stream.evaluation.respiration.course import BreathCourse
from deepmag.stream.evaluation.setup import respiration_setup

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from deepmag.stream.evaluation.figures import Caption
    from deepmag.stream.evaluation.real_clip import RealClips
    from deepmag.stream.evaluation.respiration.jobs import BreathResult
    from deepmag.stream.evaluation.respiration.plan import BreathPlan
    from deepmag.stream.evaluation.verdict import Finding


class BreathHalf:
    """Implements ``run.Half``."""

    def __init__(self, plan: BreathPlan, weights: Path, kept: Path, real: RealClips) -> None:
        """Raises OSError where the weights cannot be read, ValueError where they are others."""
        self._plan = plan
        self._about = respiration_setup(plan, weights)
        # opened here only to see that they are the network's: the jobs would say so after the first clip is made
        open_respiration_ascender(weights, "cpu")
        self.course = BreathCourse(plan, weights, kept, real.breathing)

    @property
    def clips(self) -> Sequence[BreathResult]:
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
            "truth": {
                task: {
                    "breaths": tables.summary(clip.breaths for clip in here),
                    "amplitude": tables.summary(clip.amplitude for clip in here),
                    "head": tables.summary(clip.head for clip in here),
                    "shown": tables.summary(clip.rate.get("shown", float("nan")) for clip in here),
                    "error": tables.summary(clip.rate.get("error", float("nan")) for clip in here),
                }
                for task in self._plan.tasks
                if (here := [clip for clip in clips if clip.task == task and clip.phase == "judged"])
            },
        }

    def verdict(self, numbers: dict[str, Any]) -> list[Finding]:
        """numbers: of `tables`."""
        return verdict.findings(numbers["table1"], numbers["large"], numbers["table2"], numbers["falls"])

    def draw(self, path: Path) -> list[Caption]:
        """All figures for which there is something to show."""
        shown = {clip.task: clip.exhibits for clip in self.clips if clip.exhibits}
        found = self.course.found
        captions = []
        if "B" in shown:
            settings = {
                method: f"gain {strength:.1f}"
                for method, strength in found.large.items()
                if strength is not None and method != "paper"
            }
            captions.append(figures.shoulder_scans(shown["B"], self._plan.seconds, settings, path))
        if "C" in shown:
            captions.append(figures.phase_traces(shown["C"], path))
        if found.studies:
            captions.append(figures.correlation_maps(found.studies["maps"], found.studies["faint"], path))
        real = {name: entry["exhibits"] for name, entry in sorted(found.real.items()) if "exhibits" in entry}
        if real:
            captions.append(figures.real_scans(real, path))
        return captions

    def figure_numbers(self) -> dict[str, Any]:
        """The numbers behind the figures, but for pictures."""
        numbers: dict[str, Any] = {}
        for clip in self.clips:
            if clip.task == "C" and clip.exhibits:
                numbers["8"] = {"rms": figures.trace_sizes(clip.exhibits)}
        if self.course.found.studies:
            maps, faint = (self.course.found.studies[name] for name in ("maps", "faint"))
            numbers["11"] = {
                kind: {"negative": float((values[~faint] < 0).mean()), "mean": float(values[~faint].mean())}
                for kind, values in maps.items()
            }
        return numbers
