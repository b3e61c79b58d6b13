"""RTSP from a server that is not ours: both transports, both ways to log in, and its faults."""

from __future__ import annotations

import errno
import io
import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from rtsp_server import Auth, RtspServer, available, rtsp_server

from deepmag.stream.capture.address import parse_address
from deepmag.stream.capture.failures import open_failure
from deepmag.stream.capture.open import open_source
from deepmag.stream.capture.options import Transport
from deepmag.stream.capture.redact import RedactingFilter
from deepmag.stream.capture.source import SourceError
from deepmag.stream.capture.thread import CaptureThread
from deepmag.stream.capture.video import VideoSource
from deepmag.stream.frames import Frame
from deepmag.stream.ring import FrameRing

pytestmark = pytest.mark.skipif(not available(), reason="GStreamer's RTSP server is not installed")

TIMEOUT = 20.0  # s
PASSWORD = "s3cr@t:pw/x"  # with everything that makes URLs hard to redact


@contextmanager
def capturing(url: str, **options: Any) -> Iterator[tuple[CaptureThread, FrameRing]]:
    ring = FrameRing(1000)
    thread = CaptureThread(open_source(parse_address(url), **options), ring, random=lambda: 0.0)
    thread.start()
    try:
        yield thread, ring
    finally:
        thread.stop()
        assert thread.join(TIMEOUT)


def take(ring: FrameRing, count: int) -> list[Frame]:
    frames: list[Frame] = []
    while len(frames) < count:
        frame = ring.get(timeout=TIMEOUT)
        assert frame is not None, f"only {len(frames)} of {count} frames came"
        frames.append(frame)
    return frames


def until(condition: Callable[[], bool]) -> None:
    deadline, pause = time.monotonic() + TIMEOUT, threading.Event()
    while not condition():
        assert time.monotonic() < deadline, "it never came true"
        pause.wait(0.01)


