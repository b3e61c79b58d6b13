"""A synthetic person: skin, hair and features as maps over longitude and latitude of an ellipsoid head.

Only light-skinned photographs of skin could be had, so tone comes from a model: melanin and haemoglobin absorb,
and what they leave is the albedo. No download is needed.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage

MAP_SIZE = (96, 192)  # rows: latitude -90..90 degrees; columns: longitude -180..180, 0 is the face's front
# Natural logarithms of linear RGB albedo of skin with no and with all melanin.
LIGHT, DARK = np.log([0.74, 0.52, 0.42]), np.log([0.11, 0.055, 0.04])
# Relative change of reflected light at full blood volume, R, G, B (de Haan & Jeanne 2013): more blood absorbs more.
BLOOD = np.array([0.33, 0.77, 0.53])

Map = NDArray[np.float64]


def smooth_noise(rng: np.random.Generator, shape: tuple[int, int], sigma: float) -> Map:
    """Gaussian noise blurred by sigma px, unit variance; wraps around in longitude. Returns ``shape``."""
    field = ndimage.gaussian_filter(rng.standard_normal(shape), sigma, mode=("nearest", "wrap"))
    return np.asarray((field - field.mean()) / field.std())


@dataclass(frozen=True)
class Person:
    """seed decides every feature; melanin in [0, 1]; pulse: peak-to-peak relative change of the skin's green light.

    radii: of the head's ellipsoid (width, height, depth) relative to its half height.
    """

    seed: int
    melanin: float
    pulse: float
    radii: tuple[float, float, float] = (0.74, 1.0, 0.86)

    @classmethod
    def random(cls, rng: np.random.Generator, *, pulse: float | None = None) -> Person:
        """Any adult. The pulse of dark skin is weaker: melanin absorbs the light before blood can."""
        melanin = float(rng.beta(1.1, 1.3))
        if pulse is None:
            # 0.15 to 1.6 %: what webcams show, from a pale still face in daylight to dark skin indoors
            pulse = float(np.exp(rng.uniform(np.log(0.0025), np.log(0.016)))) * (1 - 0.55 * melanin)
        radii = (float(rng.uniform(0.66, 0.82)), 1.0, float(rng.uniform(0.76, 0.95)))
        return cls(int(rng.integers(2**31)), melanin, pulse, radii)

    @cached_property
    def maps(self) -> torch.Tensor:
        """What the head looks like: (10, *MAP_SIZE) float32.

        Albedo R, G, B; pulse strength; pulse delay in [0, 1]; gloss; bump slopes along longitude and latitude;
        skin (1) or not (0); eyelid region.
        """
        rng = np.random.default_rng(self.seed)
        h, w = MAP_SIZE
        lat = np.linspace(-np.pi / 2, np.pi / 2, h)[:, None] * np.ones((1, w))
        lon = np.linspace(-np.pi, np.pi, w)[None, :] * np.ones((h, 1))

        def blob(lon0: float, lat0: float, a: float, b: float, hard: float = 8.0) -> Map:
            r = np.sqrt(((lon - lon0) / a) ** 2 + ((lat - lat0) / b) ** 2)
            return np.asarray(1 / (1 + np.exp(np.clip(hard * (r - 1), -40, 40))))

        tone = LIGHT + self.melanin * (DARK - LIGHT)
        ruddy = 0.10 * smooth_noise(rng, MAP_SIZE, 9) + 0.25 * (
            blob(-0.55, -0.2, 0.35, 0.25, 3) + blob(0.55, -0.2, 0.35, 0.25, 3)
        )
        grain = 0.05 * rng.uniform(0.3, 1.5) * smooth_noise(rng, MAP_SIZE, 0.7) + 0.05 * smooth_noise(
            rng, MAP_SIZE, 3
        )
        albedo = np.exp(tone[:, None, None] - 0.35 * BLOOD[:, None, None] * ruddy + grain)
        strength = 1 + rng.uniform(0.1, 0.35) * smooth_noise(rng, MAP_SIZE, 6)
        # forehead and cheeks pulse most (their vessels lie shallow)
        strength = strength * (
            0.75
            + 0.35 * blob(0, 0.5, 0.7, 0.25, 3)
            + 0.35 * (blob(-0.5, -0.25, 0.35, 0.3, 3) + blob(0.5, -0.25, 0.35, 0.3, 3))
        )
        delay = np.clip(0.5 + 0.25 * smooth_noise(rng, MAP_SIZE, 14) - 0.2 * lat, 0, 1)
        gloss = np.clip(
            rng.uniform(0.2, 1.0)
            * (0.6 + 0.4 * blob(0, 0.45, 0.5, 0.3, 3) + 0.4 * blob(0, -0.1, 0.12, 0.3, 3)),
            0,
            1,
        )
        skin = np.ones(MAP_SIZE)

        eye_lat, eye_lon = rng.uniform(0.06, 0.16), rng.uniform(0.30, 0.38)
        lips = blob(0, -0.5 + rng.uniform(-0.05, 0.05), rng.uniform(0.2, 0.32), rng.uniform(0.05, 0.09))
        mouth = blob(0, -0.5, 0.24, 0.015)
        brows = sum(blob(s * eye_lon, eye_lat + rng.uniform(0.15, 0.2), 0.2, 0.04) for s in (-1, 1))
        eyes = sum(blob(s * eye_lon, eye_lat, 0.13, 0.055) for s in (-1, 1))
        iris = sum(blob(s * eye_lon, eye_lat, 0.05, 0.05) for s in (-1, 1))
        nostrils = sum(blob(s * 0.07, -0.24, 0.035, 0.025) for s in (-1, 1))
        hair_colour = np.exp(rng.uniform(np.log(0.015), np.log(0.4))) * np.array(
            [1.0, rng.uniform(0.6, 0.9), rng.uniform(0.35, 0.7)]
        )
        hairline = (
            rng.uniform(0.62, 0.9)
            - rng.uniform(0.1, 0.5) * (np.abs(lon) / 1.2) ** 3
            + 0.05 * smooth_noise(rng, MAP_SIZE, 3)
        )
        hair = 1 / (1 + np.exp(np.clip(-25 * (lat - hairline), -40, 40)))
        if rng.random() < 0.15:  # bald
            hair = hair * 0.0
        if rng.random() < 0.35:  # long hair beside the face
            hair = np.maximum(
                hair, 1 / (1 + np.exp(np.clip(-20 * (np.abs(lon) - rng.uniform(0.9, 1.25)), -40, 40)))
            )
        beard = np.zeros(MAP_SIZE)
        if rng.random() < 0.25:
            beard = blob(0, -0.85, rng.uniform(0.5, 1.0), rng.uniform(0.3, 0.48), 10) * rng.uniform(0.5, 1.0)
        glasses = np.zeros(MAP_SIZE)
        if rng.random() < 0.2:
            glasses = np.asarray(
                sum(
                    blob(s * eye_lon, eye_lat - 0.02, 0.25, 0.16, 25)
                    - blob(s * eye_lon, eye_lat - 0.02, 0.21, 0.125, 25)
                    for s in (-1, 1)
                )
            ).clip(0, 1)

        def paint(mask: Map, colour: NDArray[np.float64], *, alive: float = 0.0, shine: float = 0.0) -> None:
            nonlocal strength, gloss, skin
            albedo[:] = albedo * (1 - mask) + colour[:, None, None] * mask
            strength = strength * (1 - mask * (1 - alive))
            skin = skin * (1 - mask * (1 - float(alive > 0)))
            gloss = gloss * (1 - mask) + shine * mask

        paint(lips, np.exp(tone) * np.array([0.85, 0.5, 0.5]), alive=0.8, shine=0.4)
        paint(mouth, np.full(3, 0.05))
        paint(np.asarray(nostrils), np.exp(tone) * 0.2, alive=0.3)
        paint(np.clip(beard, 0, 1), hair_colour * (1 + 0.2 * smooth_noise(rng, MAP_SIZE, 0.8)).mean())
        paint(np.clip(brows, 0, 1) * 0.8, hair_colour)
        paint(np.clip(eyes, 0, 1), np.array([0.7, 0.68, 0.66]), shine=0.6)
        paint(np.clip(iris, 0, 1), np.array([0.06, 0.05, 0.04]) * rng.uniform(0.5, 3), shine=0.6)
        paint(glasses, np.full(3, rng.uniform(0.02, 0.2)), shine=0.8)
        paint(hair, hair_colour, shine=0.25)
        streaks = 1 + 0.35 * smooth_noise(rng, MAP_SIZE, 1.0)
        albedo *= 1 + (np.maximum(hair, beard) * (streaks - 1))[None]

        height = (
            0.20 * blob(0, -0.08, 0.10, 0.30, 3)
            + 0.06 * lips
            - 0.08 * sum(blob(s * eye_lon, eye_lat, 0.2, 0.12, 3) for s in (-1, 1))
            + 0.05 * blob(0, -0.95, 0.25, 0.15, 3)
            + 0.04 * brows
            + 0.03 * hair * smooth_noise(rng, MAP_SIZE, 1.2)
        )
        slope_lat, slope_lon = np.gradient(np.asarray(height), np.pi / h, 2 * np.pi / w)
        eyelid = np.asarray(sum(blob(s * eye_lon, eye_lat, 0.15, 0.075) for s in (-1, 1))).clip(0, 1)
        stack = np.concatenate(
            [
                albedo.clip(0.005, 0.95),
                np.stack(
                    [strength.clip(0, 2.5), delay, gloss, slope_lon, slope_lat, skin.clip(0, 1), eyelid]
                ),
            ]
        )
        return torch.from_numpy(stack.astype(np.float32))
