"""A live source that stalls, is cut, refuses, changes size, jumps in time and loses a fifth of its frames."""

from __future__ import annotations

import io
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

import av
import pytest
from scripted_camera import ScriptedCamera, encode, number_of, painted

from deepmag.stream.capture.address import parse_address
from deepmag.stream.capture.backoff import Backoff
from deepmag.stream.capture.limits import Limits
from deepmag.stream.capture.open import open_source
from deepmag.stream.capture.options import OPEN_TIMEOUT
from deepmag.stream.capture.source import Source, SourceError
from deepmag.stream.capture.thread import CaptureThread
from deepmag.stream.frames import Frame
from deepmag.stream.ring import FrameRing

TIMEOUT = 15.0  # s, generous: reached only when something is broken
STALL = 0.6  # s
NEVER = 10 * TIMEOUT  # s: however late this test's thread comes to look, or the camera's to send
LEAD = [255] * 5  # pictures that a connection begins with: probing eats the first ones of a live stream


@contextmanager
def capturing(source: Source, **options: Any) -> Iterator[tuple[CaptureThread, FrameRing]]:
    ring = FrameRing(1000)
    thread = CaptureThread(source, ring, random=lambda: 0.0, **options)
    thread.start()
    try:
        yield thread, ring
    finally:
        thread.stop()
        assert thread.join(TIMEOUT)


def live(url: str, **options: Any) -> Source:
    return open_source(parse_address(url), **{"stall": NEVER, **options})


def take(ring: FrameRing, count: int) -> list[Frame]:
    """The next frames, those of the lead left out."""
    frames: list[Frame] = []
    while len(frames) < count:
        frame = ring.get(timeout=TIMEOUT)
        assert frame is not None, f"only {len(frames)} of {count} frames came"
        if number_of(frame.image) != LEAD[0]:
            frames.append(frame)
    return frames


def rest(ring: FrameRing) -> list[Frame]:
    frames: list[Frame] = []
    while not ring.finished:
        frame = ring.get(timeout=TIMEOUT)
        if frame is not None:
            frames.append(frame)
    return frames


def until(condition: Callable[[], bool]) -> None:
    deadline, pause = time.monotonic() + TIMEOUT, threading.Event()
    while not condition():
        assert time.monotonic() < deadline, "it never came true"
        pause.wait(0.01)


def connection(numbers: Iterable[int], **options: Any) -> bytes:
    return encode([*LEAD, *numbers], **options)


def numbers(frames: list[Frame]) -> list[int]:
    return [number_of(f.image) for f in frames]


def test_a_live_stream_is_read_from_its_first_frame() -> None:
    over = threading.Event()
    with (
        ScriptedCamera([connection(range(40)), over]) as camera,
        capturing(live(camera.url)) as (thread, ring),
    ):
        try:
            frames = take(ring, 38)
            state, _, age = thread.state(frames[-1].arrived + 0.5)
        finally:
            over.set()
    assert numbers(frames) == list(range(38))
    assert state == "live"
    assert age <= 0.5


def test_a_cut_is_a_loss_and_the_next_connection_a_new_session() -> None:
    with (
        ScriptedCamera(
            [connection(range(20))], [connection(range(50, 70))], [connection(range(90, 110))]
        ) as camera,
        capturing(live(camera.url)) as (_, ring),
    ):
        frames = take(ring, 60)
    assert numbers(frames) == [*range(20), *range(50, 70), *range(90, 110)]
    assert [f.session for f in frames] == [0] * 20 + [1] * 20 + [2] * 20
    assert [frames[k].pts == frames[0].pts for k in (20, 40)] == [True, True]


def test_a_stall_is_stale_before_it_is_a_loss() -> None:
    over = threading.Event()
    with (
        ScriptedCamera([connection(range(20)), over]) as camera,
        capturing(live(camera.url)) as (thread, ring),
    ):
        try:
            stalled = take(ring, 18)[-1].arrived  # the demuxer keeps the last two until more come
            assert thread.state(stalled + 1.5)[0] == "stale"
        finally:
            over.set()


def test_a_stall_is_a_loss_after_its_time() -> None:
    with (
        ScriptedCamera([connection(range(20)), threading.Event()], [connection(range(50, 70))]) as camera,
        capturing(live(camera.url, stall=STALL)) as (_, ring),
    ):
        stalled = take(ring, 20)[-1].arrived
        again = take(ring, 20)
    assert {f.session for f in again} == {1}
    # The stall, the first delay of half a second and the connection; far below what a hung reader would take.
    assert STALL / 2 < again[0].arrived - stalled < 6


