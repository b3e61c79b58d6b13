"""Reduced pixels of one region of a picture, on those of another."""

from __future__ import annotations

import numpy as np
import pytest

from deepmag.models.representation import L, reduce_frame, regrid

HEIGHT, WIDTH = 480, 640
WHOLE = (60, 20, 432, 432)


def reduced(box):
    """A picture that changes slowly from place to place, reduced as the stream's are."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    picture = np.stack([128 + 60 * np.sin(x / 70 + i) * np.cos(y / 90) for i in range(3)], axis=2)
    left, top, width, height = box
    return reduce_frame(np.rint(picture[top : top + height, left : left + width]).astype(np.uint8))


@pytest.mark.parametrize(
    "after", [(84, 44, 360, 384), (132, 92, 216, 216), WHOLE], ids=["other", "half", "same"]
)
def test_what_lies_in_both_is_what_the_picture_itself_is_there(after):
    assert regrid(reduced(WHOLE), WHOLE, after) == pytest.approx(reduced(after), abs=2.0)


def test_beyond_the_first_one_its_edge_goes_on():
    grids = reduced(WHOLE)
    found = regrid(grids, WHOLE, (WHOLE[0] - 120, WHOLE[1], 432, 432))
    assert found[:, :, :9] == pytest.approx(np.repeat(grids[:, :, :1], 9, axis=2), abs=1e-3)
    assert found[:, :, 10:] == pytest.approx(grids[:, :, : L - 10], abs=1e-3)
