"""Feeds on Ray, as a person starts them: a worker that is killed comes back, and the other does not notice."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from chromium import needs_chromium, opened, wait_for
from made_clip import make_clip, pictures_in
from ward_feeds import feed

from deepmag.stream.ward.remote import RayUnavailableError, RayWard

ray = pytest.importorskip("ray")

TIMEOUT = 240.0  # s: on a busy machine two workers start
CLUSTER = 10_000  # bytes: the header of a recording is shorter, a second of pictures longer


class Served:
    """A running `deepmag serve --ray local`."""

    def __init__(self, url: str, folder: Path) -> None:
        self.url = url
        self.folder = folder

    def ask(self, path: str, data: bytes | None = None) -> tuple[int, Any]:
        request = urllib.request.Request(self.url + path, data, {"Content-Type": "application/json"})
        if data is not None:
            request.add_header("Origin", self.url.rstrip("/"))
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                body = answer.read()
                return answer.status, body if body[:4] == b"\x89PNG" else body.decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def health(self) -> dict[str, Any]:
        told: dict[str, Any] = json.loads(self.ask("healthz")[1])
        return told

    def until(self, true: Callable[[dict[str, Any]], bool], what: str) -> dict[str, Any]:
        end = time.monotonic() + TIMEOUT
        while not true(told := self.health()):
            assert time.monotonic() < end, (what, told)
            time.sleep(0.1)
        return told


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    file = tmp_path_factory.mktemp("ray") / "FEEDS.toml"
    record = f'roi = "full"\nrecord = "{file.parent / "one.mkv"}"'
    file.write_text(feed("one", "demo", record) + feed("two", "demo", 'roi = "full"'))
    command = [sys.executable, "-c", "from deepmag.stream.cli import main; main()", "serve", str(file)]
    process = subprocess.Popen(
        [*command, "--ray", "local", "--port", "0"],
        env={**os.environ, "RAY_ADDRESS": "127.0.0.1:9"},  # of a cluster that is not meant
        stdout=subprocess.PIPE,
        text=True,
        stderr=subprocess.DEVNULL,
    )
    try:
        assert process.stdout is not None
        lines = iter(process.stdout)
        url = next(line.split()[1] for line in lines if line.startswith("Open "))
        running = Served(url, file.parent)
        running.until(lambda told: set(told["feeds"].values()) == {"live"}, "both to be live")
        yield running
    finally:
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0
        assert process.stdout is not None
        process.stdout.close()


def test_a_group_in_which_what_magnifies_hangs_ends_by_itself(tmp_path: Path) -> None:
    """Ray then begins it again, as it does where a worker is killed."""
    code = """
import sys
from pathlib import Path
from deepmag.stream.pipeline import Pipeline
from deepmag.stream.ward import group
from deepmag.stream.ward.feeds_file import read_feeds

