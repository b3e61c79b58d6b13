"""A synthetic person rendered once, from which any number of frames with any pulse follow at little cost.

A frame is the still picture, plus the early and the late part of the face's blood times their volume, bent by a small
sway, plus sensor noise. The pulse in it is exactly the pulse asked for: 1 % is small enough for light to be linear in.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from deepmag.models.synthetic.person import Person
from deepmag.models.synthetic.scene import Framing, plain_wall, random_scene, render
from deepmag.models.synthetic.waveforms import TRANSIT, Rhythm, blood_volume

TRAINED_HALF_HEIGHT = 0.41  # of the head, in sides of the square that the network was trained to look at


class LayeredPerson:
    """A fair person before a wall. size: (width, height), px. pulse: peak-to-peak relative change of green light.

    skin: (H, W) in [0, 1], cover by skin that pulses. region: (x, y, w, h), px, what the network should look at.
    """

    def __init__(self, size: tuple[int, int] = (240, 240), *, pulse: float = 0.012, seed: int = 42) -> None:
        width, height = size
        framing = Framing(x=0.5, y=0.5, half_height=0.3, aspect=width / height)
        rng = np.random.default_rng(seed)
        person = Person(seed, 0.19, pulse)
        scene = random_scene(
            rng, 2, 30.0, framing=framing, person=person, still=True, background=plain_wall()
        )
        zero = np.zeros(2)

        def draw(early: float, late: float) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
            take = replace(scene, pulse=zero + early, late_pulse=zero + late, chest=zero)
            drawn = render(take, height, width, slice(0, 1))
            return np.ascontiguousarray(drawn.video[0].permute(1, 2, 0).numpy()), drawn.skin[0].numpy()

        self.size = size
        self._still, self.skin = draw(0.0, 0.0)
        self._early, self._late = draw(1.0, 0.0)[0] - self._still, draw(0.0, 1.0)[0] - self._still
        side = round(framing.half_height / TRAINED_HALF_HEIGHT * height)
        self.region = (round(0.5 * width - side / 2), round(0.5 * height - 0.46 * side), side, side)
        x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
        self._x, self._y = x, y
        radius = np.hypot((x - 0.5 * width) / (0.3 * height), (y - 0.5 * height) / (0.45 * height))
        self._sway = np.exp(-(radius**4)).astype(np.float32)

    def frames(
        self,
        t: NDArray[np.float64],
        rhythm: Rhythm,
        *,
        strength: float = 1.0,
        noise: float = 1.0,
        sway: float = 0.5,
        seed: int = 0,
    ) -> Iterator[NDArray[np.uint8]]:
        """Pictures (H, W, 3) at times t, (T,) s.

        strength: times the pulse; 0 is none. noise: grey levels of one pixel. sway: px by which the head moves, at 0.11
        to 0.31 Hz.
        """
        rng = np.random.default_rng(seed)
        early, late = blood_volume(rhythm, t), blood_volume(rhythm, t - TRANSIT)
        for now, first, last in zip(t, early, late, strict=True):
            picture = (
                self._still
                + np.float32(strength * first) * self._early
                + np.float32(strength * last) * self._late
            )
            if sway:
                dx = np.sin(2 * np.pi * 0.11 * now) + 0.5 * np.sin(2 * np.pi * 0.31 * now + 1)
                dy = np.sin(2 * np.pi * 0.17 * now + 2)
                moved_x, moved_y = (
                    self._x - np.float32(sway * dx) * self._sway,
                    self._y - np.float32(sway * dy) * self._sway,
                )
                picture = cv2.remap(
                    picture, moved_x, moved_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
                )
            # half a level up, so that the cut to whole numbers rounds
            noisy = (
                picture + np.float32(noise) * rng.standard_normal(picture.shape, np.float32) + np.float32(0.5)
            )
            yield np.clip(noisy, 0, 255).astype(np.uint8)

    @staticmethod
    def blood(t: NDArray[np.float64], rhythm: Rhythm) -> NDArray[np.float64]:
        """The truth: blood volume of the face at times t, (T,) s, mean about 0, peak-to-peak about 1."""
        return 0.5 * (blood_volume(rhythm, t) + blood_volume(rhythm, t - TRANSIT))
