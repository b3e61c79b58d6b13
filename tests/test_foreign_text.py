"""What a server answers and what a file is called is shown, and obeyed by no terminal."""

from __future__ import annotations

import contextlib
import logging
import os
import select
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from deepmag.stream.capture.cameras import list_cameras
from deepmag.stream.capture.redact import RedactingFilter, plain

if TYPE_CHECKING:
    from collections.abc import Iterator

TIMEOUT = 90.0  # s
MAIN = "from deepmag.stream.cli import main; main()"
FORGED = "2026-01-01 00:00:00 INFO bed 1: live | 72 bpm"
# a window's title, a cleared screen, a line of the log, and what Rich would take for the end of a style
ANSWER = f"\x1b]0;owned\x07\x1b[2J\n{FORGED} [/b]"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a clip.mp4: 72 bpm, größer, 脈", "a clip.mp4: 72 bpm, größer, 脈"),
        ("\x1b[2J\x9b31m", r"\x1b[2J\x9b31m"),
        ("one\r\ntwo\u2028three", r"one\r\ntwo\u2028three"),
        ("\u202egpj.exe", r"\u202egpj.exe"),
        ("a\udcff.mp4", r"a\udcff.mp4"),
        (r"C:\new", r"C:\new"),
    ],
)
def test_what_is_no_character_to_be_seen_is_spelt_out(text: str, shown: str) -> None:
    assert plain(text) == shown
    assert plain(shown) == shown


def test_a_record_of_the_log_stays_on_its_line_and_a_traceback_keeps_its_own() -> None:
    try:
        raise ValueError("\x1b[2J")
    except ValueError:
        record = logging.LogRecord("a", logging.ERROR, "", 0, "it says %s", (ANSWER,), sys.exc_info())
    RedactingFilter().filter(record)
    assert "\n" not in record.msg
    assert "\x1b" not in record.msg + (record.exc_text or "")
    assert (record.exc_text or "").count("\n") >= 3


def test_the_name_that_a_camera_gives_itself_is_shown_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "video0").mkdir()
    (tmp_path / "video0" / "name").write_text("Cam\x1b[2J\n")
    assert [camera.name for camera in list_cameras(tmp_path, lambda _: True)] == [r"Cam\x1b[2J"]


@contextlib.contextmanager
def refusing_with(reason: str) -> Iterator[int]:
    """An RTSP server that refuses all there is, and says why."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    peer, _ = listener.accept()
                    with peer:
                        peer.recv(4096)
                        peer.sendall(f"RTSP/1.0 500 {reason}\r\nCSeq: 1\r\n\r\n".encode())

        thread = threading.Thread(target=serve)
        thread.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()


def test_what_a_server_answers_neither_ends_the_program_nor_writes_to_the_terminal() -> None:
    terminal, tty = os.openpty()
    shown = b""
    with refusing_with(ANSWER) as port:
        options = ["--show", "none", "--duration", "3", "--push", f"rtsp://127.0.0.1:{port}/x"]
        process = subprocess.Popen(
            [sys.executable, "-c", MAIN, "live", "demo", *options],
            stdin=tty, stdout=tty, stderr=tty, env={**os.environ, "COLUMNS": "500", "TERM": "xterm"},
        )  # fmt: skip
        os.close(tty)
        try:
            with contextlib.suppress(OSError):  # its end
                while select.select([terminal], [], [], TIMEOUT)[0] and (data := os.read(terminal, 65536)):
                    shown += data
            assert process.wait(TIMEOUT) == 1  # nothing was pushed
        finally:
            process.kill()
            process.wait()
            os.close(terminal)
    text = shown.decode()
    assert "Traceback" not in text
    assert r"the server answered 500 \x1b]0;owned" in text
    assert "\x1b]0;owned" not in text
    assert not any(line.startswith(FORGED) for line in text.splitlines())
