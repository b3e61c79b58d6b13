"""A real clip's files: all its pictures at once, and the wave of a contact sensor."""

from __future__ import annotations

import csv
import threading
from typing import TYPE_CHECKING

import numpy as np

from deepmag.stream.evaluation.workers import tick

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

SHORTEST = 4.0  # s: a second at each end is not judged, and the rest must hold a beat or two at 42 per minute


def decode(file: Path) -> tuple[NDArray[np.uint8], float]:
    """All pictures of a file (T, H, W, 3) RGB, and its rate in Hz.

    Raises SourceError where it cannot be read, ValueError where it is too short or its pictures change in size.
    """
    from deepmag.stream.capture.address import Address
    from deepmag.stream.capture.video import VideoSource

    source = VideoSource(Address("file", str(file)), pace="max")
    frames = []
    for frame in source.frames(threading.Event()):
        tick()  # a long clip takes a while, and the person may not want to wait for it
        frames.append(frame)
    span = frames[-1].pts - frames[0].pts if frames else 0.0
    rate = source.nominal_rate or ((len(frames) - 1) / span if span > 0 else 0.0)
    if rate <= 0 or len(frames) < SHORTEST * rate:
        raise ValueError(f"{file.name} has only {len(frames)} pictures: {SHORTEST:g} s at least are needed")
    if len({frame.image.shape for frame in frames}) > 1:
        raise ValueError(f"the pictures of {file.name} change in size")
    return np.stack([frame.image for frame in frames]), rate


def read_ppg(file: Path, frames: int, rate: float) -> NDArray[np.float64]:
    """The column "ppg" of a CSV with one row for each frame. Returns (T',), T' within a second of ``frames``.

    Raises ValueError where there is no such column, a row is no number, or the rows are not those of the frames.
    """
    values = []
    with file.open(newline="") as rows:
        for number, row in enumerate(csv.DictReader(rows), start=1):
            if "ppg" not in row:
                raise ValueError(f"{file.name} has no column ppg")
            try:
                values.append(float(row["ppg"]))
            except (TypeError, ValueError):
                raise ValueError(f"{file.name}, row {number}: ppg is no number: {row['ppg']!r}") from None
    wave = np.array(values)
    if not np.isfinite(wave).all():
        raise ValueError(f"{file.name}, row {int(np.argmin(np.isfinite(wave))) + 1}: ppg is no number")
    if abs(len(wave) - frames) > rate:
        raise ValueError(f"{file.name} has {len(wave)} rows for {frames} pictures: it must have one for each")
    return wave
