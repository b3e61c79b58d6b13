"""Motion of each small part of the picture, from phase differences in four orientations (Fleet & Jepson 1990).

A phase with slope s changes by -s . d where the picture moves by d. One cell and one orientation say little; over a
neighbourhood, and weighted by trust, the equations of all four are solved for d. Here they are only summed: sums over
time and over cells stay sums, and what is asked of them later is linear.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from deepmag.models.phase import Floats, PhaseDifference
from deepmag.models.respiration import REACH

GRID = 62  # px, side on which motion is kept: half of the bands'
NEIGHBOURHOOD = 2.5  # cells of the bands, standard deviation
# Mean square of what noise alone, without any pattern, pulls over a pair: so many times the fourth power of
# `PhaseDifference.noise`, from 1/6 to 1/3, down and right together.
STRAY = 0.8
RIDGE = 0.02  # added to the stiffness: where there is no pattern there is no motion to be seen


@dataclass(frozen=True)
class LocalMotion:
    """Equations of the motion over one pair, on a grid of (GRID, GRID).

    stiffness: (3, GRID, GRID), sums of weight times slope times slope: rows with rows, rows with columns, columns with
    columns. pull: (2, GRID, GRID), sums of weight times slope times phase difference, turned so that
    stiffness . motion = pull, the motion in cells of the bands, down and right. stray: mean square of the pull, both
    directions together, where there is no pattern.
    """

    stiffness: Floats
    pull: Floats
    stray: float = 0.0


def local_motion(difference: PhaseDifference) -> LocalMotion:
    """Sum the equations of a phase difference over neighbourhoods and orientations."""
    held = difference.weight * np.clip(difference.x, -REACH, REACH)
    down, right = difference.slope
    trust = difference.weight
    return LocalMotion(
        np.stack([on_grid((trust * a * b).sum(0)) for a, b in ((down, down), (down, right), (right, right))]),
        np.stack([on_grid(-(slope * held).sum(0)) for slope in (down, right)]),
        STRAY * difference.noise**4,
    )


def on_grid(cells: Floats) -> Floats:
    """Average over neighbourhoods. cells: (SIDE, SIDE). Returns (GRID, GRID)."""
    blurred = cv2.GaussianBlur(cells, (0, 0), NEIGHBOURHOOD)
    return np.asarray(cv2.resize(blurred, (GRID, GRID), interpolation=cv2.INTER_AREA), np.float32)


def solve_motion(stiffness: Floats, pull: Floats) -> Floats:
    """The motion (2, GRID, GRID), cells down and right, that equations state."""
    a, b, c = stiffness[0] + RIDGE, stiffness[1], stiffness[2] + RIDGE
    determinant = a * c - b * b
    return np.asarray(
        np.stack([c * pull[0] - b * pull[1], a * pull[1] - b * pull[0]]) / determinant, np.float32
    )
