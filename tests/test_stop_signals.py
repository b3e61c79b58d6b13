"""Signals that ask a command to stop: heard at any moment, obeyed once, and a second one does not wait."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from made_clip import make_clip, pictures_in

from deepmag.stream.stop_signals import Stop, stop_on_ctrl_c, stop_on_signals

TIMEOUT = 60.0  # s: for what comes at once


@pytest.fixture(autouse=True)
def handlers_of_before() -> Iterator[None]:
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.getsignal(number) for number in numbers}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def test_it_is_waited_for_no_longer_than_asked_and_not_at_all_once_it_is_set() -> None:
    stop = Stop()
    assert not stop.wait(0.0)
    assert not stop.is_set()
    stop.set()
    stop.set()
    assert stop.is_set()
    assert stop.wait(TIMEOUT)
    assert stop.wait(TIMEOUT)


# A signal after every step of a wait, the first, the second, and so on: whatever lock is held then.
AT_ANY_STEP = """
import signal, sys
from deepmag.stream.stop_signals import Stop, stop_on_signals

def waited(step):
    stop, steps = Stop(), 0
    stop_on_signals(stop)
    def on_step(frame, event, argument):
        nonlocal steps
        if stop.is_set() or "stop_signals" in frame.f_code.co_filename and frame.f_code.co_name == "on_signal":
            return
        steps += 1
        if steps == step:
            sys.setprofile(None)
            signal.raise_signal(signal.SIGTERM)
    sys.setprofile(on_step)
    heard = stop.wait(0.01)
    sys.setprofile(None)
    return heard, stop.is_set(), steps

for step in range(1, 100):
    heard, is_set, steps = waited(step)
    if steps < step:
        break
    assert is_set
print(step)
"""


def test_a_signal_is_heard_at_any_step_of_a_wait() -> None:
    done = subprocess.run(
        [sys.executable, "-c", AT_ANY_STEP], capture_output=True, text=True, timeout=TIMEOUT, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert int(done.stdout) > 3  # the wait had steps


def test_a_signal_ends_a_wait() -> None:
    stop = Stop()
    stop_on_signals(stop)
    signal.signal(signal.SIGALRM, lambda *_: signal.raise_signal(signal.SIGINT))
    signal.setitimer(signal.ITIMER_REAL, 0.05)
    try:
        assert stop.wait(TIMEOUT)
    finally:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)


def test_a_second_ctrl_c_does_not_wait_for_what_the_first_has_asked_to_end() -> None:
    stop = Stop()
    stop_on_ctrl_c(stop)
    signal.raise_signal(signal.SIGINT)
    assert stop.is_set()
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGTERM)


# Ctrl-C twice while the muxer, which is C, has a part of the file written: an exception would be lost in there, and the
# part with it.
TWICE_IN_A_WRITE = """
import signal
from deepmag.stream.cli import main
from deepmag.stream.render.safe_file import SafeFile

write, size = SafeFile.write, 0

def interrupted(file, data):
    global size
    size += len(data)
    if size > 20_000:
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
    return write(file, data)

SafeFile.write = interrupted
main()
"""


@pytest.mark.parametrize("suffix", [".mkv", ".mp4"])
def test_what_a_second_ctrl_c_leaves_of_a_video_plays(tmp_path: Path, suffix: str) -> None:
    clip, out = make_clip(tmp_path / "clip.mp4", frames=150), tmp_path / f"out{suffix}"
    done = subprocess.run(
        [sys.executable, "-c", TWICE_IN_A_WRITE, "magnify", str(clip), str(out), "--method", "evm"],
        capture_output=True, timeout=TIMEOUT, check=False,
    )  # fmt: skip
    assert done.returncode == -signal.SIGINT
    assert 0 < pictures_in(out) < 150


# With a progress bar, which hides the cursor.
TWICE_BEFORE_A_BAR = """
import signal
from rich.console import Console
from rich.progress import Progress
from deepmag.stream.stop_signals import Stop, stop_on_signals

stop_on_signals(Stop())
with Progress(console=Console(force_terminal=True, stderr=True)) as bar:
    signal.raise_signal(signal.SIGINT)
    signal.raise_signal(signal.SIGINT)
"""


def test_a_second_ctrl_c_leaves_a_terminal_its_cursor() -> None:
    terminal, tty = os.openpty()
    try:
        process = subprocess.Popen(
            [sys.executable, "-c", TWICE_BEFORE_A_BAR],
            stdin=tty, stdout=tty, stderr=tty, env={**os.environ, "TERM": "xterm"},
        )  # fmt: skip
        assert process.wait(TIMEOUT) == -signal.SIGINT
        shown = os.read(terminal, 10_000)
    finally:
        os.close(tty)
        os.close(terminal)
    assert shown.rfind(b"\x1b[?25h") > shown.rfind(b"\x1b[?25l") >= 0


# A command whose terminal hangs up, which it is told twice, and which has more to write. ignored: as under nohup.
HUNG_UP = f"""
import fcntl, os, signal, sys, termios
from deepmag.stream.stop_signals import Stop, stop_on_signals
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
# whatever the tests run under
signal.signal(signal.SIGHUP, signal.SIG_IGN if sys.argv[1] == "ignored" else signal.SIG_DFL)
stop = Stop()
stop_on_signals(stop)
os.write(1, b"ready")
try:
    os.read(0, 1)
except OSError:
    pass  # the terminal is gone
if sys.argv[1] == "heard":
    stop.wait({TIMEOUT})
    signal.raise_signal(signal.SIGHUP)
    print("the end", flush=True)
os.write(int(sys.argv[2]), b"stopped" if stop.is_set() else b"went on")
"""


def said(descriptor: int) -> bytes:
    """What comes next from there."""
    assert select.select([descriptor], [], [], TIMEOUT)[0]
    return os.read(descriptor, 100)


@pytest.mark.parametrize(("hangup", "outcome"), [("heard", b"stopped"), ("ignored", b"went on")])
def test_a_terminal_that_is_closed_ends_the_command_in_order(hangup: str, outcome: bytes) -> None:
    terminal, tty = os.openpty()
    reading, writing = os.pipe()
    process = subprocess.Popen(
        [sys.executable, "-c", HUNG_UP, hangup, str(writing)],
        stdin=tty, stdout=tty, stderr=tty, start_new_session=True, pass_fds=(writing,),
    )  # fmt: skip
    os.close(tty)
    os.close(writing)
    try:
        assert b"ready" in said(terminal)
        os.close(terminal)
        assert said(reading) == outcome
        assert process.wait(TIMEOUT) == 0
    finally:
        os.close(reading)
        process.kill()
        process.wait()
