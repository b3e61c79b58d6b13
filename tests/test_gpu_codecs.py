"""Video decoded and encoded by a GPU, where there is one that can; and by the CPU, said in the log, where not."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Any

import av
import numpy as np
import pytest
from av.codec.hwaccel import HWAccel
from render_frames import magnified, number_in, numbered

from deepmag.export import device as device_module
from deepmag.export.device import cuda_device_count
from deepmag.stream.capture import video
from deepmag.stream.capture.address import parse_address
from deepmag.stream.capture.open import open_source
from deepmag.stream.capture.source import SourceError
from deepmag.stream.capture.video import VideoSource
from deepmag.stream.gpu_codecs import codec_gpu, nvdec_problem, nvenc_problem, open_nvdec, still_decodes
from deepmag.stream.render.h264 import NVENC_LIVE_OPTIONS, NVENC_RECORDING_OPTIONS
from deepmag.stream.render.recorder import Recorder
from deepmag.stream.render.renderer import RendererError
from deepmag.stream.render.rtp_h264 import parameter_sets
from deepmag.stream.render.rtsp_push import LiveEncoder
from deepmag.stream.render.video_file import VideoFile

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

SIZE = (240, 320)  # height and width, px: more than the least that NVENC takes
FRAMES = 40

open_by_pyav = av.open


def on_the_cpu(*where: Any, hwaccel: HWAccel | None = None, **how: Any) -> Any:
    """As FFmpeg does where the GPU cannot decode what there is."""
    del hwaccel
    return open_by_pyav(*where, **how)


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
        np.testing.assert_array_equal(one, other)  # though NVDEC's pictures have another layout
    by_nvdec = any("decoded by the GPU" in message for message in caplog.messages)
    refused = any(message.startswith("video is decoded by the CPU: NVDEC") for message in caplog.messages)
    assert by_nvdec == (nvdec_problem(0) is None)
    assert refused == (nvdec_problem(0) is not None)
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
    assert not still_decodes(0)


def test_what_a_gpu_does_not_decode_is_said_to_come_from_the_cpu(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """FFmpeg falls back without a word; here to the CPU's decoder in the place of the GPU's."""
    path = tmp_path / "clip.mp4"
    record(path, gpu=None)
    monkeypatch.setattr(video, "open_nvdec", lambda _gpu: HWAccel("cuda"))
    monkeypatch.setattr(video.av, "open", on_the_cpu)
    with caplog.at_level(logging.INFO, "deepmag"):
        assert len(read(path, gpu=0)) == FRAMES
    assert [message for message in caplog.messages if "decoded by" in message] == [
        f"{path}: decoded by the CPU, the GPU does not decode such video"
    ]


def test_a_gpu_that_fails_as_a_source_is_opened_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "clip.mp4"
    record(path, gpu=None)
    tried: list[bool] = []

    def refuse(*where: Any, hwaccel: HWAccel | None, **how: Any) -> Any:
        tried.append(hwaccel is not None)
        if hwaccel is not None:
            raise av.error.ExternalError(1, "out of memory")
        return on_the_cpu(*where, **how)

    monkeypatch.setattr(video, "open_nvdec", lambda _gpu: HWAccel("cuda"))
    monkeypatch.setattr(video.av, "open", refuse)
    monkeypatch.setattr(video, "still_decodes", lambda _gpu: True)
    with pytest.raises(SourceError, match=r"clip\.mp4"):  # a source that cannot be opened is not tried twice
        read(path, gpu=0)
    assert tried == [True]
    monkeypatch.setattr(video, "still_decodes", lambda _gpu: False)
    assert len(read(path, gpu=0)) == FRAMES
    assert tried == [True, True, False]


def test_a_gpu_that_stops_decoding_is_left_out_at_the_next_connection(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "clip.mp4"
    record(path, gpu=None)
    asked: list[int] = []

    def ask(gpu: int) -> HWAccel:
        asked.append(gpu)
        return HWAccel("cuda")

    def lost(_packet: Any) -> Any:
        raise av.error.ExternalError(1, "lost")

    monkeypatch.setattr(video, "open_nvdec", ask)
    monkeypatch.setattr(video.av, "open", on_the_cpu)
    monkeypatch.setattr(VideoSource, "_decode", staticmethod(lost))
    source = open_source(parse_address(str(path)), pace="max", gpu=0)
    with pytest.raises(SourceError, match="the GPU decodes no more; play it with --codecs cpu"):
        list(source.frames(threading.Event()))
    monkeypatch.undo()
    assert len(list(source.frames(threading.Event()))) == FRAMES
    assert asked == [0]


@pytest.mark.parametrize("lossless", [False, True])
def test_a_recording_goes_on_when_the_gpu_encodes_no_more(
    lossless: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The CPU's encoder stands for the GPU's, and fails once."""
    path, other = tmp_path / "clip.mkv", tmp_path / "clip-2.mkv"
    recorder = Recorder(path, rate=30.0, lossless=lossless, gpu=0)
    recorder.open()
    recorder.render(magnified(0, image=numbered(0, *SIZE)))
    assert recorder._file is not None
    assert not recorder._file.by_gpu or not lossless
    write = VideoFile.write

    def fail_once(file: VideoFile, *arguments: Any) -> None:
        if file.path == path:
            raise av.error.ExternalError(1, "lost")
        write(file, *arguments)

    monkeypatch.setattr(VideoFile, "write", fail_once)
    recorder._file.by_gpu = not lossless
    if lossless:  # was the CPU's from the start: its failure is a failure
        with pytest.raises(RendererError, match="lost"):
            recorder.render(magnified(1, image=numbered(1, *SIZE)))
        recorder.close()
        return
    for number in range(1, 5):
        recorder.render(magnified(number, image=numbered(number, *SIZE)))
    recorder.close()
    assert [number_in(image) for image in read(path, gpu=None)] == [0]
    assert [number_in(image) for image in read(other, gpu=None)] == [1, 2, 3, 4]
    assert caplog.messages.count("the GPU encodes no more (lost): the CPU goes on") == 1
