"""The rates as one row a second, for a spreadsheet or a monitor's log."""

from __future__ import annotations

import logging
import time
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from deepmag.stream.frames import Reading, Signal
from deepmag.stream.render.renderer import RendererError
from deepmag.stream.render.row_file import RowFile

if TYPE_CHECKING:
    import os
    from collections.abc import Callable

    from deepmag.stream.frames import MagnifiedFrame, SourceState

COLUMNS = (
    "time", "session", "pts", "rate", "quality", "reason",
    "breaths", "breath_quality", "breath_reason", "breath_wave",
)  # fmt: skip
ROW_PERIOD = 1.0  # s
RETRY = 10.0  # s between two tries after a failed write

log = logging.getLogger("deepmag.render.vitals")


def local_now() -> datetime:
    """Wall clock with the offset from UTC: rows stay unambiguous when summer time ends."""
    return datetime.now().astimezone()


class VitalsCsv:
    """A renderer that writes ``COLUMNS``, every row at once. Implements ``ReportingRenderer``.

    time: wall clock, ISO 8601 with offset. session, pts: the frame's (s); empty without a frame. In a table that is
    kept sessions are counted on from those that are there, so that the two name a row.
    rate: beats per minute, or empty where it cannot be trusted. quality: 0 to 1. reason: why it is empty.
    breaths, breath_quality, breath_reason: the same in breaths per minute. breath_wave: px, up for breathing in.
    What this run does not measure is empty, with that as the reason.
    With frames, a row for each second of the source's own clock, which is right at any pace; without, a row
    for each second of waiting, with the source's state as the reason, and a single one once it has ended.
    state: the source's state now. keep: rows are added to an existing file, and a write that fails is tried again; else
    an existing file is replaced, and a write that fails ends it. patient: with keep, a file that cannot be opened at
    the start is tried again, too.
    """

    name = "vitals"

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        state: Callable[[], SourceState],
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = local_now,
        keep: bool = False,
        patient: bool = False,
    ) -> None:
        self.path = Path(path)
        self._state = state
        self._clock = clock
        self._now = now
        self._keep = keep
        self._patient = patient
        self._file: RowFile | None = None
        self._retry_at = 0.0
        self.trouble = ""
        self.lost = 0  # of frames none is: a row tells of a second
        self._earlier = 0  # sessions that the table had before this run
        self._sessions_unread = keep  # whether they have still to be counted
        self._session: int | None = None
        self._next_pts = 0.0
        self._last = 0.0  # monotonic s of the last frame or row, whichever is later
        self._ended = False

    def open(self) -> None:
        """Open the file; a new one gets its heading. Raises RendererError, if not patient."""
        self._last = self._clock()
        try:
            self._open()
        except OSError as error:
            if not self._patient:
                raise RendererError(self._explain(error)) from None
            self._fail(error)

    def render(self, frame: MagnifiedFrame) -> None:
        """Write a row, where a second has passed since the last."""
        self._last = self._clock()
        self._ended = False
        session, pts = frame.frame.session, frame.frame.pts
        if session == self._session and pts < self._next_pts:
            return
        due = self._next_pts if session == self._session else pts
        # The next second after the due one, not after this frame: else 30.1 fps would make rows of 1.03 s.
        self._next_pts = due + ROW_PERIOD if pts < due + ROW_PERIOD else pts + ROW_PERIOD
        self._session = session
        breath = frame.respiration
        wave = "" if breath is None else f"{breath.wave:.4f}"
        self._write(session, f"{pts:.3f}", *_cells(frame.pulse), *_cells(breath), wave)

    def idle(self) -> None:
        """Write a row without a rate for each second without a frame."""
        now = self._clock()
        if now - self._last < ROW_PERIOD or self._ended:
            return
        # whole seconds, also those in which this thread was held up: rows for them would have the time of now
        self._last += ROW_PERIOD * ((now - self._last) // ROW_PERIOD)
        state = self._state()
        self._ended = state == "ended"
        # "live" and no frame: the source delivers, and nothing comes out of the engine.
        silent = Signal(0.0, Reading(None, 0.0, "stale" if state == "live" else state))
        self._write(None, "", *_cells(silent), *_cells(silent), "")

    def close(self) -> None:
        """Close the file."""
        file, self._file = self._file, None
        if file is not None:
            file.close()

    def _stamp(self) -> str:
        return self._now().isoformat(timespec="milliseconds")

    def _write(self, session: int | None, *cells: str) -> None:
        now = self._clock()
        if self._file is None and now < self._retry_at:
            return
        try:
            if self._file is not None and self._keep and self._file.gone:
                self.close()
            file = self._file or self._open()
            file.write((self._stamp(), "" if session is None else self._earlier + session, *cells))
        except OSError as error:
            if not self._keep:
                raise RendererError(self._explain(error)) from None
            self._fail(error)
        else:
            if self.trouble:
                log.warning("vitals are written to %s again", file.path)
                self.trouble = ""

    def _open(self) -> RowFile:
        self._file = file = RowFile(self.path, COLUMNS, keep=self._keep)
        if file.path != self.path:
            log.info("%s has other columns: vitals are written to %s", self.path, file.path)
        if self._sessions_unread:
            newest = file.newest(COLUMNS.index("session"))
            self._earlier = int(newest) + 1 if newest.isdecimal() else 0
            self._sessions_unread = False  # opened again it has this run's own, too
        return file

    def _fail(self, error: OSError) -> None:
        if not self.trouble:
            log.error("%s; it is tried again every %g s", self._explain(error), RETRY)
        self.trouble = self._explain(error)
        self._retry_at = self._clock() + RETRY
        self.close()

    def _explain(self, error: OSError) -> str:
        path = self.path if self._file is None else self._file.path
        return f"cannot write the vitals to {path}: {error.strerror or error}"


def _cells(signal: Signal | None) -> tuple[str, str, str]:
    """Rate, quality and reason as they are written."""
    reading = signal.reading if signal is not None else Reading(None, 0.0, "not measured")
    rate = "" if reading.rate is None else f"{reading.rate:.1f}"
    return rate, f"{reading.quality:.2f}", reading.reason
