"""From what the ascent adds to phase differences back to pictures, for a whole clip: Eq. 20-22.

The frame is taken apart again as a square of 492 px, the paper's: its third octave has the cells, 123 x 123, whose
phase the ascent has changed, and the same orientations, whatever the picture's shape. Only what changes is put together
and added to the frame, so what is finer than that square, or coarser than its bands, stays as it is.
"""

from __future__ import annotations

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from deepmag.models.phase import LEVEL as REDUCED_LEVEL
from deepmag.models.phase import LUMA, REDUCED, Floats, PhaseDifference
from deepmag.models.pyramid import Coefficients, SteerablePyramid
from deepmag.models.pyramid_filters import ORIENTATIONS
from deepmag.models.reconstruction import Roi, add_difference
from deepmag.models.temporal import RESPIRATION_BAND, filter_on_clock, zero_phase

LIMIT = 2.0 * np.pi  # rad, of Eq. 21
NOISE = 0.02  # rad between two ticks, of what does not move
NEIGHBOURS = 3.0  # cells, standard deviation of their weight
WHOLE = 2 * REDUCED  # px
LEVEL = REDUCED_LEVEL + 1  # of its pyramid, that of the ascent: r0, counted from 0
# Cells inside the border over which the change begins: around a box the frame stays as it is, and around a picture
# the transform sees its opposite border.
FADE = 4


def weighted(step: Floats, difference: PhaseDifference) -> Floats:
    """What the ascent adds to a pair, (ORIENTATIONS, SIDE, SIDE) rad, with less of it where the phase is noise.

    The ascent's step is as large where X is noise as where something moves. So it counts by how far X is above NOISE,
    and is averaged over its neighbours by their amplitudes' trust. On evm_baby that takes the motion added to the bed
    from 0.53 of that added to the chest to 0.13, and PSNR from 33 to 44 dB, for a fifth of the chest's gain.
    """
    square = difference.x * difference.x
    trusted = step * difference.weight * square / (square + np.float32(NOISE**2))
    averaged, weight = (
        np.stack([cv2.GaussianBlur(plane, (0, 0), NEIGHBOURS) for plane in part])
        for part in (trusted, difference.weight)
    )
    return np.asarray(averaged / (weight + np.float32(1e-3)), np.float32)


def filter_phase(total: Floats, place: NDArray[np.int64], rate: float) -> None:
    """Band-pass a stretch's added phases forward and backward where they lie, and hold them to LIMIT (Eq. 21).

    total: (T, ...) rad, the sum of all steps of the ascent before each (Eq. 20). place: (T,) of each on a clock of
    ``rate`` ticks a second, rising; between two that are further apart than one tick, phases are interpolated. Eq. 21
    as printed drops a phase beyond 2 pi to nothing, which makes a picture jump; here it stays at 2 pi.
    """
    if len(total) < 2:
        total[:] = 0.0
        return

    def limited(uniform: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.clip(zero_phase(uniform, RESPIRATION_BAND, rate), -LIMIT, LIMIT)

    filter_on_clock(total, place, limited, total)


class PhaseReconstruction:
    """Frames with their phases turned. Holds the pyramid's filters, no state."""

    def __init__(self) -> None:
        self._pyramid = SteerablePyramid((WHOLE, WHOLE), orientations=ORIENTATIONS)

    def magnify(self, image: NDArray[np.uint8], added: Floats, box: Roi) -> NDArray[np.uint8]:
        """Turn a box of a frame by phases and add what changes in luma to all three colours, dithered.

        image: (H, W, 3) uint8. added: (ORIENTATIONS, SIDE, SIDE) rad. box: (x, y, w, h), px, inside the frame. Returns
        another picture, or the frame itself where nothing is added.
        """
        if not added.any():
            return image
        x, y, w, h = box
        added = added * _fade(added.shape[-1])
        luma = image[y : y + h, x : x + w].astype(np.float32) @ LUMA
        bands = self._pyramid.analyse(
            torch.from_numpy(_resized(luma, (WHOLE, WHOLE))), only=range(self._pyramid.levels)
        ).bands
        for level, band in enumerate(bands):
            # phases of one motion double with each octave (Eq. 22)
            _turn(band, added * np.float32(0.5 ** (level - LEVEL)))
        change = self._pyramid.synthesise(Coefficients(None, bands, None)).numpy()
        # not larger than the frame: what it cannot show would be seen as other patterns
        change = _resized(change, (min(h, WHOLE), min(w, WHOLE)))
        return add_difference(image, np.repeat(change[None], 3, axis=0), box)


def _turn(band: torch.Tensor, added: Floats) -> None:
    """Make of a level's coefficients, (orientations, h, w), in place, what turning them changes in them."""
    for plane, phase in zip(band, added, strict=True):
        angle = _resized(phase, (plane.shape[0], plane.shape[1]))
        factor = np.empty((*angle.shape, 2), np.float32)
        factor[..., 0], factor[..., 1] = np.cos(angle) - np.float32(1.0), np.sin(angle)
        plane.mul_(torch.view_as_complex(torch.from_numpy(factor)))


def _resized(picture: Floats, size: tuple[int, int]) -> Floats:
    """Averaged over areas where it shrinks, else interpolated. size: (height, width)."""
    if picture.shape == size:
        return picture
    grows = size[0] > picture.shape[0]
    method = cv2.INTER_LINEAR if grows else cv2.INTER_AREA
    return np.asarray(cv2.resize(picture, size[::-1], interpolation=method), np.float32)


def _fade(side: int) -> Floats:
    """Of each cell (side, side), how much of the change it takes: none at the border, all FADE cells inside."""
    cells = np.arange(side) + 0.5
    ramp = np.minimum(np.minimum(cells, cells[::-1]) / FADE, 1.0)
    return np.asarray(np.outer(ramp, ramp), np.float32)