def test_it_is_lost_while_refused_and_live_again_when_the_camera_is_back() -> None:
    over = threading.Event()
    with (
        ScriptedCamera([connection(range(20))]) as camera,
        capturing(live(camera.url)) as (thread, ring),
    ):
        take(ring, 20)
        until(lambda: thread.state(time.monotonic())[1].count("refused") == 1)
        state, detail, age = thread.state(time.monotonic())
        assert state == "lost"
        assert "next try in" in detail
        assert age > 0
        camera.resume([connection(range(50, 70)), over])
        try:
            again = take(ring, 18)
            assert {f.session for f in again} == {1}
            assert thread.state(again[-1].arrived)[0] == "live"
        finally:
            over.set()


def test_an_address_that_never_delivered_is_given_up() -> None:
    with ScriptedCamera() as camera:
        url = camera.url
    with capturing(live(url), give_up=0.7) as (thread, ring):
        assert rest(ring) == []
        assert thread.join(TIMEOUT)
    assert thread.error is not None
    assert "connection refused" in str(thread.error)
    assert thread.state(time.monotonic())[:2] == ("ended", str(thread.error))


def test_a_change_of_size_in_mid_stream_is_a_session_without_reconnecting() -> None:
    stream = connection(range(20)) + encode(range(20, 40), size=(320, 240), start=(len(LEAD) + 20) / 30)
    with ScriptedCamera([stream]) as camera, capturing(live(camera.url)) as (_, ring):
        frames = take(ring, 40)
        assert camera.served == 1
    assert numbers(frames) == list(range(40))
    assert [(f.session, f.image.shape) for f in frames] == [(0, (120, 160, 3))] * 20 + [
        (1, (240, 320, 3))
    ] * 20


@pytest.mark.parametrize("start", [300.0, 0.0], ids=["forward", "backward"])
def test_a_jump_of_the_timestamps_is_a_session_without_reconnecting(start: float) -> None:
    stream = connection(range(20), start=100.0) + encode(range(20, 40), start=start)
    with ScriptedCamera([stream]) as camera, capturing(live(camera.url)) as (_, ring):
        frames = take(ring, 40)
        assert camera.served == 1
    assert numbers(frames) == list(range(40))
    assert [f.session for f in frames] == [0] * 20 + [1] * 20
    assert [f.pts for f in frames[20:]] == pytest.approx([k / 30 for k in range(20)], abs=1e-3)


def test_timestamps_that_begin_again_a_day_after_the_first_start_no_session() -> None:
    """FFmpeg undoes the 33 bits' end once; by then a stream that began at 100 s has come to it again."""
    begins, again = 100.0, 100.0 - 60.0 + 2**33 / 90_000
    stream = connection(range(20), start=begins) + encode(range(20, 120), start=again - 2.0)
    with ScriptedCamera([stream]) as camera, capturing(live(camera.url)) as (_, ring):
        frames = take(ring, 120)
    assert numbers(frames) == list(range(120))
    assert [f.session for f in frames] == [0] * 20 + [1] * 100
    assert [f.pts for f in frames[20:]] == pytest.approx([k / 30 for k in range(100)], abs=1e-3)


def test_timestamps_that_ffmpeg_lets_begin_again_after_25_days_of_flv_start_no_session() -> None:
    """It writes 31 bits of ms; where it reads it takes that for 32, and leaps by the other half."""
    lead = 200 * [LEAD[0]]  # of FLV more is looked at before the first picture
    stream = encode([*lead, *range(100)], start=2**31 / 1000 - 201 / 30 - 1.0, container="flv")
    with ScriptedCamera([stream]) as camera, capturing(live(camera.url)) as (_, ring):
        frames = take(ring, 100)
    assert numbers(frames) == list(range(100))
    assert {f.session for f in frames} == {0}
    times = [f.pts - frames[0].pts for f in frames]
    assert times == pytest.approx([k / 30 for k in range(100)], abs=2e-3)


def test_with_a_fifth_of_the_frames_lost_time_still_runs_true() -> None:
    lost = {k for k in range(150) if (k * 7919) % 5 == 3}
    with (
        ScriptedCamera([connection(range(150), lost=lost)]) as camera,
        capturing(live(camera.url)) as (_, ring),
    ):
        frames = take(ring, 150 - len(lost))
    assert len(lost) == 30
    assert numbers(frames) == [k for k in range(150) if k not in lost]
    assert {f.session for f in frames} == {0}
    assert [f.pts - frames[0].pts for f in frames] == pytest.approx(
        [k / 30 for k in numbers(frames)], abs=1e-3
    )


def test_a_picture_grown_too_large_is_refused_not_allocated() -> None:
    stream = connection(range(10)) + encode(range(10, 20), size=(640, 480), start=(len(LEAD) + 10) / 30)
    shapes: list[tuple[int, ...]] = []
    with ScriptedCamera([stream]) as camera:
        source = live(camera.url, limits=Limits(largest=(320, 240)))
        frames = source.frames(threading.Event())
        with pytest.raises(SourceError, match=r"too large \(640x480\)"):
            shapes.extend(frame.image.shape for frame in frames)
    assert set(shapes) == {(120, 160, 3)}


