"""Hair on the head, brows, beard, and glasses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from deepmag.models.synthetic.noise import Map, map_noise
from deepmag.models.synthetic.solids import soft

if TYPE_CHECKING:
    from deepmag.models.synthetic.head import HeadShape
    from deepmag.models.synthetic.look import Canvas
    from deepmag.models.synthetic.solids import Points

BLACK, BROWN, BLOND, RED, GREY = (
    (0.012, 0.010, 0.009),
    (0.07, 0.040, 0.022),
    (0.36, 0.24, 0.12),
    (0.22, 0.08, 0.03),
    (0.38, 0.37, 0.36),
)


@dataclass(frozen=True)
class Hair:
    """seed: of its strands. colour: linear RGB. line: height of the hairline over the middle of the forehead.

    recede: by how much it climbs at the temples. volume: thickness on the crown. top: 0 is bald there. long: to the
    shoulders. fringe: over the forehead. beard: 0 none to 1 full; stubble: 0 to 1. glasses: linear grey of the frame,
    or None. brow: how dense the brows are.
    """

    seed: int
    colour: tuple[float, float, float] = BROWN
    line: float = 0.60
    recede: float = 0.1
    volume: float = 0.07
    top: float = 1.0
    long: bool = False
    fringe: float = 0.0
    beard: float = 0.0
    stubble: float = 0.0
    glasses: float | None = None
    brow: float = 0.8

    @classmethod
    def random(cls, rng: np.random.Generator, melanin: float) -> Hair:
        """Any adult's; dark skin goes with dark hair."""
        kinds = (BLACK, BROWN, BLOND, RED, GREY)
        light = max(0.0, 1 - 2.2 * melanin)
        weights = np.array([0.35 + melanin, 0.35, 0.28 * light, 0.08 * light, 0.15])
        base = np.array(kinds[int(rng.choice(5, p=weights / weights.sum()))])
        colour = base * np.exp(rng.normal(0, 0.25)) * np.exp(rng.normal(0, 0.05, 3))
        long = bool(rng.random() < 0.42)
        beards = not long
        return cls(
            int(rng.integers(2**31)),
            (float(colour[0]), float(colour[1]), float(colour[2])),
            line=float(rng.uniform(0.50, 0.68)),
            recede=float(rng.uniform(0.0, 0.22)) * (not long),
            volume=float(rng.uniform(0.03, 0.12)),
            top=float(long or rng.random() > 0.15),
            long=long,
            fringe=float(rng.uniform(0.1, 0.26)) * bool(rng.random() < 0.25),
            beard=float(rng.uniform(0.6, 1.0)) * bool(beards and rng.random() < 0.3),
            stubble=float(rng.uniform(0.0, 0.5)) * bool(beards and rng.random() < 0.6),
            glasses=float(np.exp(rng.uniform(np.log(0.01), np.log(0.2)))) if rng.random() < 0.2 else None,
            brow=float(rng.uniform(0.5, 0.95)),
        )

    def fall(self, directions: Points, bare: Map) -> Map:
        """Distance of the outside of long hair beside the face; elsewhere ``bare``, the head's.

        directions: x, y, z of unit vectors.
        """
        if not self.long:
            return bare
        x, y, z = directions
        down = np.where(y < 0, np.float32(1.5), np.float32(1.02))
        outside = 1 / np.sqrt((x / np.float32(0.82)) ** 2 + (y / down) ** 2 + (z / np.float32(0.90)) ** 2)
        # beside and behind the face: not before it, and not below the chin
        aside = np.minimum(np.float32(0.10) - z * bare, 0.6 * (np.abs(x) * outside - np.float32(0.50)))
        return np.asarray(bare + soft(aside, 22) * np.clip(outside - bare, 0, 0.7))

    def paint(self, canvas: Canvas, shape: HeadShape, lat: Map, fallen: Map) -> Map:
        """Paint all hair. Returns how much it stands off the head, beside what has fallen, (rows, 2 rows).

        fallen: how far long hair hangs off the head.
        """
        rng = np.random.default_rng([self.seed, 5])
        x, y, z = canvas.x, canvas.y, canvas.z
        rows = len(x)
        colour = np.array(self.colour)
        wave = np.float32(0.025) * map_noise(rng, rows, 2.5)
        strand = map_noise(rng, rows, 0.6, 7.0)
        fine = map_noise(rng, rows, 0.8)
        streaked = colour.astype(np.float32)[:, None, None] * np.exp(0.38 * strand + 0.12 * fine)[None]

        aside = np.clip(np.abs(x) / np.float32(0.62), 0, 1.3)
        line = (
            np.float32(self.line - self.fringe)
            + np.float32(self.recede) * aside
            - np.float32(0.42) * aside**4
        )
        crown = y - line - wave
        crown = np.minimum(crown, np.float32(self.top * 10 - 0.3)) if self.top < 1 else crown
        temple = np.minimum(np.float32(0.10) - z, y - np.float32(-0.12)) - wave
        temple = np.minimum(temple, np.float32(0.62) + 10 * np.float32(self.top) - y)
        nape = np.minimum(np.float32(-0.22) - z, y + np.float32(0.62 + 2.0 * self.long)) - wave
        nape = np.minimum(nape, np.float32(0.62) + 10 * np.float32(self.top) - y)
        cover = np.maximum(np.maximum(crown, temple), nape)
        ear = np.zeros_like(x)
        if self.long:
            cover = np.maximum(cover, np.float32(0.12) - z - wave)
        else:  # ears stay free
            ear = soft(np.abs(x) - np.float32(shape.width - 0.005), 60) * soft(
                np.float32(0.18) - np.abs(y + 0.05), 30
            )
            ear = ear * soft(np.float32(0.2) - np.abs(z + np.float32(0.06)), 30)
        hair = np.maximum(soft(cover, 32) * (1 - ear), soft(fallen - np.float32(0.03), 150) * (fallen > 0))
        canvas.paint(hair, streaked, shine=0.22)

        brow_y = np.float32(shape.eye_y + 0.155)
        u = (np.abs(x) - np.float32(shape.eye_x)) / np.float32(0.155)
        arch = brow_y + np.float32(0.03) * (1 - (u - 0.25) ** 2) + np.float32(0.01) * u
        brow = np.exp(-(((y - arch) / (np.float32(0.030) * np.clip(1.1 - 0.45 * u, 0.3, 1.5))) ** 2))
        brow *= soft(np.float32(1.0) - np.abs(u), 10) * canvas.front * (0.8 + 0.2 * np.clip(strand, -1, 1))
        dark = np.minimum(colour * 0.8, 0.12)
        canvas.paint(np.clip(brow * np.float32(self.brow), 0, 1), dark)

        jaw = np.minimum(
            np.float32(-0.44) - y + np.float32(0.55) * np.clip(np.abs(x) - 0.28, 0, 0.4),
            z - np.float32(-0.02),
        )
        jaw = np.maximum(
            jaw,
            np.minimum(
                np.float32(0.06) - np.abs(y - np.float32(shape.mouth_y + 0.115)), np.float32(0.21) - np.abs(x)
            )
            * canvas.front,
        )
        lips = canvas.spot(0, shape.mouth_y - 0.01, shape.mouth_width + 0.03, 0.085, 9)
        beard = soft(jaw + wave, 28) * (1 - lips)
        if self.stubble:
            canvas.paint(beard * np.float32(0.45 * self.stubble), streaked * 0.8, alive=0.6)
        thick = np.zeros_like(x)
        if self.beard:
            grown = beard * np.float32(self.beard)
            canvas.paint(grown, streaked)
            thick = grown * np.float32(0.03)
        if self.glasses is not None:
            self._wear_glasses(canvas, shape)
        lift = np.clip(y, 0, 1) * np.float32(self.volume) + np.float32(0.02)
        return np.asarray(hair * (lift + np.float32(0.010) * strand * np.cos(lat)) + thick)

    def _wear_glasses(self, canvas: Canvas, shape: HeadShape) -> None:
        u = (np.abs(canvas.x) - np.float32(shape.eye_x + 0.01)) / np.float32(0.19)
        v = (canvas.y - np.float32(shape.eye_y - 0.015)) / np.float32(0.145)
        rim = (np.abs(u) ** 3 + np.abs(v) ** 3) ** (1 / 3) - 1
        frame = np.exp(-((rim / np.float32(0.075)) ** 4)) * (canvas.z > 0.2)
        bridge = (
            np.exp(-(((canvas.y - np.float32(shape.eye_y + 0.03)) / 0.016) ** 4))
            * (np.abs(canvas.x) < 0.09)
            * canvas.front
        )
        temple = (
            np.exp(-(((canvas.y - np.float32(shape.eye_y + 0.03)) / 0.018) ** 4))
            * (np.abs(u) > 1)
            * (np.abs(canvas.z - 0.2) < 0.3)
        )
        grey = np.full(3, self.glasses)
        canvas.paint(np.clip(np.maximum(np.maximum(frame, bridge), temple), 0, 1), grey, shine=0.6)
