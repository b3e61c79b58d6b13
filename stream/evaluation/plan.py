"""What an evaluation looks at: which people, which tasks, how long, how large, and what each clip's work costs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from deepmag.models.step_size import PAPER_ITERATIONS
from deepmag.models.synthetic.motion import Task

Tone = Literal["I-II", "III-IV", "V-VI"]

TASKS: tuple[Task, ...] = ("A", "B", "C", "D")
# Melanin of each pair of Fitzpatrick's types (models/synthetic/skin.py tells the type from it): middle, and spread.
TONES: dict[Tone, tuple[float, float]] = {"I-II": (0.14, 0.12), "III-IV": (0.38, 0.06), "V-VI": (0.74, 0.24)}
RATE = 30.0  # Hz
EDGE = 1.0  # s at each end of a clip that is not judged: filters start there
LARGE = 10.0  # times: the second comparison's magnification
REFERENCE_STRENGTH = 10.0  # gain at which each method's share of coherent magnification is measured
FAIR_METHOD = "steady"  # the default of the live view: what people of all skins will meet
GAMMAS = (0.5, 1.0, 2.0, 4.0)  # times the paper's step, its Table 2


@dataclass(frozen=True, slots=True)
class Subject:
    """One synthetic person, the same in all tasks. seed: of everything about the person."""

    seed: int
    melanin: float
    tone: Tone

    @property
    def name(self) -> str:
        """For tables and logs."""
        return f"{self.seed} ({self.tone})"


@dataclass(frozen=True, slots=True)
class Plan:
    """One evaluation.

    size: (width, height), px. seconds: of a clip. subjects: who does all tasks. more: further people for fairness,
    who do ``fair_tasks`` only. ssim_every: frames; neighbours are too alike for each of them to add to a mean.
    offline: whether all methods are also run on whole clips. iterations: N of `paper`.
    """

    seed: int
    quick: bool
    size: tuple[int, int]
    seconds: float
    subjects: tuple[Subject, ...]
    more: tuple[Subject, ...]
    fair_tasks: tuple[Task, ...]
    ssim_every: int
    offline: bool
    tasks: tuple[Task, ...] = TASKS
    iterations: int = PAPER_ITERATIONS

    @property
    def frames(self) -> int:
        """Of one clip."""
        return round(self.seconds * RATE)


def quick_plan(seed: int = 1) -> Plan:
    """One person of each pair of skin types and two more for fairness, 10 s each: 10 minutes at most on two cores."""
    return Plan(seed, True, (320, 240), 10.0, people(seed, 1), people(seed, 2, 100), ("A",), 5, offline=False)


def full_plan(seed: int = 1) -> Plan:
    """Two people of each pair of skin types and two more for fairness, 15 s each at 640x480."""
    return Plan(
        seed, False, (640, 480), 15.0, people(seed, 2), people(seed, 2, 100), ("A", "B"), 5, offline=True
    )


def people(seed: int, each: int, first: int = 0) -> tuple[Subject, ...]:
    """``each`` people of every pair of skin types, drawn by ``seed``; ``first``: number of the first one."""
    found = []
    for number in range(each):
        for index, (tone, (middle, spread)) in enumerate(TONES.items()):
            own = 1000 * seed + first + number * len(TONES) + index
            found.append(
                Subject(own, float(middle + spread * np.random.default_rng(own).uniform(-1, 1)), tone)
            )
    return tuple(found)
