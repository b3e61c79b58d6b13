"""Frames of noise, boxes on them, and a breath that moves one: what tests of passes over pictures work on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from deepmag.models.local_motion import GRID
from deepmag.stream.frames import Frame
from deepmag.stream.pictures import Move

if TYPE_CHECKING:
    from deepmag.stream.roi import IntBox

BOXES: list[IntBox] = [(0, 0, 160, 120), (13, 7, 101, 97), (60, 0, 100, 120), (0, 84, 160, 36)]


def frame(number: int = 0, session: int = 0) -> Frame:
    rng = np.random.default_rng([session, number])
    return Frame(session, number, number / 30.0, 0.0, rng.integers(0, 256, (120, 160, 3), dtype=np.uint8))


def smooth() -> Frame:
    """A picture that can be moved by parts of a pixel."""
    return Frame(0, 0, 0.0, 0.0, cv2.GaussianBlur(frame().image, (0, 0), 2.0))


def bulge(box: IntBox) -> Move:
    """The middle of a box moves."""
    down, right = np.mgrid[:GRID, :GRID] / GRID - 0.5
    bump = np.exp(-30.0 * (down**2 + right**2)).astype(np.float32)
    return Move(box, np.stack([bump, -0.5 * bump]), 3.0)
