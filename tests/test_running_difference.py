"""The normalized difference over a span of time: what it averages, and when it is of."""

from __future__ import annotations

import numpy as np
import pytest

from deepmag.models.representation import L, normalized_difference
from deepmag.models.running_difference import (
    RunningDifference,
    centred_difference,
    delay,
    mean_response,
    span_ticks,
)

RANDOM = np.random.default_rng(0)


def noise(count: int) -> np.ndarray:
    return RANDOM.normal(0, 1e-3, (count, 3, L, L)).astype(np.float32)


def ramp(place: np.ndarray) -> np.ndarray:
    """X of pairs whose middles lie at ``place``, where X grows by one per tick."""
    return np.broadcast_to(np.asarray(place, np.float32)[:, None, None, None], (len(place), 3, L, L)).copy()


def test_in_black_pixels_a_grey_level_is_a_small_difference():
    """Of the size that the network was trained with."""
    black, brighter = np.zeros((3, L, L), np.float32), np.ones((3, L, L), np.float32)
    assert normalized_difference(black, brighter) == pytest.approx(0.2)


@pytest.mark.parametrize(("rate", "ticks"), [(3, 1), (15, 1), (20, 1), (25, 2), (30, 2), (60, 4), (120, 8)])
def test_the_span_is_about_a_fifteenth_of_a_second(rate, ticks):
    assert span_ticks(rate) == ticks
    assert delay(rate) == (ticks - 1) / 2


@pytest.mark.parametrize("rate", [15.0, 30.0, 60.0])
def test_of_a_steady_camera_it_is_that_of_frames_further_apart(rate):
    frames = (128 + 20 * RANDOM.random((12, 3, L, L))).astype(np.float32)
    frames[1:] = frames[0] + 0.5 * (frames[1:] - frames[0])  # neighbours alike, as of a video
    x, k = normalized_difference(frames[:-1], frames[1:]), span_ticks(rate)
    running = RunningDifference()
    found = np.stack([running.update(one, 1, rate) for one in x])
    far = normalized_difference(frames[:-k], frames[k:]) / k
    assert found[k - 1 :] == pytest.approx(far, abs=3e-3 / k)
    assert found[0] == pytest.approx(x[0])  # nothing before it


@pytest.mark.parametrize("rate", [15.0, 30.0, 60.0])
def test_it_is_late_by_what_is_made_up_for(rate):
    running = RunningDifference()
    found = [float(running.update(one, 1, rate)[0, 0, 0]) for one in ramp(np.arange(20))]
    assert found[-1] == pytest.approx(19 - delay(rate))


@pytest.mark.parametrize("rate", [15.0, 30.0, 60.0, 120.0])
def test_how_much_it_keeps_is_known(rate):
    t = np.arange(round(4 * rate)) / rate
    running, full = RunningDifference(), np.ones((3, L, L), np.float32)
    found = [running.update(np.float32(one) * full, 1, rate)[0, 0, 0] for one in np.sin(2 * np.pi * 2.3 * t)]
    assert max(found[round(rate) :]) == pytest.approx(mean_response(rate, 2.3), abs=0.02)


def test_a_long_pair_lies_on_its_ticks_evenly():
    running, x = RunningDifference(), noise(3)
    running.update(x[0], 1, 30.0)
    # its first tick shares the span with the pair before, the others are its own
    assert running.update(x[1], 5, 30.0) == pytest.approx((0.5 * x[0] + 4.5 * x[1] / 5) / 5, abs=1e-9)
    assert running.update(x[2], 1, 30.0) == pytest.approx((x[1] / 5 + x[2]) / 2, abs=1e-9)
    running.reset()
    assert running.update(x[0], 1, 30.0) == pytest.approx(x[0])


@pytest.mark.parametrize("ticks", [(1,), (1, 2), (1, 1, 1, 2), (1, 4), (3, 1, 2)])
def test_uneven_pairs_all_count_alike(ticks):
    """Pictures of 24 in a file of 30 frames/s: where one repeats, the pair after it has two ticks."""
    ticks = np.resize(ticks, 240)
    x = np.full((240, 3, L, L), 1e-3, np.float32)
    running = RunningDifference()
    live = sum(
        float(running.update(one, k, 30.0)[0, 0, 0]) * k for one, k in zip(x, ticks.tolist(), strict=True)
    )
    clip = (centred_difference(x, ticks, slice(0, 240), 30.0)[:, 0, 0, 0] * ticks).sum()
    assert live == pytest.approx(0.24, rel=0.01)
    assert clip == pytest.approx(0.24, rel=0.01)


@pytest.mark.parametrize("rate", [15.0, 30.0, 50.0, 60.0])
def test_over_a_whole_clip_it_is_not_late(rate):
    x, ticks = ramp(np.arange(40)), np.ones(40, np.int64)
    found = centred_difference(x, ticks, slice(0, 40), rate)[:, 0, 0, 0]
    inner = slice(span_ticks(rate), -span_ticks(rate))
    assert found[inner] == pytest.approx(np.arange(40)[inner], abs=1e-4)


def test_where_no_span_is_longer_than_a_pair_nothing_is_averaged():
    x = noise(10)
    assert centred_difference(x, np.ones(10, np.int64), slice(2, 7), 15.0) == pytest.approx(x[2:7], abs=1e-8)


def test_at_thirty_a_second_the_neighbours_count_half():
    x = noise(10)
    expected = 0.25 * x[1:-3] + 0.5 * x[2:-2] + 0.25 * x[3:-1]
    found = centred_difference(x, np.ones(10, np.int64), slice(2, 8), 30.0)
    assert found == pytest.approx(expected, abs=1e-8)


def test_what_all_pairs_add_up_to_stays():
    """A sum over a clip is the pulse itself, and lost frames or repeated ones must not change it."""
    ticks = RANDOM.integers(0, 4, 200)
    x = noise(200) + np.float32(2e-4) * ticks[:, None, None, None]
    x[ticks == 0] = 0.0
    found = centred_difference(x, ticks, slice(0, 200), 30.0) * ticks[:, None, None, None]
    assert found.sum(0).mean() == pytest.approx(x.sum(0).mean(), rel=0.02)
    assert found.std() < 0.95 * x.std()
