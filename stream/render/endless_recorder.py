"""A recording that nobody watches over: for days, in files of some hours, and again after a disk that was full.

What was recorded before is never replaced, so that a process that is started again each night loses none of it.
"""

from __future__ import annotations

import contextlib
import logging
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING

from deepmag.stream.render.renderer import RendererError

if TYPE_CHECKING:
    import os
    from collections.abc import Callable

    from deepmag.stream.frames import MagnifiedFrame
    from deepmag.stream.render.recorder import Recorder

HOURS = 24.0  # in one file: the muxer of an .mp4 keeps 80 bytes of memory a frame until its end, 0.2 GB a day
RETRY = (
    10.0  # s between two tries after a failed write, and between two looks whether the file is still there
)
ROOM = 200 * 2**20  # bytes that must be free to go on: else a disk that stays full is filled again and again
NOTHING = 4096  # bytes: a file below has a heading and no picture

log = logging.getLogger("deepmag.render.recorder")


class EndlessRecorder:
    """A renderer that writes one video file after another. Implements ``PersistentRenderer``.

    path: of the first; where something has been written to it, and for each further file, the first of name-2, name-3
    ... that is free. hours: in one file. new: makes the recorder of one file, which takes a free name.
    A write that fails ends a file, which plays, and is tried again in another; so does the folder's or the file's being
    removed.
    """

    name = "recorder"

    def __init__(
        self,
        path: str | os.PathLike[str],
        new: Callable[[Path], Recorder],
        *,
        hours: float = HOURS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._path = Path(path)
        self._new = new
        self._seconds = 3600.0 * hours
        self._clock = clock
        self._recorder: Recorder | None = new(self._path)
        self._began: float | None = None
        self._look_at = self._retry_at = 0.0
        self.trouble = ""
        self.lost = 0

    @property
    def path(self) -> Path:
        """Of the file that is being written."""
        return self._path if self._recorder is None else self._recorder.path

    def open(self) -> None:
        """Make sure that a file can be written. Raises RendererError."""
        assert self._recorder is not None
        self._recorder.open()

    def render(self, frame: MagnifiedFrame) -> None:
        """Write one frame, or count it where that cannot be."""
        now = self._clock()
        recorder = self._recorder
        if recorder is not None and self._is_over(recorder, now):
            self._end()
            recorder = None
        try:
            if recorder is None:
                if now < self._retry_at:
                    self.lost += 1
                    return
                recorder = self._begin()
            recorder.render(frame)
        except RendererError as error:
            self._fail(str(error), now)
            return
        if self._began is None:
            self._began, self._look_at = now, now + RETRY
        if self.trouble:
            log.warning("recording goes on in %s", recorder.path)
            self.trouble = ""

    def close(self) -> None:
        """End the file; what was recorded plays."""
        self._end()

    def _begin(self) -> Recorder:
        if self.trouble:
            with contextlib.suppress(OSError):  # of a folder that is gone the recorder speaks
                if shutil.disk_usage(self._path.parent).free < ROOM:
                    raise RendererError(self.trouble)
        recorder = self._new(self._path)
        try:
            recorder.open()
        except RendererError:
            recorder.close()
            raise
        self._recorder = recorder
        return recorder

    def _is_over(self, recorder: Recorder, now: float) -> bool:
        if self._began is None:
            return False
        if now - self._began >= self._seconds:
            return True
        if now < self._look_at:
            return False
        self._look_at = now + RETRY
        if recorder.gone:
            log.error("%s was removed: recording goes on in a new file", recorder.path)
            return True
        return False

    def _end(self) -> None:
        recorder, self._recorder, self._began = self._recorder, None, None
        if recorder is not None:
            recorder.close()

    def _fail(self, why: str, now: float) -> None:
        recorder = self._recorder
        self._end()
        if recorder is not None:
            with contextlib.suppress(OSError):
                if recorder.path.stat().st_size < NOTHING:
                    recorder.path.unlink()
        if not self.trouble:
            log.error("%s; it is tried again every %g s", why, RETRY)
        self.trouble = why
        self._retry_at = now + RETRY
        self.lost += 1
