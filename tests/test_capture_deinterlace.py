"""Interlaced video: every other row was taken half a picture later, and each picture comes out as of one moment."""

from __future__ import annotations

import logging
import threading
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from deepmag.stream.capture.address import Address, parse_address
from deepmag.stream.capture.deinterlace import Deinterlacer
from deepmag.stream.capture.open import open_source
from deepmag.stream.frames import Frame

RATE = 25
SIZE = (320, 240)


def scene(at: float, size: tuple[int, int] = SIZE) -> NDArray[np.uint8]:
    """Grey stripes that go to the right by 16 pixels in a picture, (H, W, 3), at a time in pictures."""
    width, height = size
    stripes = 128 + 70 * np.sin(2 * np.pi * (np.arange(width) - 16 * at) / 80)
    return np.broadcast_to(stripes.astype(np.uint8)[:, None], (height, width, 3)).copy()


def woven(number: int, size: tuple[int, int] = SIZE) -> NDArray[np.uint8]:
    """The rows that are stored first, its lower ones, are of half a picture earlier."""
    picture = scene(number, size)
    picture[::2] = scene(number + 0.5, size)[::2]
    return picture


def clip(path: Path, *, interlaced: bool, frames: int = 20, size: tuple[int, int] = SIZE) -> Path:
    options = {
        "qp": "10",
        "tune": "zerolatency",
        "x264-params": f"interlaced={interlaced:d}",
    }
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=RATE, options=options)
        stream.width, stream.height = size
        stream.pix_fmt = "yuv420p"
        for number in range(frames):
            picture = woven(number, size) if interlaced else scene(number, size)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    return path


def decoded(path: Path) -> list[av.VideoFrame]:
    with av.open(str(path)) as container:
        return list(container.decode(video=0))


def read(path: Path) -> list[Frame]:
    return list(open_source(parse_address(str(path)), pace="max").frames(threading.Event()))


def off(image: NDArray[np.uint8], truth: NDArray[np.uint8]) -> float:
    """Root mean square, grey levels."""
    return float(np.sqrt(np.mean((image.astype(float) - truth) ** 2)))


def test_each_picture_is_of_one_moment_and_none_is_lost_or_late(tmp_path: Path) -> None:
    frames = read(clip(tmp_path / "clip.mkv", interlaced=True))
    assert [round(frame.pts * RATE, 1) for frame in frames] == list(range(20))
    for number, frame in enumerate(frames):
        assert off(woven(number), scene(number)) > 20
        assert off(frame.image, scene(number)) < 4


def test_what_is_not_interlaced_passes_at_once_as_it_is(tmp_path: Path) -> None:
    deinterlacer: Deinterlacer[int] = Deinterlacer("clip")
    for number, picture in enumerate(decoded(clip(tmp_path / "clip.mkv", interlaced=False))):
        ((same, told),) = deinterlacer.add(picture, number)
        assert same is picture
        assert told == number
    assert deinterlacer.rest() == []


def test_where_another_size_begins_and_at_the_end_none_stays_behind(tmp_path: Path) -> None:
    """And one that is whole, among others, keeps its turn."""
    parts = [
        clip(tmp_path / f"{size}-{interlaced}.mkv", interlaced=interlaced, frames=4, size=(size, size))
        for size, interlaced in ((128, True), (128, False), (192, True))
    ]
    pictures = [picture for part in parts for picture in decoded(part)]
    deinterlacer: Deinterlacer[int] = Deinterlacer("clip")
    came = [deinterlacer.add(picture, number) for number, picture in enumerate(pictures)]
    assert len(came[0]) == 0
    assert max(map(len, came[:8])) == 1  # one late, no later
    done = [pair for pairs in (*came, deinterlacer.rest()) for pair in pairs]
    assert [told for _, told in done] == list(range(12))
    assert [picture.width for picture, _ in done] == [128] * 8 + [192] * 4
    assert deinterlacer.rest() == []
    assert off(done[6][0].to_ndarray(format="rgb24"), scene(2, (128, 128))) < 4


def test_it_takes_no_threads(tmp_path: Path) -> None:
    """FFmpeg would begin one for each core, of each feed and at each reconnection."""
    tasks = Path("/proc/self/task")
    if not tasks.is_dir():
        pytest.skip("threads are counted as Linux does")
    pictures = decoded(clip(tmp_path / "clip.mkv", interlaced=True, frames=3))
    before = len(list(tasks.iterdir()))
    deinterlacers: list[Deinterlacer[int]] = [Deinterlacer("clip") for _ in range(4)]
    assert [len(one.add(picture, 0)) for one in deinterlacers for picture in pictures] == 4 * [0, 1, 1]
    assert len(list(tasks.iterdir())) <= before


@pytest.mark.parametrize("interlaced", [False, True])
def test_it_is_said_once(tmp_path: Path, caplog: pytest.LogCaptureFixture, interlaced: bool) -> None:
    caplog.set_level(logging.INFO)
    path = clip(tmp_path / "clip.mkv", interlaced=interlaced)
    for _ in range(2):
        read(path)
    said = [record.getMessage() for record in caplog.records if "interlaced" in record.getMessage()]
    assert len(said) == interlaced
    assert all(str(path) in line and "one picture late" in line for line in said)


def test_pictures_that_cannot_be_deinterlaced_come_as_they_are(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    pictures = [
        picture.reformat(format="rgb4") for picture in decoded(clip(tmp_path / "a.mkv", interlaced=True))
    ]
    deinterlacer: Deinterlacer[int] = Deinterlacer("camera 0")
    for number, picture in enumerate(pictures):
        assert picture.interlaced_frame
        assert deinterlacer.add(picture, number) == [(picture, number)]
    (said,) = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert "camera 0" in said
    assert "combs" in said


def test_a_camera_s_picture_came_when_it_was_decoded_not_when_the_next_one_was(tmp_path: Path) -> None:
    """What a picture waits for the next one counts as latency."""
    now, ages = 50.0, []
    path = clip(tmp_path / "clip.ts", interlaced=True, frames=40)
    # a file, read as what happens now; of an .mkv it would be told that it has an end
    source = open_source(Address("url", f"file://{path}"), clock=lambda: now)
    for frame in source.frames(threading.Event()):
        ages.append(now - frame.arrived)
        now += 1 / RATE
    assert len(ages) > 5  # of a stream those are lost by which FFmpeg finds out what it is
    assert ages[1:] == pytest.approx([1 / RATE] * (len(ages) - 1))
