"""Pictures on a GPU: when each goes up, what is held there, in which memory, and a GPU that fails meanwhile."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from picture_frames import BOXES, bulge, frame

from deepmag.export.runtime import open_ascender
from deepmag.models.weights import PULSE
from deepmag.stream import device_pictures, pinned
from deepmag.stream.device_pictures import DevicePictures
from deepmag.stream.frames import Frame
from deepmag.stream.magnifier import PulseMagnifier
from deepmag.stream.pictures import HostPictures, Pictures
from deepmag.stream.pipeline import Pipeline
from deepmag.stream.ring import FrameRing
from deepmag.stream.roi import RoiTracker
from deepmag.stream.settings import Settings
from deepmag.stream.vitals import PulseRate

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from deepmag.stream.frames import MagnifiedFrame
    from deepmag.stream.roi import IntBox


def through(pictures: Pictures, frames: list[Frame], lag: float) -> list[MagnifiedFrame]:
    magnifier = PulseMagnifier(
        open_ascender(PULSE, "ort", "cpu", threads=1),
        RoiTracker(),
        PulseRate(),
        clock=lambda: 0.0,
        lag=lag,
        pictures=pictures,
    )
    settings = Settings(roi="full", lag=lag, gain=30.0)
    return [one for item in frames for one in magnifier.push(item, settings)]


def stream(seconds: float) -> list[Frame]:
    """A picture whose brightness beats, in a stream of 30 Hz."""
    still = frame().image.astype(np.float32) * 0.5 + 60
    beats = 1.0 + 0.01 * np.sin(2 * np.pi * 1.2 * np.arange(round(30 * seconds)) / 30)
    return [
        Frame(0, i, i / 30.0, 0.0, np.rint(beat * still).astype(np.uint8)) for i, beat in enumerate(beats)
    ]


def test_a_stream_is_the_same_and_what_is_shown_is_let_go(device: torch.device) -> None:
    frames = stream(2.0)
    pictures = DevicePictures(device)
    found, wanted = through(pictures, frames, 0.25), through(HostPictures(), frames, 0.25)
    assert len(found) == len(wanted) == len(frames) - 8
    assert pictures.held == 8  # those within the lag
    for one, other in zip(found, wanted, strict=True):
        apart = np.abs(one.image.astype(int) - other.image)
        assert apart.max() <= 1
        assert apart.mean() < 0.002


def test_it_holds_no_more_than_it_may_and_sends_again_what_it_let_go(device: torch.device) -> None:
    frames = stream(2.0)
    pictures = DevicePictures(device, held=3)
    found, wanted = through(pictures, frames, 0.5), through(DevicePictures(device), frames, 0.5)
    assert pictures.held <= 3
    for one, other in zip(found, wanted, strict=True):
        np.testing.assert_array_equal(one.image, other.image)


class Sent:
    """Counts the pictures that go up."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count = 0
        self._as_tensor = device_pictures._as_tensor
        monkeypatch.setattr(device_pictures, "_as_tensor", self)

    def __call__(self, image: NDArray[np.uint8]) -> torch.Tensor:
        self.count += 1
        return self._as_tensor(image)


