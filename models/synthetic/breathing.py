"""Breathing people for training, as one still picture whose parts are moved: a hundred times cheaper than rendering.

A rendered person, or a body under a blanket, is laid on a background at any place, size and angle. Chest, head, body,
other things and the camera then each move the picture by a smooth field of displacements times a path over time. What
lies behind a part stretches rather than being uncovered, which between two frames of such small motions is the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from deepmag.models.phase import LUMA, REDUCED
from deepmag.models.synthetic.motion import wander
from deepmag.models.synthetic.noise import smooth_noise
from deepmag.models.synthetic.render import GAMMA
from deepmag.models.synthetic.scene import (
    Framing,
    patterned_background,
    random_background,
    random_scene,
    render,
)

Floats = NDArray[np.float32]
Path = NDArray[np.float64]

BREATHS = (5.0, 45.0)  # per minute
DEPTHS = (0.03, 1.6)  # px of the reduced picture: the chest's motion, RMS
HELD = 0.1  # of all people do not breathe at all
# The sign of a breath is that of the chest's motion along this direction (down, right): up, or to the right where it
# moves sideways, is a breath in. People who sit and lie on their back before a camera agree with it.
UPWARD = (-np.cos(np.pi / 8), np.sin(np.pi / 8))


@dataclass(frozen=True)
class BreathingTake:
    """A still picture and what moves it.

    luma: (REDUCED, REDUCED) grey levels at rest. fields: (n, 2, REDUCED, REDUCED) displacements down and right, px, for
    a unit of paths: (n, T). gain: (T,) of the light. chest: (T,) the chest's mean displacement, px, its sign as UPWARD
    has it; all zero where nobody breathes. region: (REDUCED, REDUCED) in [0, 1], where the breath moves the picture.
    """

    luma: Floats
    fields: Floats
    paths: Path
    gain: Path
    chest: Path
    region: Floats

    def frames(self) -> Iterator[Floats]:
        """Each frame, noiseless, (REDUCED, REDUCED)."""
        rows, columns = np.mgrid[:REDUCED, :REDUCED].astype(np.float32)
        for state, gain in zip(self.paths.T, self.gain, strict=True):
            dy, dx = np.tensordot(state.astype(np.float32), self.fields, 1)
            # what is now at p was at p - d
            moved = cv2.remap(
                self.luma, columns - dx, rows - dy, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT
            )
            yield np.asarray(moved * np.float32(gain), np.float32)


@dataclass(frozen=True)
class _Figure:
    """A body in the picture. cover, chest, head: (REDUCED, REDUCED) in [0, 1]. luma: its own, or None for the scene's.

    up: (down, right) of its head end. radius: of the head, px.
    """

    cover: Floats
    chest: Floats
    head: Floats
    luma: Floats | None
    up: tuple[float, float]
    radius: float


def random_breathing(
    rng: np.random.Generator, t: Path, pictures: Sequence[torch.Tensor] = ()
) -> BreathingTake:
    """Anybody who breathes, at times t (T,) s, uniform. pictures: (3, h, w) linear, further backgrounds."""
    scene = _texture(rng, pictures)
    figure = _person(rng) if rng.random() < 0.65 else _blanket(rng)
    own = figure.luma if figure.luma is not None else _texture(rng, pictures) if rng.random() < 0.5 else scene
    luma = scene + figure.cover * (own - scene)
    parts: list[tuple[Floats, Path]] = []
    region, breath, path = _breath(rng, t, figure)
    chest = np.zeros(len(t))
    if rng.random() >= HELD:
        parts.append((breath, path))
        mean = (breath * region).sum((1, 2)) / max(float(region.sum()), 1e-6)
        chest = path * float(np.hypot(*mean)) * (1.0 if np.dot(mean, UPWARD) >= 0 else -1.0)
    parts += _motions(rng, t, figure)
    fields = (
        np.stack([field for field, _ in parts]) if parts else np.zeros((1, 2, REDUCED, REDUCED), np.float32)
    )
    paths = np.stack([p for _, p in parts]) if parts else np.zeros((1, len(t)))
    gain = 1.0 + wander(rng, t, float(np.exp(rng.uniform(np.log(3e-4), np.log(0.02)))), 1.5)
    return BreathingTake(np.ascontiguousarray(luma), fields, paths, gain, chest, region)


def breath_path(rng: np.random.Generator, t: Path) -> Path:
    """A breath over time, RMS 1: of any rate within BREATHS, never quite regular, in faster than out, with pauses."""
    rate = float(np.exp(rng.uniform(*np.log(BREATHS)))) / 60
    phase = 2 * np.pi * (rate * t + rng.random()) + wander(rng, t, float(rng.uniform(0, 0.5)), 3.0)
    wave = np.sin(phase + rng.uniform(0.0, 0.6) * np.sin(phase))
    if rng.random() < 0.5:
        wave = np.exp(rng.uniform(0.3, 1.5) * wave)  # a pause after breathing out
    wave = (wave - wave.mean()) * (1 + wander(rng, t, float(rng.uniform(0, 0.3)), 3.0))
    return np.asarray(wave / max(float(wave.std()), 1e-6))


def _breath(rng: np.random.Generator, t: Path, figure: _Figure) -> tuple[Floats, Floats, Path]:
    """Region, field and path of the breath. The chest rises and widens, here more and there less; the head follows."""
    uneven = cv2.GaussianBlur(
        rng.standard_normal((REDUCED, REDUCED)).astype(np.float32), (0, 0), float(rng.uniform(15, 40))
    )
    uneven = 1 + 0.35 * uneven / max(float(uneven.std()), 1e-6)
    region = figure.chest * uneven.clip(0.1, 2.0)
    total = max(float(region.sum()), 1e-6)
    rows, columns = np.mgrid[:REDUCED, :REDUCED].astype(np.float32)
    centre = [float((region * axis).sum()) / total for axis in (rows, columns)]
    spread = max(
        np.sqrt(float((region * ((rows - centre[0]) ** 2 + (columns - centre[1]) ** 2)).sum()) / total), 1.0
    )
    tilt = rng.normal(0, 0.35) if figure.luma is not None else rng.uniform(0, 2 * np.pi)
    along = _turned(figure.up, tilt)
    widen = np.float32(rng.uniform(0, 0.8) / spread)
    field = np.stack([along[0] + widen * (rows - centre[0]), along[1] + widen * (columns - centre[1])])
    follow = np.float32(rng.uniform(0, 0.5) if rng.random() < 0.6 else 0.0)
    field = field * region + follow * np.array(along)[:, None, None] * figure.head
    depth = float(np.exp(rng.uniform(*np.log(DEPTHS))))
    strength = np.sqrt(float(((field**2).sum(0) * region).sum()) / total)
    return (
        region.clip(0, 1),
        (field * np.float32(depth / max(strength, 1e-6))).astype(np.float32),
        breath_path(rng, t),
    )


def _motions(rng: np.random.Generator, t: Path, figure: _Figure) -> list[tuple[Floats, Path]]:
    """Everything that moves besides the breath: body, head, other things, the camera."""
    rows, columns = np.mgrid[:REDUCED, :REDUCED].astype(np.float32)
    one, none = np.ones_like(rows), np.zeros_like(rows)

    def rms(low: float, high: float) -> float:
        return float(np.exp(rng.uniform(np.log(low), np.log(high))))

    def slow() -> float:
        return rms(0.3, 3.0)

    def shift(where: Floats, strength: float) -> list[tuple[Floats, Path]]:
        return [
            (np.stack([one, none]) * where, wander(rng, t, strength, slow())),
            (np.stack([none, one]) * where, wander(rng, t, strength, slow())),
        ]

    parts: list[tuple[Floats, Path]] = []
    if rng.random() < 0.5:
        parts += shift(figure.cover, rms(0.02, 1.0))
    if rng.random() < 0.5:
        parts += shift(figure.head, rms(0.05, 3.0))
    if figure.radius > 0 and rng.random() < 0.55:
        parts.append((_yaw_field(figure, rows, columns), _yaw_path(rng, t)))
    for _ in range(int(rng.integers(0, 3))):
        size = rms(6, 40)
        centre = rng.uniform(0, REDUCED, 2)
        blob = np.exp(-0.5 * ((rows - centre[0]) ** 2 + (columns - centre[1]) ** 2) / size**2).astype(
            np.float32
        )
        parts += shift(blob, rms(0.05, 2.0))
    if rng.random() < 0.5:
        strength = rms(0.03, 3.0)
        parts += shift(one, strength)
        middle = 0.5 * (REDUCED - 1)
        turn = np.stack([columns - middle, middle - rows])
        zoom = np.stack([rows - middle, columns - middle])
        parts += [
            (turn, wander(rng, t, strength * 2e-3, slow())),
            (zoom, wander(rng, t, strength * 1e-3, slow())),
        ]
    return [(field.astype(np.float32), path) for field, path in parts]


def _yaw_field(figure: _Figure, rows: Floats, columns: Floats) -> Floats:
    """A head that turns about its own axis: the front moves across, the sides hardly. For a turn of 1 rad."""
    total = max(float(figure.head.sum()), 1e-6)
    cy, cx = (float((figure.head * axis).sum()) / total for axis in (rows, columns))
    across = (-figure.up[1], figure.up[0])  # (down, right)
    u = (rows - cy) * across[0] + (columns - cx) * across[1]
    depth = np.sqrt(np.clip(figure.radius**2 - u**2, 0.0, None))
    return np.asarray(np.stack([across[0] * depth, across[1] * depth]) * figure.head, np.float32)


def _yaw_path(rng: np.random.Generator, t: Path) -> Path:
    """Turns of the head, rad: the paper's tasks B to D within 25 degrees, or small sway."""
    kind = rng.random()
    if kind < 0.4:
        return wander(rng, t, float(rng.uniform(0.01, 0.1)), float(rng.uniform(0.3, 2.0)))
    reach = np.deg2rad(float(rng.uniform(8, 25)))
    if kind < 0.75:
        speed = np.deg2rad(float(rng.uniform(5, 35)))
        phase = (speed * t + rng.uniform(0, 4 * reach)) % (4 * reach)
        return np.asarray(np.where(phase < 2 * reach, phase - reach, 3 * reach - phase))
    targets = rng.uniform(-reach, reach, int(t[-1] - t[0]) + 3)
    edges = np.floor(t - t[0] + rng.random()).astype(int)
    return np.asarray(cv2.GaussianBlur(targets[edges][None], (0, 0), 0.12 / float(t[1] - t[0]) + 0.2)[0])


