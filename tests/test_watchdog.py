"""What a service manager hears of a running command, over a real socket."""

from __future__ import annotations

import logging
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from deepmag.stream.watchdog import Watchdog

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="systemd is Linux's")

TIMEOUT = 60.0  # s
WORKING = """
from deepmag.stream.pipeline import Pipeline
{0}
from deepmag.stream.cli import main
main()
"""


class Manager:
    """The socket that systemd would listen on."""

    def __init__(self, address: str) -> None:
        self.environment = {"NOTIFY_SOCKET": address}
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind("\0" + address[1:] if address.startswith("@") else address)
        self._socket.settimeout(TIMEOUT)

    def hears(self) -> str:
        return self._socket.recv(100).decode()

    def heard(self) -> list[str]:
        """All that has been said by now."""
        self._socket.setblocking(False)
        said = []
        try:
            while True:
                said.append(self.hears())
        except BlockingIOError:
            return said

    def close(self) -> None:
        self._socket.close()


@pytest.fixture(params=["a path", "an abstract name"])
def manager(request: pytest.FixtureRequest, tmp_path: Path):
    manager = Manager(str(tmp_path / "notify") if request.param == "a path" else f"@deepmag-{os.getpid()}")
    yield manager
    manager.close()


def test_it_says_when_the_work_begins_goes_on_and_ends(manager: Manager) -> None:
    times = iter((1.0, 2.0, 10.9, 11.0, 20.0, 30.0, 50.0, 51.0))
    with Watchdog(manager.environment | {"WATCHDOG_USEC": "30000000"}, clock=lambda: next(times)) as watchdog:
        assert manager.heard() == ["READY=1"]
        for _ in range(5):
            watchdog.beat(works=True)
        assert manager.heard() == ["WATCHDOG=1"] * 2
        for _ in range(2):
            watchdog.beat(works=False)
        assert manager.heard() == []
        watchdog.beat(works=True)
        assert manager.heard() == ["WATCHDOG=1"]
    assert manager.heard() == ["STOPPING=1"]


@pytest.mark.parametrize(
    "watched", [{}, {"WATCHDOG_USEC": "1000", "WATCHDOG_PID": "1"}, {"WATCHDOG_USEC": "soon"}]
)
def test_who_is_not_watched_does_not_beat(manager: Manager, watched: dict[str, str]) -> None:
    with Watchdog(manager.environment | watched) as watchdog:
        watchdog.beat(works=True)
    assert manager.heard() == ["READY=1", "STOPPING=1"]


def test_without_a_manager_nothing_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        with Watchdog({}) as watchdog:
            watchdog.beat(works=True)
        assert not caplog.records
        with Watchdog({"NOTIFY_SOCKET": str(tmp_path / "none")}):
            pass
    assert "cannot be told READY=1" in caplog.text


@pytest.mark.parametrize("hangs", [False, True])
@pytest.mark.parametrize("command", ["live", "serve"])
def test_a_command_is_heard_of_as_long_as_it_works(tmp_path: Path, command: str, hangs: bool) -> None:
    manager = Manager(str(tmp_path / "notify"))
    feeds = tmp_path / "feeds.toml"
    feeds.write_text('[[feed]]\nname = "a"\nsource = "demo"\n')
    what = ["live", "demo", "--show", "none"] if command == "live" else ["serve", str(feeds), "--no-page"]
    code = WORKING.format("Pipeline.hangs = property(lambda _: True)" if hangs else "")
    process = subprocess.Popen(
        [sys.executable, "-c", code, *what, "--duration", "2.5"],
        env={**os.environ, **manager.environment, "WATCHDOG_USEC": "1000000"},
    )
    try:
        said = [manager.hears()]
        while said[-1] != "STOPPING=1":
            said.append(manager.hears())
        assert process.wait(TIMEOUT) == 0
    finally:
        process.kill()
        process.wait()
        manager.close()
    assert said[0] == "READY=1"
    assert set(said[1:-1]) == (set() if hangs else {"WATCHDOG=1"})
