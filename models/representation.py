"""The pulse's motion representation: a small antialiased picture and its normalized difference (Eq. 14)."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import cv2
import numpy as np

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

    from deepmag.models.reconstruction import FloatRoi

# Both have the operators that the equations need; the live path has no torch, which takes seconds to import.
Pixels = TypeVar("Pixels", "torch.Tensor", "NDArray[np.float32]")

L = 36  # side of the reduced picture, px (section 3.2 of the paper)
# The network's input is X / INPUT_SCALE: one fixed number, since a stream has no statistics
INPUT_SCALE = 0.004
# Mean |X| between two frames beyond which they show different scenes; a lively talker has 0.02.
SCENE_CUT = 0.2
DARK = 2.0  # grey levels, added to the denominator of Eq. 14: in black pixels the quotient is only noise


def reduce_frame(image: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Area-average a picture to L x L.

    image: (H, W, 3) uint8. Returns (3, L, L) float32 in [0, 255]. Area averaging, since the mean over about
    240 pixels is what lifts the pulse above the sensor's noise; OpenCV's bicubic resize skips pixels.
    Raises ValueError for a picture smaller than L x L.
    """
    if image.shape[0] < L or image.shape[1] < L:
        raise ValueError(f"a picture of {image.shape[1]}x{image.shape[0]} is smaller than {L}x{L}")
    # float before the average: an 8-bit result would round the pulse (0.3 grey levels) away.
    small = cv2.resize(image.astype(np.float32), (L, L), interpolation=cv2.INTER_AREA)
    return np.ascontiguousarray(small.transpose(2, 0, 1))


def normalized_difference(before: Pixels, after: Pixels) -> Pixels:
    """Normalized frame difference (Eq. 14).

    before, after: (..., 3, L, L) in [0, 255], tensors or arrays. Returns the same shape, no unit, in (-1, 1).
    """
    return (after - before) / (after + before + 2 * DARK)


def regrid(grids: NDArray[np.float32], before: FloatRoi, after: FloatRoi) -> NDArray[np.float32]:
    """What lies on the reduced pixels of one region of a picture, on those of another. grids: (N, L, L).

    Linear between them; beyond the first region its edge goes on.
    """
    across, down = after[2] / before[2], after[3] / before[3]
    # a reduced pixel of the second lies here among those of the first, both by their centres
    matrix = np.array(
        [
            [across, 0.0, (after[0] - before[0]) / before[2] * L + 0.5 * (across - 1.0)],
            [0.0, down, (after[1] - before[1]) / before[3] * L + 0.5 * (down - 1.0)],
        ]
    )
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return np.stack(
        [cv2.warpAffine(one, matrix, (L, L), flags=flags, borderMode=cv2.BORDER_REPLICATE) for one in grids]
    )


def is_scene_cut(before: NDArray[np.float32], after: NDArray[np.float32]) -> bool:
    """Whether two reduced pictures (3, L, L) show different scenes."""
    return float(np.abs(normalized_difference(before, after)).mean()) > SCENE_CUT
