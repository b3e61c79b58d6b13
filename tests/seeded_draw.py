"""A take that is cheap to make and says which it is: a function of a module, since worker processes import it."""

from __future__ import annotations

import os

import numpy as np
import torch


def draw(rng: np.random.Generator, assets: object, device: str) -> tuple[torch.Tensor, int]:
    """Random numbers that are the take's own, and the process that drew them."""
    assert assets is None
    assert device == "cpu"
    return torch.from_numpy(rng.standard_normal(3)), os.getpid()


def fail(rng: np.random.Generator, assets: object, device: str) -> None:
    raise RuntimeError("this take cannot be made")


def end(rng: np.random.Generator, assets: object, device: str) -> None:
    os._exit(1)  # as what is killed for its memory