@contextmanager
def frozen(server: RtspServer) -> Iterator[None]:
    os.kill(server.process.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(server.process.pid, signal.SIGCONT)


@contextmanager
def network_to(server: RtspServer) -> Iterator[tuple[str, threading.Event]]:
    """Its address through a network that hands over what the server sends only while the event is set."""
    flows, sockets = threading.Event(), [socket.create_server(("127.0.0.1", 0))]
    flows.set()

    def pass_on(source: socket.socket, sink: socket.socket, when: threading.Event | None = None) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                if when is not None:
                    when.wait()
                sink.sendall(data)

    def connect() -> None:
        with suppress(OSError):
            client = sockets[0].accept()[0]
            upstream = socket.create_connection(("127.0.0.1", server.port))
            sockets.extend((client, upstream))
            threading.Thread(target=pass_on, args=(client, upstream), daemon=True).start()
            pass_on(upstream, client, flows)

    threading.Thread(target=connect, daemon=True).start()
    try:
        yield f"rtsp://127.0.0.1:{sockets[0].getsockname()[1]}/test", flows
    finally:
        flows.set()
        for connection in sockets:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()


@pytest.fixture(scope="module")
def open_server() -> Iterator[RtspServer]:
    with rtsp_server() as server:
        yield server


@pytest.fixture(scope="module", params=["basic", "digest"])
def guarded_server(request: pytest.FixtureRequest) -> Iterator[RtspServer]:
    auth: Auth = request.param
    with rtsp_server(auth=auth, user="nurse", password=PASSWORD) as server:
        yield server


@pytest.mark.parametrize("transport", ["tcp", "udp"])
def test_frames_come_in_time_over_both_transports(open_server: RtspServer, transport: Transport) -> None:
    with capturing(open_server.url(), transport=transport) as (thread, ring):
        frames = take(ring, 45)
        assert thread.state(frames[-1].arrived + 0.1)[0] == "live"
    assert frames[0].image.shape == (240, 320, 3)
    assert {f.session for f in frames} == {0}
    assert [f.seq for f in frames] == list(range(45))
    steps = np.diff([f.pts for f in frames])
    assert np.median(steps) == pytest.approx(1 / 30, abs=1e-3)
    assert (steps > 0).all()
    # Were a buffer being worked off, even the promptest of the first half second would be later than those of
    # the last; a machine that was busy for a moment catches up within it.
    delays = np.array([f.arrived - f.pts for f in frames])
    assert delays[:15].min() - delays[-15:].min() < 0.1
    assert any((a.image != b.image).any() for a, b in pairwise(frames))  # the ball moves


@pytest.mark.parametrize("transport", ["tcp", "udp"])
def test_a_transport_is_the_one_that_is_asked_of_the_server(transport: Transport) -> None:
    with rtsp_server(only=transport) as server, capturing(server.url(), transport=transport) as (_, ring):
        assert len(take(ring, 5)) == 5


@pytest.mark.parametrize("transport", ["tcp", "udp"])
def test_a_password_opens_it(guarded_server: RtspServer, transport: Transport) -> None:
    with capturing(guarded_server.url(), transport=transport) as (_, ring):
        assert len(take(ring, 5)) == 5


def test_a_wrong_password_is_said_to_be_wrong(guarded_server: RtspServer) -> None:
    url = guarded_server.url(password="hunter2")
    with capturing(url) as (thread, ring):
        assert ring.get(timeout=TIMEOUT) is None
        assert thread.join(TIMEOUT)
    assert "wrong user name or password" in str(thread.error)
    assert "hunter2" not in str(thread.error)


def test_a_missing_path_is_said_to_be_missing(open_server: RtspServer) -> None:
    with pytest.raises(SourceError, match="no such stream") as caught:
        next(iter(open_source(parse_address(open_server.url("/nowhere"))).frames(threading.Event())))
    assert not caught.value.retry


def test_an_unknown_host_is_said_to_be_unknown() -> None:
    with pytest.raises(SourceError, match=r"no host of that name|no name server answers") as caught:
        next(iter(open_source(parse_address("rtsp://u:hunter2@nowhere.invalid/x")).frames(threading.Event())))
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("error", "says", "retry"),
    [
        (socket.gaierror(socket.EAI_AGAIN, "Temporary failure"), "no name server answers", True),
        (socket.gaierror(socket.EAI_NONAME, "Name or service not known"), "no host of that name", False),
        (UnicodeError("label empty or too long"), "no host of that name", False),
    ],
)
def test_a_machine_that_has_no_network_yet_is_told_from_a_wrong_name(
    monkeypatch: pytest.MonkeyPatch, error: Exception, says: str, retry: bool
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    failure = open_failure(OSError(errno.EIO, "Input/output error"), parse_address("rtsp://cam..local/x"))
    assert says in str(failure)
    assert failure.retry == retry


@pytest.mark.parametrize("transport", ["tcp", "udp"])
def test_a_short_hiccup_is_stale_and_then_goes_on_in_the_same_connection(transport: Transport) -> None:
    with rtsp_server() as server, capturing(server.url(), transport=transport, stall=10.0) as (thread, ring):
        take(ring, 10)
        with frozen(server):
            until(lambda: thread.state(time.monotonic())[0] == "stale")
        until(lambda: thread.state(time.monotonic())[:2] == ("live", ""))
        frames = take(ring, 20)
    assert all(b.pts > a.pts for a, b in pairwise(frames) if a.session == b.session)


def test_what_a_network_held_up_is_as_old_as_it_is(open_server: RtspServer) -> None:
    """FFmpeg forgets the time of the first picture after a read that timed out: all that followed was of now then."""
    with network_to(open_server) as (url, flows), capturing(url, stall=TIMEOUT) as (thread, ring):
        before = take(ring, 10)
        flows.clear()
        until(lambda: thread.state(time.monotonic())[0] == "stale")
        # between two ends of a read, each 0.5 s: in the midst of a packet that would end the connection
        until(lambda: thread.state(time.monotonic())[2] > 2.2)
        since = time.monotonic()
        flows.set()
        frames = before + take(ring, 80)
    assert {frame.session for frame in frames} == {0}
    assert max(b.pts - a.pts for a, b in pairwise(frames)) < 0.2
    assert any(0.5 < since - frame.arrived < 1.5 for frame in frames)  # when none came


def test_a_camera_that_restarts_is_found_again() -> None:
    with rtsp_server() as server:
        port = server.port
        with capturing(server.url()) as (thread, ring):
            take(ring, 10)
            server.process.kill()
            server.process.wait()
            until(lambda: thread.state(time.monotonic())[0] == "lost")
            with rtsp_server(port=port):
                until(lambda: thread.state(time.monotonic())[0] == "live")
                last = take(ring, 200 if len(ring) > 200 else len(ring) + 5)[-1]
    assert last.session >= 1


def test_a_stop_while_the_camera_is_frozen_is_obeyed_within_about_a_second() -> None:
    with rtsp_server() as server, capturing(server.url()) as (thread, ring):
        take(ring, 5)
        with frozen(server):
            until(lambda: thread.state(time.monotonic())[0] == "stale")
            before = time.monotonic()
            thread.stop()
            assert thread.join(TIMEOUT)
            assert time.monotonic() - before < 1.5


@pytest.mark.parametrize("codec", ["h264", "jpeg"])
def test_what_this_machine_is_too_slow_to_decode_is_left_out_and_the_rest_is_of_now(
    monkeypatch: pytest.MonkeyPatch, codec: Any
) -> None:
    decode, load = VideoSource._decode, threading.Event()

    def slowly(packet: Any) -> Any:
        load.wait(0.08)  # 12 pictures a second of 30
        return decode(packet)

    monkeypatch.setattr(VideoSource, "_decode", staticmethod(slowly))
    ages, told = [], []
    with rtsp_server(codec=codec) as server:
        source = open_source(parse_address(server.url()))
        assert isinstance(source, VideoSource)
        for frame in source.frames(threading.Event()):
            now = time.monotonic()
            ages.append(now - frame.pts)
            told.append(now - frame.arrived)
            if len(ages) == 60:  # else two and a half seconds late
                break
    assert max(ages) - min(ages) < 1.5
    assert max(told) > 0.3
    assert np.allclose(np.array(ages) - told, ages[0] - told[0], atol=0.3)  # so old as is told
    assert source.skipped["too slow"] > 30


def test_motion_jpeg_is_read_too() -> None:
    with rtsp_server(codec="jpeg") as server, capturing(server.url()) as (_, ring):
        assert take(ring, 5)[0].image.shape == (240, 320, 3)


def test_no_log_record_holds_the_password(caplog: pytest.LogCaptureFixture) -> None:
    import av.logging

    written = io.StringIO()
    handler = logging.StreamHandler(written)
    handler.addFilter(RedactingFilter())
    root = logging.getLogger()
    root.addHandler(handler)
    caplog.set_level(logging.DEBUG)
    av.logging.set_level(av.logging.VERBOSE)  # FFmpeg's own lines, in which it prints URLs
    try:
        with rtsp_server(auth="digest", user="nurse", password=PASSWORD) as server:
            url = server.url()
            with capturing(url) as (thread, ring):
                take(ring, 3)
                server.process.kill()
                until(lambda: thread.state(time.monotonic())[0] == "lost")
                detail = thread.state(time.monotonic())[1]
            encoded = parse_address(url).text.split(":")[2].split("@")[0]
            assert encoded in url
    finally:
        av.logging.set_level(None)
        root.removeHandler(handler)
    ours = "\n".join(r.getMessage() for r in caplog.records if r.name.startswith("deepmag"))
    assert "rtsp://nurse:***@127.0.0.1" in ours
    for secret in (PASSWORD, encoded):
        assert secret not in ours  # even without the filter
        assert secret not in written.getvalue()  # FFmpeg's, with it
        assert secret not in detail
