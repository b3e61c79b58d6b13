"""The gradient ascent itself, on one clip: what N and the step do (Fig. 9), the L1 norms (Fig. 10), signs (Fig. 11)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from deepmag.models.metrics.pulse import correlation
from deepmag.models.representation import normalized_difference
from deepmag.models.step_size import GAMMA, PAPER_ITERATIONS, gamma_for_rate
from deepmag.models.temporal import PULSE_BAND, zero_phase
from deepmag.stream.evaluation.plan import EDGE, GAMMAS, RATE
from deepmag.stream.evaluation.workers import tick

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from deepmag.export.runtime import Ascender

CURVE_PAIRS = 32  # frame pairs, evenly over the clip, whose mean loss is the learning curve
MAP_SECONDS = 8.0  # of the clip that the correlation maps are made of
PAIRS = 32  # worked on at once
DARK_PIXEL = 16.0  # grey levels: below it a pixel of the map is background without light


@dataclass(frozen=True)
class StudyJob:
    """All three studies. small: (T, 3, 36, 36), the reduced frames of a still person. iterations: N."""

    small: NDArray[np.float32]
    weights: Path
    iterations: int = PAPER_ITERATIONS
    cost: ClassVar[float] = 24.0

    def run(self) -> dict[str, Any]:
        """Arrays by figure."""
        from deepmag.export.runtime import open_ascender

        step = open_ascender(self.weights, device="cpu", threads=1, paper_iterations=2)
        x = normalized_difference(self.small[:-1], self.small[1:])
        chosen = x[np.linspace(0, len(x) - 1, min(CURVE_PAIRS, len(x))).astype(int)]
        curves = {}
        for times in GAMMAS:
            gamma = times * gamma_for_rate(RATE)
            curves[f"{times:g}"] = learning_curve(step, chosen, gamma, self.iterations, corrected=True)
            tick(1.0)
        curves["1, no sign correction"] = learning_curve(
            step, chosen, gamma_for_rate(RATE), self.iterations, corrected=False
        )
        norms = l1_norms(step, x)
        tick(2.0)
        some = x[: round(MAP_SECONDS * RATE)]
        maps = correlation_maps(step, some, self.iterations)
        dark = self.small.mean(axis=(0, 1)) < DARK_PIXEL
        tick(18.0)
        return {"curves": curves, "norms": norms, "maps": maps, "dark": dark, "gamma": GAMMA}


def learning_curve(
    one_step: Ascender, x: NDArray[np.float32], gamma: float, iterations: int, *, corrected: bool
) -> NDArray[np.float64]:
    """Mean loss |y(X_n)| for n = 1 ... N of Eq. 4. one_step: an ascender with N = 2. x: (B, 3, 36, 36). Returns (N,).

    corrected: with the sign correction of Eq. 3, or without.
    """
    losses = []
    x = np.ascontiguousarray(x)
    for _ in range(iterations):
        step, y = _step(one_step, x, gamma, corrected=corrected)
        losses.append(float(np.abs(y).mean()))
        x = x + step
        tick()
    return np.array(losses)


def l1_norms(ascender: Ascender, x: NDArray[np.float32]) -> dict[str, NDArray[np.float64]]:
    """L1 norm, as the mean absolute value, of each pair's X and of its gradient of |y|, (T - 1,) each."""
    gradients = []
    for a in range(0, len(x), PAIRS):
        part = np.ascontiguousarray(x[a : a + PAIRS])
        gradients.append(np.abs(ascender.steady(part, np.zeros_like(part), 0.0)[2]).mean(axis=(1, 2, 3)))
        tick()
    return {
        "X": np.abs(x).mean(axis=(1, 2, 3)).astype(np.float64),
        "gradient": np.concatenate(gradients).astype(np.float64),
    }


def correlation_maps(
    one_step: Ascender, x: NDArray[np.float32], iterations: int
) -> dict[str, NDArray[np.float64]]:
    """Correlation of X_1 and X_N of each reduced pixel's green over time, in band, (36, 36), by kind.

    "corrected": with the sign correction (Eq. 3); "uncorrected": without it.
    """
    kinds = {"uncorrected": False, "corrected": True}
    gamma = gamma_for_rate(RATE)
    before = _green_band(x)
    maps = {}
    for kind, corrected in kinds.items():
        magnified = np.concatenate(
            [
                _ascend(
                    one_step, np.ascontiguousarray(x[a : a + PAIRS]), gamma, iterations, corrected=corrected
                )
                for a in range(0, len(x), PAIRS)
            ]
        )
        maps[kind] = correlation(before, _green_band(magnified))
    return maps


def _ascend(
    one_step: Ascender, x: NDArray[np.float32], gamma: float, iterations: int, *, corrected: bool
) -> NDArray[np.float32]:
    """X_N of Eq. 1-3, the sign of each element corrected or not."""
    for _ in range(iterations - 1):
        tick()
        x = x + _step(one_step, x, gamma, corrected=corrected)[0]
    return x


def _step(
    one_step: Ascender, x: NDArray[np.float32], gamma: float, *, corrected: bool
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """One step from X_n, and y(X_n) (B,)."""
    if corrected:
        return one_step.paper(x, gamma)
    _, y, gradient = one_step.steady(x, np.zeros_like(x), 0.0)
    size = np.abs(gradient).mean(axis=(1, 2, 3), keepdims=True)
    rise = np.sign(y)[:, None, None, None] * gradient  # of |y|
    return np.float32(gamma) * np.divide(rise, size, out=np.zeros_like(rise), where=size > 0), y


def _green_band(x: NDArray[np.float32]) -> NDArray[np.float64]:
    cut = round(EDGE * RATE)
    return zero_phase(x[:, 1], PULSE_BAND, RATE)[cut:-cut]
