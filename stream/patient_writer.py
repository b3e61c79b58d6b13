"""Lines to a stream that nobody may be reading, by a thread that waits so that nobody else has to.

A pipe whose reader has stopped takes no more than fits into it, and a terminal that was stopped by Ctrl-S or a share
that is away takes nothing: whoever writes there waits, for good if need be. So did a camera's thread that had a line of
the log to say, and a recording that should say that it ends, before it ended.
"""

from __future__ import annotations

import os
import select
import threading
from collections import deque
from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TextIO

PATIENCE = 1.0  # s for a line to be written, where those before it were
ROOM = 1000  # lines that wait; for the next one the oldest is left out


class PatientWriter:
    """Writes lines in order; while nobody reads it keeps the newest, and says how many it left out before them.

    Who has a line waits until it is written, but not where the line before was waited for in vain. missed: what is to
    be said of so many lines. It writes to the file by its number: who waits within ``sys.stderr`` has a lock that
    Python wants at its end.
    """

    def __init__(
        self,
        stream: TextIO,
        missed: Callable[[int], str],
        *,
        patience: float = PATIENCE,
        room: int = ROOM,
    ) -> None:
        self._stream = stream
        self._descriptor = _descriptor(stream)
        self._missed = missed
        self._patience = patience
        self._room = room
        self._changed = threading.Condition()  # of all below
        self._waiting: deque[tuple[int, str]] = deque()  # lines, each with its number
        self._came = 0  # lines, so far
        self._done = 0  # number of the last one that is written
        self._pieces = 0  # written: what tells that somebody reads
        self._left_out = 0  # lines, since one was written
        self._stuck = False
        self._closed = False
        self._thread: threading.Thread | None = None
        self.error: Exception | None = None

    def put(self, line: str) -> None:
        """Write a line, or keep it, or count it. ``error`` is then why nothing can be written there, if that is so."""
        with self._changed:
            if self._thread is None and not self._start():
                self._write(f"{line}\n")  # there is nobody else who could
                return
            if len(self._waiting) >= self._room:
                self._waiting.popleft()
                self._left_out += 1
            self._came = number = self._came + 1
            self._waiting.append((number, f"{line}\n"))
            self._changed.notify_all()
            patience = 0.0 if self._stuck else self._patience
            self._stuck = not self._changed.wait_for(lambda: self._done >= number, patience)

    def flush(self) -> None:
        """Wait until all is written, for as long as somebody reads."""
        with self._changed:
            while self._done < self._came:
                if not self._changed.wait_for(partial(self._beyond, self._pieces), self._patience):
                    return

    def close(self) -> None:
        """End the thread, once it has written what waits. A later line begins another."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _start(self) -> bool:
        thread = threading.Thread(target=self._run, name="lines", daemon=True)
        try:
            thread.start()
        except RuntimeError:  # the machine has no thread left, or Python ends
            return False
        self._thread = thread
        return True

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._closed)
                if not self._waiting:
                    self._thread = None
                    return
                number, text = self._waiting.popleft()
                left_out, self._left_out = self._left_out, 0
            self._write(f"{self._missed(left_out)}\n{text}" if left_out else text)
            with self._changed:
                self._done = number
                self._stuck = self._stuck and bool(self._waiting)
                self._changed.notify_all()

    def _write(self, text: str) -> None:
        """Write it all, however long that takes."""
        try:
            if self._descriptor is None:
                self._stream.write(text)
                self._stream.flush()
            else:
                self._write_to_file(self._descriptor, text)
            self.error = None
        except Exception as error:  # who read it is gone, a disk is full: nobody can be told here
            self.error = error
        self._tell_progress()

    def _write_to_file(self, descriptor: int, text: str) -> None:
        rest = text.encode(self._stream.encoding or "utf-8", "backslashreplace")
        while rest:
            try:
                rest = rest[os.write(descriptor, rest) :]
            except BlockingIOError:  # another program that has the terminal, too, wants to be told so
                select.select([], [descriptor], [])
            self._tell_progress()

    def _beyond(self, pieces: int) -> bool:
        return self._pieces > pieces

    def _tell_progress(self) -> None:
        with self._changed:
            self._pieces += 1
            self._changed.notify_all()


def _descriptor(stream: TextIO) -> int | None:
    """The number of a stream's file; None of what is no file of the system's."""
    try:
        return stream.fileno()
    except (AttributeError, OSError, ValueError):
        return None
