"""Magnified frames for the renderers' tests: the frame's number is painted into the picture."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepmag.stream.frames import Frame, MagnifiedFrame, Reading, Signal
from deepmag.stream.settings import Settings
from deepmag.stream.status import Status

BITS = 10  # the number of a frame, one square for each bit
SQUARE = 8  # px
READING = Reading(72.4, 0.9, "")


def numbered(number: int, height: int = 120, width: int = 160) -> NDArray[np.uint8]:
    """A noisy grey picture with ``number`` in black and white squares along its top."""
    noise = np.random.default_rng(number).integers(90, 160, (height, width, 3))
    image = noise.astype(np.uint8)
    for bit in range(BITS):
        image[:SQUARE, bit * SQUARE : (bit + 1) * SQUARE] = 255 * (number >> bit & 1)
    return image


def number_in(image: NDArray[np.uint8]) -> int:
    """Read the number back, also after lossy coding."""
    centres = [image[2:6, bit * SQUARE + 2 : bit * SQUARE + 6].mean() for bit in range(BITS)]
    return sum(1 << bit for bit, value in enumerate(centres) if value > 128)


def magnified(
    number: int,
    *,
    session: int = 0,
    pts: float | None = None,
    image: NDArray[np.uint8] | None = None,
    reading: Reading = READING,
    breath: Signal | None = None,
) -> MagnifiedFrame:
    """Frame ``number`` at 30 fps; the original is the same picture, darker. breath: the signal of respiration."""
    image = numbered(number) if image is None else image
    original = (image // 2).astype(np.uint8)
    time = number / 30 if pts is None else pts
    frame = Frame(session=session, seq=number, pts=time, arrived=time, image=original)
    return MagnifiedFrame(frame, image, Signal(0.0, reading), breath, (0, 0, 36, 36), time)


class Panel:
    """A Control whose status a test sets, and which remembers what was asked of it."""

    def __init__(self, **status: Any) -> None:
        self.settings = Settings(gain=10)
        self.shown = Status(
            **{
                "state": "live",
                "source": "test",
                "fps": 30.0,
                "latency_p50": 0.28,
                "latency_p95": 0.31,
                "lag": 0.25,
                "dropped": {"ring": 2, "page": 1},
                **status,
            }
        )

    def change(self, **changes: Any) -> Settings:
        self.settings = Settings(
            **{**{n: getattr(self.settings, n) for n in ("gain", "mode", "lag", "roi")}, **changes}
        )
        return self.settings

    def status(self) -> Status:
        return self.shown

    def start_recording(self) -> str:
        self.shown = Status("live", "test", recording="r.mkv")
        return "r.mkv"

    def stop_recording(self) -> str:
        self.shown = Status("live", "test")
        return "r.mkv"
