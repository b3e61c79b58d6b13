"""Streams over HTTP: JPEGs, which have no timestamps, and segments, whose pictures come all at once."""

from __future__ import annotations

import itertools
import threading
from pathlib import Path

import cv2
import numpy as np
import pytest
from scripted_camera import ScriptedCamera, encode, number_of, painted
from web_segments import segments, segments_of_sound, web_server

from deepmag.stream.capture.address import parse_address
from deepmag.stream.capture.open import open_source
from deepmag.stream.capture.options import openings
from deepmag.stream.capture.source import SourceError
from deepmag.stream.frames import Frame


class Time(threading.Event):
    """A clock, and an event for which waiting takes none of the test's time."""

    def __init__(self, tick: float = 0.0) -> None:
        super().__init__()
        self.now = 100.0
        self._tick = tick

    def __call__(self) -> float:
        self.now += self._tick
        return self.now

    def wait(self, timeout: float | None = None) -> bool:
        self.now += timeout or 0.0
        return self.is_set()


def frames_of(url: str, count: int, time: Time) -> tuple[list[Frame], float | None]:
    source = open_source(parse_address(url), clock=time)
    frames = list(itertools.islice(source.frames(time), count))
    return frames, getattr(source, "nominal_rate", None)


def jpegs(count: int) -> list[bytes]:
    return [cv2.imencode(".jpg", painted(number))[1].tobytes() for number in range(count)]


def multipart(parts: list[bytes]) -> bytes:
    """What a camera answers that sends one JPEG after the other."""
    stream = b"HTTP/1.0 200 OK\r\nContent-Type: multipart/x-mixed-replace; boundary=next\r\n\r\n"
    for part in parts:
        stream += b"--next\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % len(part)
        stream += part + b"\r\n"
    return stream


def test_jpegs_without_timestamps_are_as_far_apart_as_they_come() -> None:
    stream = multipart(jpegs(30))
    with ScriptedCamera([stream, threading.Event()]) as camera:
        frames, nominal = frames_of(camera.url.replace("tcp", "http") + "/video", 20, Time(tick=0.03))
    assert nominal is None  # FFmpeg says 25
    pts, arrived = (np.array([getattr(frame, name) for frame in frames]) for name in ("pts", "arrived"))
    assert pts[-1] == pytest.approx(arrived[-1] - arrived[0], rel=0.05)
    assert {frame.session for frame in frames} == {0}


def test_data_without_a_picture_are_a_loss_after_a_while() -> None:
    """Twelve seconds of it are none, since a picture follows; eighteen are."""
    broken, good = b"\xff\xd8 no picture \xff\xd9", jpegs(30)
    stream = multipart([*good, *[broken] * 60, good[7], *[broken] * 90])
    numbers: list[int] = []
    with ScriptedCamera([stream, threading.Event()]) as camera:
        url = camera.url.replace("tcp", "http") + "/video"
        source = open_source(parse_address(url), clock=Time(tick=0.1))  # two looks at it for each part
        with pytest.raises(SourceError, match="sends data, but no picture that can be decoded") as caught:
            numbers.extend(number_of(frame.image) for frame in source.frames(threading.Event()))
    assert caught.value.retry
    assert numbers[-2:] == [29, 7]


@pytest.mark.parametrize(
    ("status", "says"),
    [
        (401, "wrong user name or password"),
        (403, "wrong user name or password"),
        (404, "no such stream"),
        (400, "no such stream"),
    ],
)
def test_what_a_server_refuses_is_said_and_is_the_addresss_own_fault(status: int, says: str) -> None:
    refusal = b"HTTP/1.0 %d No\r\nContent-Length: 0\r\n\r\n" % status
    with (
        ScriptedCamera([refusal, threading.Event()]) as camera,
        pytest.raises(SourceError, match=says) as caught,
    ):
        frames_of(camera.url.replace("tcp", "http") + "/video", 1, Time())
    assert not caught.value.retry


def test_a_stream_in_segments_may_be_silent_for_longer_than_one_of_pictures() -> None:
    (pictures,), (segments,) = (
        openings(parse_address(f"http://127.0.0.1/{path}")) for path in ("video", "live.m3u8?token=x")
    )
    assert pictures.stall < 10 < segments.stall  # a segment lasts 10 s at most
    assert segments.read_timeout is not None
    assert segments.read_timeout >= 10


