"""The linear methods on a whole file, in two passes over it: coefficients, filtered in a temporary file, then pictures.

Colour needs 14 kB a picture of 640x480 there, motion 101 kB.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from deepmag.models.baselines.linear import Track, filter_stretch
from deepmag.models.magnify import stretches
from deepmag.models.representation import reduce_frame
from deepmag.stream.clip_file import Timeline, read_frames, stated_length
from deepmag.stream.frames import MagnifiedFrame
from deepmag.stream.stopped import StoppedError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from deepmag.models.baselines.linear import LinearMethod

Progress = Callable[[str, float], None]


def analyse_file(
    source: Path,
    method: LinearMethod,
    clip: Timeline,
    store: Any,
    progress: Progress,
    stop: Callable[[], bool],
) -> NDArray[np.float32]:
    """First pass: each picture's coefficients, (T, ...), in the file ``store``, and when each was taken."""
    length = stated_length(source)
    shape: tuple[int, ...] = (0,)
    track = Track(method)
    for frame in read_frames(source, stop, clip):
        coefficients = track(frame.image)
        shape = coefficients.shape
        clip.add(frame, reduce_frame(frame.image))
        store.write(coefficients.tobytes())
        progress("reading", min(1.0, frame.pts / length) if length else 0.0)
    store.flush()
    progress("reading", 1.0)
    return np.memmap(store, np.float32, "r+", shape=(len(clip.times), *shape))


def filter_file(
    method: LinearMethod,
    coefficients: NDArray[np.float32],
    clip: Timeline,
    rate: float,
    progress: Progress,
    stop: Callable[[], bool],
) -> None:
    """Filter the coefficients where they lie, stretch by stretch. Raises ValueError for a rate too low."""
    for stretch in stretches(clip.times, rate, clip.cuts):
        part = coefficients[stretch.start : stretch.stop]
        filter_stretch(method, part, rate, stretch.ticks, out=part)
        progress("magnifying", stretch.stop / len(clip.times))
        if stop():
            raise StoppedError
    progress("magnifying", 1.0)


def draw_file(
    source: Path,
    method: LinearMethod,
    filtered: NDArray[np.float32],
    gain: float,
    stop: Callable[[], bool],
) -> Iterator[MagnifiedFrame]:
    """Second pass: the pictures, with what was filtered out of them added ``gain - 1`` times."""
    for i, frame in enumerate(read_frames(source, stop)):
        if i >= len(filtered):  # a file that still grows
            return
        image = method.synthesise(frame.image, np.asarray(filtered[i]), gain)
        height, width = frame.image.shape[:2]
        yield MagnifiedFrame(frame, image, None, None, (0, 0, width, height), frame.arrived)
