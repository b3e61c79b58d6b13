"""The capture thread with sources that do exactly what they are told."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scripted_camera import encode, number_of
from ward_feeds import until

from deepmag.stream.capture.address import parse_address
from deepmag.stream.capture.open import open_source
from deepmag.stream.capture.source import SourceError
from deepmag.stream.capture.thread import CaptureThread
from deepmag.stream.frames import Frame
from deepmag.stream.ring import FrameRing

TIMEOUT = 15.0  # s
REFUSED = SourceError("cam: wrong user name or password", retry=False)
CUT = SourceError("cam: cut", retry=True)


class Rehearsed:
    """Each connection delivers as many frames as its entry says, two to a session, then fails or ends."""

    name = "cam"

    def __init__(self, connections: Sequence[tuple[int, Exception | None]], *, live: bool = True) -> None:
        self.live = live
        self.closed_in: list[str] = []
        self._connections = iter(connections)

    def frames(self, stop: threading.Event) -> Iterator[Frame]:
        count, error = next(self._connections)
        try:
            for number in range(count):
                yield Frame(number // 2, number, 0.0, float(number), np.zeros((40, 40, 3), np.uint8))
            if error is not None:
                raise error
        finally:
            self.closed_in.append(threading.current_thread().name)


class Showing(Rehearsed):
    """One picture, of whatever form and time."""

    def __init__(self, image: Any, pts: Any = 0.0, arrived: Any = 0.0) -> None:
        super().__init__([], live=False)
        self._frame = Frame(0, 0, pts, arrived, image)

    def frames(self, stop: threading.Event) -> Iterator[Frame]:
        yield self._frame


def run(source: Rehearsed, **options: float | None) -> tuple[CaptureThread, list[Frame]]:
    ring = FrameRing(1000)
    thread = CaptureThread(source, ring, random=lambda: 0.0, **options)  # type: ignore[arg-type]
    thread.start()
    frames = []
    while not ring.finished:
        frame = ring.get(timeout=TIMEOUT)
        if frame is not None:
            frames.append(frame)
    assert thread.join(TIMEOUT)
    return thread, frames


def test_sessions_and_numbers_go_on_over_connections() -> None:
    source = Rehearsed([(3, CUT), (0, CUT), (2, None)], live=True)
    ring = FrameRing(100)
    thread = CaptureThread(source, ring, random=lambda: 0.0)
    thread.start()
    frames = [f for f in (ring.get(timeout=TIMEOUT) for _ in range(5)) if f is not None]
    thread.stop()
    assert thread.join(TIMEOUT)
    assert [f.session for f in frames] == [0, 0, 1, 2, 2]
    assert [f.seq for f in frames] == list(range(5))
    assert thread.error is None


def test_a_wrong_password_at_first_ends_it_with_the_error_kept() -> None:
    thread, frames = run(Rehearsed([(0, REFUSED)]))
    assert frames == []
    assert thread.error is REFUSED
    assert thread.state(0.0)[:2] == ("ended", str(REFUSED))


def test_a_wrong_password_after_it_was_live_is_tried_again() -> None:
    source = Rehearsed([(1, CUT), (0, REFUSED), (1, None)])
    ring = FrameRing(100)
    thread = CaptureThread(source, ring, random=lambda: 0.0)
    thread.start()
    assert ring.get(timeout=TIMEOUT) is not None
    again = ring.get(timeout=TIMEOUT)
    thread.stop()
    assert thread.join(TIMEOUT)
    assert again is not None
    assert again.session == 1


def test_the_end_of_a_file_is_no_error() -> None:
    thread, frames = run(Rehearsed([(4, None)], live=False))
    assert len(frames) == 4
    assert thread.error is None
    assert thread.state(100.0)[0] == "ended"


def test_a_file_that_fails_is_not_tried_again_even_after_frames() -> None:
    thread, frames = run(Rehearsed([(4, CUT)], live=False))
    assert len(frames) == 4
    assert thread.error is CUT


def test_a_defect_in_a_source_is_logged_and_told_and_does_not_hang_the_ring(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.ERROR):
        thread, _ = run(Rehearsed([(1, ZeroDivisionError("oops"))], live=False))
    assert str(thread.error) == "cam: unexpected failure (ZeroDivisionError)"
    assert any(record.exc_info for record in caplog.records)


@pytest.mark.parametrize(
    "image",
    [np.zeros((40, 40), np.uint8), np.zeros((40, 40, 4), np.uint8), np.zeros((40, 40, 3), np.float32)],
    ids=["grey", "RGBA", "float"],
)
def test_what_is_no_picture_is_told_and_not_handed_on(image: NDArray[Any]) -> None:
    thread, frames = run(Showing(image))
    assert frames == []
    assert "(H, W, 3) uint8, RGB, not (40, 40" in str(thread.error)


def test_what_is_no_array_at_all_is_told_by_its_kind() -> None:
    thread, frames = run(Showing([[0, 0, 0]]))
    assert frames == []
    assert str(thread.error) == "cam: a picture must be an array of (H, W, 3) uint8, RGB, not list"


@pytest.mark.parametrize("time", [float("nan"), float("inf"), None, "0"])
@pytest.mark.parametrize("what", ["pts", "arrived"])
def test_a_time_that_is_none_is_told_and_not_handed_on(what: str, time: object) -> None:
    thread, frames = run(Showing(np.zeros((40, 40, 3), np.uint8), **{what: time}))
    assert frames == []
    assert str(thread.error) == f"cam: {what} must be a finite number of seconds, not {time}"


@pytest.mark.parametrize("shape", [(20, 20, 3), (480, 35, 3), (0, 640, 3)])
def test_a_picture_that_is_too_small_is_told_and_not_handed_on(shape: tuple[int, ...]) -> None:
    thread, frames = run(Showing(np.zeros(shape, np.uint8)))
    assert frames == []
    size = f"{shape[1]}x{shape[0]}"
    assert str(thread.error) == f"cam: the picture is too small ({size}); at least 36x36 is needed"


def test_every_connection_is_closed_in_the_thread_that_opened_it() -> None:
    source = Rehearsed([(3, CUT), (50, None)])
    ring = FrameRing(100)
    thread = CaptureThread(source, ring, random=lambda: 0.0)
    thread.start()
    for _ in range(10):
        assert ring.get(timeout=TIMEOUT) is not None
    thread.stop()
    assert thread.join(TIMEOUT)
    assert set(source.closed_in) == {"capture"}


def test_a_file_at_full_pace_through_a_small_ring_loses_nothing(tmp_path: Path) -> None:
    clip = tmp_path / "clip.mp4"
    encode(range(200), to=clip, container="mp4")
    ring = FrameRing(2, policy="wait")
    thread = CaptureThread(open_source(parse_address(str(clip)), pace="max"), ring)
    thread.start()
    taken = []
    while not ring.finished:
        frame = ring.get(timeout=TIMEOUT)
        if frame is not None:
            taken.append((frame.seq, number_of(frame.image)))
    assert taken == [(k, k) for k in range(200)]
    assert ring.dropped == 0
    assert thread.join(TIMEOUT)


def test_stop_frees_a_thread_that_waits_for_room(tmp_path: Path) -> None:
    clip = tmp_path / "clip.mp4"
    encode(range(50), to=clip, container="mp4")
    ring = FrameRing(2, policy="wait")
    thread = CaptureThread(open_source(parse_address(str(clip)), pace="max"), ring)
    thread.start()
    assert ring.get(timeout=TIMEOUT) is not None
    thread.stop()
    assert thread.join(TIMEOUT)
    assert thread.error is None


def test_the_first_try_after_a_good_connection_is_as_soon_as_the_very_first(
    caplog: pytest.LogCaptureFixture,
) -> None:
    source = Rehearsed([(0, CUT), (7, CUT)])  # its frames are a second apart
    ring = FrameRing(100)
    thread = CaptureThread(source, ring, random=lambda: 0.0, clock=lambda: 6.0)
    thread.start()
    until(lambda: len(caplog.records) >= 2, "both to fail")
    thread.stop()
    assert thread.join(TIMEOUT)
    assert [record.getMessage() for record in caplog.records[:2]] == 2 * ["cam: cut; next try in 0.5 s"]


@pytest.mark.parametrize(("changes", "state"), [(False, "stale"), (True, "live")])
def test_a_camera_that_repeats_its_last_picture_is_stale(changes: bool, state: str) -> None:
    class Camera:
        name, live = "cam", True

        def frames(self, stop: threading.Event) -> Iterator[Frame]:
            for number in range(30):
                image = np.full((40, 40, 3), 7, np.uint8)
                if changes:
                    image[16, number] = number  # what a camera's noise does to a picture
                yield Frame(0, number, float(number), float(number), image)
            assert stop.wait(TIMEOUT)

    thread = CaptureThread(Camera(), ring := FrameRing(100))
    thread.start()
    for _ in range(30):
        assert ring.get(timeout=TIMEOUT) is not None
    assert thread.state(29.5)[0] == state
    thread.stop()
    assert thread.join(TIMEOUT)


def test_the_error_of_a_missing_file_is_kept(tmp_path: Path) -> None:
    ring = FrameRing(2, policy="wait")
    thread = CaptureThread(open_source(parse_address(str(tmp_path / "absent.mp4"))), ring)
    thread.start()
    assert thread.join(TIMEOUT)
    assert ring.finished
    assert "no such file" in str(thread.error)
