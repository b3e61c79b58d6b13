"""The camera's own motion between two frames, and phase differences without it.

A camera in a hand moves the picture more than a breath moves the chest: 2.6 px against 1.25 px on a real clip. Before
anything else looks at a phase difference, what a shift, a turn and a zoom of the whole picture explain is taken out.
The scene is told from the person by robust weights and by place: a person is rarely at the picture's top and sides.
"""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from deepmag.models.phase import REDUCED, SIDE, Floats, PhaseDifference

Motion = NDArray[np.float64]
"""(4,): shift along rows and along columns, cells; turn, rad; zoom, relative."""

ROUNDS = 8  # of reweighting; the estimate settles in five or six
STRIDE = 2  # cells: neighbours say nearly the same
JUMP = 0.75  # cells of shift from which the coarse estimate is needed, lest phases wrap
# Of the trust in the middle, below which top and sides show no scene: 0.2 to 0.3 in front of black, 0.5 and more on
# real clips. There is then nothing to tell the camera's motion from that of the person.
SCENE = 0.4
MIDDLE = 0.1  # weight of the picture's middle and bottom, where people are, of that at the top and sides


def camera_motion(
    before: Floats, after: Floats, difference: PhaseDifference, *, needs_scene: bool = True
) -> Motion:
    """Estimate the camera's motion from the reduced lumas of two frames and their phase difference.

    before, after: (REDUCED, REDUCED). Iteratively reweighted least squares (Cauchy weights, squared) of the phase
    differences against a similarity motion, from the peak of the phase correlation where that is a jump. needs_scene:
    zero where the top and the sides of the picture show nothing.
    """
    trusted = difference.weight.sum(0)
    if needs_scene and trusted[_AROUND].mean() < SCENE * trusted[~_AROUND].mean() + 1e-12:
        return np.zeros(4)
    (dx, dy), _ = cv2.phaseCorrelate(before, after, _HANN)
    motion = np.array([dy, dx, 0.0, 0.0]) * SIDE / REDUCED
    if np.abs(motion).max() < JUMP:
        motion[:] = 0.0
    sparse = (slice(None), slice(None), slice(None, None, STRIDE), slice(None, None, STRIDE))
    effect = _phase_of(_BASIS[sparse], difference.slope[sparse]).reshape(4, -1)
    x = difference.x[sparse[1:]].ravel()
    trust = (difference.weight * _PLACE)[sparse[1:]].ravel()
    seen = trust > 0.5 * MIDDLE
    if seen.sum() < len(motion):
        return np.zeros(4)
    for _ in range(ROUNDS):
        rest = wrapped(x - motion.astype(np.float32) @ effect)
        scale = float(np.median(np.abs(rest[seen]))) + 1e-4
        weighted = effect * (trust / (1.0 + (rest / scale) ** 2) ** 2)
        motion = motion + np.linalg.solve(
            (weighted @ effect.T).astype(np.float64) + 1e-6 * np.eye(4), weighted @ rest
        )
    return motion


def without_camera(difference: PhaseDifference, motion: Motion) -> PhaseDifference:
    """The phase difference that would be there had the camera stood still."""
    moved = np.einsum("p,pdyx->dyx", motion, _BASIS).astype(np.float32)
    return replace(difference, x=wrapped(difference.x + np.einsum("dyx,doyx->oyx", moved, difference.slope)))


def wrapped(phase: Floats) -> Floats:
    """Into [-pi, pi]."""
    turn = np.float32(2 * np.pi)
    return np.asarray(phase - turn * np.rint(phase / turn))


def _phase_of(motion: Floats, slope: Floats) -> Floats:
    """Phase differences of motions (n, 2, h, w), cells, where the phase has a slope (2, 4, h, w): (n, 4, h, w)."""
    return np.asarray(-(motion[:, 0, None] * slope[0] + motion[:, 1, None] * slope[1]))


def _basis() -> Floats:
    """The four motions' displacement (dy, dx) of each cell for a unit of each: (4, 2, SIDE, SIDE)."""
    y, x = np.mgrid[:SIDE, :SIDE] - 0.5 * (SIDE - 1)
    one, none = np.ones_like(x), np.zeros_like(x)
    return np.asarray([[one, none], [none, one], [x, -y], [y, x]], np.float32)


def _place() -> Floats:
    """How much each cell counts for the camera: (SIDE, SIDE)."""
    y, x = np.mgrid[:SIDE, :SIDE] / (0.5 * (SIDE - 1)) - 1.0
    top, side = np.clip((-y - 0.1) / 0.8, 0.0, 1.0), np.clip((np.abs(x) - 0.35) / 0.5, 0.0, 1.0)
    return np.asarray(MIDDLE + (1.0 - MIDDLE) * np.maximum(top, side), np.float32)


_BASIS = _basis()
_PLACE = _place()
_AROUND = _PLACE > 0.5
_HANN = cv2.createHanningWindow((REDUCED, REDUCED), cv2.CV_32F)
