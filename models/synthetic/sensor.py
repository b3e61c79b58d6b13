"""A camera's sensor at full resolution: shot and read noise, the Bayer mosaic and its removal, whole grey levels."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

MIDDLE = 128.0  # grey levels, at which `noise` is stated


@dataclass(frozen=True)
class Sensor:
    """noise: grey levels, standard deviation of one photosite at middle grey.

    shot: share of its variance that is shot noise. bayer: whether each photosite sees one colour only, as in cameras.
    """

    noise: float = 1.3
    shot: float = 0.7
    bayer: bool = True

    def expose(self, picture: NDArray[np.float32], grain: NDArray[np.float32]) -> NDArray[np.uint8]:
        """One picture as the camera delivers it.

        picture: (H, W, 3) grey levels, R, G, B. grain: unit Gaussian noise, (H, W) with a Bayer mosaic, (H, W, 3)
        without; the caller's, so that two pictures can share it. Returns (H, W, 3) uint8.
        """
        light = mosaic(picture) if self.bayer else picture
        # in grey levels after the tone curve the noise depends less on brightness than in linear light: its root
        sigma = self.noise * np.sqrt((1 - self.shot) + self.shot * np.clip(light, 1.0, None) / MIDDLE)
        noisy = light + sigma * grain
        if self.bayer:
            # 8 more bits through the interpolation, so that its rounding does not add to the noise
            fine = np.clip(256 * noisy + 128, 0, 65535).astype(np.uint16)
            return np.asarray(demosaic(fine) >> 8, np.uint8)
        return np.asarray(np.clip(noisy + 0.5, 0, 255), np.uint8)

    def grain(self, rng: np.random.Generator, height: int, width: int) -> NDArray[np.float32]:
        """Unit noise of one exposure, of the shape that `expose` wants."""
        return rng.standard_normal((height, width) if self.bayer else (height, width, 3), np.float32)


def mosaic(picture: NDArray[np.float32]) -> NDArray[np.float32]:
    """What photosites under a colour filter R G / G B see. picture: (H, W, 3). Returns (H, W)."""
    seen = picture[..., 1].copy()
    seen[0::2, 0::2] = picture[0::2, 0::2, 0]
    seen[1::2, 1::2] = picture[1::2, 1::2, 2]
    return seen


def demosaic(seen: NDArray[np.uint16]) -> NDArray[np.uint16]:
    """Colours back from a mosaic R G / G B. seen: (H, W). Returns (H, W, 3) R, G, B."""
    # OpenCV names a mosaic by its second row's second and third photosite, so R G / G B is its "BG"
    return np.asarray(cv2.cvtColor(seen, cv2.COLOR_BayerBG2RGB), np.uint16)
