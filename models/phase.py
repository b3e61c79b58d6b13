"""The motion representation of respiration: local phase differences at one scale (Eq. 19).

A frame's luma is reduced to 246 x 246 px and taken apart by the complex steerable pyramid; its second level has bands
of 123 x 123, which is the third octave of the paper's 492 px frame. Between two frames a motion turns a coefficient's
phase; where there is no pattern the phase is noise, so each difference is weighted by how much of one there is.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from deepmag.models.pyramid_level import PyramidLevel

Floats = NDArray[np.float32]
Bands = NDArray[np.complex64]

REDUCED = 246  # px, side of the reduced frame
LEVEL = 1  # of its pyramid
SIDE = 123  # px, side of the bands there (section 5.2)
# Grey levels: of this amplitude a coefficient's phase counts half. A camera's noise leaves 0.2 to 1 at this scale.
FAINT = 2.0
# Grey levels of a picture's brighter parts; where they have fewer it is dim, and all in it is fainter. Real clips in a
# normal light have 93 or more, but most have some 150. Of these a quarter of the light leaves 37, and a quarter of all
# amplitudes: held against more than that, eyebrows count for too much beside a plain chest.
BRIGHT = 90.0
FALL = 1.5  # power of the brightness: (37 / 90) ** 1.5 is a quarter
NOISE = 3.0  # times the usual difference of two pictures' coefficients: less is not seen, however dim it is
ROUNDED = 0.3  # grey levels: the least that is seen in whole ones
SPARSE = 3  # cells
# Grey levels of two pictures' coefficients together: less is black or burnt out, without any noise. Where so much of a
# dim picture is, the rest would seem to have none either: of somebody before black the chest moved a fifth less far.
EMPTY = 0.1
LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # of R, G, B (BT.601)


@dataclass(frozen=True)
class PhaseDifference:
    """What moved between two frames.

    x: (4, SIDE, SIDE) wrapped phase differences, rad. weight: the same shape, in [0, 1), trust in them.
    slope: (2, 4, SIDE, SIDE) of the phase along rows and columns, rad per cell: a motion of (dy, dx) cells is a
    difference of -slope . (dy, dx). noise: how far coefficients usually differ, over the amplitude that counts half.
    """

    x: Floats
    weight: Floats
    slope: Floats
    noise: float = 0.0


class PhaseRepresentation:
    """Frames to bands. Holds the pyramid's filters, no state."""

    def __init__(self) -> None:
        self._level = PyramidLevel((REDUCED, REDUCED), LEVEL)

    def bands(self, image: NDArray[np.uint8]) -> Bands:
        """Coefficients of a frame. image: (H, W, 3) uint8 RGB, or (H, W) grey. Returns (4, SIDE, SIDE)."""
        return self.bands_of(reduce_luma(image))

    def bands_of(self, luma: Floats) -> Bands:
        """Coefficients of reduced lumas, (..., REDUCED, REDUCED). Returns (..., 4, SIDE, SIDE)."""
        return self._level.bands(luma)


def reduce_luma(image: NDArray[np.uint8]) -> Floats:
    """A frame's luma, area-averaged to a square of REDUCED px whatever its shape. Returns (REDUCED, REDUCED)."""
    # in floating point: rounded to bytes, a motion of a hundredth of a pixel is lost
    small = cv2.resize(image.astype(np.float32), (REDUCED, REDUCED), interpolation=cv2.INTER_AREA)
    return np.ascontiguousarray(small @ LUMA if small.ndim == 3 else small)


def faintness(before: Bands, after: Bands, brightness: float) -> float:
    """Amplitude of which a coefficient's phase counts half, grey levels: FAINT, and less in the dark, down to noise.

    before, after: bands of two frames (4, SIDE, SIDE). brightness: of their brighter parts, grey levels.
    A picture of half the light has half the amplitudes: held to the same FAINT, all of it would be taken for noise.
    """
    dim = FAINT * float(min(1.0, brightness / BRIGHT) ** FALL)
    return max(ROUNDED, dim, min(FAINT, NOISE * usual_change(before, after)))


def usual_change(before: Bands, after: Bands) -> float:
    """How far coefficients that are not empty usually differ from one picture to the next, grey levels.

    In a still one, by its noise.
    """
    first, then = (bands[:, ::SPARSE, ::SPARSE] for bands in (before, after))
    seen = np.abs(first) + np.abs(then) > EMPTY
    return float(np.median(np.abs(then - first)[seen])) if seen.any() else 0.0


def phase_difference(before: Bands, after: Bands, faint: float = FAINT) -> PhaseDifference:
    """Wrapped phase difference (Eq. 19) of two frames' bands (4, SIDE, SIDE), with its weight and slope.

    faint: see `faintness`.
    """
    cross = after * before.conj()
    magnitude = np.abs(cross)
    weight = magnitude / (magnitude + np.float32(faint**2))
    mean = before + after
    slope = np.stack([_slope(mean, 1), _slope(mean, 2)])
    # what changes further than noise can is motion
    noise = min(usual_change(before, after) / faint, 1.0 / NOISE)
    return PhaseDifference(
        np.angle(cross).astype(np.float32),
        weight.astype(np.float32),
        slope.astype(np.float32),
        noise,
    )


def _slope(bands: Bands, axis: int) -> Floats:
    """Phase per cell along an axis: of the two steps to either side together, since over two cells it may wrap."""
    first, last = [slice(None)] * 3, [slice(None)] * 3
    first[axis], last[axis] = slice(None, -1), slice(1, None)
    step = bands[tuple(last)] * bands[tuple(first)].conj()
    before, after = [(0, 0)] * 3, [(0, 0)] * 3
    before[axis], after[axis] = (1, 0), (0, 1)
    return np.asarray(np.angle(np.pad(step, before) + np.pad(step, after)), np.float32)
