"""The line of status on a real terminal, also one that Ctrl-S has stopped."""

from __future__ import annotations

import os
import subprocess
import sys
import termios
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

import pytest
from made_clip import pictures_in
from running_command import LEFT_OUT, MAIN, TIMEOUT

from deepmag.stream import status_line
from deepmag.stream.status_line import StatusLine


class Terminal:
    """screen: the number of what a person sees. stream: what a program writes to."""

    def __init__(self, screen: int, stream: TextIO) -> None:
        self.screen = screen
        self.stream = stream

    def read(self, until: str) -> str:
        said = b""
        while until not in said.decode(errors="replace"):
            said += os.read(self.screen, 4096)
        return said.decode()

    def hold(self) -> None:
        """As Ctrl-S does."""
        termios.tcflow(self.stream.fileno(), termios.TCOOFF)


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[Terminal]:
    for name in (*LEFT_OUT, "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    screen, tty = os.openpty()
    with open(tty, "w") as stream:
        yield Terminal(screen, stream)
        os.close(screen)


def test_the_newest_text_is_shown_letter_by_letter_and_gone_at_the_end(terminal: Terminal) -> None:
    with StatusLine("connecting", terminal.stream) as line:
        terminal.read("connecting")
        line.update("lost ([/]: no such camera)")
        terminal.read("lost ([/]: no such camera)")
    terminal.stream.write("end\n")
    terminal.stream.flush()
    assert "\x1b[2Kend" in terminal.read("end")  # its line was cleared


def test_a_terminal_that_is_stopped_holds_up_neither_an_update_nor_the_end(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(status_line, "PATIENCE", 0.1)
    with StatusLine("connecting", terminal.stream) as line:
        terminal.read("connecting")
        terminal.hold()
        for number in range(100):
            line.update(f"live {number}")
    assert line._thread.is_alive()  # it waits, alone
    termios.tcflow(terminal.stream.fileno(), termios.TCOON)
    line._thread.join(TIMEOUT)
    assert not line._thread.is_alive()


@pytest.mark.parametrize("from_the_start", [True, False])
def test_live_on_a_terminal_that_is_stopped_ends_in_order(
    terminal: Terminal, tmp_path: Path, from_the_start: bool
) -> None:
    if from_the_start:
        terminal.hold()
    video = tmp_path / "x.mkv"
    arguments = ["live", "demo", "--port", "0", "--no-browser", "--record", str(video), "--duration", "3"]
    process = subprocess.Popen(
        [sys.executable, "-c", MAIN, *arguments],
        stdin=terminal.stream, stdout=terminal.stream, stderr=terminal.stream, start_new_session=True,
    )  # fmt: skip
    try:
        if not from_the_start:
            terminal.read("connecting")
            terminal.hold()
        assert process.wait(TIMEOUT) == 0
    finally:
        process.kill()
        process.wait()
    assert pictures_in(video) > 30
