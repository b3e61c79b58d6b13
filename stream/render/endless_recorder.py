"""A recording that nobody watches over: for days, in files of some hours, and again after a disk that was full.

What was recorded before is never replaced, so that a process that is started again each night loses none of it.
"""

from __future__ import annotations

import contextlib
import logging
import shutil
import time
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING

from deepmag.stream.render.renderer import RendererError

if TYPE_CHECKING:
    import os
    from collections.abc import Callable

    from deepmag.stream.frames import MagnifiedFrame
    from deepmag.stream.render.recorder import Recorder

HOURS = 24.0  # in one file: the muxer of an .mp4 keeps 80 bytes of memory a frame until its end, 0.2 GB a day
RETRY = 10.0  # s between two tries after a failure, and between two looks whether the file is still there
# s, to which that grows while each file fails soon: else there would be thousands of short ones
RETRY_MOST = 600.0
SOON = 60.0  # s
ROOM = 200 * 2**20  # bytes that must be free to go on: else a disk that stays full is filled again and again
CHANGES = 6  # of the pictures' size that are followed in CHANGES_PERIOD
CHANGES_PERIOD = 600.0  # s
NOTHING = 4096  # bytes: a file below has a heading and no picture

log = logging.getLogger("deepmag.render.recorder")


class EndlessRecorder:
    """A renderer that writes one video file after another. Implements ``ReportingRenderer``.

    path: of the first; where that is there already, and for each further file, the first of name-2, name-3 ... that is
    free. hours: in one file. patient: also what cannot be begun at the start is tried again. new: makes the recorder of
    one file, which takes a free name; raises RendererError for a name that can be none.
    Where the size of pictures keeps changing, those of another one are left out for a while: a camera gone mad had a
    file for each picture, a million a day.
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
        patient: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._first = self._last = Path(path)
        self._new = new
        new(self._first)
        self._seconds = 3600.0 * hours
        self._patient = patient
        self._clock = clock
        self._recorder: Recorder | None = None
        self._began: float | None = None
        self._look_at = self._retry_at = 0.0
        self._delay = RETRY
        self._changes: deque[float] = deque(maxlen=CHANGES)  # when the size of pictures was another
        self._whole_at = float("-inf")  # when none has been left out for a while
        self.trouble = ""
        self.lost = 0

    @property
    def path(self) -> Path:
        """Of the file that is being written, or was last."""
        recorder = self._recorder
        return self._last if recorder is None else recorder.path

    def open(self) -> None:
        """Make sure that a file can be written. Raises RendererError, if not patient."""
        try:
            self._begin()
        except RendererError as error:
            if not self._patient:
                raise
            self._fail(str(error), self._clock())

    def render(self, frame: MagnifiedFrame) -> None:
        """Write one frame, or count it where that cannot be."""
        now = self._clock()
        if self._is_over(now):
            self._end()
        if self._recorder is None and now < self._retry_at:
            self.lost += 1
            return
        if self._recorder is not None and not self._recorder.fits(frame):
            if len(self._changes) == CHANGES and now - self._changes[0] < CHANGES_PERIOD:
                self._leave_out(now)
                return
            self._changes.append(now)
        try:
            recorder = self._recorder or self._begin()
            recorder.render(frame)
        except RendererError as error:
            self._fail(str(error), now)
            self.lost += 1
            return
        if self._began is None:
            self._began, self._look_at = now, now + RETRY
        # the encoder takes many frames before anything is written
        if self.trouble and now >= self._whole_at and (self._size() or 0) > NOTHING:
            log.warning("recording goes on in %s", recorder.path)
            self.trouble = ""

    def close(self) -> None:
        """End the file; what was recorded plays."""
        self._end()

    def _begin(self) -> Recorder:
        if self.trouble:
            with contextlib.suppress(OSError):  # of a folder that is gone the recorder speaks
                if shutil.disk_usage(self._first.parent).free < ROOM:
                    raise RendererError(self.trouble)
        recorder = self._new(self._first)
        try:
            recorder.open()
        except RendererError:
            recorder.close()
            raise
        self._recorder = recorder
        return recorder

    def _leave_out(self, now: float) -> None:
        """Count a picture of another size, and say so, once."""
        self.lost += 1
        self._whole_at = now + RETRY
        if not self.trouble:
            self.trouble = f"the size of pictures keeps changing: {self.path} holds those of one size only"
            log.error("%s", self.trouble)

    def _is_over(self, now: float) -> bool:
        if self._recorder is None or self._began is None:
            return False
        if now - self._began >= self._seconds:
            return True
        if now < self._look_at:
            return False
        self._look_at = now + RETRY
        if self._size() is None:
            log.error("%s was removed: recording goes on in a new file", self.path)
            return True
        return False

    def _size(self) -> int | None:
        """Bytes of the file that is being written, or was last; None where it is under its name no more."""
        try:
            return self.path.stat().st_size
        except FileNotFoundError:
            return None
        except OSError:  # a share that is away: the next write will tell
            return 0

    def _end(self) -> None:
        recorder = self._recorder
        if recorder is not None:
            self._last = recorder.path
            self._recorder = self._began = None
            recorder.close()
            self.trouble = recorder.trouble or self.trouble

    def _fail(self, why: str, now: float) -> None:
        recorder, began = self._recorder, self._began
        self._end()
        if recorder is not None:
            with contextlib.suppress(OSError):  # of a file that cannot be asked its size nothing is removed
                if recorder.path.stat().st_size < NOTHING:
                    recorder.path.unlink()
        if not self.trouble:
            log.error("%s; it is tried again", why)
        self.trouble = why
        if began is not None:  # a file that could not even be begun leaves nothing behind
            self._delay = min(2 * self._delay, RETRY_MOST) if now - began < SOON else RETRY
        self._retry_at = now + self._delay
