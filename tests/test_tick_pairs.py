"""Pairs of pictures a fifth of a second apart: what is another scene, and how each part's brightness changed."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from deepmag.models.phase import REDUCED, PhaseRepresentation, phase_difference, reduce_luma
from deepmag.stream.tick_pairs import BANDS, TICK, TickPairs

FLAT = np.full((REDUCED, REDUCED), 100, np.float32)


def scene(seed: int) -> np.ndarray:
    """A picture (480, 640) of large soft shapes, grey levels."""
    shapes = np.random.default_rng(seed).uniform(0, 255, (6, 8)).astype(np.float32)
    return cv2.resize(shapes, (640, 480), interpolation=cv2.INTER_CUBIC).clip(0, 255)


@pytest.mark.parametrize(("grey", "noise"), [(3, 4), (3, 6), (120, 6)])
def test_a_cameras_noise_in_the_dark_is_no_other_scene(grey, noise):
    rng, pairs = np.random.default_rng(1), TickPairs()
    dark = scene(0) * (grey / scene(0).mean())
    for tick in range(5):
        noisy = np.rint(dark + noise * rng.standard_normal(dark.shape)).clip(0, 255).astype(np.uint8)
        assert pairs.take(tick / 5, reduce_luma(noisy))


@pytest.mark.parametrize("brightness", [0.05, 1.0])
def test_another_scene_is_not_compared(brightness):
    pairs = TickPairs()
    assert pairs.take(0.0, np.float32(brightness) * reduce_luma(scene(0)))
    assert not pairs.take(0.2, np.float32(brightness) * reduce_luma(scene(1)))


@pytest.mark.parametrize(("brighter", "same"), [(1.2, True), (1.3, False)])
def test_a_change_of_light_of_a_fifth_is_no_other_scene_and_one_of_three_tenths_is(brighter, same):
    pairs = TickPairs()
    pairs.take(0.0, FLAT)
    assert pairs.take(0.2, np.float32(brighter) * FLAT) == same


def pattern(brightness: float) -> np.ndarray:
    """A reduced picture that is full of edges, grey levels."""
    return np.float32(brightness) * np.random.default_rng(0).uniform(0, 200, FLAT.shape).astype(np.float32)


@pytest.mark.parametrize(("wide", "bright"), [(60, False), (100, True)])
def test_who_fills_a_seventh_of_the_picture_before_black_is_not_in_the_dark(wide, bright):
    pairs, person = TickPairs(), np.zeros_like(FLAT)
    person[:wide, :wide] = pattern(1.0)[:wide, :wide]
    for tick in range(2):
        pairs.take(tick / 5, person)
    bands = PhaseRepresentation().bands_of(person)
    trusted = phase_difference(bands, bands).weight.sum()
    assert pairs.pair is not None
    assert (pairs.pair.difference.weight.sum() == trusted) == bright


def test_a_glance_trusts_a_dim_picture_as_the_tick_before_it_does():
    pairs = TickPairs()
    for tick in range(2):
        pairs.take(tick / 5, pattern(0.05))
    glance = pairs.glance(pattern(0.05))
    assert pairs.pair is not None
    assert glance is not None
    np.testing.assert_array_equal(glance.weight, pairs.pair.difference.weight)


@pytest.mark.parametrize("rate", [12.0, 24.0, 30.0])
def test_a_tick_ends_with_the_frame_nearest_to_its_time_and_none_drifts(rate):
    pairs, ends = TickPairs(), []
    for pts in np.arange(round(10 * rate)) / rate:
        if pairs.due(pts, 1 / rate):
            assert pairs.take(pts, FLAT)
            ends.append(pts)
    late = rate * (np.array(ends) - TICK * np.arange(len(ends)))  # frames
    assert late.min() >= -0.41
    assert late.max() <= 0.61


def test_light_is_told_of_each_part_of_the_picture():
    pairs, luma = TickPairs(), FLAT.copy()
    pairs.take(0.0, FLAT)
    luma[: REDUCED // BANDS[0]] *= 1.1
    pairs.take(0.2, luma)
    assert pairs.pair is not None
    light = pairs.pair.light.reshape(BANDS)
    np.testing.assert_allclose(light[0], np.log(112 / 102), rtol=1e-4)
    np.testing.assert_allclose(light[1:], 0.0, atol=1e-6)