def _person(rng: np.random.Generator) -> _Figure:
    """A rendered person's head and shoulders at any place, mostly upright, else at any angle as one who lies."""
    half = float(rng.uniform(0.11, 0.27))
    framing = Framing(0.5, float(rng.uniform(0.27, 0.5)), half, 1.0)
    scene = random_scene(rng, 2, 5.0, framing=framing, still=True)
    black, white = (
        render(replace(scene, background=torch.full((3, 8, 8), level)), REDUCED, REDUCED, slice(0, 1))
        .video[0]
        .numpy()
        for level in (0.0, 1.0)
    )
    let_through = (white - black).mean(0)
    cover = 1 - let_through / max(float(let_through.max()), 1e-6)
    luma = np.asarray(np.tensordot(LUMA, black, 1), np.float32)
    row = np.arange(REDUCED, dtype=np.float32)[:, None] / REDUCED
    chin = framing.y + half
    below = 1 / (1 + np.exp(-(row - (chin + 0.35 * half)) / (0.12 * half)))
    above = 1 / (1 + np.exp((row - (chin + 0.1 * half)) / (0.08 * half)))
    # the belly rises less than shoulders and chest do
    fade = np.exp(-np.clip(row - chin - 1.6 * half, 0, None) / (rng.uniform(0.8, 3.0) * half))
    upright = rng.random() < 0.65
    angle = float(rng.normal(0, 6) if upright else rng.uniform(-180, 180))
    middle = 0.5 * (REDUCED - 1)
    size = float(rng.uniform(0.85, 1.2)) if upright else 1.0
    turn = np.array(cv2.getRotationMatrix2D((middle, middle), angle, size), np.float64)
    reach = 0.2 * REDUCED * np.array([1.0, 0.3 if upright else 1.0])
    turn[:, 2] += reach * rng.uniform(-1.0, 1.0, 2)
    layers = [cover, cover * below * fade, cover * above, luma]
    cover, chest, head, luma = (
        np.asarray(
            cv2.warpAffine(
                layer.astype(np.float32), turn, (REDUCED, REDUCED), flags=cv2.INTER_LINEAR, borderMode=border
            ),
            np.float32,
        )
        for layer, border in zip(layers, [cv2.BORDER_CONSTANT] * 3 + [cv2.BORDER_REPLICATE], strict=True)
    )
    soft = float(rng.uniform(1.0, 4.0))
    chest, head = (np.asarray(cv2.GaussianBlur(layer, (0, 0), soft), np.float32) for layer in (chest, head))
    a = np.deg2rad(angle)
    return _Figure(cover, chest, head, luma, (-float(np.cos(a)), -float(np.sin(a))), half * REDUCED * 0.8)


