"""Faithfulness to a motion: how far a part of a video moves in a band, before and after it was magnified."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from deepmag.models.metrics.pulse import rms
from deepmag.models.temporal import Band, zero_phase

Box = tuple[int, int, int, int]  # x, y, w, h, px

BLUR = 1.5  # px, before two pictures are aligned: noise must not be
MARGIN = 12  # px inside the box that is compared, so that it may move
ITERATIONS, SMALL = 50, 1e-4
# px down, from which what was added is looked for: from far away the alignment settles on a wrong place. The best is
# the one whose pictures are most alike.
STARTS = (0.0, -4.0, 4.0, -8.0, 8.0, -12.0, 12.0)
EDGE = 0.5  # s at either end that filters make up


@dataclass(frozen=True)
class MotionScores:
    """What a magnifier did to a region's motion in a band.

    before, after: RMS displacement, px. gain: their ratio along the axis of the motion after. coherence: magnitude of
    the correlation of both, the best within 0.4 s. leak: RMS of what was added to another region's motion over what
    was added to this one's. rough: RMS above the band, up to 3 Hz, of the added motion over that in it.
    """

    before: float
    after: float
    gain: float
    coherence: float
    leak: float
    rough: float


def displacement(pictures: Iterable[NDArray[np.float32]], box: Box) -> NDArray[np.float64]:
    """How far a box of each picture has moved since the first.

    pictures: (H, W) grey levels, the box inside. Returns (T, 2) px, down and right.
    By maximising the enhanced correlation coefficient (Evangelidis & Psarakis 2008): to about 0.01 px on a textured
    box. A picture that cannot be aligned, a flat one, stays where the one before it was.
    """
    reference: NDArray[np.float32] | None = None
    path = []
    place = (0.0, 0.0)
    for picture in pictures:
        part = _part(picture, box)
        if reference is None:
            reference = part
        place = _align(reference, part, place)
        path.append(place)
    return np.array(path)


def added_displacement(
    before: Iterable[NDArray[np.float32]], after: Iterable[NDArray[np.float32]], box: Box
) -> NDArray[np.float64]:
    """How far a box of ``after``'s pictures is from where it is in ``before`` at the same time; see `displacement`.

    That of a head that turns, too, which no shift maps onto its first picture.
    """
    path = []
    for one, other in zip(before, after, strict=True):
        reference, part = _part(one, box), _part(other, box)
        found = (_aligned(reference, part, (start, 0.0)) for start in STARTS)
        path.append(max(found, key=lambda aligned: aligned[1])[0])
    return np.array(path)


def _part(picture: NDArray[np.float32], box: Box) -> NDArray[np.float32]:
    x, y, w, h = box
    return np.asarray(cv2.GaussianBlur(np.ascontiguousarray(picture[y : y + h, x : x + w]), (0, 0), BLUR))


def _align(
    reference: NDArray[np.float32], part: NDArray[np.float32], start: tuple[float, float]
) -> tuple[float, float]:
    """The shift of the reference's middle in a part, px down and right; the start where there is none to be found."""
    return _aligned(reference, part, start)[0]


def _aligned(
    reference: NDArray[np.float32], part: NDArray[np.float32], start: tuple[float, float]
) -> tuple[tuple[float, float], float]:
    """The same, with the correlation coefficient there, below any other where there is none."""
    middle = np.ascontiguousarray(reference[MARGIN:-MARGIN, MARGIN:-MARGIN])
    warp = np.array([[1, 0, MARGIN + start[1]], [0, 1, MARGIN + start[0]]], np.float32)
    criteria = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, ITERATIONS, SMALL)
    try:
        # 1: no further blur. That of the middle would end at its edge, that of the part would not: it feigns 0.04 px
        all_of_it = np.ones(part.shape, np.uint8)
        alike, moved = cv2.findTransformECC(
            middle, part, warp, cv2.MOTION_TRANSLATION, criteria, all_of_it, 1
        )
    except cv2.error:
        return start, -2.0
    return (float(moved[1, 2]) - MARGIN, float(moved[0, 2]) - MARGIN), float(alike)


def motion_scores(
    before: NDArray[np.float64],
    after: NDArray[np.float64],
    elsewhere: NDArray[np.float64],
    band: Band,
    rate: float,
) -> MotionScores:
    """Compare a region's displacements (T, 2), px, before and after. elsewhere: added to another's. rate: Hz."""
    flat = [zero_phase(path, band, rate) for path in (before, after, elsewhere)]
    axis = np.linalg.svd(flat[1] - flat[1].mean(0), full_matrices=False)[2][0]
    a, b = flat[0] @ axis, flat[1] @ axis
    added = rms(flat[1] - flat[0])
    high = (1.5 * band[1], min(3.0, 0.45 * rate))
    rough = rms(zero_phase(after - before, high, rate)) if high[1] > 1.2 * high[0] else 0.0
    edge, reach = round(EDGE * rate), round(0.4 * rate)
    inner = slice(edge, len(a) - edge)
    coherence = max(
        abs(float(np.corrcoef(b[inner], np.roll(a, shift)[inner])[0, 1]))
        for shift in range(-reach, reach + 1)
    )
    return MotionScores(
        before=rms(a),
        after=rms(b),
        gain=rms(b) / max(rms(a), 1e-9),
        coherence=coherence,
        leak=rms(flat[2]) / max(added, 1e-9),
        rough=rough / max(added, 1e-9),
    )
