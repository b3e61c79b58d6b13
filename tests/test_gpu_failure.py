"""A GPU that fails for good in a running command: the stream goes on on the CPU, to an orderly end."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from deepmag.export.device import cuda_device_count
from deepmag.stream.capture.portrait import Portrait
from deepmag.stream.render.video_file import VideoFile

RATE, SECONDS = 30.0, 14.0
FRAMES = round(RATE * SECONDS)

# A kernel that fails leaves its process without the GPU, as a driver does that is updated under it. argv: the number
# of the frame at which that happens, then those of `deepmag`.
FAILING = """
import contextlib, sys
import torch
from deepmag.stream.ring import FrameRing

put, left = FrameRing.put, int(sys.argv.pop(1))

def failing(ring, frame):
    global left
    left -= 1
    if left == 0:
        with contextlib.suppress(RuntimeError):
            torch.zeros(1, device="cuda")[torch.tensor([9], device="cuda")]
            torch.cuda.synchronize()
    return put(ring, frame)

FrameRing.put = failing
from deepmag.stream.cli import main
main()
"""


@pytest.fixture(scope="module")
def person(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of the demo's person, who breathes and has a pulse."""
    path = tmp_path_factory.mktemp("person") / "person.mp4"
    portrait = Portrait((640, 480))
    file = VideoFile(path, (480, 640, 3), rate=RATE, lossless=False)
    for number in range(FRAMES):
        file.write(portrait.frame(number / RATE), 0, number / RATE)
    file.close()
    return path


@pytest.mark.skipif(not (cuda_device_count() and torch.cuda.is_available()), reason="no GPU here")
@pytest.mark.parametrize("target", ["pulse", "respiration", "both"])
@pytest.mark.parametrize("at", [FRAMES // 2, FRAMES - 1], ids=["half way", "at the end"])
def test_a_gpu_that_fails_ends_nothing(person: Path, tmp_path: Path, target: str, at: int) -> None:
    vitals = tmp_path / "vitals.csv"
    options = [
        "--target",
        target,
        "--device",
        "cuda",
        "--pace",
        "max",
        "--show",
        "none",
        "--vitals",
        str(vitals),
    ]
    done = subprocess.run(
        [sys.executable, "-c", FAILING, str(at), "live", str(person), *options],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert f" {FRAMES} frames magnified; " in done.stderr
    assert "cuda:0 failed: CUDA error: device-side assert triggered" in done.stderr
    assert "pictures go on on the CPU" in done.stderr
    assert "Traceback" not in done.stderr
    if at < FRAMES - 1:  # else a network may have had nothing more to do
        assert "; going on in " in done.stderr
    assert len(vitals.read_text().splitlines()) > SECONDS - 3
