"""Training of RespirationNet on breathing people made from stills; see `loop` and `synthetic.breathing`."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from deepmag.models.camera_motion import camera_motion, without_camera
from deepmag.models.networks import RespirationNet
from deepmag.models.phase import REDUCED, SIDE, PhaseRepresentation, phase_difference
from deepmag.models.respiration import ASCENT_RATE, TARGET_SCALE, network_input
from deepmag.models.synthetic.assets import Assets
from deepmag.models.synthetic.breathing import random_breathing
from deepmag.models.synthetic.codec import h264
from deepmag.models.training.loop import Lesson

FRAMES = 41  # pairs of one sequence: 40, eight seconds
NOISE = (0.1, 2.0)  # grey levels of the reduced picture: a camera's 0.5 to 10, averaged
CODED = 0.2  # of all sequences pass through a real codec
BITS = (0.03, 0.5)  # per pixel
FLOOR = 0.03  # of a target's standard deviation, units of the output: below it nobody breathes

# Other motion is up to a hundred times larger than a faint breath: measured in units of that breath, the network's
# error asks for nothing but silence, and it learns no more.
UNIT = 1.0


@dataclass(frozen=True)
class BreathingSequence:
    """x: (P, 4, SIDE, SIDE) float16, the network's input. target: (P,) the chest's motion over each pair."""

    x: torch.Tensor
    target: torch.Tensor


def random_sequence(rng: np.random.Generator, assets: Assets | None = None) -> BreathingSequence:
    """One sequence as the live path would see it: a sensor's noise, perhaps a codec, the camera's motion taken out."""
    take = random_breathing(rng, np.arange(FRAMES) / ASCENT_RATE, assets.backgrounds if assets else ())
    noise = float(np.exp(rng.uniform(*np.log(NOISE))))
    lumas = np.stack(list(take.frames()))
    lumas += np.float32(noise) * rng.standard_normal(lumas.shape, np.float32)
    if rng.random() < CODED:
        grey = np.repeat(lumas.clip(0, 255).astype(np.uint8)[..., None], 3, 3)
        rate = float(np.exp(rng.uniform(*np.log(BITS)))) * REDUCED**2 * ASCENT_RATE
        lumas = h264(grey, ASCENT_RATE, rate)[0].mean(-1, dtype=np.float32)
    bands = PhaseRepresentation().bands_of(lumas)
    inputs = []
    for i in range(FRAMES - 1):
        difference = phase_difference(bands[i], bands[i + 1])
        motion = camera_motion(lumas[i], lumas[i + 1], difference)
        inputs.append(network_input(without_camera(difference, motion)))
    cells = np.diff(take.chest) * SIDE / REDUCED
    return BreathingSequence(
        torch.from_numpy(np.stack(inputs)).half(),
        torch.from_numpy((cells / TARGET_SCALE).astype(np.float32)),
    )


def _take(rng: np.random.Generator, assets: Assets | None, device: str) -> BreathingSequence:
    return random_sequence(rng, assets)  # its pictures are moved on the CPU anyway


def _present(
    take: BreathingSequence, rng: np.random.Generator, generator: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    return take.x, take.target


LESSON = Lesson("respiration", RespirationNet, _take, _present, FLOOR, UNIT, uses=("backgrounds",))
