"""One synthetic clip, one job: make it, run the methods on it, keep the numbers and what the figures show."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from deepmag.models.synthetic.clip import SyntheticClip, make_clip
from deepmag.models.synthetic.motion import Task
from deepmag.stream.evaluation import exhibits, store
from deepmag.stream.evaluation.measurement import Measured, measure, reduce_clip, true_rate
from deepmag.stream.evaluation.methods import LINEAR, OFFLINE, PAPER_STRENGTH, MultipliedStep, magnify_clip
from deepmag.stream.evaluation.plan import (
    FAIR_METHOD,
    GAMMAS,
    LARGE,
    RATE,
    REFERENCE_STRENGTH,
    Plan,
    Subject,
)
from deepmag.stream.evaluation.remembered import RememberingAscender
from deepmag.stream.evaluation.scores import Scores, Truth, score_picture, score_pulse, truth_of
from deepmag.stream.evaluation.stopwatch import Stopwatch, Ticks
from deepmag.stream.evaluation.verdict import NOTHING
from deepmag.stream.evaluation.workers import tick
from deepmag.stream.roi import clamp_box

if TYPE_CHECKING:
    from numpy.typing import NDArray

MAKE = 15.0  # units of work, about seconds of a quick run: to make a clip
RUN = 2.0  # to run a method and score it
PAPER_RUN = 12.0  # more, the first time that `paper` runs at a step: N = 20


@dataclass
class ClipResult:
    """What one clip gave.

    phase: "reference" (each method at gain 10, to find the strengths) or "judged". amplitude: RMS of the pulse in the
    skin's green, grey levels; relative: the same as a share of that green. scores: by comparison and method. seconds:
    of processor time, by stage. exhibits: arrays for the figures; not written to evaluate.json. region_share: of the
    picture that the region takes.
    """

    subject: Subject
    task: Task
    phase: str
    bpm: float
    amplitude: float
    relative: float
    scores: dict[str, dict[str, Scores]]
    measurement: Measured
    seconds: dict[str, float] = field(default_factory=dict)
    exhibits: dict[str, Any] = field(default_factory=dict)
    region_share: float = float("nan")


@dataclass(frozen=True)
class ReferenceJob:
    """Each of ``methods`` at gain 10 on one clip: how coherently it magnifies, and how well the rate is measured.

    The clip is left in ``folder`` for a later look, where it fits. reduced: whether to hand back its reduced frames.
    """

    plan: Plan
    subject: Subject
    task: Task
    methods: tuple[str, ...]
    weights: Path
    folder: Path | None = None
    reduced: bool = False

    @property
    def cost(self) -> float:
        """Work in all."""
        return MAKE + RUN * len(self.methods) + (PAPER_RUN if "paper" in self.methods else 0.0)

    def run(self) -> ClipResult:
        """Do it."""
        bench = _Bench(self.plan, self.subject, self.task, self.weights, self.folder)
        result = bench.result("reference")
        with bench.timed("measure"):
            small = reduce_clip(bench.clip.video, bench.clip.region)
            result.measurement = measure(bench.ascender, small, bench.truth.colour, RATE, bench.bpm)
        for method in self.methods:
            magnified = bench.magnify(method, REFERENCE_STRENGTH)
            with bench.timed("score"):
                scores = score_pulse(bench.clip, bench.truth, magnified, REFERENCE_STRENGTH)
            result.scores.setdefault("reference", {})[method] = scores
        if self.reduced:
            result.exhibits["small"] = small
        if self.folder is not None:
            with bench.timed("keep"):
                store.keep(self.folder, bench.name, bench.clip)
        return result


@dataclass(frozen=True)
class JudgeJob:
    """All methods on one clip: at equal visible magnification, at a large one, and `paper` at several steps.

    matched, large: strengths by method, None for one that does not magnify. factor: true magnification that
    ``matched`` stands for. shown: whether this clip is the one that the figures of its task show.
    """

    plan: Plan
    subject: Subject
    task: Task
    matched: tuple[tuple[str, float | None], ...]
    large: tuple[tuple[str, float | None], ...]
    factor: float
    weights: Path
    folder: Path | None = None
    shown: bool = False

    @property
    def cost(self) -> float:
        """Work in all."""
        offline = sum(RUN + _ascent_cost(method) for method in OFFLINE) if self.plan.offline else 0.0
        runs = len(self.matched) + len(self.large) + self._gammas + int(self._fair)
        ascents = max(1, self._gammas)  # one of the steps is the paper's own, which Table 1 has too
        return MAKE + PAPER_RUN * ascents + RUN * runs + offline

    @property
    def _gammas(self) -> int:
        return len(GAMMAS) if self.task == "C" or (self.shown and self.task == "B") else 0

    @property
    def _fair(self) -> bool:
        return self.task in self.plan.fair_tasks and self.task != "A"

    def run(self) -> ClipResult:
        """Do it."""
        bench = _Bench(self.plan, self.subject, self.task, self.weights, self.folder)
        result = bench.result("judged")
        if self.task != "A":  # a still person's is measured with the reference
            with bench.timed("measure"):
                small = reduce_clip(bench.clip.video, bench.clip.region)
                result.measurement = measure(bench.ascender, small, bench.truth.colour, RATE, bench.bpm)
        if self._fair:
            magnified = bench.magnify(FAIR_METHOD, REFERENCE_STRENGTH)
            scores = score_pulse(bench.clip, bench.truth, magnified, REFERENCE_STRENGTH)
            result.scores["reference"] = {FAIR_METHOD: scores}
        shown = exhibits.Exhibits(bench.clip, self.task) if self.shown else None
        matched = {method: strength for method, strength in self.matched if strength is not None}
        if self.plan.offline:
            live = {f"{method}-offline": strength for method, strength in matched.items()}
            matched |= {name: live[name] for name in OFFLINE if name in live}
        for method, strength in matched.items():
            magnified = bench.magnify(method, strength)
            result.scores.setdefault("matched", {})[method] = bench.scores(magnified, self.factor)
        large = result.scores.setdefault("large", {})
        for method, wanted in self.large:
            if wanted is None:
                continue
            magnified = bench.magnify(method, wanted)
            large[method] = bench.scores(magnified, LARGE)
            if shown is not None:
                shown.scan(method, magnified, large[method]["gain"])
        with bench.timed("score"):
            floor = score_picture(bench.clip, bench.clip.video, LARGE, self.plan.ssim_every, tick)
        large[NOTHING] = floor | {"residual": 1.0}
        for times in GAMMAS if self._gammas else ():
            magnified = bench.magnify("paper", PAPER_STRENGTH, step=times)
            if self.task == "C":
                result.scores.setdefault("gamma", {})[f"{times:g}"] = bench.scores(magnified, self.factor)
            if shown is not None:
                shown.trace(times, magnified)
        if shown is not None:
            result.exhibits |= shown.arrays
        return result


class _Bench(Stopwatch):
    """One clip on the table, with its truth, a stopwatch and an ascender that knows what it has seen."""

    def __init__(self, plan: Plan, subject: Subject, task: Task, weights: Path, folder: Path | None) -> None:
        self.plan, self.subject, self.task = plan, subject, task
        self.name = f"{subject.seed}-{task}"
        super().__init__()
        self.ascender = RememberingAscender(_ascender(weights, plan.iterations))
        self._steps: set[float] = set()  # of `paper`, that have been run
        with self.timed("make"):
            kept = store.recall(folder, self.name) if folder is not None else None
            if kept is not None:
                tick(MAKE)
            self.clip: SyntheticClip = kept or self._make()
        with self.timed("score"):
            self.truth: Truth = truth_of(self.clip)

    def _make(self) -> SyntheticClip:
        return make_clip(
            self.task,
            seed=self.subject.seed,
            seconds=self.plan.seconds,
            rate=RATE,
            size=self.plan.size,
            melanin=self.subject.melanin,
            factor=LARGE,
            progress=Ticks(MAKE).of,
        )

    @property
    def bpm(self) -> float:
        """What the pulse's rate should be read as."""
        return true_rate(self.clip.blood, RATE)

    def result(self, phase: str) -> ClipResult:
        """A result of this clip without scores; its seconds go on counting."""
        return ClipResult(
            self.subject,
            self.task,
            phase,
            self.clip.bpm,
            self.truth.amplitude,
            self.truth.relative,
            {},
            {},
            self.seconds,
            region_share=float(
                np.prod(clamp_box(self.clip.region, self.plan.size)[2:]) / np.prod(self.plan.size)
            ),
        )

    def magnify(self, method: str, strength: float, step: float = 1.0) -> NDArray[np.uint8]:
        """Run a method on the clip. step: of `paper`, times the paper's own."""
        again = method == "paper" and step in self._steps
        if method == "paper":
            self._steps.add(step)
        cost = RUN + (0.0 if again else _ascent_cost(method))
        with self.timed(method):
            return magnify_clip(
                method,
                self.clip.video,
                RATE,
                self.clip.region,
                strength,
                ascender=self.ascender if step == 1.0 else MultipliedStep(self.ascender, step),
                progress=Ticks(cost).to,
            )

    def scores(self, magnified: NDArray[np.uint8], factor: float) -> Scores:
        """All scores of a magnified clip."""
        with self.timed("score"):
            picture = score_picture(self.clip, magnified, factor, self.plan.ssim_every, tick)
            return picture | score_pulse(self.clip, self.truth, magnified, factor)


def _ascent_cost(method: str) -> float:
    """Work of a method's ascents, where they are many."""
    if method.removesuffix("-offline") in LINEAR or method == "steady":
        return 0.0
    return PAPER_RUN


@lru_cache(maxsize=1)
def _ascender(weights: Path, iterations: int) -> Any:
    """One thread: the cores are busy with other clips. Opened once in each process."""
    from deepmag.export.runtime import open_ascender

    return open_ascender(weights, device="cpu", threads=1, paper_iterations=iterations)
