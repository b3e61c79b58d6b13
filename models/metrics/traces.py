"""Green traces of a video: the mean over the skin, frame by frame, and over blocks of 8 x 8 pixels.

Green, because blood changes it most. Block means, because the noise of single pixels would hide every pulse.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

BLOCK = 8  # px
COVERED = 0.5  # share of a block that is skin, from which the block counts as skin in that frame
OFTEN = 0.9  # share of the frames in which a block must be skin to count as skin: moving heads come and go
BARE = 0.02  # share of a block that may be skin, in any frame, of one that counts as outside


@dataclass(frozen=True, slots=True)
class SkinBlocks:
    """Which blocks a score looks at, in a picture cut into (H // 8) x (W // 8) blocks.

    inside: bool, skin in at least 90 % of the frames. outside: bool, never skin. What is sometimes skin is neither.
    """

    inside: NDArray[np.bool_]
    outside: NDArray[np.bool_]


def skin_blocks(skin: NDArray[Any]) -> SkinBlocks:
    """Sort the blocks by how much skin they see. skin: (T, H, W), cover by skin in [0, 1]."""
    cover = block_means(skin)
    inside = np.mean(cover >= COVERED, axis=0) >= OFTEN
    return SkinBlocks(inside, cover.max(axis=0) <= BARE)


def box_blocks(size: tuple[int, int], box: tuple[int, int, int, int]) -> SkinBlocks:
    """All blocks of a fixed box inside, all others outside. size: (width, height), px. box: (x, y, w, h), px."""
    width, height = size
    x, y, w, h = (length // BLOCK for length in box)
    inside = np.zeros((height // BLOCK, width // BLOCK), bool)
    inside[y : y + h, x : x + w] = True
    return SkinBlocks(inside, ~inside)


def within(size: tuple[int, int], box: tuple[int, int, int, int]) -> NDArray[np.bool_]:
    """Which blocks lie wholly in a box, (rows, columns). size: (width, height), px. box: (x, y, w, h), px."""
    width, height = size
    x, y, w, h = box
    found = np.zeros((height // BLOCK, width // BLOCK), bool)
    found[-(-y // BLOCK) : (y + h) // BLOCK, -(-x // BLOCK) : (x + w) // BLOCK] = True
    return found


def block_means(planes: NDArray[Any]) -> NDArray[np.float32]:
    """Means over blocks of 8 x 8 px. planes: (T, H, W). Returns (T, H // 8, W // 8); what is left over is cut."""
    t, height, width = planes.shape
    rows, columns = height // BLOCK, width // BLOCK
    whole = planes[:, : rows * BLOCK, : columns * BLOCK].reshape(t, rows, BLOCK, columns, BLOCK)
    means: NDArray[np.float32] = whole.mean(axis=(2, 4), dtype=np.float32)
    return means


def skin_means(video: NDArray[np.uint8], skin: NDArray[Any]) -> NDArray[np.float64]:
    """Mean colour over each frame's own skin. video: (T, H, W, 3). skin: (T, H, W) weights. Returns (T, 3).

    Raises ValueError where a frame has no skin.
    """
    total = skin.reshape(len(skin), -1).sum(axis=1, dtype=np.float64)
    if (total <= 0).any():
        raise ValueError(f"frame {int(np.argmin(total))} has no skin to take the mean of")
    # Frame by frame: the product with a whole video would not fit into memory. Row by row in single precision, and the
    # rows in double: as exact as all in double, in a tenth of the time.
    sums = [
        np.matmul(cover.astype(np.float32)[:, None, :], frame.astype(np.float32))[:, 0].sum(
            axis=0, dtype=np.float64
        )
        for frame, cover in zip(video, skin, strict=True)
    ]
    return np.asarray(np.stack(sums) / total[:, None])
