"""The window, on a real (virtual) display, and what its keys do."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest
from render_frames import Panel

from deepmag.stream.render.overlay import STATE_COLOURS
from deepmag.stream.render.renderer import RendererError
from deepmag.stream.render.window import NOTICE_TIME, Window

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

HERE = Path(__file__).parent
PATIENCE = 90.0  # s
BLACK = 10.0  # s


class Screen:
    """An Xvfb; its frame buffer is a file in XWD format, so a screenshot needs no tool."""

    def __init__(self, folder: Path) -> None:
        self._buffer = folder / "Xvfb_screen0"
        command = ["Xvfb", "-displayfd", "1", "-screen", "0", "800x600x24", "-fbdir", str(folder)]
        self._server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        assert self._server.stdout is not None
        self.display = f":{self._server.stdout.readline().strip()}"

    def picture(self) -> NDArray[np.uint8]:
        """Take a screenshot, (600, 800, 3) RGB."""
        data = self._buffer.read_bytes()
        header = np.frombuffer(data[:100], ">u4")
        width, height, stride, colours = (int(header[i]) for i in (4, 5, 12, 19))
        start = int(header[0]) + 12 * colours
        pixels = np.frombuffer(data, np.uint8, stride * height, start).reshape(height, -1, 4)
        return pixels[:, :width, 2::-1].copy()

    def state(self) -> str:
        """Read the state from the colour of the badge; "" where there is none."""
        picture = self.picture()
        counts = {name: int((picture == colour).all(axis=2).sum()) for name, colour in STATE_COLOURS.items()}
        best = max(counts, key=lambda name: counts[name])
        return best if counts[best] > 100 else ""

    def appears(self, state: str) -> bool:
        """Wait for a window's first picture.

        On a busy machine OpenCV's Qt misses, once in ten times, that its window was mapped, and draws nothing until
        that happens again: also with no program of ours. So where the screen stays black, it is.
        """
        for _ in range(round(PATIENCE / BLACK)):
            if until(lambda: self.state() == state, BLACK):
                return True
            if self.state() == "" and shutil.which("xdotool") is not None:
                self._xdotool("search", "--sync", "--name", "deepmag", "windowunmap", "windowmap")
        return False

    def _xdotool(self, *arguments: str) -> None:
        env = {**os.environ, "DISPLAY": self.display}
        subprocess.run(["xdotool", *arguments], env=env, check=True, capture_output=True, timeout=PATIENCE)

    def press(self, *keys: str) -> None:
        for key in keys:
            self._xdotool("mousemove", "100", "200", "key", key)

    def close(self) -> None:
        self._server.terminate()
        self._server.communicate(timeout=PATIENCE)


class Program:
    """window_under_test.py, running."""

    def __init__(self, folder: Path, display: str | None) -> None:
        env = {
            name: value for name, value in os.environ.items() if name not in ("DISPLAY", "WAYLAND_DISPLAY")
        }
        if display is not None:
            env["DISPLAY"] = display
        self._process = subprocess.Popen(
            [sys.executable, str(HERE / "window_under_test.py"), str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=env,
        )
        self._watch = threading.Timer(2 * PATIENCE, self._process.kill)  # so that no read waits for ever
        self._watch.start()

    def line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def tell(self, what: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(what + "\n")
        self._process.stdin.flush()

    def end(self) -> tuple[int, str]:
        """Wait for the end; exit status and standard error."""
        _, errors = self._process.communicate(timeout=PATIENCE)
        return self._process.returncode, errors

    def kill(self) -> None:
        self._watch.cancel()
        if self._process.poll() is None:
            self._process.kill()
            self._process.communicate()


@pytest.fixture
def screen(tmp_path: Path) -> Iterator[Screen]:
    if shutil.which("Xvfb") is None:
        pytest.skip("Xvfb is not installed")
    screen = Screen(tmp_path)
    yield screen
    screen.close()


@pytest.fixture
def programs() -> Iterator[list[Program]]:
    running: list[Program] = []
    yield running
    for program in running:
        program.kill()


def until(condition: Callable[[], bool], patience: float = PATIENCE) -> bool:
    """Look again and again: a screen tells nobody that it changed."""
    deadline = time.monotonic() + patience
    pause = threading.Event()
    while time.monotonic() < deadline:
        if condition():
            return True
        pause.wait(0.05)
    return False


def test_the_command_opens_a_window_and_closes_it(screen: Screen, tmp_path: Path) -> None:
    """In a process that decodes and encodes video: PyAV has X libraries of its own."""
    command = [sys.executable, "-c", "from deepmag.stream.cli import main; main()", "live", "demo"]
    command += ["--show", "window", "--device", "cpu", "--record", str(tmp_path / "x.mkv")]
    env = {**os.environ, "DISPLAY": screen.display}
    with subprocess.Popen(command, env=env, stderr=subprocess.PIPE, text=True) as process:
        try:
            live = screen.appears("live")
            process.send_signal(signal.SIGINT)
            _, errors = process.communicate(timeout=PATIENCE)
        finally:
            process.kill()
    assert live, errors
    assert process.returncode == 0, errors


def test_the_window_shows_the_frames_then_that_they_stopped_and_obeys_keys(
    screen: Screen, programs: list[Program], tmp_path: Path
) -> None:
    if shutil.which("xdotool") is None:
        pytest.skip("xdotool is not installed")
    programs.append(program := Program(tmp_path, screen.display))
    assert program.line() == "open"
    program.tell("feed")
    assert screen.appears("live")
    first = screen.picture()[120:240, 100:380]
    assert until(lambda: not np.array_equal(screen.picture()[120:240, 100:380], first))

    program.tell("stop")  # the source says that it is live; the picture knows better
    assert until(lambda: screen.state() == "stale")
    assert screen.picture()[120:160, 100:140].mean() < 60

    screen.press("plus")
    assert program.line() == "gain 12.5 steady"
    screen.press("m")
    assert program.line() == "gain 12.5 paper"
    screen.press("o")
    assert until(lambda: bool(screen.picture()[180, 500:620].any()))  # the window has become wider
    screen.press("s")
    assert until(lambda: bool(list(tmp_path.glob("deepmag-*.png"))))
    (snapshot,) = tmp_path.glob("deepmag-*.png")
    assert until(lambda: cv2.imread(str(snapshot)) is not None)
    assert cv2.imread(str(snapshot)).shape == (120, 320, 3)
    screen.press("q")
    assert program.line() == "ended True None"
    assert program.end()[0] == 0


@pytest.mark.parametrize(("display", "why"), [(None, "there is no display"), (":54321", "on display :54321")])
def test_without_a_display_there_is_one_line_and_no_abort(
    tmp_path: Path, programs: list[Program], display: str | None, why: str
) -> None:
    if sys.platform != "linux":
        pytest.skip("displays are an X11 matter")
    programs.append(program := Program(tmp_path, display))
    line = program.line()
    assert line.startswith("failed ")
    assert why in line
    assert "--show page" in line
    status, errors = program.end()
    assert status == 0
    assert "Traceback" not in errors


class Desk:
    """A Window that is not opened: its keys and its picture need no display."""

    def __init__(self, folder: Path, **status: object) -> None:
        self.time = 0.0
        self.quits = 0
        self.panel = Panel(**status)
        self.window = Window(self.panel, on_quit=self._quit, folder=folder, clock=lambda: self.time)

    def _quit(self) -> None:
        self.quits += 1


@pytest.mark.parametrize("key", ["q", "\x1b"])
def test_quitting_is_asked_for_once(tmp_path: Path, key: str) -> None:
    desk = Desk(tmp_path)
    desk.window.press(key)
    desk.window.press(key)
    assert desk.quits == 1


def test_gain_stays_in_its_range(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.window.press("+")
    assert desk.panel.settings.gain == 12.5
    for _ in range(50):
        desk.window.press("=")
    assert desk.panel.settings.gain == 100
    for _ in range(50):
        desk.window.press("-")
    assert desk.panel.settings.gain == 1


def test_r_starts_and_stops_a_recording_and_m_changes_the_mode(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.window.press("r")
    assert desk.panel.status().recording == "r.mkv"
    desk.window.press("r")
    assert desk.panel.status().recording == ""
    desk.window.press("m")
    assert desk.panel.settings.mode == "paper"
    desk.window.press("m")
    assert desk.panel.settings.mode == "steady"


def test_what_fails_is_said_in_the_window_and_goes_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = Desk(tmp_path)

    def refuse() -> str:
        raise RendererError("no space")

    monkeypatch.setattr(desk.panel, "start_recording", refuse)
    before = desk.window.compose()
    desk.window.press("r")
    assert not np.array_equal(desk.window.compose(), before)
    desk.time = NOTICE_TIME + 0.1
    plain = Desk(tmp_path)
    plain.time = desk.time
    np.testing.assert_array_equal(desk.window.compose(), plain.window.compose())


def test_a_snapshot_before_the_first_frame_writes_nothing(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.window.press("s")
    assert list(tmp_path.iterdir()) == []


def test_before_the_first_frame_the_state_is_shown(tmp_path: Path) -> None:
    picture = Desk(tmp_path, state="connecting", detail="opening the camera").window.compose()
    assert picture.shape == (480, 640, 3)
    assert (picture == STATE_COLOURS["connecting"]).all(axis=2).sum() > 100


def test_keys_without_a_meaning_do_nothing(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    before = desk.window.compose()
    for key in "xyz1 \t":
        desk.window.press(key)
    np.testing.assert_array_equal(desk.window.compose(), before)
    assert desk.quits == 0
