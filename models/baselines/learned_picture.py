"""Pictures of one size for the network of learned magnification: its working picture, and the way back to full size."""

from __future__ import annotations

import math
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file

from deepmag.models.baselines.gaussian import Floats
from deepmag.models.baselines.motion_network import CELL, MULTIPLE, SHAPE, MotionNet
from deepmag.models.reconstruction import add_difference

# px, longest side: larger pictures are moved by bilinear interpolation, which takes half of the time. Of 640x480 it
# would blur what it moves.
CUBIC = 1280


class LearnedPicture:
    """What the network makes of pictures whose longest side is cut down to ``side`` px, and what it moves in them.

    shape: (H, W) of the pictures. Raises ValueError where that is too small, or for weights of another network.
    """

    def __init__(self, shape: tuple[int, int], side: int, weights: Path) -> None:
        share = min(1.0, side / max(shape))
        if min(shape) * share < MULTIPLE:
            raise ValueError(
                f"a picture of {shape[1]}x{shape[0]} px is too small to find motion in: each side needs "
                f"{math.ceil(MULTIPLE / share)} px"
            )
        self._shape = shape
        self._working = (round(shape[0] * share), round(shape[1] * share))
        self._padding = (-self._working[0] % MULTIPLE, -self._working[1] % MULTIPLE)
        self._net = load_motion_net(weights)
        # of each pixel: where it lies, px, and where in the working picture's cells
        rows, columns = np.mgrid[: shape[0], : shape[1]].astype(np.float32)
        self._columns, self._rows = columns, rows
        self._scale = [
            shape[1] / self._working[1],
            shape[0] / self._working[0],
        ]  # px for one of the working picture
        x, y = (1 / (CELL * scale) for scale in self._scale)
        self._to_cells = np.array([[x, 0.0, 0.5 * x - 0.5], [0.0, y, 0.5 * y - 0.5]])

    @classmethod
    def of(cls, shape: tuple[int, ...], side: int, weights: Path) -> LearnedPicture:
        """For pictures of a shape (H, W, ...), made once. Raises ValueError as the class does."""
        return _learned_picture((shape[0], shape[1]), side, weights)

    def shape_of(self, image: NDArray[np.uint8]) -> Floats:
        """Shape representation of (H, W, 3), (SHAPE, h, w)."""
        with torch.no_grad():
            return np.asarray(self._net.shape(self._luma(image))[0].numpy(), np.float32)

    def motion_of(self, image: NDArray[np.uint8], amplified: Floats) -> Floats:
        """How far each cell is to move, (2, h, w) px of the working picture, right and down.

        amplified: (n,), a change of shape to be added to the picture's own, before the manipulator's h.
        """
        with torch.no_grad():
            representation = self._net.encode(self._luma(image))
            change = torch.from_numpy(amplified).view(1, SHAPE, *representation.shape.shape[-2:])
            shape = representation.shape + self._net.manipulate(change)
            return np.asarray(self._net.decode(representation, shape)[0].numpy(), np.float32)

    def moved(self, image: NDArray[np.uint8], motion: Floats) -> NDArray[np.uint8]:
        """Move a picture's own pixels by the motion of its cells, and add the change to it, dithered.

        Where nothing moves it is the very picture.
        """
        height, width = self._shape
        x, y = (
            cv2.warpAffine(
                part * np.float32(scale),
                self._to_cells,
                (width, height),
                flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
                borderMode=cv2.BORDER_REPLICATE,
            )
            for part, scale in zip(motion, self._scale, strict=True)
        )
        texture = image.astype(np.float32)
        moved = cv2.remap(
            texture,
            cv2.subtract(self._columns, x),
            cv2.subtract(self._rows, y),
            cv2.INTER_CUBIC if max(height, width) <= CUBIC else cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REFLECT,
        )
        difference = np.empty((3, height, width), np.float32)
        cv2.split(cv2.subtract(moved, texture, dst=moved), list(difference))
        return add_difference(image, difference, (0, 0, width, height))

    def _luma(self, image: NDArray[np.uint8]) -> torch.Tensor:
        """Working picture, (1, 1, H, W) grey levels."""
        # float before the luma: as bytes it would be rounded
        grey = cv2.cvtColor(image.astype(np.float32), cv2.COLOR_RGB2GRAY)
        if grey.shape != self._working:
            grey = cv2.resize(grey, self._working[::-1], interpolation=cv2.INTER_AREA)
        below, right = self._padding
        grey = cv2.copyMakeBorder(grey, 0, below, 0, right, cv2.BORDER_REPLICATE)
        return torch.from_numpy(np.asarray(grey, np.float32))[None, None]


@lru_cache(maxsize=2)
def load_motion_net(weights: Path) -> MotionNet:
    """The network of a file. Raises ValueError where it holds no MotionNet, OSError where it cannot be read."""
    try:
        return MotionNet.from_weights(load_file(str(weights)))
    except (RuntimeError, SafetensorError) as error:
        raise ValueError(f"{weights} does not hold the weights of a MotionNet: {error}") from None


@lru_cache(maxsize=4)
def _learned_picture(shape: tuple[int, int], side: int, weights: Path) -> LearnedPicture:
    return LearnedPicture(shape, side, weights)
