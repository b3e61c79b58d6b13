"""The engine's thread by itself, between a real ring and a real magnifier."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest
from live_run import as_frames, magnifier, shipped
from ward_feeds import TIMEOUT, until

from deepmag.stream.engine import Engine, FaceFinder
from deepmag.stream.frames import MagnifiedFrame
from deepmag.stream.ring import FrameRing
from deepmag.stream.settings import LiveSettings, Region, Settings

FRAMES = as_frames([np.full((72, 96, 3), 100, np.uint8)] * 4, np.arange(4) / 30)


@contextmanager
def engine_behind(
    ring: FrameRing, out: list[MagnifiedFrame], roi: Region = "full", lag: float = 0.0
) -> Iterator[Engine]:
    settings = LiveSettings(Settings(lag=lag, roi=roi))
    finder = FaceFinder(None, at_once=True)
    engine = Engine(ring, magnifier(shipped(), lag=lag), settings, finder, out.append)
    engine.start()
    try:
        yield engine
    finally:
        engine.stop()
        assert engine.join(TIMEOUT)


def test_who_waits_for_the_next_frame_is_not_busy() -> None:
    ring, out = FrameRing(), list[MagnifiedFrame]()
    with engine_behind(ring, out) as engine:
        ring.put(FRAMES[0])
        until(lambda: len(out) == 1, "the picture")
        until(lambda: engine.busy(time.monotonic() + 60.0) == 0.0, "it to wait")


def test_a_region_that_does_not_fit_is_told_once_for_as_long_as_it_does_not(
    caplog: pytest.LogCaptureFixture,
) -> None:
    ring, out = FrameRing(), list[MagnifiedFrame]()
    with engine_behind(ring, out, roi=(500, 500, 100, 100)) as engine:
        for frame in FRAMES:
            ring.put(frame)
        ring.close()
        assert engine.join(TIMEOUT)
    assert [one.roi for one in out] == len(FRAMES) * [(0, 0, 96, 72)]
    assert len(caplog.records) == 1
    assert "500,500,100,100" in caplog.text


def test_of_a_camera_whose_clock_is_wrong_no_rate_is_shown_but_the_picture_is() -> None:
    ring, out = FrameRing(), list[MagnifiedFrame]()
    with engine_behind(ring, out) as engine:
        for frame, right in zip(FRAMES, (True, False, False, True), strict=True):
            ring.put(replace(frame, clock_is_right=right))
        ring.close()
        assert engine.join(TIMEOUT)
    reasons = [one.readings["pulse"].reason for one in out]
    assert [reason == "the camera's clock is wrong" for reason in reasons] == [False, True, True, False]
    assert [one.frame.seq for one in out] == [0, 1, 2, 3]


def test_what_an_ended_session_leaves_comes_out_at_once_and_is_in_no_frame_rate() -> None:
    ring, out = FrameRing(), list[MagnifiedFrame]()
    with engine_behind(ring, out, lag=0.1) as engine:
        for session in (0, 1):
            for frame in FRAMES:
                ring.put(replace(frame, session=session))
        ring.close()
        assert engine.join(TIMEOUT)
    assert [(one.frame.session, one.frame.seq) for one in out] == [(s, n) for s in (0, 1) for n in range(4)]
    assert len(engine.latency.values(0.0)) == 2  # the first of each; three were inside


def test_a_camera_too_slow_for_the_filter_has_the_rate_that_it_has() -> None:
    """Each of its pictures comes out early: with the next one all begins anew."""
    ring, out = FrameRing(), list[MagnifiedFrame]()
    now = time.monotonic()
    with engine_behind(ring, out, lag=2.0) as engine:
        for number in range(6):
            frame = replace(FRAMES[0], seq=number, pts=float(number), arrived=now - 6.0 + number)
            ring.put(frame)
        ring.close()
        assert engine.join(TIMEOUT)
    assert all(one.early for one in out)
    assert engine.latency.rate(out[-1].ready) == pytest.approx(1.0)
