"""The line of status on a terminal, drawn by a thread of its own: a terminal that Ctrl-S holds up holds up nobody."""

from __future__ import annotations

import io
import os
import threading
from typing import TYPE_CHECKING, Self

from rich.console import Console
from rich.live import Live
from rich.spinner import Spinner
from rich.text import Text

if TYPE_CHECKING:
    from typing import TextIO

PATIENCE = 1.0  # s for the terminal to take the line's end
REFRESH = 12.5  # Hz


class StatusLine:
    """Shows the newest text until it ends. A context manager. terminal: where."""

    def __init__(self, text: str, terminal: TextIO) -> None:
        self._spinner = Spinner("dots", Text(text), style="status.spinner")
        # Its own, without a lock: one that a thread holds while it waits would be wanted when Python ends.
        self._file = io.TextIOWrapper(
            io.FileIO(os.dup(terminal.fileno()), "w"),
            terminal.encoding,
            "backslashreplace",
            write_through=True,
        )
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._draw, name="status", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(PATIENCE)

    def update(self, text: str) -> None:
        """Show this from now on, letter by letter: to rich, what a server answers may be markup."""
        self._spinner.update(text=Text(text))

    def _draw(self) -> None:
        live = Live(
            self._spinner,
            console=Console(file=self._file),
            refresh_per_second=REFRESH,
            transient=True,
            # else whatever is written to them would wait with this line
            redirect_stdout=False,
            redirect_stderr=False,
        )
        with self._file, live:
            self._over.wait()
