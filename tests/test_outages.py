"""Cameras that are lost, silent for a while, or go over to smaller pictures: what comes out, and what is said of it."""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import pytest
from numpy.typing import NDArray
from test_pipeline import Collector
from ward_feeds import until

from deepmag.export.runtime import open_ascender
from deepmag.models.weights import PULSE
from deepmag.stream.capture.portrait import Portrait
from deepmag.stream.frames import Frame, MagnifiedFrame
from deepmag.stream.pipeline import Pipeline
from deepmag.stream.settings import Settings


class Told:
    """A source that delivers what it is told: lists of (pts, picture), one connection each; None ends a connection.

    late: by how much sooner they would have come, s, had nothing held them up.
    """

    name, live, nominal_rate = "told", True, 30.0

    def __init__(self, clock: Callable[[], float], late: float = 0.0) -> None:
        self._clock, self._late = clock, late
        self._parts: queue.Queue[list[tuple[float, NDArray[np.uint8]]] | None] = queue.Queue()

    def tell(self, part: list[tuple[float, NDArray[np.uint8]]] | None) -> None:
        self._parts.put(part)

    def frames(self, stop: threading.Event) -> Iterator[Frame]:
        session, size, seq = 0, None, 0
        while not stop.is_set():
            with contextlib.suppress(queue.Empty):
                part = self._parts.get(timeout=0.02)
                if part is None:
                    return
                for pts, image in part:
                    session += size not in (None, image.shape)
                    size, seq = image.shape, seq + 1
                    yield Frame(session, seq, pts, self._clock() - self._late, image)


class Clock:
    """Time in the test's hand: however busy the machine, nothing is late that the test does not make late."""

    def __init__(self) -> None:
        self.passed = 0.0

    def __call__(self) -> float:
        return self.passed


@contextmanager
def told_running(
    settings: Settings, clock: Clock, late: float = 0.0
) -> Iterator[tuple[Told, Pipeline, Collector]]:
    source, collector = Told(clock, late), Collector()
    pipeline = Pipeline(source, open_ascender(PULSE, "ort", "cpu", 1), None, settings, clock=clock)
    try:
        pipeline.add(collector, "every")
        pipeline.start()
        yield source, pipeline, collector
    finally:
        pipeline.stop()


def shots(
    count: int, start: float = 0.0, size: tuple[int, int] = (160, 120)
) -> list[tuple[float, NDArray[np.uint8]]]:
    portrait = Portrait(size)
    return [(start + i / 30, portrait.frame(start + i / 30)) for i in range(count)]


def out_of(pipeline: Pipeline, collector: Collector) -> int:
    """Frames that came out, or were dropped: told all at once, some wait for longer than they may."""
    return len(collector.frames) + pipeline.ring.dropped


def test_when_a_camera_is_lost_what_is_inside_the_lag_comes_out_and_does_not_wait_for_it() -> None:
    with told_running(Settings(roi="full", lag=1.0), Clock()) as (source, pipeline, collector):
        source.tell(shots(8))
        source.tell(None)
        until(lambda: out_of(pipeline, collector) == 8, "all frames")
        assert collector.frames
        assert pipeline.status().state == "lost"


def test_pictures_of_before_an_outage_have_no_rate_and_are_not_called_live() -> None:
    def reasons(frames: list[MagnifiedFrame]) -> set[str]:
        return {frame.pulse.reading.reason for frame in frames if frame.pulse is not None}

    clock = Clock()
    with told_running(Settings(roi="full", lag=1.0), clock) as (source, pipeline, collector):
        source.tell(shots(8))
        until(lambda: pipeline.magnifier.waiting + pipeline.ring.dropped == 8, "the frames to be inside")
        before = pipeline.magnifier.waiting
        clock.passed = 60.0
        source.tell(shots(8, start=60.0))
        assert collector.wait(lambda: len(collector.frames) == before)
        shown = 16 - before  # all of the second eight: who comes later is old
        until(
            lambda: pipeline.magnifier.waiting + pipeline.ring.dropped == shown,
            "the next frames to be inside",
        )
        assert reasons(collector.frames) == {"no new picture"}
        assert pipeline.status().state == "stale"
        assert pipeline.status().latency_p95 is None
        clock.passed = 61.0
        source.tell(shots(8, start=61.0))
        assert collector.wait(lambda: len(collector.frames) > before)
        assert pipeline.status().state == "live"
        assert reasons(collector.frames[before:]) == {"no face"}


@pytest.mark.parametrize(("late", "counts"), [(1.0, True), (10.0, False)])
def test_what_was_held_up_for_long_is_no_latency_of_the_magnification(late: float, counts: bool) -> None:
    with told_running(Settings(roi="full", lag=0.1), Clock(), late) as (source, pipeline, collector):
        source.tell(shots(20))
        assert collector.wait(lambda: len(collector.frames) > 0)
        until(lambda: pipeline.magnifier.waiting + out_of(pipeline, collector) == 20, "all frames")
        assert (pipeline.status().latency_p95 is not None) == counts


def test_a_region_comes_back_with_the_pictures_that_it_fits() -> None:
    region = (100, 40, 60, 80)
    with told_running(Settings(roi=region, lag=0.1), Clock()) as (source, pipeline, collector):
        for session, size in enumerate([(160, 120), (80, 60), (160, 120)]):
            source.tell(shots(8, size=size))
            told = 8 * (session + 1)
            until(lambda told=told: out_of(pipeline, collector) + pipeline.magnifier.waiting == told, "them")
        source.tell(None)
        until(lambda: out_of(pipeline, collector) == 24, "all frames")
        looked_at = {(frame.frame.session, frame.roi) for frame in collector.frames}
        assert looked_at == {(0, region), (1, (0, 0, 80, 60)), (2, region)}
        assert pipeline.settings.roi == region
