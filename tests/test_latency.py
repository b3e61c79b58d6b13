"""Latencies over the last seconds, with times that are arguments."""

from __future__ import annotations

import numpy as np
import pytest

from deepmag.stream.latency import SPAN, LatencyMeter


def test_before_the_first_frame_there_is_no_latency() -> None:
    meter = LatencyMeter()
    assert meter.quantiles(0.0) is None
    assert meter.rate(0.0) == 0.0


def test_the_quantiles_are_those_of_the_latencies() -> None:
    meter = LatencyMeter()
    latencies = np.random.default_rng(1).uniform(0.2, 0.4, 200)
    for index, latency in enumerate(latencies):
        meter.add(index / 30, float(latency))
    now = 199 / 30
    assert meter.quantiles(now) == pytest.approx(tuple(np.percentile(latencies, (50, 95))))
    assert meter.values(now) == pytest.approx(list(latencies))


def test_what_is_older_than_the_span_is_forgotten() -> None:
    meter = LatencyMeter()
    meter.add(0.0, 5.0)
    meter.add(SPAN, 0.1)
    assert meter.values(SPAN) == [5.0, 0.1]
    assert meter.quantiles(SPAN + 0.01) == (0.1, 0.1)
    assert meter.quantiles(2 * SPAN + 0.01) is None


@pytest.mark.parametrize("fps", [10.0, 29.97, 60.0, 120.0])
def test_the_rate_is_that_of_the_last_two_seconds(fps: float) -> None:
    meter = LatencyMeter()
    for index in range(60):  # another rate before
        meter.add(index / 5, 0.1)
    start = 60 / 5
    for index in range(round(3 * fps)):
        meter.add(start + index / fps, 0.1)
    assert meter.rate(start + 3.0) == pytest.approx(fps, rel=0.01)


@pytest.mark.parametrize("early", [True, False])
def test_a_lags_worth_of_frames_that_come_out_at_once_makes_no_other_rate(early: bool) -> None:
    """As where another region begins, a file does again, or the lag is made shorter."""
    meter = LatencyMeter()
    for index in range(60):
        meter.add(8.0 + index / 30, 2.0)
    for index in range(60):
        meter.add(10.0 + index * 1e-4, 2.0 - index / 30, early=early)
    assert meter.rate(10.01) == pytest.approx(30, rel=0.02)
    assert len(meter.values(10.01)) == (60 if early else 120)


def test_frames_that_come_at_once_after_a_network_hung_make_no_other_rate() -> None:
    meter = LatencyMeter()
    for index in range(60):
        meter.add(10.0 + index / 30, 2.0 + index / 30)
    assert meter.rate(12.0) == pytest.approx(30, rel=0.02)


@pytest.mark.parametrize("fps", [0.25, 0.5, 0.7, 0.9, 1.2])
def test_of_a_slow_camera_the_rate_is_the_same_whenever_it_is_asked(fps: float) -> None:
    """Of 0.7 a second it was shown as 0 for more than half of the time."""
    meter = LatencyMeter()
    come = 0
    for half in range(20, 60):  # of a second
        while come / fps <= half / 2:
            meter.add(come / fps, 0.1)
            come += 1
        assert meter.rate(half / 2) == pytest.approx(fps)


def test_the_rate_is_withdrawn_when_frames_stop() -> None:
    meter = LatencyMeter()
    for index in range(90):
        meter.add(index / 30, 0.1)
    assert meter.rate(3.0 + 2.5) == 0.0


def test_where_the_clock_stands_still_memory_is_bounded_and_there_is_no_rate() -> None:
    meter = LatencyMeter(span=1.0)
    for _ in range(10_000):
        meter.add(0.0, 0.1)
    assert len(meter.values(0.0)) == 240
    assert meter.rate(0.0) == 0.0
