from __future__ import annotations

import numpy as np
import pytest

from deepmag.models.ticks import RateEstimator, TickClock


def ticks(rate, times):
    clock = TickClock(rate)
    return [clock.advance(pts) for pts in times]


def test_a_regular_camera_advances_one_tick_per_frame():
    assert ticks(30.0, np.arange(300) / 30) == [None] + [1] * 299


def test_lost_frames_advance_the_clock_by_what_they_lasted():
    assert ticks(30.0, np.array([0, 1, 4, 5, 7]) / 30) == [None, 1, 3, 1, 2]


@pytest.mark.parametrize("camera", [29.97, 30.0, 24.0, 20.0, 31.0, 47.3])
def test_an_hour_of_ticks_lasts_an_hour(camera):
    random = np.random.default_rng(5)
    times = np.arange(round(3600 * camera)) / camera
    times = times + random.uniform(-0.2, 0.2, times.size) / camera
    total = sum(t for t in ticks(30.0, times) if t is not None)
    assert total == pytest.approx((times[-1] - times[0]) * 30.0, abs=1.0)


def test_jitter_half_a_tick_out_of_phase_does_not_alternate():
    jitter = np.where(np.arange(200) % 2, 2e-3, -2e-3)
    times = (np.arange(200) + np.linspace(0, 0.6, 200)) / 30 + jitter
    assert set(ticks(30.0, times)[1:]) == {1}


def test_two_frames_within_a_tick_advance_nothing():
    assert ticks(30.0, [0.0, 1 / 30, 1 / 30 + 0.002, 2 / 30]) == [None, 1, 0, 1]


@pytest.mark.parametrize("times", [[0.0, 0.51], [1.0, 1.0], [1.0, 0.9]])
def test_a_gap_or_a_step_back_in_time_starts_afresh(times):
    assert ticks(30.0, [*times, times[-1] + 1 / 30])[1:] == [None, 1]


def test_another_rate_starts_afresh():
    clock = TickClock(30.0)
    assert [clock.advance(0.0), clock.advance(1 / 30)] == [None, 1]
    clock.set_rate(60.0)
    assert [clock.advance(2 / 30), clock.advance(3 / 30)] == [None, 2]


@pytest.mark.parametrize(
    ("camera", "expected"), [(29.97, 30), (30.1, 30), (25, 25), (24.2, 24), (15, 15), (59.94, 60), (120, 120)]
)
def test_the_rate_is_the_cameras_nominal_one(camera, expected):
    estimator = RateEstimator()
    times = np.round(np.arange(40) / camera, 3)  # whole milliseconds, as some cameras count
    found = [rate for pts in times if (rate := estimator.update(float(pts))) is not None]
    assert found == [expected] == [estimator.rate]


def test_an_uncommon_rate_is_taken_as_it_is():
    estimator = RateEstimator()
    for pts in np.arange(40) / 20:
        estimator.update(float(pts))
    assert estimator.rate == pytest.approx(20.0)


def test_lost_frames_do_not_change_the_rate():
    estimator = RateEstimator()
    kept = np.flatnonzero(np.random.default_rng(6).random(900) > 0.2)
    found = [rate for pts in kept / 30 if (rate := estimator.update(float(pts))) is not None]
    assert found == [30.0]


def test_a_camera_that_slows_down_in_the_dark_is_noticed_after_two_seconds():
    estimator = RateEstimator()
    times = np.concatenate([np.arange(90) / 30, 3 + np.arange(90) / 15])
    found = [(float(pts), rate) for pts in times if (rate := estimator.update(float(pts))) is not None]
    assert [rate for _, rate in found] == [30.0, 15.0]
    assert 5.0 <= found[1][0] < 6.5


def test_a_short_stumble_does_not_change_the_rate():
    estimator = RateEstimator()
    times = np.concatenate([np.arange(90) / 30, 3 + np.arange(15) / 15, 4 + np.arange(90) / 30])
    found = [rate for pts in times if (rate := estimator.update(float(pts))) is not None]
    assert found == [30.0]
