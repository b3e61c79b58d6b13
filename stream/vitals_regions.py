"""Colour of the face to pulse, region by region, with the face's motion taken out of each frame.

A colour trace averaged over skin (POS, chrominance) takes every shift of an eyebrow for a change of colour.
Here each frame pair is explained, in each region on its own, by four causes at once: blood (a known colour),
light (all channels alike), and a shift of the picture along x and y (the picture's own gradient). On clip_a,
hand-held, that lifts the pulse from 3 dB (mean of green minus red) to 6 dB over the rest of the band, and the
regions agree to 2 beats a minute.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from deepmag.models.representation import DARK, L

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from deepmag.stream.roi import FloatBox

BLOOD = np.array([0.33, 0.77, 0.53])  # R:G:B of the relative change of skin by the pulse
# What neither blood nor white light does to R, G and B: a lamp of another colour does, and a white balance that hunts.
TINT = np.cross(BLOOD, np.ones(3))
TINT /= np.linalg.norm(TINT)
SHIFT = 0.05  # cells per frame: what a face moves; keeps flat regions, where a shift cannot be seen, solvable
MEMORY = 30  # frames over which a cell's noise is learned
NOISE_FLOOR = 1e-4  # relative; finer than 8-bit video can be after the reduction

# (left, top, right, bottom) in face boxes: halves of the forehead, of the left and of the right cheek. Mouth
# and chin are left out: they move on their own in speech.
REGIONS: tuple[tuple[float, float, float, float], ...] = (
    (0.14, 0.0, 0.5, 0.33),
    (0.5, 0.0, 0.86, 0.33),
    (0.0, 0.38, 0.42, 0.58),
    (0.0, 0.58, 0.42, 0.78),
    (0.58, 0.38, 1.0, 0.58),
    (0.58, 0.58, 1.0, 0.78),
)
GROUPS: tuple[tuple[int, ...], ...] = ((0, 1), (2, 3), (4, 5))  # forehead, left cheek, right cheek
OVAL = (0.46, 0.48)  # half axes of the head in face boxes: the box's corners are hair and background
# Beside the head, at least 0.3 faces away from it.
BACKGROUND: tuple[tuple[float, float, float, float], ...] = (
    (-1.2, -0.3, -0.3, 0.35),
    (-1.2, 0.35, -0.3, 1.0),
    (1.3, -0.3, 2.2, 0.35),
    (1.3, 0.35, 2.2, 1.0),
)
SIDES: tuple[tuple[int, ...], ...] = ((0, 1), (2, 3))  # of these, left and right of it
# Nearer to it, above and at both sides: hair, clothes, what is close behind. Not below: a neck pulses.
AROUND: tuple[tuple[float, float, float, float], ...] = (
    (-0.3, -0.3, 1.3, 0.15),
    (-0.3, 0.15, 0.1, 1.25),
    (0.9, 0.15, 1.3, 1.25),
)
BEYOND = 1.15  # times OVAL: what is inside may be the face's edge
# Of the logarithms of R / G and B / G, from the face's: what is nearer may be skin, as a bald head, an ear, a shoulder.
# A grey wall is 0.3 to 0.5 away, hair 0.15 to 0.4.
OTHER_COLOUR = 0.2
# Grey levels between which a cell shows light: what is crushed to black or burnt out is still, whatever lights it, and
# what is still counts more than all else. Before a wall half of which was black, or white, a lamp was a pulse.
SHOWS = (4.0, 251.0)
MIN_CELLS = 4.0  # fewer than that say nothing


@dataclass(frozen=True, slots=True)
class Increments:
    """What one frame pair says of the regions, of the background, and of what is around; NaN where out of the picture.

    blood, light: (n,) relative change; tint: that along TINT. shift: (n, 2) cells along x and y.
    """

    blood: NDArray[np.float64]
    light: NDArray[np.float64]
    tint: NDArray[np.float64]
    shift: NDArray[np.float64]


class Regions:
    """Turns frame pairs into increments; remembers only how noisy each cell is."""

    def __init__(self) -> None:
        self._face: FloatBox | None = None
        self._masks = np.zeros((0, L * L))
        self._noise = np.full(L * L, 1e-5)

    def reset(self) -> None:
        """Forget the cells' noise: the picture shows something else."""
        self._noise = np.full(L * L, 1e-5)

    def increments(
        self, before: NDArray[np.float32], after: NDArray[np.float32], face: FloatBox
    ) -> Increments:
        """Explain a frame pair.

        before, after: (3, L, L) in [0, 255], the same crop. face: (x, y, w, h), cells.
        """
        if face != self._face:
            inside = [_mask(face, box) * _oval(face) for box in REGIONS]
            shows = _shows_light(after)
            other = _other_colour(after, sum(inside, np.zeros(L * L))) & ~_oval(face, BEYOND) & shows
            self._masks = np.stack(
                inside
                + [_mask(face, box) * shows for box in BACKGROUND]
                + [_mask(face, box) * other for box in AROUND]
            )
            self._face = face
        first = np.log(before.reshape(3, -1).astype(np.float64) + DARK)
        second = np.log(after.reshape(3, -1).astype(np.float64) + DARK)
        change = second - first
        middle = ((first + second) / 2).reshape(3, L, L)
        dy: NDArray[np.float64] = np.asarray(np.gradient(middle, axis=1))
        dx: NDArray[np.float64] = np.asarray(np.gradient(middle, axis=2))
        blood = np.repeat(BLOOD[:, np.newaxis], L * L, axis=1)
        causes = np.stack([blood, np.ones_like(blood), dx.reshape(3, -1), dy.reshape(3, -1)])
        weights = self._masks / self._noise
        gram = np.einsum("icn,jcn->nij", causes, causes).reshape(L * L, 16)
        gram = (weights @ gram).reshape(-1, 4, 4) + np.diag([1e-6, 1e-6, SHIFT**-2, SHIFT**-2])
        right = weights @ np.einsum("icn,cn->ni", causes, change)
        found = np.linalg.solve(gram, right[..., np.newaxis])[..., 0]
        # perpendicular to blood and to light, so that of what was found only the shift has to be taken out
        toned, across, down = (weights @ (TINT @ part) for part in (change, causes[2], causes[3]))
        tint = (toned - across * found[:, 2] - down * found[:, 3]) / np.maximum(weights.sum(axis=1), 1e-9)
        self._learn_noise(change, causes, found)
        hidden = self._masks.sum(axis=1) < MIN_CELLS
        found[hidden] = tint[hidden] = np.nan
        return Increments(found[:, 0], found[:, 1], tint, found[:, 2:])

    def _learn_noise(
        self, change: NDArray[np.float64], causes: NDArray[np.float64], found: NDArray[np.float64]
    ) -> None:
        """Follow the mean square of what the causes leave unexplained, cell by cell."""
        covered = self._masks.sum(axis=0)
        share = self._masks / np.maximum(covered, 1e-9)
        fitted = np.einsum("in,icn->cn", found.T @ share, causes)
        left = ((change - fitted) ** 2).mean(axis=0)
        update = covered > 0
        self._noise[update] += (left[update] - self._noise[update]) / MEMORY
        np.maximum(self._noise, NOISE_FLOOR**2, out=self._noise)


