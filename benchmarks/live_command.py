"""`deepmag live` or `serve` as a subprocess with its page on a free port: what the other scripts here measure."""

from __future__ import annotations

import contextlib
import queue
import signal
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

START_TIMEOUT = 60.0  # s
STOP_TIMEOUT = 30.0  # s

COMMAND = [sys.executable, "-c", "from deepmag.stream.cli import main; main()"]


class LiveCommand:
    """A running command. url: of its page. process: to look at its memory. began: clock time of its start, s."""

    def __init__(self, *arguments: str, command: str = "live") -> None:
        self.began = time.monotonic()
        options = ["--port", "0", "--log-level", "warning"]
        if command == "live":
            options += ["--show", "page", "--no-browser"]
        self.process = subprocess.Popen(
            [*COMMAND, command, *arguments, *options],
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self._lines: queue.Queue[str | None] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()
        self.url = self._find_url()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.put(line)
        self._lines.put(None)

    def _find_url(self) -> str:
        end = time.monotonic() + START_TIMEOUT
        while (left := end - time.monotonic()) > 0:
            try:
                line = self._lines.get(timeout=left)
            except queue.Empty:
                break
            if line is None:
                break
            if line.startswith("Open http"):
                return line.split()[1]
        self.stop()
        raise RuntimeError("deepmag live did not say where its page is")

    def stop(self) -> int:
        """End it as Ctrl-C does; its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            try:
                self.process.wait(STOP_TIMEOUT)
            except subprocess.TimeoutExpired:
                self.process.kill()
        return self.process.wait()


@contextlib.contextmanager
def live_command(*arguments: str, command: str = "live") -> Iterator[LiveCommand]:
    """Run it for as long as the block lasts."""
    running = LiveCommand(*arguments, command=command)
    try:
        yield running
    finally:
        running.stop()
