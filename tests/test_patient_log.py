"""A log that nobody reads holds nothing up, and says what was left out."""

from __future__ import annotations

import fcntl
import io
import logging
import os
import re
import subprocess
import sys
import termios
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from deepmag.stream.patient_log import PatientLog

SIZE = 4096  # bytes that the pipe holds, the least there is
TIMEOUT = 60.0  # s
PATIENCE = 0.4  # s: a line that has room is written by then
LEFT_OUT = re.compile(r"(\d+) lines of the log were left out: nobody read what came before")


def logger(handler: logging.Handler) -> logging.Logger:
    made = logging.Logger("of a test")
    made.addHandler(handler)
    return made


def ended(handler: PatientLog) -> None:
    """End it, and wait for its thread: it has the number of a file that is closed next."""
    thread = handler._writer._thread
    handler.close()
    if thread is not None:
        thread.join(TIMEOUT)
        assert not thread.is_alive()


class Pipe:
    """A small one, with a log that goes into it."""

    def __init__(self, reading: int, writing: int, room: int) -> None:
        self.stream = open(writing, "w")  # noqa: SIM115 - closed by `pipe`
        self.handler = PatientLog(self.stream, patience=PATIENCE, room=room)
        self.log = logger(self.handler)
        self.reading = reading

    def read(self, until: str) -> str:
        """All that is said up to a line that holds ``until``."""
        said = b""
        while f"{until}\n" not in said.decode():
            piece = os.read(self.reading, SIZE)
            assert piece
            said += piece
        return said.decode()


@contextmanager
def pipe(room: int = 50) -> Iterator[Pipe]:
    reading, writing = os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, SIZE)
    made = Pipe(reading, writing, room)
    try:
        yield made
    finally:
        os.close(reading)  # which ends a write that waits
        ended(made.handler)
        made.stream.close()


def test_of_lines_that_nobody_reads_the_newest_are_kept_and_the_others_counted() -> None:
    with pipe() as unread:
        for number in range(2000):
            unread.log.warning("line %d", number)
        lines = unread.read("line 1999").splitlines()
    at = next(index for index, line in enumerate(lines) if LEFT_OUT.fullmatch(line))
    counted = LEFT_OUT.fullmatch(lines[at])
    assert counted is not None
    assert lines[:at] == [f"line {number}" for number in range(at)]  # what had gone into the pipe
    assert lines[at + 1 :] == [f"line {number}" for number in range(1950, 2000)]
    assert at + int(counted[1]) + 50 == 2000


def test_a_line_longer_than_the_room_for_it_holds_nobody_up_and_is_whole() -> None:
    with pipe() as unread:
        line = "x" * 3 * SIZE + "."
        said = threading.Thread(target=unread.log.warning, args=(line,), daemon=True)
        said.start()
        said.join(TIMEOUT)
        assert not said.is_alive()
        unread.log.warning("after it")
        assert unread.read("after it") == f"{line}\nafter it\n"


def test_the_end_waits_for_who_reads_slowly_and_not_for_who_does_not() -> None:
    with pipe() as slow:
        for number in range(40):
            slow.log.warning("%s %d", 500 * "x", number)
        said = []
        read = threading.Thread(target=lambda: said.append(slow.read(f"{500 * 'x'} 39")))
        slow.handler._writer._patience = TIMEOUT
        read.start()
        slow.handler.flush()
        read.join(TIMEOUT)
        assert said[0].splitlines() == [f"{500 * 'x'} {number}" for number in range(40)]
    with pipe() as unread:
        for _ in range(40):
            unread.log.warning(500 * "x")
        unread.handler.flush()


def test_who_reads_again_has_each_line_as_it_is_said() -> None:
    with pipe() as read:
        for _ in range(100):
            read.log.warning(500 * "x")
        read.log.warning("end")
        read.handler._writer._patience = TIMEOUT
        read.read("end")
        read.handler.flush()
        os.set_blocking(read.reading, False)
        for number in range(10):  # each is in the pipe when it has been said
            read.log.warning("%d", number)
            assert os.read(read.reading, SIZE) == f"{number}\n".encode()


def test_a_terminal_that_is_stopped_holds_nobody_up_and_has_the_lines_later() -> None:
    terminal, tty = os.openpty()
    with open(terminal, "rb", buffering=0) as screen, open(tty, "w") as stream:
        handler = PatientLog(stream, patience=PATIENCE)
        log = logger(handler)
        termios.tcflow(stream.fileno(), termios.TCOOFF)  # what Ctrl-S does
        for number in range(10):
            log.warning("line %d", number)
        termios.tcflow(stream.fileno(), termios.TCOON)
        said = b""
        while said.count(b"\n") < 10:
            said += screen.read(SIZE)
        ended(handler)
    assert said.decode().splitlines() == [f"line {number}" for number in range(10)]


# Its last line is said as the process ends, and Python is at its end while the line before still waits.
ENDING = """
import logging, sys, typer
from deepmag.stream.cli import fail, set_up_logging

set_up_logging("info")
logging.getLogger("deepmag").info("%s", 100_000 * "x")
try:
    fail("the last line")
except typer.Exit as end:
    sys.exit(end.exit_code)
"""


@pytest.mark.parametrize("read", [True, False])
def test_a_process_ends_with_its_last_line_or_where_nobody_reads_without(read: bool) -> None:
    process = subprocess.Popen([sys.executable, "-c", ENDING], stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    if read:
        said = process.stderr.read()
        assert said.endswith(100_000 * "x" + "\ndeepmag: the last line\n"), said[-200:]
    assert process.wait(TIMEOUT) == 1
    process.stderr.close()


class Terse:
    """What a program may put in the place of a standard stream."""

    def __init__(self) -> None:
        self.said = ""

    def write(self, text: str) -> None:
        self.said += text

    def flush(self) -> None:
        pass


def test_what_is_no_file_of_the_system_takes_every_line() -> None:
    stream, terse = io.StringIO(), Terse()
    logger(PatientLog(stream)).warning("told")
    logger(PatientLog(terse)).warning("told, too: %s", "x" * SIZE)  # type: ignore[arg-type]
    assert stream.getvalue() == "told\n"
    assert terse.said == f"told, too: {'x' * SIZE}\n"


def test_where_no_thread_can_be_had_lines_are_written_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_thread(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", no_thread)
    stream = io.StringIO()
    logger(PatientLog(stream)).warning("told")
    assert stream.getvalue() == "told\n"
