"""One synthetic clip of somebody who breathes, one job: make it, run the methods on it, keep numbers and exhibits."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from deepmag.models.metrics.pulse import rms
from deepmag.models.synthetic.clip import SyntheticClip, make_clip
from deepmag.models.synthetic.motion import Task
from deepmag.stream.evaluation import store
from deepmag.stream.evaluation.plan import GAMMAS, Subject
from deepmag.stream.evaluation.respiration import exhibits
from deepmag.stream.evaluation.respiration.methods import METHODS, ascend, draw, magnify_live
from deepmag.stream.evaluation.respiration.plan import LARGE, REFERENCE_STRENGTH, SHOWN, BreathPlan
from deepmag.stream.evaluation.respiration.scores import CHEST, score_motion, score_picture, truth_of
from deepmag.stream.evaluation.scores import Scores
from deepmag.stream.evaluation.stopwatch import Stopwatch, Ticks
from deepmag.stream.evaluation.verdict import NOTHING
from deepmag.stream.evaluation.workers import tick

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from deepmag.stream.frames import MagnifiedFrame

Strengths = tuple[tuple[str, float | None], ...]

MAKE = 10.0  # units of work, about seconds of a quick run: to make a clip
RUN = 5.0  # to run a method and score it
PAPER_RUN = 20.0  # that of `paper`, N = 20 and its own pyramid


@dataclass
class BreathResult:
    """What one clip gave.

    phase: "reference" (each method at one strength, to find the others) or "judged". breaths: true rate, per minute.
    amplitude, head: RMS of the true motion of the chest and of the head, px. scores: by comparison and method. rate:
    what was shown of the rate. seconds: of processor time, by stage. exhibits: arrays for the figures.
    """

    subject: Subject
    task: Task
    phase: str
    breaths: float
    amplitude: float
    head: float
    scores: dict[str, dict[str, Scores]] = field(default_factory=dict)
    rate: Scores = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    exhibits: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class BreathReferenceJob:
    """A still person by every method: the live ones at gain 5, `paper` at its own step. folder: keeps the clip."""

    plan: BreathPlan
    subject: Subject
    weights: Path
    folder: Path

    @property
    def cost(self) -> float:
        """Work in all."""
        return MAKE + RUN * (len(METHODS) - 1) + PAPER_RUN

    def run(self) -> BreathResult:
        """Do it."""
        bench = _Bench(self.plan, self.subject, "A", self.weights, self.folder)
        result = bench.result("reference")
        scores = result.scores.setdefault("reference", {})
        for method in METHODS:
            if method == "paper":
                magnified = bench.paper(1.0)
                # what Table 1 says of it on this task: nothing has to be found for its own step
                picture = bench.scores(magnified, LARGE, to_true=False)
                scores[method] = picture
            else:
                magnified = bench.live(method, REFERENCE_STRENGTH)[:: self.plan.every]
                with bench.timed("score"):
                    scores[method] = score_motion(bench.truth, magnified, LARGE)
        with bench.timed("keep"):
            store.keep(self.folder, bench.name, bench.clip)
        return result


@dataclass(frozen=True)
class BreathJudgeJob:
    """All methods on one clip: at equal visible magnification, at a large one, and `paper` at several steps.

    matched, large: strengths by method, None for one that does not magnify; of `paper`, times its own step. factor:
    true magnification that ``matched`` stands for. shown: whether the figures of its task show this clip.
    """

    plan: BreathPlan
    subject: Subject
    task: Task
    matched: Strengths
    large: Strengths
    factor: float
    weights: Path
    folder: Path
    shown: bool = False

    @property
    def cost(self) -> float:
        """Work in all."""
        papers = (self.task != "A") + self.plan.large_paper + len(self._steps)
        return MAKE + RUN * 2 * (len(METHODS) - 1) + PAPER_RUN * papers

    @property
    def _steps(self) -> tuple[float, ...]:
        """Of Table 2, but for the paper's own."""
        return tuple(times for times in GAMMAS if times != 1.0) if self.task == "C" else ()

    def run(self) -> BreathResult:
        """Do it."""
        bench = _Bench(self.plan, self.subject, self.task, self.weights, self.folder)
        result = bench.result("judged")
        scan = self.shown and self.task == "B"
        if scan:
            result.exhibits["frame"] = bench.clip.video[0].copy()
            bench.show(result, "original", bench.clip.video)
        for method, strength in self.matched:
            if strength is None:
                continue
            if method == "paper":
                if self.task != "A":
                    self._paper(bench, result, 1.0)
                continue
            magnified = bench.live(method, strength, result if method == SHOWN else None)
            found = bench.scores(magnified[:: self.plan.every], self.factor, to_true=False)
            result.scores.setdefault("matched", {})[method] = found
        large = result.scores.setdefault("large", {})
        for method, strength in self.large:
            if strength is None or (method == "paper" and not self.plan.large_paper):
                continue
            if method == "paper":
                large[method] = bench.scores(bench.paper(strength), LARGE, to_true=True)
                continue
            magnified = bench.live(method, strength)
            large[method] = bench.scores(magnified[:: self.plan.every], LARGE, to_true=True)
            if scan:
                bench.show(result, method, magnified)
        if scan and bench.clip.ideal is not None:
            bench.show(result, "ideal", bench.clip.ideal)
        with bench.timed("score"):
            floor = score_picture(bench.truth, bench.truth.before, to_true=True)
        large[NOTHING] = floor | {"residual": 1.0}
        for times in self._steps:
            self._paper(bench, result, times)
        return result

    def _paper(self, bench: _Bench, result: BreathResult, times: float) -> None:
        """Eq. 4 at a multiple of its step: numbers for Table 1 and 2, and what is seen of it."""
        path = bench.ascend(times)
        everything = self.shown and self.task == "B"
        magnified = bench.draw(path, 1 if everything else self.plan.every)
        found = bench.scores(
            magnified[:: self.plan.every] if everything else magnified, self.factor, to_true=False
        )
        if times == 1.0:
            result.scores.setdefault("matched", {})["paper"] = found
        if self.task == "C":
            result.scores.setdefault("gamma", {})[f"{times:g}"] = found
        if everything:
            bench.show(result, "paper", magnified)
        if self.shown and self.task == "C":
            with bench.timed("exhibits"):
                steps = exhibits.phase_steps(bench.clip.video, self.plan.rate)
                cell = exhibits.breathing_cell(steps, CHEST)
                original = exhibits.original_phase(steps, cell)
                result.exhibits["cell"] = np.array(cell)
                result.exhibits["phase original"] = original
                added = exhibits.added_phase(path, cell, len(original))
                result.exhibits[f"phase {times:g}"] = original + added


