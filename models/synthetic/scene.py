"""One take of a synthetic person: who, how they move, what light, and the truth about pulse and breath."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import torch
from numpy.typing import NDArray

from deepmag.models.blood import BLOOD
from deepmag.models.synthetic.assets import Assets
from deepmag.models.synthetic.disturbances import Flicker, Passer, drift, screen, white_balance
from deepmag.models.synthetic.expression import Warp, warp_of
from deepmag.models.synthetic.motion import Motion, Task, random_motion
from deepmag.models.synthetic.noise import smooth_noise
from deepmag.models.synthetic.person import Person
from deepmag.models.synthetic.render import Rendered, render
from deepmag.models.synthetic.surface import lookup
from deepmag.models.synthetic.waveforms import TRANSIT, AnyRhythm, Rhythm, blood_volume, breath

__all__ = ["Framing", "Rendered", "Scene", "random_scene", "render"]

LIFT = 0.03  # of half the head's height: 3.5 mm, by which shoulders rise and fall about their middle


@dataclass(frozen=True)
class Framing:
    """Where the head is: centre as a share of the picture, half height as a share of the picture's height.

    aspect: width of the scene seen / its height (a 4:3 picture reduced to a square has 4/3).
    """

    x: float = 0.5
    y: float = 0.47
    half_height: float = 0.41
    aspect: float = 1.0


@dataclass(frozen=True)
class Scene:
    """One take: who, how they move, what light, and the truth.

    t: (T,) s. pulse, late_pulse: (T,) blood volume, peak-to-peak about 1, at the first and at the last part of the
    face to get it. chest: (T,) its expansion, in [-1, 1]. light: (T, 3) factors on the illumination. lamps: (n, 4)
    direction and power. colour: (3,) relative pulse of R, G, B. background: (3, h, w) linear. lift, head_lift: by
    which shoulders and head rise for a unit of ``chest``, in half head heights.
    """

    person: Person
    framing: Framing
    rhythm: AnyRhythm
    motion: Motion
    t: NDArray[np.float64]
    pulse: NDArray[np.float64]
    late_pulse: NDArray[np.float64]
    chest: NDArray[np.float64]
    light: NDArray[np.float64]
    lamps: NDArray[np.float64]
    ambient: float
    gloss: float
    exposure: float
    colour: NDArray[np.float64]
    background: torch.Tensor
    lift: float = LIFT
    head_lift: float = 0.0
    flicker: Flicker | None = None
    passers: tuple[Passer, ...] = field(default=())

    def with_pulse_times(self, factor: float) -> Scene:
        """The same take with its pulse ``factor`` times larger: the ideal magnified video."""
        return replace(self, pulse=self.pulse * factor, late_pulse=self.late_pulse * factor)

    def with_breath_times(self, factor: float) -> Scene:
        """The same take with its breathing ``factor`` times larger: shoulders, chest and head rise so much more."""
        return replace(self, chest=self.chest * factor)

    def backdrop(self, x: torch.Tensor, y: torch.Tensor, t: torch.Tensor, device: str) -> torch.Tensor:
        """What is behind the person, linear: (3, T or 1, H, W).

        x, y: picture heights from the middle, up. t: (T, 1, 1) s.
        """
        reach = max(1.0, self.framing.aspect)
        wall = lookup(self.background.to(device), x / reach * 1.8, -y * 1.8)
        behind = [passer for passer in self.passers if not passer.near]
        if behind:
            wall = wall.expand(3, len(t), *wall.shape[2:]).clone()
            for passer in behind:
                passer.paint(wall, x, y, t)
        return wall

    def expression(self, indices: NDArray[np.intp], device: str) -> Warp | None:
        """How talk, smiles and raised brows bend the face in the frames of those indices; None where they do not."""
        m = self.motion
        tracks = [np.asarray(track)[indices] for track in (m.jaw, m.smile, m.brow)]
        if not any(np.any(track) for track in tracks):
            return None
        jaw, smile, brow = (
            torch.as_tensor(track, dtype=torch.float32, device=device)[:, None, None] for track in tracks
        )
        return warp_of(self.person.shape, jaw, smile, brow)


def random_background(rng: np.random.Generator, size: int = 96, *, black: bool = False) -> torch.Tensor:
    """(3, size, size) linear: a wall, a gradient, blotches or a pattern of hard-edged boxes."""
    if black:
        return torch.full((3, size, size), 0.004)
    colour = np.exp(rng.uniform(np.log(0.03), np.log(0.7))) * rng.uniform(0.7, 1.3, 3)
    picture = np.ones((3, size, size)) * colour[:, None, None]
    if rng.random() < 0.6:
        sigma = float(np.exp(rng.uniform(0, np.log(12))))
        picture *= np.exp(rng.uniform(0.1, 0.6) * smooth_noise(rng, (size, size), sigma))
    for _ in range(int(rng.integers(0, 8))):
        x, y = rng.integers(0, size, 2)
        w, h = rng.integers(2, size // 2, 2)
        picture[:, y : y + h, x : x + w] = (
            np.exp(rng.uniform(np.log(0.02), np.log(0.8))) * rng.uniform(0.7, 1.3, 3)
        )[:, None, None]
    return torch.from_numpy(picture.clip(0.002, 0.95).astype(np.float32))


def plain_wall(size: int = 96) -> torch.Tensor:
    """(3, size, size) linear: a light wall, dimmer towards one side and the floor."""
    x, y = np.meshgrid(np.linspace(-1, 1, size), np.linspace(-1, 1, size))
    shade = 1 - 0.25 * x - 0.15 * y - 0.1 * x * x
    return torch.from_numpy((np.array([0.26, 0.30, 0.32])[:, None, None] * shade).astype(np.float32))


def patterned_background(rng: np.random.Generator, size: int = 192) -> torch.Tensor:
    """(3, size, size) linear: the paper's patterned background of tasks A and D, a wall of many small shapes."""
    picture = np.ones((3, size, size)) * rng.uniform(0.15, 0.4) * rng.uniform(0.8, 1.2, (3, 1, 1))
    y, x = np.mgrid[:size, :size]
    for _ in range(120):
        cx, cy, r = rng.uniform(0, size), rng.uniform(0, size), rng.uniform(0.015, 0.06) * size
        square = np.maximum(np.abs(x - cx), np.abs(y - cy)) < r
        mark = square if rng.random() < 0.5 else np.hypot(x - cx, y - cy) < r
        picture[:, mark] = (np.exp(rng.uniform(np.log(0.04), np.log(0.6))) * rng.uniform(0.7, 1.3, 3))[
            :, None
        ]
    return torch.from_numpy(picture.clip(0.01, 0.9).astype(np.float32))


