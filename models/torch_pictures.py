"""The pulse's two passes over whole pictures in torch, for a GPU: area averaging, and Eq. 17 with its dither.

Both are separable, so each is two products with small matrices. They compute what `representation.reduce_frame` and
`reconstruction.add_difference` do, but for the order of sums: a picture differs by one level in a pixel or two.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch

from deepmag.models.reconstruction import Roi, dither_rows, interpolation
from deepmag.models.representation import L


def reduce_region(picture: torch.Tensor, box: Roi) -> torch.Tensor:
    """Area-average a region to L x L. picture: (H, W, 3) uint8. Returns (3, L, L) float32, on the same device.

    Raises ValueError for a region smaller than L x L.
    """
    x, y, w, h = box
    if w < L or h < L:
        raise ValueError(f"a picture of {w}x{h} is smaller than {L}x{L}")
    part = picture[y : y + h, x : x + w].float()
    down, across = averages(h, L, picture.device), averages(w, L, picture.device)
    rows = down @ part.reshape(h, 3 * w)
    # not einsum, which thinks for longer than a GPU takes for the product
    return torch.matmul(across, rows.reshape(L, w, 3)).permute(2, 0, 1).contiguous()


def add_difference(picture: torch.Tensor, difference: torch.Tensor, box: Roi) -> torch.Tensor:
    """Upsample a small difference and add it to a region; see `reconstruction.add_difference`.

    picture: (H, W, 3) uint8. difference: (3, h, w) float32, grey levels. Returns a new picture.
    """
    x, y, w, h = box
    height, width = picture.shape[:2]
    cells = (difference.shape[1], difference.shape[2])
    down, across = (
        _spread(y, h, height, cells[0], picture.device),
        _spread(x, w, width, cells[1], picture.device),
    )
    wide = torch.matmul(across, difference.permute(1, 2, 0)).reshape(cells[0], 3 * w)
    value = torch.addmm(_thresholds(x % 8, w, y % 8, h, picture.device), down, wide).reshape(h, w, 3)
    part = picture[y : y + h, x : x + w]
    changed = value.add_(part).clamp_(0.0, 255.0).to(torch.uint8)
    if (w, h) == (width, height):
        return changed
    result = picture.clone()
    result[y : y + h, x : x + w] = changed
    return result


@lru_cache(maxsize=32)
def averages(size: int, cells: int, device: torch.device) -> torch.Tensor:
    """(cells, size): each cell's shares of the pixels, by overlap."""
    edges = np.arange(cells + 1) * (size / cells)
    pixels = np.arange(size)
    overlap = np.minimum(edges[1:, None], pixels + 1) - np.maximum(edges[:-1, None], pixels)
    return torch.from_numpy((np.maximum(overlap, 0.0) * (cells / size)).astype(np.float32)).to(device)


@lru_cache(maxsize=64)
def _spread(start: int, size: int, full: int, cells: int, device: torch.device) -> torch.Tensor:
    """(size, cells): each pixel's shares of the cells, faded at the region's edges."""
    cell, share, fade = interpolation(start, size, full, cells)
    matrix = np.zeros((size, cells), np.float32)
    pixels = np.arange(size)
    np.add.at(matrix, (pixels, cell), fade * (1.0 - share))
    np.add.at(matrix, (pixels, np.minimum(cell + 1, cells - 1)), fade * share)
    return torch.from_numpy(matrix).to(device)


@lru_cache(maxsize=16)
def _thresholds(left: int, width: int, top: int, height: int, device: torch.device) -> torch.Tensor:
    """(height, 3 width) thresholds of the dither from a column and a row on."""
    rows = dither_rows(left, width)[(top + np.arange(height)) % 8]
    return torch.from_numpy(rows).to(device)