group.PERIOD, group.HANGS = 0.1, 1.0
Pipeline.hangs = property(lambda _: True)
feeds = read_feeds(Path(sys.argv[1]))
group.FeedGroup(feeds.good, "token", "127.0.0.1", "ort", "cpu", 1, 5.0)._thread.join()
"""
    file = tmp_path / "FEEDS.toml"
    file.write_text(feed("one", "demo", 'roi = "full"'))
    done = subprocess.run(
        [sys.executable, "-c", code, str(file)], capture_output=True, text=True, timeout=TIMEOUT, check=False
    )
    assert done.returncode == 1, done.stderr
    assert "this process ends, to be begun again" in done.stderr


@needs_chromium
def test_the_page_shows_feeds_that_run_in_other_processes(served: Served, browser: Any) -> None:
    with opened(browser, served.url) as tab:
        wait_for(tab, "document.querySelectorAll('.tile[data-state=live]').length === 2")
        wait_for(tab, "document.querySelector('.tile canvas').width === 640")
        tab.click(".tile >> nth=1")
        wait_for(tab, "(document.getElementById('magnified')?.header?.seq ?? -1) > 0")
        tab.evaluate("document.getElementById('gain').value = 700")
        tab.evaluate("document.getElementById('gain').dispatchEvent(new Event('input', {bubbles: true}))")
        wait_for(tab, "document.getElementById('caption-gain').textContent !== '\N{MULTIPLICATION SIGN}15'")


def test_what_programs_ask_is_handed_through(served: Served) -> None:
    assert "deepmag_frames_total" in served.ask("feeds/one/metrics")[1]
    assert served.ask("feeds/one/snapshot", b"{}")[1][:4] == b"\x89PNG"
    assert served.ask("feeds/three/metrics")[0] == 404


def test_a_worker_that_is_killed_comes_back_and_the_other_goes_on(served: Served) -> None:
    # a recording reaches the disk a cluster (a second) at a time
    before = served.until(
        lambda told: (
            set(told["feeds"].values()) == {"live"} and (served.folder / "one.mkv").stat().st_size > CLUSTER
        ),
        "both to be live, and the first to have recorded",
    )
    pid = before["groups"][0]["pid"]
    os.kill(pid, signal.SIGKILL)
    seen = set()

    def back(told: dict[str, Any]) -> bool:
        seen.add(told["feeds"]["two"])
        return told["groups"][0]["pid"] not in (pid, None) and told["feeds"]["one"] == "live"

    served.until(back, "the killed one to be back")
    assert seen == {"live"}
    assert served.health()["groups"][1]["pid"] == before["groups"][1]["pid"]
    # what the killed one had recorded plays, and the new one writes to another file
    assert pictures_in(served.folder / "one.mkv") > 0
    assert (served.folder / "one-2.mkv").exists()


@pytest.mark.parametrize(("version", "says"), [("2.52.0", "far enough"), ("2.51.2", "2.52 or newer")])
def test_a_cluster_of_this_machine_alone_asks_for_a_secret(
    version: str, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It listens on all addresses: whoever reached one could run programs here."""
    asked: dict[str, str] = {}

    def init(**_: object) -> None:
        asked.update(os.environ)
        raise RuntimeError("far enough")

    for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH", "RAY_USAGE_STATS_ENABLED"):
        monkeypatch.setenv(name, "")  # to be put back
        monkeypatch.delenv(name)
    monkeypatch.setattr(ray, "init", init)
    monkeypatch.setattr(ray, "__version__", version)
    with pytest.raises(RayUnavailableError, match=says):
        RayWard((), "local", budget=0.005)
    if says == "far enough":
        assert asked["RAY_AUTH_MODE"] == "token"
        assert len(asked["RAY_AUTH_TOKEN"]) >= 32


def test_without_a_cluster_at_the_address_it_says_so(tmp_path: Path) -> None:
    file = tmp_path / "FEEDS.toml"
    file.write_text(feed("one", "demo"))
    command = [sys.executable, "-c", "from deepmag.stream.cli import main; main()", "serve", str(file)]
    done = subprocess.run(
        [*command, "--ray", "127.0.0.1:9", "--no-page"],
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )
    assert done.returncode == 1
    assert "no Ray cluster answers at 127.0.0.1:9" in done.stderr


def test_it_ends_with_its_files_and_fails_for_a_group_that_cannot_start(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "a.mp4", frames=20)
    video = tmp_path / "one.mkv"
    file = tmp_path / "FEEDS.toml"
    # only the network of the second has to do with a GPU
    file.write_text(feed("one", str(clip), f'method = "evm"\nrecord = "{video}"') + feed("two", "demo"))
    command = [sys.executable, "-c", "from deepmag.stream.cli import main; main()", "serve", str(file)]
    done = subprocess.run(
        [*command, "--ray", "local", "--no-page", "--device", "cuda:99"],
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )
    assert done.returncode == 1
    assert "deepmag: the group of two cannot start: " in done.stderr
    assert pictures_in(video) >= 10  # it plays at its own pace, and a busy machine drops some


def test_a_service_manager_ends_it_in_order(tmp_path: Path) -> None:
    """By SIGTERM, in the place of whose handler Ray puts one that exits at once, with that signal's number."""
    code = """
import signal, sys
from deepmag.stream.cli import main
from deepmag.stream.ward import remote

class Ward:
    specs = troubles = ()

    def __init__(self, *_, **__):
        signal.signal(signal.SIGTERM, lambda number, _: sys.exit(number))

    @property
    def over(self):
        signal.raise_signal(signal.SIGTERM)
        return False

    def stop(self):
        print("in order")

remote.RayWard = Ward
main()
"""
    file = tmp_path / "FEEDS.toml"
    file.write_text(feed("one", "demo"))
    done = subprocess.run(
        [sys.executable, "-c", code, "serve", str(file), "--ray", "local", "--no-page"],
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "in order\n", "")
