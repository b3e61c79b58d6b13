"""What the sign correction of Eq. 3 does to respiration's motion representation (the paper's Fig. 11)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch

from deepmag.models.ascent import mean_l1
from deepmag.models.metrics.pulse import correlation
from deepmag.models.networks import RespirationNet
from deepmag.models.respiration import ASCENT_RATE, REACH
from deepmag.models.respiration_ascent import ascend_paper, respiration_gradient
from deepmag.models.step_size import RESPIRATION_GAMMA, gamma_for_rate
from deepmag.models.temporal import RESPIRATION_BAND, zero_phase
from deepmag.stream.evaluation import store
from deepmag.stream.evaluation.respiration.exhibits import VERTICAL, phase_steps
from deepmag.stream.evaluation.workers import tick

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from deepmag.stream.evaluation.respiration.exhibits import PhaseSteps

SECONDS = 12.0  # of the clip: two breaths and more
TRUSTED = 0.5  # mean weight below which a cell has no pattern to move: the paper's black background


@dataclass(frozen=True)
class BreathStudyJob:
    """Correlation maps of a clip that a reference job kept. name: of the clip in ``folder``."""

    folder: Path
    name: str
    rate: float
    weights: Path
    iterations: int
    cost: ClassVar[float] = 26.0

    def run(self) -> dict[str, Any]:
        """Maps by kind; nothing where the clip was too large to be kept."""
        from deepmag.export.runtime import load_weights

        clip = store.recall(self.folder, self.name)
        if clip is None:
            tick(self.cost)
            return {}
        torch.set_num_threads(1)
        tensors = {
            name: torch.from_numpy(np.array(array)) for name, array in load_weights(self.weights).items()
        }
        net = RespirationNet.from_weights(tensors)
        steps = phase_steps(clip.video[: round(SECONDS * self.rate)], self.rate)
        maps = correlation_maps(net, steps, self.iterations, per_pair=(self.cost - 2.0) / len(steps.x))
        tick(2.0)
        return {"maps": maps, "faint": steps.weight[:, VERTICAL].mean(axis=0) < TRUSTED}


def correlation_maps(
    net: RespirationNet, steps: PhaseSteps, iterations: int, per_pair: float = 0.0
) -> dict[str, NDArray[np.float64]]:
    """Correlation over time of X_1 and X_N, of each cell's vertical phase, in band, (123, 123), by kind.

    "corrected": with the sign correction (Eq. 3); "uncorrected": without it. per_pair: units of work that a pair is.
    """
    gamma = gamma_for_rate(ASCENT_RATE, RESPIRATION_GAMMA)
    found: dict[str, list[NDArray[np.float32]]] = {"uncorrected": [], "corrected": []}
    for x_1, w in zip(steps.x, steps.weight, strict=True):
        x = torch.from_numpy(np.clip(x_1, -REACH, REACH))[None]
        weight = torch.from_numpy(np.array(w))[None]
        added, _ = ascend_paper(net, x, weight, gamma, iterations)
        found["corrected"].append((x + added)[0, VERTICAL].numpy())
        found["uncorrected"].append(
            _ascend_uncorrected(net, x, weight, gamma, iterations)[0, VERTICAL].numpy()
        )
        tick(per_pair)
    before = zero_phase(steps.x[:, VERTICAL], RESPIRATION_BAND, ASCENT_RATE)
    return {
        kind: correlation(before, zero_phase(np.stack(after), RESPIRATION_BAND, ASCENT_RATE))
        for kind, after in found.items()
    }


def _ascend_uncorrected(
    net: RespirationNet, x: torch.Tensor, weight: torch.Tensor, gamma: float, iterations: int
) -> torch.Tensor:
    """X_N of Eq. 1 and 2: along the gradient of |y|, whatever the sign of each element."""
    for _ in range(iterations - 1):
        y, gradient = respiration_gradient(net, x, weight)
        rise = torch.sign(y)[:, None, None, None] * gradient
        x = x + gamma * rise / mean_l1(rise.abs())
    return x
