"""Training sequences for the pulse network: reduced videos of synthetic people and their pulse's derivative."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from deepmag.models.representation import INPUT_SCALE, L, normalized_difference
from deepmag.models.synthetic.assets import Assets
from deepmag.models.synthetic.camera import camera_noise
from deepmag.models.synthetic.codec import h264
from deepmag.models.synthetic.disturbances import auto_exposure
from deepmag.models.synthetic.disturbed import exposed
from deepmag.models.synthetic.person import Person
from deepmag.models.synthetic.render import GAMMA
from deepmag.models.synthetic.scene import Framing, Scene, random_scene, render

FRAMES = 65  # frame pairs of one sequence: 64, about two seconds
RATES = (15.0, 20.0, 25.0, 30.0, 30.0, 30.0, 50.0, 60.0)  # Hz
SELF_EXPOSED = 0.2  # of all sequences are seen by a camera that sets its own exposure
CODED = 0.15  # of all sequences pass through a real codec
CALL_BIT_RATES = (20e3, 800e3)  # bits per second, of a picture of twice L


@dataclass(frozen=True)
class Take:
    """One sequence to learn from.

    video: (T, 3, L, L) float16 grey levels, noiseless or as a codec left it. target: (T-1,) the skin's green pulse in
    units of the input.
    """

    video: torch.Tensor
    target: torch.Tensor


def random_framing(rng: np.random.Generator) -> Framing:
    """Mostly a face as the live view crops it (with the detector's jitter), else somewhere in a whole picture."""
    if rng.random() < 0.75:
        return Framing(
            x=0.5 + float(rng.uniform(-0.09, 0.09)),
            y=0.46 + float(rng.uniform(-0.09, 0.09)),
            half_height=0.41 * float(np.exp(rng.uniform(-0.25, 0.22))),
            aspect=float(rng.uniform(0.95, 1.05)),
        )
    return Framing(
        x=float(rng.uniform(0.3, 0.7)),
        y=float(rng.uniform(0.3, 0.6)),
        half_height=float(rng.uniform(0.17, 0.38)),
        aspect=float(rng.uniform(0.9, 1.8)),
    )


def random_take(rng: np.random.Generator, assets: Assets | None = None, device: str = "cpu") -> Take:
    """Render one sequence; one in ten has no pulse at all, so that the network learns to stay silent.

    assets: recordings and meshes from which some people are then made.
    """
    rate = RATES[int(rng.integers(len(RATES)))]
    mesh = assets.mesh if assets is not None and rng.random() < 0.5 else None
    person = Person.random(rng, pulse=0.0 if rng.random() < 0.1 else None, mesh=mesh)
    scene = random_scene(rng, FRAMES, rate, framing=random_framing(rng), person=person, assets=assets)
    if rng.random() < SELF_EXPOSED:
        scene = self_exposed(rng, scene, device)
    # four rays a reduced pixel: enough, since the noise that is left of real sensors is added afterwards
    rendered = render(scene, 2 * L, 2 * L, device=device).video.cpu()
    if rng.random() < CODED:
        rendered = coded(rng, rendered, rate)
    small = rendered.view(FRAMES, 3, L, 2, L, 2).mean((3, 5))
    blood = 0.5 * (scene.pulse + scene.late_pulse)
    target = np.diff(blood) * person.pulse / (2 * GAMMA) / INPUT_SCALE
    return Take(small.half(), torch.from_numpy(target.astype(np.float32)))


def self_exposed(rng: np.random.Generator, scene: Scene, device: str = "cpu") -> Scene:
    """The take seen by a camera whose exposure follows within a third of a second to two seconds, as webcams' do."""
    seconds, delay = float(np.exp(rng.uniform(np.log(0.3), np.log(2.0)))), float(rng.uniform(0.03, 0.2))
    return exposed(
        scene,
        lambda brightness: auto_exposure(brightness, scene.t, seconds=seconds, delay=delay),
        device,
    )


def coded(rng: np.random.Generator, video: torch.Tensor, rate: float) -> torch.Tensor:
    """A sequence as a sensor and a video call leave it: noise, then H.264. video: (T, 3, H, W). Returns the same shape.

    At two pixels a reduced one, a macroblock covers as much of the face as it does in a face 160 px wide at full size.
    """
    low, high = CALL_BIT_RATES
    grain = np.exp(rng.uniform(np.log(0.3), np.log(3.0))) * rng.standard_normal(video.shape, np.float32)
    noisy = (video.numpy() + grain + 0.5).clip(0, 255).astype(np.uint8)
    sent, _ = h264(noisy.transpose(0, 2, 3, 1), rate, float(np.exp(rng.uniform(np.log(low), np.log(high)))))
    return torch.from_numpy(sent.transpose(0, 3, 1, 2).astype(np.float32))


def network_input(take: Take, rng: np.random.Generator, generator: torch.Generator) -> torch.Tensor:
    """(T-1, 3, L, L): normalized differences / INPUT_SCALE of a freshly disturbed, perhaps mirrored, take."""
    video = take.video.float()
    if rng.random() < 0.5:
        video = video.flip(-1)
    video = camera_noise(rng, video, generator).clamp(0, 255)
    return normalized_difference(video[:-1], video[1:]) / INPUT_SCALE
