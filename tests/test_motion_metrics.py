"""Metrics of motion: displacements of pictures moved by known amounts, and scores of paths made up."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from waves import natural, wavy

from deepmag.models.metrics.motion import added_displacement, displacement, motion_scores

BAND = (0.16, 0.5)  # Hz
RATE = 15.0
T = np.arange(round(25 * RATE)) / RATE
BOX = (30, 20, 90, 70)  # x, y, w, h, px
SHAPE = (120, 160)


def sine(hertz: float, phase: float = 0.0):
    return np.sin(2 * np.pi * hertz * T + phase)


def moving(path, axis=(1.0, 0.0)):
    return np.outer(path, axis)


def scores(before, after, elsewhere=None, rate: float = RATE):
    still = np.zeros_like(before) if elsewhere is None else elsewhere
    return motion_scores(before, after, still, BAND, rate)


# --- how far a picture moved ---


@pytest.mark.parametrize("picture", [lambda moved: wavy(SHAPE, moved), lambda moved: natural(160, moved)])
def test_a_shift_is_found_to_a_fiftieth_of_a_pixel(picture):
    told = np.array([(0, 0), (0.1, 0), (0.3, -0.2), (0.55, -1.0), (1.7, -2.3), (2.9, -3.1)])
    path = displacement([picture(tuple(moved)) for moved in told], BOX)
    assert path == pytest.approx(told, abs=0.02)


def test_noise_moves_it_little_and_a_change_of_light_not_at_all():
    rng = np.random.default_rng(0)
    noisy = displacement([wavy(SHAPE) + rng.normal(0, 2, SHAPE).astype(np.float32) for _ in range(5)], BOX)
    assert np.abs(noisy).max() < 0.05
    lit = displacement([wavy(SHAPE), (1.2 * wavy(SHAPE, (0.5, 0.0)) + 10).astype(np.float32)], BOX)
    assert lit[1] == pytest.approx((0.5, 0.0), abs=0.02)


def test_a_box_is_followed_over_more_than_it_could_be_found_at_once():
    told = np.linspace(0, 10, 21)
    path = displacement([wavy(SHAPE, (0.0, moved)) for moved in told], BOX)
    assert path[:, 1] == pytest.approx(told, abs=0.03)


def test_a_flat_picture_stays_where_the_one_before_it_was():
    flat = np.full(SHAPE, 100, np.float32)
    path = displacement([wavy(SHAPE), wavy(SHAPE, (0.5, 0.3)), flat, wavy(SHAPE, (0.7, 0.0))], BOX)
    assert path[2].tolist() == path[1].tolist()
    assert path[3] == pytest.approx((0.7, 0.0), abs=0.02)


def test_what_was_added_is_told_from_what_moved_anyway():
    turning = [(2.0 * np.sin(k), 0.5 * k) for k in range(6)]
    added = np.array([(0, 0), (0.2, 0), (0.4, 0.1), (-0.3, 0), (0, -0.5), (1.0, 0.0)])
    before = [wavy(SHAPE, moved) for moved in turning]
    after = [wavy(SHAPE, tuple(np.add(moved, more))) for moved, more in zip(turning, added, strict=True)]
    assert added_displacement(before, after, BOX) == pytest.approx(added, abs=0.02)


def test_a_large_motion_to_and_fro_is_found_where_it_is():
    rng = np.random.default_rng(2)
    texture = cv2.GaussianBlur(rng.uniform(0, 255, (200, 200)).astype(np.float32), None, 4.0)
    still = texture[40:160, 40:160]
    told = np.array([0.0, -6.0, -9.5, -10.5, 9.0, 11.0, -3.0])
    after = [
        cv2.warpAffine(texture, np.array([[1, 0, 0], [0, 1, down]], np.float32), (200, 200))[40:160, 40:160]
        for down in told
    ]
    path = added_displacement([still] * len(told), after, (10, 10, 100, 100))
    assert path[:, 0] == pytest.approx(told, abs=0.05)
    assert path[:, 1] == pytest.approx(0, abs=0.05)


# --- scores ---


@pytest.mark.parametrize("gain", [1.0, 2.0, 5.0])
def test_the_gain_is_that_of_the_band_whatever_drifts_beneath(gain):
    breath = 0.3 * sine(0.25)
    found = scores(moving(breath + 0.05 * T), moving(gain * breath + 3.0 - 0.02 * T))
    assert found.before == pytest.approx(0.3 * np.sqrt(0.5), rel=0.15)
    assert found.gain == pytest.approx(gain, rel=0.15)
    assert found.coherence > 0.98


def test_the_gain_is_along_the_axis_of_the_motion_after():
    breath = 0.3 * sine(0.25)
    axis = (np.sqrt(0.5), np.sqrt(0.5))
    found = scores(moving(breath, (1.0, 0.0)), moving(4 * breath, axis))
    assert found.gain == pytest.approx(4 * np.sqrt(2), rel=0.05)


def test_coherence_allows_for_a_delay_of_four_tenths_of_a_second_but_not_for_another_rhythm():
    breath = sine(0.25)
    assert scores(moving(breath), moving(3 * sine(0.25, -2 * np.pi * 0.25 * 0.3))).coherence > 0.98
    late = scores(moving(breath), moving(3 * sine(0.25, -2 * np.pi * 0.25 * 1.0))).coherence
    assert 0.3 < late < 0.9
    assert scores(moving(breath), moving(3 * sine(0.42))).coherence < 0.3


def test_a_motion_turned_round_is_coherent_but_what_was_added_is_the_more():
    breath = 0.3 * sine(0.25)
    found = scores(moving(breath), moving(-2 * breath), moving(0.3 * breath))
    assert found.coherence > 0.98
    assert found.gain == pytest.approx(2.0, rel=0.05)
    assert found.leak == pytest.approx(0.3 / 3.0, rel=0.05)


@pytest.mark.parametrize("leaked", [0.0, 0.1, 1.0])
def test_leak_is_the_share_of_what_was_added_here_that_was_added_there(leaked):
    breath = 0.3 * sine(0.25)
    found = scores(moving(breath), moving(5 * breath), moving(leaked * 4 * breath, (0.6, 0.8)))
    assert found.leak == pytest.approx(leaked, abs=0.01)


def test_what_is_added_above_the_band_is_rough_and_what_was_there_before_is_not():
    breath, tremble = 0.3 * sine(0.25), 0.2 * sine(1.5)
    assert scores(moving(breath), moving(5 * breath)).rough < 0.03
    rough = scores(moving(breath), moving(5 * breath + tremble)).rough
    assert rough == pytest.approx(0.2 / (4 * 0.3), rel=0.1)
    assert scores(moving(breath + tremble), moving(5 * breath + tremble)).rough < 0.03


def test_a_rate_too_low_for_what_is_rough_leaves_it_out():
    slow = slice(None, None, 10)  # 1.5 Hz: nothing above the band is left to look at
    breath = moving(0.3 * sine(0.25)[slow])
    assert scores(breath, 5 * breath, rate=RATE / 10).rough == 0.0


def test_a_video_that_was_left_alone_has_a_gain_of_one_and_no_leak():
    breath = moving(0.3 * sine(0.25))
    found = scores(breath, breath)
    assert (found.gain, found.leak, found.rough) == (1.0, 0.0, 0.0)
    assert found.coherence == pytest.approx(1.0)