def _blanket(rng: np.random.Generator) -> _Figure:
    """A body that shows no more than that part of the picture moves: an oval at any place and angle."""
    rows, columns = np.mgrid[:REDUCED, :REDUCED].astype(np.float32) / REDUCED
    cy, cx, a = rng.uniform(0.25, 0.75), rng.uniform(0.2, 0.8), rng.uniform(0, 2 * np.pi)
    long, short = rng.uniform(0.12, 0.35), rng.uniform(0.07, 0.2)
    u = (rows - cy) * np.cos(a) + (columns - cx) * np.sin(a)
    v = (columns - cx) * np.cos(a) - (rows - cy) * np.sin(a)
    r = np.hypot(u / long, v / short)
    cover = 1 / (1 + np.exp((r - 1.0) / rng.uniform(0.05, 0.3)))
    w = u - rng.uniform(-0.4, 0.6) * long
    chest = cover * np.exp(-0.5 * ((w / (0.6 * long)) ** 2 + (v / (0.9 * short)) ** 2))
    head = np.exp(-0.5 * (((u + 1.25 * long) / (0.35 * short)) ** 2 + (v / (0.35 * short)) ** 2))
    cover, chest, head = (layer.astype(np.float32) for layer in (cover, chest, head))
    return _Figure(cover, chest, head, None, (-float(np.cos(a)), -float(np.sin(a))), 0.0)