def test_a_picture_grown_far_too_large_is_not_even_decoded() -> None:
    """Four megabytes of JPEG say that they are 16000 x 16000, which took four hundred of memory to look at."""
    stream = connection(range(10)) + encode(range(10, 20), size=(640, 480), start=(len(LEAD) + 10) / 30)
    shapes: list[tuple[int, ...]] = []
    with ScriptedCamera([stream]) as camera:
        source = live(camera.url, limits=Limits(largest=(160, 120)))
        shapes.extend(frame.image.shape for frame in source.frames(threading.Event()))
    assert set(shapes) == {(120, 160, 3)}
    assert source.skipped["corrupt"] > 0


def test_what_is_not_video_is_said_to_be_none() -> None:
    with (
        ScriptedCamera([b"SSH-2.0-OpenSSH\r\n" * 3000]) as camera,
        pytest.raises(SourceError, match="does not send video"),
    ):
        next(iter(live(camera.url).frames(threading.Event())))


def test_a_stop_during_a_stall_is_obeyed() -> None:
    with (
        ScriptedCamera([connection(range(20)), threading.Event()]) as camera,
        capturing(live(camera.url, stall=1.0)) as (thread, ring),
    ):
        take(ring, 18)
        before = time.monotonic()
        thread.stop()
        assert thread.join(TIMEOUT)
        assert time.monotonic() - before < 2.5
    assert thread.error is None
    assert thread.state(time.monotonic())[0] == "ended"


def test_a_stop_between_two_attempts_is_obeyed_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Backoff, "failed", lambda *_: NEVER)
    with ScriptedCamera() as camera:
        url = camera.url
    with capturing(live(url), give_up=None) as (thread, _):
        until(lambda: "next try" in thread.state(time.monotonic())[1])
        assert thread.state(time.monotonic())[0] == "connecting"
        thread.stop()
        assert thread.join(TIMEOUT)


def test_many_reconnections_end_without_a_crash_or_a_lost_number() -> None:
    clip = connection(range(5))
    with ScriptedCamera(*[[clip]] * 3) as camera, capturing(live(camera.url)) as (_, ring):
        frames = take(ring, 15)
    assert numbers(frames) == [*range(5)] * 3
    assert [f.session for f in frames] == [0] * 5 + [1] * 5 + [2] * 5
    assert all(b.seq - a.seq == 1 for a, b in pairwise(frames) if a.session == b.session)


def test_the_process_ends_cleanly_while_a_camera_says_nothing() -> None:
    program = (
        "import sys, threading\n"
        "from deepmag.stream.capture.address import parse_address\n"
        "from deepmag.stream.capture.open import open_source\n"
        "from deepmag.stream.capture.thread import CaptureThread\n"
        "from deepmag.stream.ring import FrameRing\n"
        "thread = CaptureThread(open_source(parse_address(sys.argv[1])), FrameRing(4))\n"
        "thread.start()\n"
        "sys.stdin.readline()\n"
        "thread.stop()\n"
        "thread.join(0.1)\n"
    )
    with ScriptedCamera([threading.Event()]) as camera:
        process = subprocess.Popen(
            [sys.executable, "-c", program, camera.url],
            stdin=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert camera.accepted.acquire(timeout=60)
        before = time.monotonic()
        _, errors = process.communicate("\n", timeout=TIMEOUT)
    assert process.returncode == 0
    assert errors == ""
    assert time.monotonic() - before < OPEN_TIMEOUT - 1  # for as long it may wait for the camera


def test_a_stream_to_which_sounds_come_later_has_ended_when_it_is_cut() -> None:
    """PyAV fails at the end, where chance has it of one such sound, of so many always."""
    target = io.BytesIO()
    with av.open(target, "w", format="mpegts") as out:
        video = out.add_stream("libx264", rate=30)
        video.width, video.height, video.pix_fmt, video.gop_size = 160, 120, "yuv420p", 1
        sounds = [out.add_stream("mp2", rate=48000) for _ in range(40)]
        for number in range(150, 180):
            picture = av.VideoFrame.from_ndarray(painted(number), format="rgb24")
            picture.pts = number
            out.mux(video.encode(picture))
        out.mux(video.encode(None))
        for sound in sounds:
            silence = av.AudioFrame(format="s16", layout="stereo", samples=1152)
            silence.sample_rate, silence.pts = 48000, 6 * 48000
            out.mux([*sound.encode(silence), *sound.encode(None)])
    with ScriptedCamera([encode(range(150)), target.getvalue()]) as camera:
        frames = live(camera.url).frames(threading.Event())
        shown = [number_of(frame.image) for frame in frames]
    assert shown[-100:] == list(range(80, 180))
