"""What a face does: the jaw drops, the mouth smiles, the brows lift, as shifts over longitude and latitude."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import torch

if TYPE_CHECKING:
    from deepmag.models.synthetic.head import HeadShape

Warp = Callable[[torch.Tensor, torch.Tensor], tuple[torch.Tensor, torch.Tensor]]

DROP = 0.16  # rad, of the chin when the jaw is fully open
STEEP = 23.0  # per rad: the mouth's line opens over 4 / STEEP; more would fold the map over itself
SMILE = 0.08  # rad, of the corners of the mouth, outward; half of it upward
RAISE = 0.07  # rad, of the brows


def warp_of(shape: HeadShape, jaw: torch.Tensor, smile: torch.Tensor, brow: torch.Tensor) -> Warp:
    """Where on the resting head's map a place of the moving face is found. jaw, smile, brow: (T, 1, 1) in [0, 1]."""
    mouth = float(np.arctan2(shape.mouth_y, 0.75))
    corner = float(np.arctan2(shape.mouth_width, 0.70))
    brows = float(np.arctan2(shape.eye_y + 0.16, 0.75))

    def warp(lon: torch.Tensor, lat: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        aside = lon.abs()
        drop = DROP * jaw * torch.sigmoid(STEEP * (mouth - lat)) * torch.sigmoid(6 * (1.0 - aside))
        corners = smile * torch.exp(-((((aside - corner) / 0.17) ** 2) + ((lat - mouth) / 0.13) ** 2))
        raised = brow * torch.exp(-(((lat - brows) / 0.16) ** 2) - (aside / 0.8) ** 4)
        moved = lon - SMILE * corners * torch.tanh(8 * lon)
        return moved, lat + drop - 0.5 * SMILE * corners - RAISE * raised

    return warp