def test_pictures_of_a_segment_come_one_after_the_other(tmp_path: Path) -> None:
    segments(tmp_path, finished=False)
    with web_server(tmp_path) as url:
        frames, _ = frames_of(f"{url}live.m3u8?token=x", 45, Time())
    numbers = [number_of(frame.image) for frame in frames]
    assert numbers == list(range(numbers[0], numbers[0] + 45))
    pts, arrived = (np.array([getattr(frame, name) for frame in frames]) for name in ("pts", "arrived"))
    np.testing.assert_allclose(arrived - arrived[0], pts, atol=1e-6)
    np.testing.assert_allclose(np.diff(pts), 1 / 25, atol=1e-6)


def test_segments_whose_list_is_finished_are_a_clip(tmp_path: Path) -> None:
    segments(tmp_path, finished=True)
    time = Time()
    with web_server(tmp_path) as url:
        source = open_source(parse_address(f"{url}live.m3u8"), clock=time)
        frames = list(source.frames(time))
    assert not source.live
    assert [number_of(frame.image) for frame in frames] == list(range(75))


def test_of_a_camera_that_is_waited_for_they_are_what_is_left_of_a_stream(tmp_path: Path) -> None:
    segments(tmp_path, finished=True)
    time = Time()
    with web_server(tmp_path) as url:
        source = open_source(parse_address(f"{url}live.m3u8"), patient=True, clock=time)
        with pytest.raises(SourceError, match="has ended; its last segments are all there is") as caught:
            next(source.frames(time))
        assert caught.value.retry
        segments(tmp_path, finished=False)
        assert len(list(itertools.islice(source.frames(time), 45))) == 45


def test_but_not_where_they_are_to_begin_again(tmp_path: Path) -> None:
    segments(tmp_path, finished=True)
    time = Time()
    with web_server(tmp_path) as url:
        source = open_source(parse_address(f"{url}live.m3u8"), patient=True, loop=True, clock=time)
        frames = list(itertools.islice(source.frames(time), 100))
    assert [number_of(frame.image) for frame in frames] == [number % 75 for number in range(100)]


def test_a_list_without_segments_yet_is_looked_at_again(tmp_path: Path) -> None:
    (tmp_path / "live.m3u8").write_text("#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:1\n")
    with web_server(tmp_path) as url, pytest.raises(SourceError, match="no video in it") as caught:
        frames_of(f"{url}live.m3u8", 1, Time())
    assert caught.value.retry


def test_one_whose_segments_are_sound_is_not(tmp_path: Path) -> None:
    segments_of_sound(tmp_path)
    with web_server(tmp_path) as url, pytest.raises(SourceError, match="no video in it") as caught:
        frames_of(f"{url}live.m3u8", 1, Time())
    assert not caught.value.retry


def test_what_is_left_of_a_stream_that_has_ended_is_not_taken_for_now(tmp_path: Path) -> None:
    segments(tmp_path, finished=False)
    with web_server(tmp_path) as url:
        time = Time()
        source = open_source(parse_address(f"{url}live.m3u8"), clock=time)
        frames = source.frames(time)
        assert len(list(itertools.islice(frames, 45))) == 45
        frames.close()
        segments(tmp_path, finished=True)
        with pytest.raises(SourceError, match="has ended; its last segments are all there is") as caught:
            next(source.frames(time))
        assert caught.value.retry
        segments(tmp_path, finished=False)  # it has begun again
        assert len(list(itertools.islice(source.frames(time), 45))) == 45
    assert source.live


def test_a_clip_is_one_whatever_its_address_is_called(tmp_path: Path) -> None:
    """Its pictures came all at once, as of a camera that leaps ahead, and then all again."""
    encode(range(60), to=tmp_path / "clip", container="mp4", codec="libx264")
    time = Time()
    with web_server(tmp_path) as url:
        source = open_source(parse_address(f"{url}clip?id=7"), clock=time)
        frames = list(source.frames(time))
    assert not source.live
    assert [number_of(frame.image) for frame in frames] == list(range(60))
    assert {frame.session for frame in frames} == {0}
    pts, arrived = (np.array([getattr(frame, name) for frame in frames]) for name in ("pts", "arrived"))
    np.testing.assert_allclose(arrived - arrived[0], pts, atol=1e-6)


def test_a_stream_in_the_format_of_a_clip_stays_one() -> None:
    """Its server does not know how large it will be."""
    stream = encode(range(100), container="matroska", codec="libx264")
    with ScriptedCamera([b"HTTP/1.0 200 OK\r\n\r\n" + stream, threading.Event()]) as camera:
        source = open_source(parse_address(camera.url.replace("tcp", "http") + "/live"), clock=Time())
        frames = list(itertools.islice(source.frames(threading.Event()), 20))
    assert len(frames) == 20
    assert source.live
