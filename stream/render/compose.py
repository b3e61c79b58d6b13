"""The original and the magnified picture of one frame in one picture."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from deepmag.stream.frames import MagnifiedFrame


def picture(frame: MagnifiedFrame, *, original_beside: bool) -> NDArray[np.uint8]:
    """Return the magnified picture, (H, W, 3) uint8 RGB; with the original at its left, (H, 2 W, 3)."""
    return np.hstack([frame.frame.image, frame.image]) if original_beside else frame.image
