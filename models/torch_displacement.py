"""Respiration's two passes over whole pictures in torch, for a GPU: the reduced luma, and the picture moved.

They compute what `phase.reduce_luma` and `displacement.displace_frame` do. There the cubic's weights come from a table,
so at a sharp edge a picture differs by a level.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.nn import functional

from deepmag.models.displacement import in_pixels, moving_part
from deepmag.models.phase import LUMA, REDUCED
from deepmag.models.torch_pictures import averages

if TYPE_CHECKING:
    from deepmag.models.phase import Floats
    from deepmag.models.reconstruction import Roi


def reduce_luma(picture: torch.Tensor, box: Roi) -> torch.Tensor:
    """A region's luma, area-averaged. picture: (H, W, 3) uint8. Returns (REDUCED, REDUCED) float32, same device.

    Raises ValueError for a region smaller than that, which no area average makes larger.
    """
    x, y, w, h = box
    if w < REDUCED or h < REDUCED:
        raise ValueError(f"a picture of {w}x{h} is smaller than {REDUCED}x{REDUCED}")
    shares = torch.from_numpy(LUMA).to(picture.device)
    luma = picture[y : y + h, x : x + w].float() @ shares
    return averages(h, REDUCED, picture.device) @ luma @ averages(w, REDUCED, picture.device).T


def displace_region(picture: torch.Tensor, motion: Floats, box: Roi) -> torch.Tensor:
    """Move a region's parts; see `displacement.displace_frame`. picture: (H, W, 3) uint8. motion: (2, h, w) cells.

    Returns a new picture, or the same where nothing moves.
    """
    x, y, w, h = box
    down, right = in_pixels(motion, h, w)
    moving = moving_part(down, right, h, w)
    if moving is None:
        return picture
    top, bottom, left, end = moving
    device = picture.device
    field = torch.stack([torch.from_numpy(right), torch.from_numpy(down)])[None].to(device)
    field = functional.interpolate(field, size=(h, w), mode="bilinear", align_corners=False)
    columns = torch.arange(left, end, device=device, dtype=torch.float32)
    rows = torch.arange(top, bottom, device=device, dtype=torch.float32)
    here = torch.stack([columns.expand(bottom - top, -1), rows[:, None].expand(-1, end - left)])
    # grid_sample counts from -1 in the first pixel's middle to 1 in the last one's
    last = torch.tensor([w - 1.0, h - 1.0], device=device)[:, None, None]
    place = (here - field[0, :, top:bottom, left:end]) * (2.0 / last) - 1.0
    region = picture[y : y + h, x : x + w].permute(2, 0, 1)[None].float()
    moved = functional.grid_sample(
        region, place.permute(1, 2, 0)[None], mode="bicubic", padding_mode="border", align_corners=True
    )
    result = picture.clone()
    result[y + top : y + bottom, x + left : x + end] = (
        moved[0].round_().clamp_(0, 255).permute(1, 2, 0).to(torch.uint8)
    )
    return result