def _texture(rng: np.random.Generator, pictures: Sequence[torch.Tensor]) -> Floats:
    """A background's luma, (REDUCED, REDUCED) grey levels."""
    kind = rng.random()
    if pictures and kind < 0.5:
        picture = pictures[int(rng.integers(len(pictures)))]
    elif kind < 0.7:
        picture = random_background(rng, 192)
    elif kind < 0.8:
        picture = patterned_background(rng)
    else:
        grain = sum(s**0.9 * smooth_noise(rng, (192, 192), s) for s in (1.0, 2.0, 5.0, 12.0))
        picture = torch.from_numpy(
            np.exp(-1.5 + rng.uniform(0.02, 0.25) * np.asarray(grain))[None].repeat(3, 0)
        )
    levels = 255 * np.clip(picture.numpy().astype(np.float32), 0, 1) ** (1 / GAMMA)
    luma = np.tensordot(LUMA, levels, 1)
    h, w = luma.shape
    side = int(rng.uniform(0.5, 1.0) * min(h, w))
    y, x = int(rng.integers(h - side + 1)), int(rng.integers(w - side + 1))
    crop = cv2.resize(luma[y : y + side, x : x + side], (REDUCED, REDUCED), interpolation=cv2.INTER_CUBIC)
    return np.ascontiguousarray(crop[:, ::-1] if rng.random() < 0.5 else crop)


def _turned(direction: tuple[float, float], angle: float) -> tuple[float, float]:
    y, x = direction
    return (float(y * np.cos(angle) - x * np.sin(angle)), float(y * np.sin(angle) + x * np.cos(angle)))
