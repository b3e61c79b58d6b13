"""The demo's person: rendered once in full, then moved, lit by the pulse and disturbed for each frame.

A full rendering takes a good part of a frame's time, and the demo must leave the cores to what it demonstrates. So
the synthetic person is there four times (eyes open, eyes shut, and with the blood of the early and of the late parts
of the face, see `portrait_layers`), and a frame is a weighted sum of these, bent by the head's sway and the chest's
breath, plus sensor noise.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from deepmag.models.synthetic.waveforms import TRANSIT, Rhythm, beat_phase, beat_shape, breath
from deepmag.stream.capture.portrait_layers import layers

if TYPE_CHECKING:
    from numpy.typing import NDArray

SEED = 42
BPM = 68.0  # the demo's true pulse rate, beats per minute
BREATHS = 15.0  # the demo's true breathing rate, per minute
RISE = 0.7  # px of 480 lines, the chest's, middle to top of a breath: half a pixel RMS, which nobody sees
FOLLOWS = 0.3  # of the chest's rise: the head's
CHEST = (0.74, 0.88)  # of the picture's height: above, nothing rises as the chest does; below, everything
NOISE = 1.3  # grey levels, standard deviation of one pixel: an ordinary webcam in a lit room
BLINK_PERIOD = 4.7  # s
LOOP = 120.0  # s after which the heart's rhythm repeats, so that a demo that runs for days costs no more
RHYTHM = Rhythm(bpm=BPM, breaths=BREATHS, variability=0.02, seed=SEED)


class Portrait:
    """A person before a plain wall. size: (width, height), px."""

    def __init__(self, size: tuple[int, int] = (640, 480)) -> None:
        self.size = size
        self._open, self._shut, self._early, self._late = layers(size)
        times = np.linspace(0.0, LOOP, 12_001)
        phase = beat_phase(RHYTHM, times)
        # stretched by less than a beat, so that the loop closes on a whole number of beats: BPM exactly
        self._times, self._phase = times, (phase - phase[0]) * (BPM / 60 * LOOP) / (phase[-1] - phase[0])
        rng = np.random.default_rng(SEED)
        width, height = size
        self._noise = rng.normal(0.5, NOISE, (height + 61, width + 67, 3)).astype(np.float32)  # 0.5: to round
        self._offsets = rng.integers(0, 60, (4096, 2))
        x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
        radius = np.hypot((x - 0.5 * width) / (0.28 * height), (y - 0.44 * height) / (0.38 * height))
        self._sway = np.exp(-(radius**4)).astype(np.float32)
        depth = np.clip((y / height - CHEST[0]) / (CHEST[1] - CHEST[0]), 0.0, 1.0)
        chest = depth * depth * (3.0 - 2.0 * depth)
        # up for a breath in: what is seen at p comes from further down
        rise = RISE * height / 480
        self._rise = np.asarray(rise * np.maximum(chest, FOLLOWS * self._sway), np.float32)
        self._x, self._y = x, y

    def frame(self, t: float) -> NDArray[np.uint8]:
        """The picture at t, s. Returns (H, W, 3) uint8 RGB; the same for the same t."""
        early, late = self._blood(np.array([t, t - TRANSIT]))
        picture = self._shut if (t % BLINK_PERIOD) < 0.13 else self._open
        picture = np.asarray(cv2.scaleAdd(self._early, float(early), picture), np.float32)
        picture = np.asarray(cv2.scaleAdd(self._late, float(late), picture), np.float32)
        chest = self._chest(t)
        # slower than any breath that is counted: a head that sways at the rate of one is taken for it, as it would be
        # in life, or keeps the rate from being shown
        dx = 1.6 * np.sin(2 * np.pi * 0.047 * t) + 0.9 * np.sin(2 * np.pi * 0.031 * t + 1)
        dy = 0.7 * np.sin(2 * np.pi * 0.039 * t + 2)
        scale = self.size[1] / 480
        rows = np.asarray(cv2.scaleAdd(self._sway, -dy * scale, self._y), np.float32)
        moved = cv2.remap(
            picture,
            cv2.scaleAdd(self._sway, -dx * scale, self._x),
            cv2.scaleAdd(self._rise, chest, rows),
            cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REPLICATE,
        )
        oy, ox = self._offsets[round(t * 240) % len(self._offsets)]
        width, height = self.size
        moved = cv2.add(moved, self._noise[oy : oy + height, ox : ox + width], moved)
        return np.clip(moved, 0, 255, out=moved).astype(np.uint8)

    def _blood(self, t: NDArray[np.float64]) -> NDArray[np.float64]:
        """Blood volume at times t, s."""
        return beat_shape(np.interp(t % LOOP, self._times, self._phase), RHYTHM)

    def _chest(self, t: float) -> float:
        """How far the chest is expanded at t, s: in [-1, 1]."""
        return float(breath(RHYTHM, np.array(t)))
