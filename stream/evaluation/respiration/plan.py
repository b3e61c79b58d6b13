"""What the half of respiration looks at. Its people are of the pulse's half, so that both can be read together."""

from __future__ import annotations

from dataclasses import dataclass

from deepmag.models.step_size import PAPER_ITERATIONS
from deepmag.models.synthetic.motion import Task
from deepmag.stream.evaluation.plan import TASKS, Subject, people

LARGE = 5.0  # times: the second comparison's magnification, and that of the true video
REFERENCE_STRENGTH = 5.0  # gain at which each live method's share of true magnification is measured
# s of a clip that are not judged: before it has seen a breath, no live method knows one
START, END = 5.0, 1.0
LAG = 2.0  # s, that of `deepmag live` for respiration
SHOWN = "steady"  # whose rate is read


@dataclass(frozen=True, slots=True)
class BreathPlan:
    """One evaluation of motion magnification.

    size: (width, height), px. seconds: of a clip. rate: its frames per second. every: of how many frames motion and
    SSIM are judged by one: breath is slow. large_paper: whether `paper` is in the second comparison too, where its
    ascents are all new. iterations: N of `paper`.
    """

    seed: int
    quick: bool
    size: tuple[int, int]
    seconds: float
    rate: float
    subjects: tuple[Subject, ...]
    every: int
    large_paper: bool
    tasks: tuple[Task, ...] = TASKS
    iterations: int = PAPER_ITERATIONS

    @property
    def frames(self) -> int:
        """Of one clip."""
        return round(self.seconds * self.rate)


def quick_plan(seed: int = 1) -> BreathPlan:
    """One person, 14 s a task: three minutes on two cores."""
    return BreathPlan(seed, True, (320, 240), 14.0, 10.0, people(seed, 1)[:1], 2, large_paper=False)


def full_plan(seed: int = 1) -> BreathPlan:
    """One person of each pair of skin types, 30 s a task at 480x360."""
    return BreathPlan(seed, False, (480, 360), 30.0, 15.0, people(seed, 1), 3, large_paper=True)
