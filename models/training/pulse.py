"""Training of PulseNet; see `loop`."""

from __future__ import annotations

import numpy as np
import torch

from deepmag.models.networks import PulseNet
from deepmag.models.training.loop import Lesson
from deepmag.models.training.sequences import Take, network_input, random_take

FLOOR = 0.004  # of a target's standard deviation, units of the input: below it a pulse counts as none


def _present(
    take: Take, rng: np.random.Generator, generator: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    return network_input(take, rng, generator), take.target


LESSON = Lesson("pulse", PulseNet, random_take, _present, FLOOR)