def _mask(face: FloatBox, box: tuple[float, float, float, float]) -> NDArray[np.float64]:
    """How much of each cell lies in a region. face: cells. box: face boxes. Returns (L*L,) in [0, 1]."""
    x, y, w, h = face
    left, top, right, bottom = box
    edge = np.arange(L)
    across = np.clip(np.minimum(x + right * w, edge + 1) - np.maximum(x + left * w, edge), 0, 1)
    down = np.clip(np.minimum(y + bottom * h, edge + 1) - np.maximum(y + top * h, edge), 0, 1)
    return np.outer(down, across).ravel()


def _oval(face: FloatBox, times: float = 1.0) -> NDArray[np.bool_]:
    """Which cells lie in the oval of the head, so many times as large. Returns (L*L,)."""
    x, y, w, h = face
    middle = np.arange(L) + 0.5
    across = ((middle - x) / w - 0.5) / OVAL[0]
    down = ((middle - y) / h - 0.5) / OVAL[1]
    return np.asarray(np.add.outer(down**2, across**2).ravel() < times**2)


def _shows_light(picture: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Which cells have a colour that is neither black nor burnt out. picture: (3, L, L). Returns (L*L,)."""
    cells = picture.reshape(3, -1)
    return np.asarray(((cells > SHOWS[0]) & (cells < SHOWS[1])).any(axis=0))


def _other_colour(picture: NDArray[np.float32], skin: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which cells have not the colour of skin. picture: (3, L, L). skin: (L*L,), where it is. Returns (L*L,)."""
    red, green, blue = np.log(picture.reshape(3, -1).astype(np.float64) + DARK)
    tones = np.stack([red - green, blue - green])
    seen = skin > 0.5
    if not seen.any():
        return np.zeros(L * L, bool)
    away = tones - np.median(tones[:, seen], axis=1, keepdims=True)
    return np.asarray(np.hypot(*away) > OTHER_COLOUR)
