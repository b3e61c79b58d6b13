"""Magnified frames to a file that plays whatever happens.

One output frame for each frame given, at the source's own times. The container is Matroska, or an .mp4 / .mov
that is written in fragments of a second and turned into an ordinary one at the end, so that a killed process
or a full disk costs a second at most. ``lossless`` keeps the RGB picture bit for bit (H.264 in RGB), for
measurements.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING

import av

from deepmag.stream.render.compose import picture
from deepmag.stream.render.free_name import claim_name
from deepmag.stream.render.renderer import RendererError
from deepmag.stream.render.video_file import CONTAINERS, VideoFile

if TYPE_CHECKING:
    from collections.abc import Callable

    from deepmag.stream.frames import MagnifiedFrame

DISK_FULL = (errno.ENOSPC, errno.EFBIG, errno.EDQUOT)

log = logging.getLogger("deepmag.render.recorder")


class Recorder:
    """A renderer that writes a video file; an existing file is replaced, the source itself never.

    Implements ``ReportingRenderer``.

    path: its suffix chooses the container: .mkv, .mp4 or .mov. rate: the source's nominal rate, Hz, or what
    tells it once there are frames; the times written are the frames' own. lossless: exact RGB.
    original_beside: the original at the left of each picture. source: the file that is being read, if one is. gpu: see
    ``VideoFile``. keep: nothing is replaced: it writes to the first of name, name-2, name-3 ... that is not there.
    A new session continues after the last frame of the one before; a change of size continues in a file of
    its own, the first of name-2, name-3 ... that is not there, since no container can change it.
    trouble: what kept the end of the file from being written, known once it is closed.
    Raises RendererError where the suffix is not one of these.
    """

    name = "recorder"

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        rate: float | Callable[[], float],
        lossless: bool = False,
        original_beside: bool = False,
        source: str | os.PathLike[str] | None = None,
        gpu: int | None = None,
        keep: bool = False,
    ) -> None:
        self.path = self._named = Path(path)
        self._keep = keep
        self._gpu = gpu
        if self.path.suffix.lower() not in CONTAINERS:
            raise RendererError(f"cannot record to {self.path}: the name must end in {', '.join(CONTAINERS)}")
        self._rate = rate
        self._lossless = lossless
        self._original_beside = original_beside
        self._source = None if source is None else Path(source)
        self._file: VideoFile | None = None
        self._form: tuple[tuple[int, ...], float] | None = (
            None  # of the last frame: its shape, and its pixels'
        )
        self._files = 0
        self._made_empty = False
        self.trouble = ""
        self.lost = 0  # none: one that cannot be written ends it

    def open(self) -> None:
        """Make sure that the file can be written, before the first frame decides its size."""
        try:
            self._check(self.path)
            if self._keep:
                self.path = claim_name(self._named)
                self._made_empty = True
                if self.path != self._named:
                    log.info("%s is there already: recording to %s", self._named, self.path)
                return
            new = not self.path.exists()
            # Not truncated yet: a recording that never gets a frame must not cost an older one.
            os.close(os.open(self.path, os.O_WRONLY | os.O_CREAT, 0o666))
            self._made_empty = new
        except OSError as error:
            raise RendererError(f"cannot record to {self.path}: {error.strerror}") from None

    def fits(self, frame: MagnifiedFrame) -> bool:
        """Whether a frame goes on in the same file, as far as its form is concerned."""
        return self._form in (None, (frame.image.shape, frame.frame.pixel_aspect))

    def render(self, frame: MagnifiedFrame) -> None:
        """Write one frame."""
        self._form = frame.image.shape, frame.frame.pixel_aspect
        image = picture(frame, original_beside=self._original_beside)
        file = self._file
        try:
            form = image.shape, frame.frame.pixel_aspect
            if file is None or (file.shape, file.pixel_aspect) != form:
                file = self._next_file(*form)
            try:
                file.write(image, frame.frame.session, frame.frame.pts)
            except av.error.FFmpegError as error:
                if not file.by_gpu or file.failure is not None:
                    raise
                log.error("the GPU encodes no more (%s): the CPU goes on", error.strerror)
                self._gpu = None
                self._next_file(*form).write(image, frame.frame.session, frame.frame.pts)
        except (OSError, av.error.FFmpegError) as error:
            raise RendererError(self._explain(error)) from None

    def close(self) -> None:
        """End the file; what was recorded plays."""
        file, self._file = self._file, None
        if file is not None:
            self._finish(file)
        elif self._made_empty and self._files == 0:
            log.info("nothing was recorded: %s removed", self.path)
            with contextlib.suppress(OSError):
                self.path.unlink()

    def _next_file(self, shape: tuple[int, ...], pixel_aspect: float) -> VideoFile:
        path = self.path
        if self._file is not None:
            done, self._file = self._file, None
            self._finish(done)  # before a name is looked for: until then the file may be an empty one
            path = self.path = claim_name(self._named)
            height, width = shape[:2]
            log.warning("recording pictures of %d x %d on in %s", width, height, path)
        self._file = VideoFile(
            path,
            shape,
            rate=self._rate() if callable(self._rate) else self._rate,
            lossless=self._lossless,
            gpu=self._gpu,
            pixel_aspect=pixel_aspect,
        )
        self._files += 1
        return self._file

    def _finish(self, file: VideoFile) -> None:
        try:
            file.close()
        except (OSError, av.error.FFmpegError) as error:
            self.trouble = self._explain(error, file)
            log.error("%s", self.trouble)
        else:
            if file.failure is None:
                log.info("recorded %d frames to %s", file.frames, file.path)

    def _check(self, path: Path) -> None:
        if not path.parent.is_dir():
            raise RendererError(f"cannot record to {path}: the folder {path.parent} does not exist")
        if path.is_dir():
            raise RendererError(f"cannot record to {path}: it is a folder; name a file in it")
        if path.is_fifo():  # what opens it to look ends whoever reads from it
            raise RendererError(f"cannot record to {path}: it is a pipe; name a file")
        if self._source and self._source.exists() and path.exists() and path.samefile(self._source):
            raise RendererError(f"cannot record to {path}: it is the source itself; choose another name")

    def _explain(self, error: Exception, file: VideoFile | None = None) -> str:
        file = file or self._file
        path = self.path if file is None else file.path
        cause = error if file is None or file.failure is None else file.failure
        number = getattr(cause, "errno", None)
        what = "the disk is full" if number in DISK_FULL else getattr(cause, "strerror", None) or str(cause)
        return f"recording to {path} stopped: {what}; what was written before plays"
