"""A log that never holds up what it tells of: whoever reads it may have stopped reading.

To write to a pipe that is full waits, as to a pager that shows its first page. A camera's thread that had a line to say
was not heard of again, and Ctrl-C did not end a recording, since that was to be said first. A terminal only tells
whether there is room for a letter: there a line may still wait.
"""

from __future__ import annotations

import logging
import select
from typing import TextIO

PATIENCE = 1.0  # s for room for what is written, where there was some for what came before
# letters, of at most ten bytes each, that a pipe takes at once where it is called writable; of 6000 the rest waited
PIECE = getattr(select, "PIPE_BUF", 512) // 10


class PatientLog(logging.StreamHandler[TextIO]):
    """Leaves out lines while there is no room for them, and says how many once there is."""

    def __init__(self, stream: TextIO, *, patience: float = PATIENCE) -> None:
        super().__init__(stream)
        self._patience = patience
        self._left_out = 0
        self._cut = False  # whether what was written last is the beginning of a line

    def emit(self, record: logging.LogRecord) -> None:
        """Write a line, or count it."""
        try:
            rest = self._what_was_missed() + self.format(record) + self.terminator
            patience = 0.0 if self._left_out else self._patience
            while rest:
                if not self._has_room(patience):
                    self._left_out += 1
                    return
                self.stream.write(rest[:PIECE])
                self.flush()
                rest, patience = rest[PIECE:], self._patience
                self._left_out, self._cut = 0, bool(rest)
        except Exception:  # as of every handler: what cannot be logged ends nothing
            self.handleError(record)

    def _what_was_missed(self) -> str:
        if not self._left_out:
            return ""
        why = f"{self._left_out} lines of the log were left out: nobody read what came before"
        line = self.format(logging.makeLogRecord({"msg": why, "levelname": "WARNING"}))
        return self._cut * self.terminator + line + self.terminator

    def _has_room(self, patience: float) -> bool:
        """Whether the system takes a piece at once."""
        try:
            return bool(select.select([], [self.stream], [], patience)[1])
        except (OSError, ValueError, TypeError):  # no file of the system's, or one that cannot tell
            return True
