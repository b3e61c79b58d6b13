"""Snapshots: the picture of one frame, exactly."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest
from render_frames import magnified

from deepmag.stream.render.renderer import RendererError
from deepmag.stream.render.snapshot import save_snapshot, snapshot_name

if TYPE_CHECKING:
    from pathlib import Path


def load(path: Path) -> np.ndarray:
    return cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)


def test_a_snapshot_holds_the_original_and_the_magnified_picture_bit_for_bit(tmp_path: Path) -> None:
    frame = magnified(7)
    path = save_snapshot(frame, tmp_path / "a.png")
    np.testing.assert_array_equal(load(path), np.hstack([frame.frame.image, frame.image]))


def test_the_magnified_picture_alone(tmp_path: Path) -> None:
    frame = magnified(7)
    path = save_snapshot(frame, tmp_path / "a.png", original_beside=False)
    np.testing.assert_array_equal(load(path), frame.image)


def test_who_was_stored_squeezed_is_not_squeezed_in_a_snapshot(tmp_path: Path) -> None:
    frame = magnified(7)
    for aspect, shape in ((4 / 3, (120, 213, 3)), (0.75, (160, 160, 3))):
        other = replace(frame, frame=replace(frame.frame, pixel_aspect=aspect))
        assert load(save_snapshot(other, tmp_path / "a.png", original_beside=False)).shape == shape


def test_a_name_without_png_gets_it(tmp_path: Path) -> None:
    assert save_snapshot(magnified(0), tmp_path / "12.30").name == "12.30.png"
    assert (tmp_path / "12.30.png").exists()


def test_a_snapshot_is_named_by_when_its_frame_arrived_not_by_now() -> None:
    frame = magnified(60)  # arrived at 2 s
    name = snapshot_name(frame, now=3602.5, wall=datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC))
    assert name == "deepmag-20260301-105959-500.png"


def test_a_folder_that_is_not_there_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(RendererError, match=r"cannot save the snapshot .*a\.png: No such file or directory"):
        save_snapshot(magnified(0), tmp_path / "missing" / "a.png")
