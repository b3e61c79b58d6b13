"""A log that never holds up what it tells of: whoever reads it may have stopped reading."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from deepmag.stream.patient_writer import PATIENCE, ROOM, PatientWriter

if TYPE_CHECKING:
    from typing import TextIO


class PatientLog(logging.Handler):
    """Writes as `PatientWriter` does."""

    def __init__(self, stream: TextIO, *, patience: float = PATIENCE, room: int = ROOM) -> None:
        super().__init__()
        self._writer = PatientWriter(stream, self._missed, patience=patience, room=room)

    def emit(self, record: logging.LogRecord) -> None:
        """Write a line of the log."""
        try:
            self._writer.put(self.format(record))
        except Exception:  # as of every handler: what cannot be logged ends nothing
            self.handleError(record)

    def say(self, line: str) -> None:
        """Write a line that is none of the log's, after those."""
        self._writer.put(line)

    def flush(self) -> None:
        """Wait until all is written, for as long as somebody reads."""
        self._writer.flush()

    def close(self) -> None:
        """End its thread."""
        self._writer.close()
        super().close()

    def _missed(self, lines: int) -> str:
        why = f"{lines} lines of the log were left out: nobody read what came before"
        return self.format(logging.makeLogRecord({"msg": why, "levelname": "WARNING"}))
