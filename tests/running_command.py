"""A running deepmag, as a person starts it."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

TIMEOUT = 240.0  # s: several start at once on a small machine, beside other tests
MAIN = "from deepmag.stream.cli import main; main()"
# A display, and by which a CI asks for colours in what is no terminal.
LEFT_OUT = {"DISPLAY", "FORCE_COLOR", "GITHUB_ACTIONS", "PY_COLORS"}


class Command:
    """A running deepmag, with all that it says."""

    def __init__(
        self, *arguments: str | Path, before: str = "", cwd: Path | None = None, **more: str
    ) -> None:
        environment = {key: value for key, value in os.environ.items() if key not in LEFT_OUT}
        self.process = subprocess.Popen(
            [sys.executable, "-c", before + MAIN, *map(str, arguments)],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env={**environment, "COLUMNS": "200", **more}, cwd=cwd,
        )  # fmt: skip

    def end(self) -> tuple[int, str, str]:
        """Wait for it. Returns exit status, standard output, standard error."""
        try:
            out, error = self.process.communicate(timeout=TIMEOUT)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.communicate()  # else the next test fails, too
            raise
        return self.process.returncode, out, error

    def says_one_line(self, *words: str) -> str:
        """It must fail, with one clear line that holds ``words``, and without a traceback."""
        code, _, error = self.end()
        lines = [line for line in error.splitlines() if line.startswith("deepmag: ")]
        assert code != 0
        assert "Traceback" not in error
        assert len(lines) == 1, error
        for word in words:
            assert word in lines[0]
        return error


def until(condition: Callable[[], bool], command: Command) -> None:
    """Wait for what another process does to a file; nothing can be waited on but its looks."""
    end, pause = time.monotonic() + TIMEOUT, threading.Event()
    while not condition():
        assert time.monotonic() < end
        assert command.process.poll() is None, command.end()
        pause.wait(0.05)


@contextlib.contextmanager
def commands(*made: Command) -> Iterator[None]:
    """Side by side, since starting is most of what they do; none outlives the block."""
    try:
        yield
    finally:
        for command in made:
            if command.process.poll() is None:
                command.process.kill()
            command.process.communicate()  # closes the pipes
