"""What a head looks like: shape, colour, hair and pulse as maps over longitude and latitude."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from deepmag.models.blood import BLOOD
from deepmag.models.synthetic.hair import Hair
from deepmag.models.synthetic.head import HeadShape, directions, slopes
from deepmag.models.synthetic.noise import Map, map_noise
from deepmag.models.synthetic.skin import tone
from deepmag.models.synthetic.solids import soft

# Rows of `HeadMaps.stack`.
RADIUS, ALBEDO, STRENGTH = 0, slice(1, 4), 4
DELAY, GLOSS, EAST, NORTH, OPEN, SKIN, LID = range(5, 12)
CHANNELS = 12


@dataclass
class Canvas:
    """The maps while they are painted, each (rows, 2 rows) or (3, rows, 2 rows). x, y, z: place on the bare head."""

    x: Map
    y: Map
    z: Map
    albedo: Map
    strength: Map
    gloss: Map
    skin: Map
    lid: Map = field(init=False)

    def __post_init__(self) -> None:
        self.lid = np.zeros_like(self.x)
        self.front = soft(self.z - 0.25, 12)

    def paint(
        self,
        mask: Map,
        colour: NDArray[np.float64] | NDArray[np.float32],
        *,
        alive: float = 0.0,
        shine: float = 0.0,
    ) -> None:
        """Cover with a colour where ``mask`` (in [0, 1]) says. alive: of the pulse that stays; 0 is no skin."""
        paint = np.asarray(colour, np.float32)
        self.albedo += mask * ((paint[:, None, None] if paint.ndim == 1 else paint) - self.albedo)
        self.strength *= 1 - mask * np.float32(1 - alive)
        self.gloss += mask * np.float32(shine) - mask * self.gloss
        if alive == 0:
            self.skin *= 1 - mask

    def spot(self, x: float, y: float, a: float, b: float, hard: float = 8.0) -> Map:
        """An ellipse on the face, seen from the front: 1 inside, 0 outside. hard: of its edge."""
        r = np.sqrt(
            ((self.x - np.float32(x)) / np.float32(a)) ** 2 + ((self.y - np.float32(y)) / np.float32(b)) ** 2
        )
        return soft(1 - r, hard) * self.front

    def pair(self, x: float, y: float, a: float, b: float, hard: float = 8.0) -> Map:
        """`spot` on both sides of the face."""
        r = np.sqrt(
            ((np.abs(self.x) - np.float32(x)) / np.float32(a)) ** 2
            + ((self.y - np.float32(y)) / np.float32(b)) ** 2
        )
        return soft(1 - r, hard) * self.front


def paint_head(seed: int, melanin: float, shape: HeadShape, hair: Hair, rows: int) -> NDArray[np.float32]:
    """All maps of a head: (CHANNELS, rows, 2 rows) float32, in the order that this module's names give.

    Distance from the centre; albedo R, G, B; pulse strength, about 1; pulse delay in [0, 1]; gloss; slope eastward and
    northward; openness to the sky; skin (1) or not (0); height of a closing eyelid.
    """
    rng = np.random.default_rng([seed, 2])
    _, lat, ahead = directions(rows)
    bare = shape.radius(rows)
    ones = np.ones_like(bare)
    bare_tone = tone(melanin)

    ruddy = 0.12 * map_noise(rng, rows, 9)
    grain = np.float32(0.04 * rng.uniform(0.3, 1.5)) * map_noise(rng, rows, 0.8) + 0.05 * map_noise(
        rng, rows, 3
    )
    canvas = Canvas(
        bare * ahead[0],
        bare * ahead[1],
        bare * ahead[2],
        np.empty((3, *bare.shape), np.float32),
        ones.copy(),
        ones,
        ones.copy(),
    )
    # cheeks, nose and ears are redder: their vessels lie shallow
    ruddy = ruddy + np.float32(0.35) * canvas.pair(0.34, -0.25, 0.20, 0.18, 3)
    ruddy += np.float32(0.30) * canvas.spot(0, shape.nose_tip[0], 0.12, 0.10, 4) + np.float32(0.4) * soft(
        np.abs(canvas.x) - np.float32(shape.width + 0.03), 40
    )
    canvas.albedo[:] = np.log(bare_tone)[:, None, None] - 0.6 * BLOOD[:, None, None] * ruddy + grain
    np.exp(canvas.albedo, out=canvas.albedo)

    canvas.strength *= 1 + np.float32(rng.uniform(0.1, 0.3)) * map_noise(rng, rows, 6)
    canvas.strength *= (
        np.float32(0.7)
        + np.float32(0.4) * canvas.spot(0, 0.42, 0.45, 0.22, 4)
        + np.float32(0.4) * canvas.pair(0.32, -0.24, 0.20, 0.20, 4)
    )
    # the wave comes up the neck: chin first, forehead last, with patches of their own
    delay = np.clip(0.5 + 0.22 * map_noise(rng, rows, 14) + 0.25 * canvas.y, 0, 1)
    canvas.gloss = np.float32(rng.uniform(0.2, 1.0)) * (
        0.55 + 0.45 * canvas.spot(0, 0.40, 0.40, 0.22, 4) + 0.6 * canvas.spot(0, -0.12, 0.07, 0.28, 4)
    )
    paint_mouth(canvas, shape, bare_tone, rng)
    paint_eyes(canvas, shape, bare_tone, rng)
    paint_folds(canvas, shape, rng)
    fallen = hair.fall(ahead, bare) - bare
    thickness = hair.paint(canvas, shape, lat, fallen)
    radius = bare + fallen + thickness
    east, north = slopes(radius)
    openness = shape.openness(rows)
    openness += (1 - openness) * np.clip(4 * (thickness + fallen), 0, 0.7)
    return np.concatenate(
        [
            radius[None],
            canvas.albedo.clip(0.004, 0.95),
            np.stack([canvas.strength.clip(0, 2.5), delay, canvas.gloss.clip(0, 1), east, north, openness]),
            np.stack([canvas.skin.clip(0, 1), canvas.lid]),
        ]
    ).astype(np.float32)


def paint_mouth(
    canvas: Canvas, shape: HeadShape, bare: NDArray[np.float64], rng: np.random.Generator
) -> None:
    """Lips, the line between them, and nostrils."""
    u = canvas.x / np.float32(shape.mouth_width)
    across = np.clip(1 - u * u, 0, 1)
    y = canvas.y - np.float32(shape.mouth_y)
    bow = np.float32(shape.lip) * (
        1.15 + 0.25 * np.exp(-(((np.abs(u) - 0.28) / 0.2) ** 2)) - 0.15 * np.exp(-((u / 0.12) ** 2))
    )
    upper = np.minimum(bow * across**0.7 - y, y + 0.02)
    lower = np.minimum(y + np.float32(1.7 * shape.lip) * across**0.6, 0.02 - y)
    lips = soft(np.maximum(upper, lower), 70) * canvas.front * (across > 0)
    red = bare * np.array([0.88, 0.55, 0.58]) * rng.uniform(0.85, 1.1)
    canvas.paint(lips * np.float32(0.85), red, alive=0.8, shine=float(rng.uniform(0.2, 0.5)))
    line = np.exp(-(((y - 0.006 * (1 - across)) / 0.014) ** 2)) * soft(1.04 - np.abs(u), 25) * canvas.front
    canvas.paint(line * np.float32(0.85), bare * np.array([0.16, 0.07, 0.07]))
    tip = shape.nose_tip[0]
    nostrils = canvas.pair(shape.nose_width * 0.62, tip - 0.072, 0.034, 0.022, 6)
    canvas.paint(nostrils * np.float32(0.6), bare * np.array([0.16, 0.09, 0.08]), alive=0.2)


def paint_eyes(canvas: Canvas, shape: HeadShape, bare: NDArray[np.float64], rng: np.random.Generator) -> None:
    """White, iris and pupil, lashes and the crease of the lid."""
    half = 0.128
    wide, tilt = rng.uniform(0.046, 0.062), rng.uniform(-0.06, 0.12)
    u = (np.abs(canvas.x) - np.float32(shape.eye_x)) / np.float32(half)
    y = canvas.y - np.float32(shape.eye_y) - np.float32(tilt * half) * u
    across = np.clip(1 - u * u, 0, 1)
    top, bottom = np.float32(wide) * across**0.8, np.float32(-0.62 * wide) * across
    near = (np.abs(u) < 1.35) * canvas.front
    inside = np.minimum(top - y, y - bottom)
    white = soft(inside, 130) * near * (across > 0)
    r = np.hypot(canvas.x - np.sign(canvas.x) * np.float32(shape.eye_x), y - np.float32(0.006))
    kind = rng.random()
    if kind < 0.6 or bare[0] < 0.35:
        iris = np.array([0.09, 0.045, 0.02]) * rng.uniform(0.4, 1.6)
    elif kind < 0.85:
        iris = np.array([0.10, 0.16, 0.24]) * rng.uniform(0.6, 1.4)
    else:
        iris = np.array([0.10, 0.13, 0.06]) * rng.uniform(0.6, 1.4)
    ball = np.empty((3, *canvas.x.shape), np.float32)
    shade = 1 - np.float32(0.55) * soft(y - top + np.float32(0.022), 90)  # the upper lid's shadow
    ball[:] = np.array([0.60, 0.55, 0.52], np.float32)[:, None, None]
    disc = soft(np.float32(0.055) - r, 150)
    ball += disc * (iris.astype(np.float32)[:, None, None] * (0.6 + 6 * r) - ball)
    ball *= 1 - np.float32(0.97) * soft(np.float32(0.022) - r, 200)
    canvas.paint(white, ball * shade, shine=0.7)
    lash = np.exp(-(((y - top) / np.float32(0.011)) ** 2)) * soft(np.float32(1.08) - np.abs(u), 25) * near
    canvas.paint(lash * np.float32(rng.uniform(0.65, 0.95)), bare * 0.1)
    under = np.exp(-(((y - bottom) / np.float32(0.010)) ** 2)) * soft(1 - np.abs(u), 25) * near
    canvas.paint(under * np.float32(0.3), bare * 0.25)
    crease = (
        np.exp(-(((y - 1.05 * top - 0.034) / np.float32(0.011)) ** 2))
        * soft(np.float32(1.1) - np.abs(u), 12)
        * near
    )
    canvas.paint(crease * np.float32(rng.uniform(0.25, 0.6)), bare * 0.45, alive=0.8)
    height = np.clip((y - bottom) / np.maximum(top - bottom, 1e-3), 0, 1)
    canvas.lid[:] = white * (0.2 + 0.8 * height)


def paint_folds(canvas: Canvas, shape: HeadShape, rng: np.random.Generator) -> None:
    """Lines that age draws: from nose to mouth, under the eyes, over the forehead."""
    age = float(rng.uniform(0, 1)) ** 1.5
    tip = shape.nose_tip[0]
    x, y = np.abs(canvas.x), canvas.y
    along = (tip - y) / np.float32(tip - shape.mouth_y)  # 0 at the nose, 1 at the mouth
    fold = np.exp(-(((x - np.float32(0.13) - 0.11 * np.clip(along, 0, 1.2)) / 0.022) ** 2))
    fold *= soft(along + np.float32(0.05), 12) * soft(np.float32(1.15) - along, 8)
    bag = np.exp(
        -(((y - np.float32(shape.eye_y - 0.085) - 1.2 * (x - shape.eye_x) ** 2) / 0.022) ** 2)
    ) * soft(np.float32(0.13) - np.abs(x - np.float32(shape.eye_x)), 40)
    lines = (0.5 + 0.5 * np.cos((y - 0.30) * np.float32(55))) ** 6 * canvas.spot(0, 0.40, 0.34, 0.12, 5)
    dark = (0.10 + 0.25 * age) * fold + (0.08 + 0.16 * age) * bag + 0.18 * age * max(0.0, age - 0.3) * lines
    canvas.albedo *= 1 - (dark * canvas.front)[None] * np.array([0.7, 0.9, 0.9], np.float32)[:, None, None]
