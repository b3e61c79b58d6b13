"""Training of PulseNet; see `loop`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from deepmag.models.networks import PulseNet
from deepmag.models.training.loop import Lesson, Recipe, train
from deepmag.models.training.sequences import Take, network_input, random_take

FLOOR = 0.004  # of a target's standard deviation, units of the input: below it a pulse counts as none


def train_pulse(
    folder: Path,
    recipe: Recipe,
    *,
    device: str = "cpu",
    report: Callable[[int, float, float, float], None] = lambda *_: None,
    keep_going: Callable[[], bool] = lambda: True,
) -> Path:
    """Train, or go on from ``folder``/checkpoint.pt; see `loop.train`. Returns the path of the weights."""
    lesson = Lesson("pulse", PulseNet, random_take, _present, FLOOR)
    return train(folder, lesson, recipe, device=device, report=report, keep_going=keep_going)


def _present(
    take: Take, rng: np.random.Generator, generator: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    return network_input(take, rng, generator), take.target
