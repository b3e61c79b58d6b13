"""A camera whose own time runs wrong: its rates are withheld, whatever the network does in between."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pytest
from made_clip import make_clip

from deepmag.stream.capture.address import Address
from deepmag.stream.capture.clock_check import ClockCheck
from deepmag.stream.capture.open import Pace, Timestamps, open_source
from deepmag.stream.frames import Frame


def pictures(seconds: float, speed: float = 1.0, rate: float = 25.0) -> Iterator[tuple[float, float]]:
    """Times in the stream and of arrival, s; a network delays each by up to 80 ms."""
    delays = np.random.default_rng(0).exponential(0.03, round(seconds * rate)).clip(0, 0.08)
    for number, delay in enumerate(delays):
        real = number / rate
        yield real * speed, 1000.0 + real + delay


def believed(timed: Iterable[tuple[float, float]]) -> list[tuple[float, bool]]:
    """When each arrived, s after the first, and whether its time was believed."""
    check = ClockCheck()
    answers = [(arrived, check.add(0, pts, arrived)) for pts, arrived in timed]
    return [(arrived - answers[0][0], answer) for arrived, answer in answers]


def first_doubt(timed: Iterable[tuple[float, float]]) -> float | None:
    return next((at for at, answer in believed(timed) if not answer), None)


@pytest.mark.parametrize("rate", [1.0, 5.0, 30.0])
@pytest.mark.parametrize("speed", [1.0, 1.001, 0.999])
def test_a_clock_that_is_right_is_believed(rate: float, speed: float) -> None:
    assert first_doubt(pictures(1800, speed, rate)) is None


@pytest.mark.parametrize(
    ("speed", "within"), [(0.8, 9.0), (1.25, 9.0), (0.9, 14.0), (0.95, 22.0), (1.06, 22.0)]
)
def test_one_that_is_wrong_is_found_out_and_stays_so(speed: float, within: float) -> None:
    answers = believed(pictures(300, speed))
    at = next(at for at, answer in answers if not answer)
    assert at < within
    assert not any(answer for when, answer in answers if when > at)


def test_how_wrong_is_told() -> None:
    check = ClockCheck()
    for pts, arrived in pictures(60, 25 / 21):
        check.add(0, pts, arrived)
    assert check.speed == pytest.approx(25 / 21, abs=0.005)


def test_pictures_that_had_waited_before_the_first_and_a_network_that_hangs_once_are_no_wrong_clock() -> None:
    timed = [(pts, max(arrived, 1003.0)) for pts, arrived in pictures(60)]  # three seconds of them at once
    hung = [(pts, 1030.0 if 1020 < arrived < 1030 else arrived) for pts, arrived in timed]
    assert first_doubt(hung) is None


def test_what_falls_behind_is_doubted_only_as_long_as_it_falls() -> None:
    """As a network that is too slow for a while, until the camera leaves pictures out."""
    behind = [(pts, arrived + min(max(pts - 30, 0) * 0.2, 4.0)) for pts, arrived in pictures(120)]
    answers = believed(behind)
    doubted = [at for at, answer in answers if not answer]
    assert 30 < doubted[0] < 42
    assert 54 < doubted[-1] < 54 + 12


def test_a_network_that_becomes_half_a_second_slower_is_no_wrong_clock() -> None:
    assert first_doubt((pts, at + min(max(pts - 30, 0) * 0.05, 0.5)) for pts, at in pictures(60)) is None


def test_another_session_begins_anew() -> None:
    check = ClockCheck()
    for pts, arrived in pictures(40, 0.8):
        check.add(0, pts, arrived)
    assert not check.add(0, 40 * 0.8, 1040.0)
    assert all(check.add(1, pts, arrived + 40) for pts, arrived in pictures(40))


class Camera:
    """A stream whose pictures arrive at a rate of their own, whatever their times say; nothing waits for them."""

    def __init__(
        self, clip: Path, rate: float, timestamps: Timestamps = "stream", pace: Pace = "file"
    ) -> None:
        self.now = 50.0
        self._step = 1 / rate
        # a file, read as what happens now; of an .mkv it would be told that it has an end
        self.source = open_source(
            Address("url", f"file://{clip}"), timestamps=timestamps, pace=pace, clock=lambda: self.now
        )

    def frames(self) -> Iterator[Frame]:
        for frame in self.source.frames(threading.Event()):
            yield frame
            self.now += self._step


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_clip(tmp_path_factory.mktemp("clock") / "clip.ts", 900, (64, 48), rate=25)


def test_a_camera_that_says_25_a_second_and_sends_20_is_told_once(
    clip: Path, caplog: pytest.LogCaptureFixture
) -> None:
    right = [frame.clock_is_right for frame in Camera(clip, 20.0).frames()]
    assert all(right[:150])
    assert not any(right[200:])
    assert len(right) > 400
    (said,) = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert "0.80 times" in said
    assert "--timestamps arrival" in said


def test_by_arrival_its_time_is_right(clip: Path, caplog: pytest.LogCaptureFixture) -> None:
    frames = list(Camera(clip, 20.0, "arrival").frames())
    assert all(frame.clock_is_right for frame in frames)
    assert len(frames) > 400
    assert np.allclose(np.diff([frame.pts for frame in frames]), 1 / 20, atol=1e-3)
    assert not [record for record in caplog.records if record.levelname == "WARNING"]


@pytest.mark.parametrize("timestamps", ["stream", "arrival"])
def test_when_segments_arrive_says_nothing_of_their_time(tmp_path: Path, timestamps: Timestamps) -> None:
    segments = make_clip(tmp_path / "clip.m3u8", 900, (64, 48), rate=25)
    frames = list(Camera(segments, 50.0, timestamps, pace="max").frames())
    assert len(frames) > 500  # the list has the newest segments
    assert np.allclose(np.diff([frame.pts for frame in frames]), 1 / 25, atol=1e-3)
    assert all(frame.clock_is_right for frame in frames)


def test_nor_does_it_where_pictures_are_taken_as_fast_as_that_goes(clip: Path) -> None:
    assert all(frame.clock_is_right for frame in Camera(clip, 20.0, pace="max").frames())


def test_a_file_has_no_clock_to_be_wrong_and_no_arrival(clip: Path) -> None:
    file = open_source(Address("file", str(clip)), pace="max", timestamps="arrival")
    frames = list(file.frames(threading.Event()))
    assert all(frame.clock_is_right for frame in frames)
    assert np.allclose(np.diff([frame.pts for frame in frames]), 1 / 25, atol=1e-3)
