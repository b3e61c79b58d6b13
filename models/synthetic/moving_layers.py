"""Pairs of pictures that differ by a motion too small to see, and the same motion magnified, to learn from.

After the synthetic data of Oh et al. 2018: a foreground of any outline before a background, both pieces of natural
pictures, each moved by its own fraction of a pixel. Every picture is sampled from its source anew, so that a
displacement of a fiftieth of a pixel is exactly that, and a layer uncovers what lies behind it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

Floats = NDArray[np.float32]

SIDE = 96  # px of the pictures
# px between the two pictures, most of a layer; each size as likely on a logarithmic scale
STEPS = (0.02, 0.6)
MAGNIFIED = (0.2, 8.0)  # px that are added
AMPLIFICATIONS = (0.5, 80.0)  # times; where the two would be further apart, less is added, or more
NOISE = (0.1, 2.0)  # grey levels
NOISELESS = 0.4  # of all pairs
ONE_LAYER = 0.4  # of all pairs: the whole picture moves
STILL = 0.35  # of all backgrounds
CONTRASTS = (0.12, 1.1)  # times that of the source
PROCEDURAL = 0.3  # of all layers, where there are pictures
ZOOMS = (1.2, 2.5)  # px of a source for one of the pictures
BLURS = (0.4, 0.8)  # px of the pictures: what is finer cannot be moved exactly
SOFT = 0.25  # of all layers: out of focus
SOFTER = (2.0, 12.0)  # times the blur of those


@dataclass(frozen=True)
class MovingPair:
    """Two pictures, (SIDE, SIDE) grey levels each, and the truth.

    before, after: with noise, rounded perhaps. clean: ``after`` without. magnified: ``clean`` with ``amplification``
    times the motion from before to after added. motion: (2, SIDE, SIDE) px, right and down, what was added, where it is
    in ``magnified``.
    """

    before: Floats
    after: Floats
    clean: Floats
    magnified: Floats
    motion: Floats
    amplification: float


def random_pair(rng: np.random.Generator, pictures: Sequence[Floats] = ()) -> MovingPair:
    """Any pair. pictures: (h, w) grey levels, of at least 2 SIDE px a side; drawn textures where there are none."""
    size = _log_uniform(rng, *STEPS)
    low, high = (max(MAGNIFIED[0], AMPLIFICATIONS[0] * size), min(MAGNIFIED[1], AMPLIFICATIONS[1] * size))
    amplification = _log_uniform(rng, low, high) / size
    far = np.array([-1.0, 0.0, amplification])  # places of before, after and magnified, in steps

    step = _field(rng, size)
    layer = _layer(rng, _source(rng, pictures), far, step)
    motion = amplification * step
    if rng.random() >= ONE_LAYER:
        behind = (
            np.zeros_like(step) if rng.random() < STILL else _field(rng, size * float(rng.uniform(0.05, 1.0)))
        )
        background = _layer(rng, _source(rng, pictures), far, behind)
        cover = _cover(rng, far, step)
        layer = background + cover * (layer - background)
        motion = amplification * (behind + cover[2].numpy() * (step - behind))
    before, clean, magnified = layer.numpy()
    light = 1 + 0.01 * rng.standard_normal() if rng.random() < 0.3 else 1.0
    noise = 0.0 if rng.random() < NOISELESS else _log_uniform(rng, *NOISE)
    rounded = rng.random() < 0.5

    def seen(picture: Floats) -> Floats:
        noisy = picture + np.float32(noise) * rng.standard_normal(picture.shape, np.float32)
        return np.asarray(np.round(noisy) if rounded and noise > 0.25 else noisy, np.float32)

    first, second = seen(before * np.float32(light)), seen(clean)
    return MovingPair(first, second, clean, magnified, motion.astype(np.float32), amplification)


def drawn_texture(rng: np.random.Generator) -> Floats:
    """A source that is no photograph, (256, 256) grey levels: cloudy grain, or overlapping shapes with sharp edges."""
    side = 256
    f = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side))
    finest = _log_uniform(rng, 8, 40) if rng.random() < SOFT else _log_uniform(rng, 2.5, 8)
    inside = (f > 1 / _log_uniform(rng, 2 * finest, 200)) & (f < 1 / finest)
    spectrum = np.where(inside, np.maximum(f, 1e-3) ** -rng.uniform(0.8, 2.0), 0.0)
    grain = np.fft.irfft2(spectrum * np.exp(2j * np.pi * rng.random(f.shape)), (side, side))
    grain *= 45 / max(float(grain.std()), 1e-9)
    if rng.random() < 0.5:
        return np.asarray(128 + grain, np.float32)
    picture = np.full((side, side), 128.0, np.float32)
    for _ in range(int(rng.integers(8, 60))):
        centre, reach = rng.uniform(0, side, 2), _log_uniform(rng, 5, 70)
        angles = np.sort(rng.uniform(0, 2 * np.pi, int(rng.integers(3, 9))))
        radii = reach * rng.uniform(0.4, 1.0, len(angles))
        points = centre + radii[:, None] * np.stack([np.cos(angles), np.sin(angles)], 1)
        fixed = np.round(points * 16).astype(np.int32)  # in sixteenths of a pixel
        cv2.fillPoly(picture, [fixed], float(rng.uniform(0, 255)), cv2.LINE_8, 4)
    return np.asarray(picture + rng.uniform(0, 0.3) * grain, np.float32)


def _log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def _source(rng: np.random.Generator, pictures: Sequence[Floats]) -> Floats:
    """A picture, (h, w), of some contrast."""
    if pictures and rng.random() >= PROCEDURAL:
        picture = pictures[int(rng.integers(len(pictures)))]
    else:
        picture = drawn_texture(rng)
    contrast = np.float32(_log_uniform(rng, *CONTRASTS))
    if contrast > 1 or rng.random() < 0.5:
        return np.asarray((picture - 128) * contrast + 128, np.float32)
    return np.asarray(picture * contrast, np.float32)


def _field(rng: np.random.Generator, size: float) -> Floats:
    """A displacement that varies a little over the picture, (2, SIDE, SIDE) px, right and down."""
    angle = rng.uniform(0, 2 * np.pi)
    mean = size * np.array([np.cos(angle), np.sin(angle)])
    place = (np.stack(np.meshgrid(np.arange(SIDE), np.arange(SIDE))) - (SIDE - 1) / 2) / (SIDE / 2)
    bend = rng.standard_normal((2, 2)) * size * rng.choice([0.0, 0.3])
    return np.asarray(mean[:, None, None] + np.tensordot(bend, place, 1), np.float32)


def _layer(rng: np.random.Generator, source: Floats, far: NDArray[np.float64], step: Floats) -> torch.Tensor:
    """A piece of a source (h, w), turned and zoomed by chance, moved by each of ``far`` (T,) steps: (T, SIDE, SIDE)."""
    most = (min(source.shape) - 8) / (SIDE * np.sqrt(2))
    zoom = _log_uniform(rng, ZOOMS[0], min(max(ZOOMS[0], most), ZOOMS[1]))
    reach = int(np.ceil(zoom * SIDE / np.sqrt(2))) + 4
    y, x = (int(rng.integers(0, max(1, side - 2 * reach))) for side in source.shape)
    piece = source[y : y + 2 * reach, x : x + 2 * reach]
    blur = zoom * float(rng.uniform(*BLURS)) * (_log_uniform(rng, *SOFTER) if rng.random() < SOFT else 1.0)
    piece = np.asarray(cv2.GaussianBlur(piece, (0, 0), blur), np.float32)
    angle = rng.uniform(0, 2 * np.pi)
    turn = zoom * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    if rng.random() < 0.5:
        turn[:, 0] *= -1
    return _sampled(piece, np.einsum("ij,tjyx->tiyx", turn, _moved(far, step)))


def _cover(rng: np.random.Generator, far: NDArray[np.float64], step: Floats) -> torch.Tensor:
    """How much of each pixel a thing of any outline hides, in [0, 1], moved as `_layer`."""
    side = SIDE + 32
    cloud = cv2.GaussianBlur(rng.standard_normal((side, side)), (0, 0), _log_uniform(rng, 6, 30))
    slope = float(np.hypot(*np.gradient(cloud)).mean())
    sharp = (cloud - np.quantile(cloud, rng.uniform(0.25, 0.75))) / slope
    width = rng.uniform(0.3, 1.0)  # px of the outline's blur
    return torch.sigmoid(_sampled((sharp / width).astype(np.float32), _moved(far, step)))


def _moved(far: NDArray[np.float64], step: Floats) -> NDArray[np.float64]:
    """Where what is seen at each pixel is at rest, about the middle, (T, 2, SIDE, SIDE) px, right and down."""
    place = np.stack(np.meshgrid(np.arange(SIDE), np.arange(SIDE))) - (SIDE - 1) / 2
    return np.asarray(place - far[:, None, None, None] * step)


def _sampled(source: Floats, places: NDArray[np.float64]) -> torch.Tensor:
    """A source (h, w) at places (T, 2, SIDE, SIDE) about its middle, bicubic."""
    half = np.array([source.shape[1], source.shape[0]]).reshape(2, 1, 1) / 2
    grid = torch.from_numpy((places / half).astype(np.float32)).permute(0, 2, 3, 1)
    stack = torch.from_numpy(np.ascontiguousarray(source))[None, None]
    flat = grid.reshape(1, -1, SIDE, 2)
    sampled = functional.grid_sample(stack, flat, "bicubic", "reflection", align_corners=False)
    return sampled.view(len(grid), SIDE, SIDE)
