"""A video file read from start to end for the offline methods, and what the first reading tells of its time."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from deepmag.models.representation import is_scene_cut
from deepmag.stream.capture.address import Address
from deepmag.stream.capture.video import VideoSource
from deepmag.stream.stopped import StoppedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import numpy as np
    from numpy.typing import NDArray

    from deepmag.stream.frames import Frame


@dataclass(slots=True)
class Timeline:
    """What the first reading learns. times: s, rising over all sessions. cuts: frames that begin another scene."""

    nominal: float | None = None
    times: list[float] = field(default_factory=list)
    cuts: list[int] = field(default_factory=list)
    _session: int = 0
    _offset: float = 0.0
    _before: NDArray[np.float32] | None = None

    def add(self, frame: Frame, small: NDArray[np.float32]) -> None:
        """Take the next picture. small: (3, L, L), what of it is reduced, to see where the scene changes."""
        if frame.session != self._session:
            # another clock: whatever time went by, what came before says nothing about what follows
            self._session, self._offset = frame.session, (self.times[-1] if self.times else 0.0) + 1.0
            self.cuts.append(len(self.times))
        if self._before is not None and is_scene_cut(self._before, small):
            self.cuts.append(len(self.times))
        self._before = small
        self.times.append(frame.pts + self._offset)


def read_frames(source: Path, stop: Callable[[], bool], notes: Timeline | None = None) -> Iterator[Frame]:
    """All pictures of the file. Raises StoppedError, SourceError, and ValueError for a change of size."""
    video = VideoSource(Address("file", str(source)), pace="max")
    size: tuple[int, ...] | None = None
    for frame in video.frames(threading.Event()):
        if stop():
            raise StoppedError
        if size is not None and frame.image.shape != size:
            raise ValueError(
                f"{source}: the picture's size changes from {size[1]}x{size[0]} to {frame.image.shape[1]}x"
                f"{frame.image.shape[0]} at picture {frame.seq + 1}: cut the clip there and magnify each part"
            )
        size = frame.image.shape
        if notes is not None:
            notes.nominal = video.nominal_rate
        yield frame


def stated_length(source: Path) -> float:
    """Length of a file as it states itself, s; 0 where it does not."""
    import av

    with av.open(f"file:{source}", metadata_errors="replace") as container:
        return container.duration / av.time_base if container.duration else 0.0
