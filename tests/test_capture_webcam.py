"""V4L2 cameras, played by a library that is preloaded into a process of its own: see fake_v4l2.c."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from scripted_camera import encode

HERE = Path(__file__).parent
TIMEOUT = 60  # s

PROGRAM = """
import json, sys, time
from deepmag.stream.capture.address import parse_address
from deepmag.stream.capture.cameras import can_capture
from deepmag.stream.capture.open import open_source
from deepmag.stream.capture.thread import CaptureThread
from deepmag.stream.ring import FrameRing

source = open_source(parse_address("0"), stall=0.5)
ring = FrameRing(500)
thread = CaptureThread(source, ring, random=lambda: 0.0)
thread.start()
frames, lost = [], ""
while not ring.finished and len(frames) < 30 and not lost:
    frame = ring.get(timeout=0.05)
    if frame is not None:
        frames.append(frame)
    state, detail, _ = thread.state(time.monotonic())
    lost = detail if state == "lost" else ""
before = time.monotonic()
thread.stop()
joined = thread.join(10)
print(json.dumps({
    "count": len(frames),
    "shapes": sorted({f.image.shape for f in frames}),
    "pts": [f.pts for f in frames],
    "rate": source.nominal_rate,
    "raw": source._raw_camera,
    "lost": lost,
    "error": str(thread.error or ""),
    "joined": joined,
    "stopping": time.monotonic() - before,
    "can_capture": can_capture("/dev/video0"),
}))
"""


@pytest.fixture(scope="module")
def camera(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment that puts the camera there."""
    compiler = shutil.which("cc")
    if compiler is None or not sys.platform.startswith("linux"):
        pytest.skip("the fake camera needs Linux and a C compiler")
    folder = tmp_path_factory.mktemp("camera")
    library, picture = folder / "fake_v4l2.so", folder / "picture.jpg"
    command = [compiler, "-shared", "-fPIC", "-Wall", "-o", library, HERE / "fake_v4l2.c", "-ldl"]
    subprocess.run(command, check=True)
    encode([7], size=(640, 480), to=picture, container="mjpeg", codec="mjpeg")
    # Freed memory is overwritten, so that a picture which outlives the camera is sure to show.
    return {**os.environ, "LD_PRELOAD": str(library), "FAKE_JPEG": str(picture), "MALLOC_PERTURB_": "165"}


def capture(camera: dict[str, str], how: str) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env={**camera, "FAKE_V4L2": how},
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )
    assert done.returncode == 0, done.stderr  # it must not crash on the way out either
    answer: dict[str, Any] = json.loads(done.stdout)
    assert answer["joined"]
    assert answer["stopping"] < 4
    return answer


@pytest.mark.parametrize(
    ("how", "raw"), [("mjpeg", False), ("raw", True), ("both", True), ("slow", False), ("full", False)]
)
def test_pictures_come_at_the_cameras_own_times_and_raw_where_it_can(
    camera: dict[str, str], how: str, raw: bool
) -> None:
    """JPEG of a usual quality leaves no pulse that can be told; too few pictures leave none either."""
    answer = capture(camera, how)
    assert answer["count"] == 30
    assert answer["raw"] is raw
    assert answer["shapes"] == [[480, 640, 3]]
    assert answer["rate"] == 30
    assert answer["pts"][0] == 0
    assert 29 / 30 < answer["pts"][-1] < 10  # the stand-in for a camera is late where the machine is busy
    assert answer["can_capture"] is True


def test_a_camera_that_falls_silent_is_lost_and_can_still_be_stopped(camera: dict[str, str]) -> None:
    answer = capture(camera, "stall")
    assert 15 <= answer["count"] <= 20
    assert "no data" in answer["lost"]


def test_a_camera_that_is_unplugged_is_lost_and_crashes_nothing(camera: dict[str, str]) -> None:
    answer = capture(camera, "unplugged")
    assert 15 <= answer["count"] <= 20
    assert "no such device" in answer["lost"]


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ("busy", "in use by another program"),
        ("absent", "no camera at /dev/video0"),
        ("denied", "group video"),
        ("crowded", "no room on its USB bus"),
    ],
)
def test_a_camera_that_cannot_be_opened_ends_it_with_the_reason(
    camera: dict[str, str], how: str, says: str
) -> None:
    answer = capture(camera, how)
    assert says in answer["error"]
    assert answer["count"] == 0
