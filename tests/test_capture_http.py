"""Streams over HTTP: JPEGs, which have no timestamps, and segments, whose pictures come all at once."""

from __future__ import annotations

import functools
import http.server
import itertools
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from scripted_camera import ScriptedCamera, number_of, painted

from deepmag.stream.capture.address import parse_address
from deepmag.stream.capture.open import open_source
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


def test_jpegs_without_timestamps_are_as_far_apart_as_they_come() -> None:
    stream = b"HTTP/1.0 200 OK\r\nContent-Type: multipart/x-mixed-replace; boundary=next\r\n\r\n"
    for number in range(30):
        jpeg = cv2.imencode(".jpg", painted(number))[1].tobytes()
        stream += b"--next\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % len(jpeg)
        stream += jpeg + b"\r\n"
    with ScriptedCamera([stream, threading.Event()]) as camera:
        frames, nominal = frames_of(camera.url.replace("tcp", "http") + "/video", 20, Time(tick=0.03))
    assert nominal is None  # FFmpeg says 25
    pts, arrived = (np.array([getattr(frame, name) for frame in frames]) for name in ("pts", "arrived"))
    assert pts[-1] == pytest.approx(arrived[-1] - arrived[0], rel=0.05)
    assert {frame.session for frame in frames} == {0}


@contextmanager
def web_server(folder: Path) -> Iterator[str]:
    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None: ...

    with http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(Quiet, directory=folder)
    ) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


def test_pictures_of_a_segment_come_one_after_the_other(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "live.m3u8"), "w", format="hls", options={"hls_time": "1"}) as out:
        stream = out.add_stream("libx264", rate=25, options={"preset": "ultrafast", "tune": "zerolatency"})
        stream.width, stream.height, stream.pix_fmt, stream.gop_size = 160, 120, "yuv420p", 25
        for number in range(75):
            picture = av.VideoFrame.from_ndarray(painted(number), format="rgb24")
            picture.pts = number
            out.mux(stream.encode(picture))
        out.mux(stream.encode(None))
    assert len(list(tmp_path.glob("*.ts"))) == 3
    with web_server(tmp_path) as url:
        frames, _ = frames_of(f"{url}live.m3u8?token=x", 45, Time())
    numbers = [number_of(frame.image) for frame in frames]
    assert numbers == list(range(numbers[0], numbers[0] + 45))
    pts, arrived = (np.array([getattr(frame, name) for frame in frames]) for name in ("pts", "arrived"))
    np.testing.assert_allclose(arrived - arrived[0], pts, atol=1e-6)
    np.testing.assert_allclose(np.diff(pts), 1 / 25, atol=1e-6)