def test_an_expected_picture_goes_up_once_as_another_comes_down(
    device: torch.device, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent, pictures, move = Sent(monkeypatch), DevicePictures(device), bulge(BOXES[1])
    pictures.reduce(frame(0), BOXES[1])
    for number in (0, 1, 2, 2, 1):
        pictures.expect(frame(number))
    assert sent.count == pictures.held == 1
    for number in (0, 1, 2):
        found = pictures.change(frame(number), move=move)
        assert np.abs(found.astype(int) - HostPictures().change(frame(number), move=move)).mean() < 0.5
        assert sent.count == 3
        assert pictures.held == 2 - number


def test_a_picture_that_is_asked_for_before_it_went_up_goes_up_once(
    device: torch.device, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent, pictures, box = Sent(monkeypatch), DevicePictures(device), BOXES[1]
    for number in range(3):
        pictures.expect(frame(number))
    for number in range(3):
        found, wanted = (each.reduce(frame(number), box) for each in (pictures, HostPictures()))
        np.testing.assert_allclose(found, wanted, atol=2e-3)
    pictures.expect(frame(3))
    pictures.change(frame(3), move=bulge(box))  # shown without having been reduced
    pictures.change(frame(4), move=bulge(box))
    assert sent.count == 5
    assert pictures.held == 0  # those that came before, and never came further, are let go as well


def test_a_picture_that_had_to_go_up_again_is_let_go_once_it_is_shown(device: torch.device) -> None:
    pictures = DevicePictures(device, held=3)
    for number in (0, 1, 2, 3, 4, 0):  # as respiration asks for the oldest that waits
        pictures.reduce(frame(number), BOXES[1])
    pictures.change(frame(0), move=bulge(BOXES[1]))
    assert pictures.held == 2


def test_no_more_are_expected_than_are_soon_asked_for(
    device: torch.device, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent, pictures = Sent(monkeypatch), DevicePictures(device)
    for number in range(10):
        pictures.expect(frame(number))
    pictures.change(frame(0), move=bulge(BOXES[1]))
    assert sent.count == 1 + pictures.held == 5
    assert pictures.change(frame(9)) is not None
    assert sent.count == 5


class Made:
    """A source of frames that are there already."""

    name, live = "made", False

    def __init__(self, frames: list[Frame]) -> None:
        self._frames = frames

    def frames(self, stop: threading.Event) -> Iterator[Frame]:
        return iter(self._frames)


class Kept:
    """A renderer that keeps what it is given."""

    name = "kept"

    def __init__(self) -> None:
        self.images: list[NDArray[np.uint8]] = []

    def open(self) -> None: ...

    def render(self, frame: MagnifiedFrame) -> None:
        self.images.append(frame.image)

    def close(self) -> None: ...


def live(pictures: Pictures, frames: list[Frame]) -> list[NDArray[np.uint8]]:
    kept, settings = Kept(), Settings(roi="full", gain=30.0)
    ascender = open_ascender(PULSE, "ort", "cpu", threads=1)
    pipeline = Pipeline(Made(frames), ascender, None, settings, pictures=pictures, pace="max")
    try:
        pipeline.add(kept, "every")
        pipeline.start()
        assert pipeline.wait(60.0)
    finally:
        pipeline.stop()
    return kept.images


def test_frames_that_wait_go_up_while_others_are_worked_on_and_their_memory_is_used_again(
    device: torch.device, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At full speed the ring is full and its slots come round: on a GPU none may be filled before its picture is up."""
    frames = stream(4.0)
    wanted, sent = live(HostPictures(), frames), Sent(monkeypatch)
    found = live(DevicePictures(device), frames)
    assert sent.count == len(found) == len(wanted) == len(frames)
    for one, other in zip(found, wanted, strict=True):
        apart = np.abs(one.astype(int) - other)
        assert apart.max() <= 1
        assert apart.mean() < 0.002


def test_a_rings_memory_is_pinned_where_there_is_a_gpu(device: torch.device) -> None:
    memory = DevicePictures(device).memory((120, 160, 3))
    assert memory.shape == (120, 160, 3)
    assert memory.dtype == np.uint8
    assert torch.from_numpy(memory).is_pinned() == (device.type == "cuda")


class Cuda:
    """Stands in for CUDA's runtime where there is none: only counts what is pinned."""

    def __init__(self, error: int = 0) -> None:
        self.pinned: dict[int, int] = {}
        self._error = error

    def cudaHostRegister(self, address: int, size: int, _flags: int) -> int:
        self.pinned[address] = size
        return self._error

    def cudaHostUnregister(self, address: int) -> int:
        del self.pinned[address]
        return 0


def test_memory_is_pinned_as_long_as_anything_is_on_it(monkeypatch: pytest.MonkeyPatch) -> None:
    cuda = Cuda()
    monkeypatch.setattr(pinned, "_cuda", lambda: cuda)
    ring = FrameRing(1, memory=pinned.pinned_picture)
    ring.put(frame(3))
    taken = ring.get(timeout=0)
    assert taken is not None
    crop = taken.image[10:20, 10:20]
    np.testing.assert_array_equal(taken.image, frame(3).image)
    assert set(cuda.pinned.values()) == {120 * 160 * 3}
    del ring, taken
    assert len(cuda.pinned) == 1
    del crop
    assert not cuda.pinned


def test_where_no_more_can_be_pinned_pictures_go_up_from_other_memory(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(pinned, "_cuda", lambda: Cuda(error=2))
    pictures = DevicePictures(torch.device("cuda"))
    for _ in range(3):
        assert pictures.memory((120, 160, 3)).flags.writeable
    assert caplog.messages == ["CUDA error 2: 57600 bytes cannot be pinned; pictures go up more slowly"]


def test_a_gpu_that_fails_as_a_picture_goes_up_is_replaced_by_the_cpu(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def failing(image: NDArray[np.uint8]) -> torch.Tensor:
        raise RuntimeError("CUDA error: out of memory")

    monkeypatch.setattr(device_pictures, "_as_tensor", failing)
    pictures = DevicePictures(torch.device("cpu"))
    pictures.expect(frame())
    with caplog.at_level(logging.ERROR, "deepmag"):
        pictures.reduce(frame(), BOXES[0])
    assert [record.getMessage() for record in caplog.records] == [
        "cpu failed: CUDA error: out of memory; pictures go on on the CPU"
    ]
    small = pictures.reduce(frame(), BOXES[0])
    np.testing.assert_array_equal(small, HostPictures().reduce(frame(), BOXES[0]))


def test_a_gpu_that_fails_as_the_next_picture_goes_up_loses_not_the_one_that_comes_down(
    device: torch.device, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    as_tensor, sent = device_pictures._as_tensor, 0

    def failing(image: NDArray[np.uint8]) -> torch.Tensor:
        nonlocal sent
        sent += 1
        if sent == 2:
            raise RuntimeError("CUDA error: out of memory")
        return as_tensor(image)

    monkeypatch.setattr(device_pictures, "_as_tensor", failing)
    pictures, move = DevicePictures(device), bulge(BOXES[1])
    for number in range(2):
        pictures.expect(frame(number))
    pictures.reduce(frame(0), BOXES[1])
    for number in range(2):
        found, wanted = (each.change(frame(number), move=move) for each in (pictures, HostPictures()))
        np.testing.assert_array_equal(found, wanted)
    assert "pictures go on on the CPU" in caplog.text
    assert pictures.held == 0


def test_a_gpu_that_fails_is_replaced_by_the_cpu(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    left = 20

    def failing(picture: torch.Tensor, box: IntBox) -> torch.Tensor:
        nonlocal left
        if left == 0:
            raise RuntimeError("CUDA error: the launch timed out\nmore")
        left -= 1
        return reduce_region(picture, box)

    reduce_region = device_pictures.reduce_region
    monkeypatch.setattr(device_pictures, "reduce_region", failing)
    pictures = DevicePictures(torch.device("cpu"))
    frames = stream(1.5)
    with caplog.at_level(logging.ERROR, "deepmag"):
        found = through(pictures, frames, 0.25)
    assert len(found) == len(frames) - 8
    assert [record.getMessage() for record in caplog.records] == [
        "cpu failed: CUDA error: the launch timed out; pictures go on on the CPU"
    ]
    assert pictures.held == 0
    for one, other in zip(found[20:], through(HostPictures(), frames, 0.25)[20:], strict=True):
        assert np.abs(one.image.astype(int) - other.image).max() <= 1
