"""A log that nobody reads holds nothing up."""

from __future__ import annotations

import fcntl
import io
import logging
import os
import threading

from deepmag.stream.patient_log import PatientLog

SIZE = 4096  # bytes that the pipe holds, the least there is
TIMEOUT = 10.0  # s


def logger(handler: logging.Handler) -> logging.Logger:
    made = logging.Logger("of a test")
    made.addHandler(handler)
    return made


def test_lines_that_nobody_reads_are_left_out_and_counted_once_somebody_does() -> None:
    reading, writing = os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, SIZE)
    with open(reading, "rb", buffering=0) as reader, open(writing, "w") as stream:
        log = logger(PatientLog(stream, patience=0.0))
        log.warning("first")
        for number in range(2000):
            log.warning("line %d", number)
        before = reader.read(SIZE)
        log.warning("read again")
        after = reader.read(SIZE)
    assert before.startswith(b"first\n")
    lines = (before + after).decode().splitlines()
    assert lines[-1] == "read again"
    counted = int(lines[-2].split()[0])
    assert lines[-2].endswith("lines of the log were left out: nobody read what came before")
    assert counted + len(lines) - 3 == 2000


def test_a_line_longer_than_the_room_for_it_is_cut_and_counted() -> None:
    reading, writing = os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 2 * SIZE)
    with open(reading, "rb", buffering=0) as reader, open(writing, "w") as stream:
        log = logger(PatientLog(stream, patience=0.0))
        line = threading.Thread(target=log.warning, args=("x" * 3 * SIZE,))
        line.start()
        line.join(TIMEOUT)
        waits = line.is_alive()
        before = reader.read(2 * SIZE)
        line.join(TIMEOUT)
        log.warning("read again")
        after = reader.read(SIZE)
    assert not waits
    assert SIZE < len(before) == before.count(b"x")
    assert after.decode().splitlines() == [
        "",
        "1 lines of the log were left out: nobody read what came before",
        "read again",
    ]


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
