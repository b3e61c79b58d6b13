"""Video decoded and encoded by a GPU, where there is one that can; and by the CPU, said in the log, where not."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

import numpy as np
import pytest
from render_frames import magnified, number_in, numbered

from deepmag.export import device as device_module
from deepmag.export.device import cuda_device_count
from deepmag.stream.capture.address import parse_address
from deepmag.stream.capture.open import open_source
from deepmag.stream.gpu_codecs import codec_gpu, nvenc_problem, open_nvdec
from deepmag.stream.render.h264 import NVENC_LIVE_OPTIONS, NVENC_RECORDING_OPTIONS
from deepmag.stream.render.recorder import Recorder
from deepmag.stream.render.rtp_h264 import parameter_sets
from deepmag.stream.render.rtsp_push import LiveEncoder

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

SIZE = (240, 320)  # height and width, px: more than the least that NVENC takes
FRAMES = 40


def record(path: Path, gpu: int | None) -> None:
    recorder = Recorder(path, rate=30.0, gpu=gpu)
    recorder.open()
    for number in range(FRAMES):
        recorder.render(magnified(number, image=numbered(number, *SIZE)))
    recorder.close()


def read(path: Path, gpu: int | None) -> list[NDArray[np.uint8]]:
    source = open_source(parse_address(str(path)), pace="max", gpu=gpu)
    return [frame.image for frame in source.frames(threading.Event())]


def test_what_decodes_is_chosen_with_the_device(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(device_module, "cuda_device_count", lambda: 2)
    assert codec_gpu("gpu", "auto") == 0
    assert codec_gpu("gpu", "cuda:1") == 1
    assert codec_gpu("cpu", "cuda:1") is None
    assert caplog.messages == []
    assert codec_gpu("gpu", "cpu") is None
    monkeypatch.setattr(device_module, "cuda_device_count", lambda: 0)
    assert codec_gpu("gpu", "auto") is None
    assert caplog.messages == [
        "video is decoded and encoded by the CPU: the device is cpu",
        "video is decoded and encoded by the CPU: the CUDA driver sees no GPU here: use the device cpu",
    ]


def test_a_recording_is_read_back_whatever_decodes_and_encodes_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """With GPU 0, whether it is there, has the circuits, or not."""
    path = tmp_path / "clip.mp4"
    with caplog.at_level(logging.INFO, "deepmag"):
        record(path, gpu=0)
        by_gpu = read(path, gpu=0)
    assert [number_in(image) for image in by_gpu] == list(range(FRAMES))
    for one, other in zip(by_gpu, read(path, gpu=None), strict=True):
        assert np.abs(one.astype(int) - other).max() <= 3  # of rounding: NVDEC's pictures have another layout
    decoded_there = any("decoded by the GPU" in message for message in caplog.messages)
    refused = any(message.startswith("video is decoded by the CPU: NVDEC") for message in caplog.messages)
    assert decoded_there != refused
    if cuda_device_count() == 0:
        assert refused
        assert any(message.startswith("video is encoded by the CPU: NVENC") for message in caplog.messages)


def test_a_stream_can_be_joined_whatever_encodes_it() -> None:
    encoder = LiveEncoder(*SIZE, rate=30.0, gpu=0)
    units = [encoder.encode(numbered(number, *SIZE), 3000 * number) for number in range(FRAMES)]
    assert all(units)  # each picture's packet leaves with it
    assert all(parameter_sets(units[0]))


@pytest.mark.parametrize("options", [NVENC_RECORDING_OPTIONS, NVENC_LIVE_OPTIONS])
def test_nvenc_knows_each_option(options: dict[str, str]) -> None:
    """Options are read before a GPU is looked for: an unknown one is passed over, a wrong value is not."""
    assert nvenc_problem(0, 640, 480, options) != "Invalid argument"
    for name in options:
        assert nvenc_problem(0, 640, 480, {name: "nonsense"}) == "Invalid argument", name
    assert nvenc_problem(0, 640, 480, {"no such option": "nonsense"}) != "Invalid argument"


@pytest.mark.skipif(cuda_device_count() > 0, reason="there is a GPU here")
def test_a_gpu_that_is_not_there_decodes_nothing(caplog: pytest.LogCaptureFixture) -> None:
    assert open_nvdec(0) is None
    assert len(caplog.messages) == 1
    assert "NVDEC cannot be used" in caplog.messages[0]
