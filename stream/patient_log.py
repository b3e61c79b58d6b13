"""A log that never holds up what it tells of: whoever reads it may have stopped reading.

To write to a pipe that is full waits, as to a pager that shows its first page. A camera's thread that had a line to say
was not heard of again, and Ctrl-C did not end a recording, since that was to be said first.
"""

from __future__ import annotations

import logging
import select
from typing import TextIO

PATIENCE = 1.0  # s for room for a line, where there was some for the one before


class PatientLog(logging.StreamHandler[TextIO]):
    """Leaves out lines while there is no room for them, and says how many once there is."""

    def __init__(self, stream: TextIO, *, patience: float = PATIENCE) -> None:
        super().__init__(stream)
        self._patience = patience
        self._left_out = 0

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line, or count it."""
        if not self._has_room(0.0 if self._left_out else self._patience):
            self._left_out += 1
            return
        left_out, self._left_out = self._left_out, 0
        if left_out:
            why = f"{left_out} lines of the log were left out: nobody read what came before"
            super().emit(logging.makeLogRecord({"msg": why, "levelname": "WARNING"}))
        super().emit(record)

    def _has_room(self, patience: float) -> bool:
        """Whether the system takes a line at once, as it does of 4 kB from a pipe that it calls writable."""
        try:
            return bool(select.select([], [self.stream], [], patience)[1])
        except (OSError, ValueError):  # no file of the system's, or one that cannot tell
            return True
