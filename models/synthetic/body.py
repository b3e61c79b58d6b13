"""Shoulders, chest and neckline: a relief seen from the front, in cloth, that rises and swells with the breath.

Axes and unit as in `head`; the origin is where the head's centre is when it looks ahead.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from deepmag.models.synthetic.noise import Map, smooth_noise
from deepmag.models.synthetic.solids import Field, Points, capsule, ellipsoid, union

WIDTH = 2.8  # the relief reaches from -WIDTH to WIDTH
TOP, BOTTOM = -0.85, -3.85
# Rows of `Body.maps`.
OUTLINE, ACROSS, UPWARD, BARE, CLOTH = 0, 1, 2, 3, slice(4, 7)


@dataclass(frozen=True)
class Body:
    """seed: of the cloth. broad: half the width between the shoulders. slope: how much they drop. neck: half its width.

    neckline: how far below the chin the cloth begins; v: whether it is cut to a point. colour: linear RGB of the cloth.
    """

    seed: int
    broad: float = 1.28
    slope: float = 0.2
    neck: float = 0.40
    neckline: float = 0.45
    v: bool = False
    colour: tuple[float, float, float] = (0.1, 0.15, 0.3)

    @classmethod
    def random(cls, rng: np.random.Generator) -> Body:
        """Any adult's, dressed."""
        broad = round(float(rng.uniform(1.12, 1.42)), 1)  # few shapes, so that they are modelled once
        colour = np.exp(rng.uniform(np.log(0.02), np.log(0.6))) * rng.uniform(0.6, 1.4, 3)
        return cls(
            int(rng.integers(2**31)),
            broad,
            round(float(rng.uniform(0.05, 0.35)), 1),
            float(rng.uniform(0.35, 0.44)),
            float(rng.uniform(0.30, 0.62)),
            bool(rng.random() < 0.35),
            (float(colour[0]), float(colour[1]), float(colour[2])),
        )

    def maps(self, rows: int) -> NDArray[np.float32]:
        """(7, rows, columns) of what the relief is, its rows from BOTTOM to TOP.

        Signed distance to the outline, positive inside; slope of the surface to the right and up; bare skin (1) or
        cloth (0); the cloth's albedo R, G, B.
        """
        outline, across, upward = relief(rows, self.broad, self.slope)
        x, y = grid(rows)
        rng = np.random.default_rng([self.seed, 3])
        depth = np.float32(-1.0 - self.neckline) - y
        open_ = np.hypot(
            x / np.float32(0.42 + 0.3 * self.neckline), (y + 1.02) / np.float32(self.neckline + 0.02)
        )
        bare = 1 - open_ if not self.v else np.minimum(-depth - 1.35 * np.abs(x), 0.5 - np.abs(x))
        bare = 1 / (1 + np.exp(np.clip(-30 * bare, -30, 30)))
        folds = sum((0.05 * s / 4) * smooth_noise(rng, outline.shape, s * rows / 64, 1.6) for s in (2.0, 4.0))
        fold_y, fold_x = np.gradient(np.asarray(folds), (TOP - BOTTOM) / rows)
        cloth = np.asarray(self.colour, np.float32)[:, None, None] * self._pattern(rng, x, y)
        # a hem or collar: a darker edge where the cloth begins
        cloth = cloth * (1 - 0.35 * np.exp(-(((bare - 0.35) / 0.3) ** 2)))[None]
        cloth_share = 1 - bare
        return np.concatenate(
            [
                np.stack([outline, across + fold_x * cloth_share, upward + fold_y * cloth_share, bare]),
                cloth.clip(0.004, 0.9),
            ]
        ).astype(np.float32)

    def _pattern(self, rng: np.random.Generator, x: Map, y: Map) -> Map:
        """Plain, striped, checked or printed: (3, ...) factors."""
        kind = rng.random()
        second = np.exp(rng.normal(0, 0.5, 3)).astype(np.float32)[:, None, None]
        period = np.float32(rng.uniform(0.18, 0.5))
        weave = 1 + 0.06 * smooth_noise(rng, x.shape, 0.8)
        if kind < 0.5:
            mark = np.zeros_like(x)
        elif kind < 0.65:
            mark = (np.sin(2 * np.pi * y / period) > 0.2).astype(np.float32)
        elif kind < 0.8:
            mark = 0.5 * (np.sin(2 * np.pi * y / period) > 0) + 0.5 * (np.sin(2 * np.pi * x / period) > 0)
        else:
            mark = ((np.abs(x) < 0.45) & (np.abs(y + 2.5) < 0.35)).astype(np.float32)
        return np.asarray((1 + mark[None] * (second - 1)) * weave[None])


def grid(rows: int) -> tuple[Map, Map]:
    """Coordinates x and y of each texel of a relief of that many rows."""
    columns = round(rows * 2 * WIDTH / (TOP - BOTTOM))
    y = BOTTOM + (np.arange(rows, dtype=np.float32) + 0.5) * np.float32((TOP - BOTTOM) / rows)
    x = ((np.arange(columns, dtype=np.float32) + 0.5) / columns * 2 - 1) * np.float32(WIDTH)
    xx, yy = np.meshgrid(x, y)
    return xx, yy


@lru_cache(maxsize=64)
def relief(rows: int, broad: float, slope: float) -> tuple[Map, Map, Map]:
    """Signed distance to the outline, and slopes of the surface to the right and up; each (rows, columns)."""
    x, y = grid(rows)
    z = np.full_like(x, 1.2)
    nearest = np.full_like(x, 9.0)
    for _ in range(22):
        d = torso((np.abs(x), y, z), broad, slope)
        nearest = np.minimum(nearest, d)
        z = z - 0.9 * d
    hit = z > -1.5
    z = np.where(hit, z, -1.5)
    step = np.float32((TOP - BOTTOM) / rows)
    slope_y, slope_x = np.gradient(np.where(hit, z, np.nan), step)
    slope_x, slope_y = (np.clip(np.nan_to_num(s, nan=0.0), -3, 3) for s in (slope_x, slope_y))
    inward = cv2.distanceTransform(hit.astype(np.uint8), cv2.DIST_L2, 5) * step
    outline = np.where(hit, inward - 0.5 * step, -nearest)
    outline = cv2.GaussianBlur(outline, (0, 0), 1.0)  # the steps of the texels
    return outline.astype(np.float32), slope_x.astype(np.float32), slope_y.astype(np.float32)


def torso(p: Points, broad: float, slope: float) -> Field:
    """Signed distance to neck's foot, shoulders, chest and upper arms; p: with x >= 0."""
    tip = -1.55 - slope
    d = ellipsoid(p, (0, -2.75, -0.22), (broad - 0.12, 1.45, 0.62))
    d = union(d, capsule(p, (0, -1.62, -0.25), (broad - 0.10, tip - 0.02, -0.25), 0.24, 0.27), 0.4)
    d = union(d, capsule(p, (0.10, -0.95, -0.28), (0.72, -1.60, -0.30), 0.26, 0.24), 0.30)
    d = union(d, capsule(p, (broad - 0.06, tip - 0.12, -0.24), (broad + 0.10, -3.9, -0.15), 0.31, 0.30), 0.25)
    chest = ellipsoid(p, (0.42, -2.45, 0.16), (0.45, 0.5, 0.28))
    return union(d, chest, 0.45)