def random_light(
    rng: np.random.Generator, t: NDArray[np.float64], *, steady: bool = False
) -> NDArray[np.float64]:
    """(T, 3) factors: slow drift, a screen's light, a hunting white balance. steady: all one."""
    light = np.ones((len(t), 3))
    if steady:
        return light
    light = light * drift(rng, t)
    if rng.random() < 0.3:
        light = light * screen(rng, t)
    if rng.random() < 0.3:
        light = light * white_balance(rng, t, float(np.exp(rng.uniform(np.log(2e-4), np.log(3e-3)))))
    return light


def random_scene(
    rng: np.random.Generator,
    frames: int,
    rate: float,
    *,
    framing: Framing | None = None,
    person: Person | None = None,
    rhythm: AnyRhythm | None = None,
    task: Task | None = None,
    still: bool = False,
    steady_light: bool = False,
    lift: float | None = None,
    background: torch.Tensor | None = None,
    assets: Assets | None = None,
    stage: np.random.Generator | None = None,
) -> Scene:
    """A take of ``frames`` frames at ``rate`` Hz; what is not given is drawn by ``rng``.

    still: no motion at all, not even breath unless ``lift`` asks for it, and steady light. task: of the paper; None is
    any mixture of motion, and disturbances of light and background. lift: by which the shoulders rise, half head
    heights. assets: recordings, meshes and pictures from which some of it is then drawn. stage: draws motion and
    background in place of ``rng``, which then draws the same person, rhythm, light and exposure whatever they do and
    wherever.
    """
    stage = rng if stage is None else stage
    mesh = None if assets is None or rng.random() < 0.5 else assets.mesh
    person = person or Person.random(rng, mesh=mesh)
    if rhythm is None and assets is not None and assets.rhythms and rng.random() < 0.4:
        recorded = assets.rhythms[int(rng.integers(len(assets.rhythms)))]
        rhythm = replace(recorded, start=float(rng.uniform(0, len(recorded.pulse) / recorded.rate)))
    rhythm = rhythm or Rhythm.random(rng)
    framing = framing or Framing()
    t = np.arange(frames) / rate
    motion = random_motion(stage, t, "A" if still else task)
    head_lift = float(rng.uniform(0.0, 0.015))
    if still:
        motion = Motion.none(frames)
    elif task is None and assets is not None and assets.tracks and stage.random() < 0.3:
        track = assets.tracks[int(stage.integers(len(assets.tracks)))]
        motion = track.applied(
            motion, t, float(stage.uniform(0, max(0.0, len(track.x) / track.rate - t[-1])))
        )
    if lift is None:
        lift = 0.0 if still else float(LIFT * np.exp(rng.normal(0, 0.4)))
    lamps = np.stack(
        [
            np.concatenate([direction / np.linalg.norm(direction), [power]])
            for direction, power in (
                (np.array([rng.normal(0, 0.8), rng.normal(0.5, 0.4), 1.0]), rng.uniform(0.4, 1.0)),
                (np.array([rng.normal(0, 1.5), rng.normal(0.3, 0.5), 0.6]), rng.uniform(0.0, 0.6)),
            )
        ]
    )
    colour = BLOOD * np.exp(rng.normal(0, 0.12, 3)) * np.array([np.exp(rng.normal(0, 0.15)), 1.0, 1.0])
    steady = still or steady_light
    if background is None:
        if task in ("B", "C"):
            background = random_background(stage, black=True)
        elif task is None and assets is not None and assets.backgrounds and stage.random() < 0.3:
            background = assets.backgrounds[int(stage.integers(len(assets.backgrounds)))]
        else:
            background = patterned_background(stage) if task else random_background(stage)
    disturbed = task is None and not steady
    passers: list[Passer] = []
    if disturbed and rng.random() < 0.15:
        passers.append(Passer.random(rng, frames / rate, framing.aspect, near=bool(rng.random() < 0.3)))
    return Scene(
        person,
        framing,
        rhythm,
        motion,
        t,
        blood_volume(rhythm, t),
        blood_volume(rhythm, t - TRANSIT),
        breath(rhythm, t),
        random_light(rng, t, steady=steady),
        lamps,
        ambient=float(rng.uniform(0.15, 0.6)),
        gloss=float(rng.uniform(0.0, 0.4)),
        exposure=float(rng.uniform(0.5, 1.15)),
        colour=colour / colour[1],
        background=background,
        lift=lift,
        head_lift=0.0 if still else head_lift,
        flicker=Flicker.random(rng) if disturbed and rng.random() < 0.3 else None,
        passers=tuple(passers),
    )