class _Bench(Stopwatch):
    """One clip on the table, with its truth and a stopwatch."""

    def __init__(self, plan: BreathPlan, subject: Subject, task: Task, weights: Path, folder: Path) -> None:
        self.plan, self.subject, self.task = plan, subject, task
        self.name = f"breath-{subject.seed}-{task}"
        super().__init__()
        self._ascender = opened(weights, plan.iterations)
        with self.timed("make"):
            kept = store.recall(folder, self.name)
            if kept is not None:
                tick(MAKE)
            self.clip: SyntheticClip = kept or self._make()
        with self.timed("score"):
            self.truth = truth_of(self.clip, plan.every)

    def _make(self) -> SyntheticClip:
        return make_clip(
            self.task,
            seed=self.subject.seed,
            seconds=self.plan.seconds,
            rate=self.plan.rate,
            size=self.plan.size,
            melanin=self.subject.melanin,
            breath_factor=LARGE,
            # the same in A and D: by how much a picture changes depends on what is behind
            wall=self.subject.seed if self.task in ("A", "D") else None,
            progress=Ticks(MAKE).of,
        )

    def result(self, phase: str) -> BreathResult:
        """A result of this clip without scores; its seconds go on counting."""
        head = rms(self.truth.head)
        return BreathResult(
            self.subject,
            self.task,
            phase,
            self.clip.breaths,
            self.truth.amplitude,
            head,
            seconds=self.seconds,
        )

    def live(self, method: str, strength: float, result: BreathResult | None = None) -> NDArray[np.uint8]:
        """Run a live method. result: where to keep the rates that were shown meanwhile."""
        rates: list[float | None] = []

        def look(magnified: MagnifiedFrame) -> None:
            if magnified.respiration is not None:
                rates.append(magnified.respiration.reading.rate)

        with self.timed(method):
            done = magnify_live(
                method, self.clip.video, self.plan.rate, strength,
                ascender=self._ascender, progress=Ticks(RUN).to, look=look,
            )  # fmt: skip
        if result is not None:
            shown = [abs(rate - self.clip.breaths) for rate in rates if rate is not None]
            result.rate = {
                "shown": len(shown) / max(len(rates), 1),
                "error": float(np.mean(shown)) if shown else float("nan"),
            }
        return done

    def ascend(self, times: float) -> Any:
        """What Eq. 4 adds at ``times`` its own step."""
        with self.timed("paper"):
            return ascend(
                self.clip.video, self.plan.rate, times,
                ascender=self._ascender, progress=Ticks(PAPER_RUN).to,
            )  # fmt: skip

    def draw(self, path: Any, every: int) -> NDArray[np.uint8]:
        """Every so many frames of the clip with its phases turned."""
        with self.timed("paper"):
            return draw(self.clip.video[::every], self.plan.rate / every, path)

    def paper(self, times: float) -> NDArray[np.uint8]:
        """The frames that are judged, by Eq. 4 at ``times`` its own step."""
        return self.draw(self.ascend(times), self.plan.every)

    def scores(self, magnified: NDArray[np.uint8], factor: float, *, to_true: bool) -> Scores:
        """All scores of the judged frames of a magnified clip."""
        with self.timed("score"):
            picture = score_picture(self.truth, magnified, to_true=to_true)
            return picture | score_motion(self.truth, magnified, factor)

    def show(self, result: BreathResult, name: str, video: NDArray[np.uint8]) -> None:
        """Keep a scan line."""
        result.exhibits[f"scan {name}"] = exhibits.shoulder_scan(video)


@lru_cache(maxsize=1)
def opened(weights: Path, iterations: int) -> Any:
    """The network on one thread: the cores are busy with other clips. Opened once in each process."""
    import torch

    from deepmag.export.respiration import open_respiration_ascender

    torch.set_num_threads(1)
    return open_respiration_ascender(weights, "cpu", iterations)
