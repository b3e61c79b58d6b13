"""Metrics against closed forms, and against another library's SSIM."""

from __future__ import annotations

import numpy as np
import pytest
from skimage.metrics import structural_similarity

from deepmag.models.metrics import pulse
from deepmag.models.metrics.picture import PSNR_LIMIT, RADIUS, luma, psnr, ssim, ssim_map
from deepmag.models.metrics.traces import (
    BLOCK,
    SkinBlocks,
    block_means,
    box_blocks,
    skin_blocks,
    skin_means,
    within,
)

RATE = 30.0  # Hz


def wave(hertz: float, seconds: float = 12.0, phase: float = 0.0) -> np.ndarray:
    t = np.arange(round(seconds * RATE)) / RATE
    return np.sin(2 * np.pi * hertz * t + phase)


def band(x: np.ndarray) -> np.ndarray:
    return pulse.in_band(x, RATE)


def picture(seed: int, shape: tuple[int, ...] = (60, 80)) -> np.ndarray:
    return np.random.default_rng(seed).uniform(0, 255, shape).astype(np.float32)


def test_psnr_of_a_constant_offset_is_its_closed_form() -> None:
    a = np.full((20, 30, 3), 100, np.uint8)
    assert psnr(a, a + 5) == pytest.approx(20 * np.log10(255 / 5), abs=1e-6)


def test_psnr_does_not_wrap_around_in_bytes() -> None:
    black, white = np.zeros((4, 4), np.uint8), np.full((4, 4), 255, np.uint8)
    assert psnr(black, white) == pytest.approx(0.0)


def test_psnr_of_equal_pictures_is_its_limit() -> None:
    a = np.full((4, 4), 7, np.uint8)
    assert psnr(a, a) == PSNR_LIMIT


@pytest.mark.parametrize("noise", [2.0, 20.0])
def test_ssim_is_that_of_scikit_image(noise: float) -> None:
    rng = np.random.default_rng(3)
    x, y = np.meshgrid(np.arange(80), np.arange(60))
    a = (120 + 80 * np.sin(x / 7) * np.cos(y / 5)).astype(np.float32)
    b = np.clip(a + noise * rng.standard_normal(a.shape), 0, 255).astype(np.float32)
    theirs = structural_similarity(
        a, b, data_range=255, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
    )
    assert ssim(a, b) == pytest.approx(theirs, abs=1e-4)


def test_the_map_of_ssim_shows_where_two_pictures_differ() -> None:
    a = picture(1)
    b = a.copy()
    b[20:40, 50:70] = 128.0
    likeness = ssim_map(a, b)
    assert likeness.shape == (60 - 2 * RADIUS, 80 - 2 * RADIUS)
    assert likeness.mean() == pytest.approx(ssim(a, b), abs=1e-6)
    assert likeness[30 - RADIUS, 60 - RADIUS] < 0.1
    assert likeness[:, : 50 - 2 * RADIUS - 1] == pytest.approx(1.0, abs=1e-5)


def test_blocks_within_a_box_lie_in_it_wholly() -> None:
    inside = within((40, 32), (7, 8, 18, 17))
    assert np.argwhere(inside).tolist() == [[1, 1], [1, 2], [2, 1], [2, 2]]


def test_ssim_of_a_bright_flat_picture_is_not_rounding_noise() -> None:
    flat = np.full((40, 40), 250.0, np.float32)
    assert ssim(flat, flat) == pytest.approx(1.0, abs=1e-6)
    assert ssim(flat, flat - 1) == pytest.approx(
        (2 * 250 * 249 + 6.5025) / (250**2 + 249**2 + 6.5025), abs=5e-5
    )


def test_ssim_refuses_pictures_smaller_than_its_window() -> None:
    with pytest.raises(ValueError, match="more than 10 px"):
        ssim(np.zeros((10, 40), np.float32), np.zeros((10, 40), np.float32))


def test_luma_weighs_green_most() -> None:
    colours = np.eye(3, dtype=np.uint8)[None] * 200
    assert luma(colours)[0] == pytest.approx([59.8, 117.4, 22.8], abs=0.01)


def test_the_gain_of_a_pulse_four_times_larger_is_four() -> None:
    truth = wave(1.2)
    assert pulse.gain(band(4 * truth), band(truth), band(truth)) == pytest.approx(4.0, abs=1e-6)


def test_gain_counts_only_what_is_in_step_with_the_truth() -> None:
    truth, motion = wave(1.2), 10 * wave(1.7)
    loud = pulse.gain(band(3 * truth + motion), band(truth), band(truth))
    assert loud == pytest.approx(3.0, abs=0.1)


def test_gain_where_the_true_pulse_is_known_is_one_plus_what_was_added() -> None:
    truth = wave(1.2)
    assert pulse.added_gain(band(2.5 * truth), band(truth)) == pytest.approx(3.5, abs=1e-6)
    assert pulse.added_gain(band(0 * truth), band(truth)) == pytest.approx(1.0)


def test_gain_without_any_pulse_is_refused() -> None:
    with pytest.raises(ValueError, match="no pulse"):
        pulse.gain(np.ones(90), np.ones(90), band(wave(1.2, 5.0)))


@pytest.mark.parametrize("degrees", [0, 60, 90, 180])
def test_coherence_of_a_late_wave_is_the_cosine_of_its_phase(degrees: int) -> None:
    # the inner 10 s hold 12 whole periods, so that the closed form is exact but for the filter's ends
    a, b = band(wave(1.2, 12.0)), band(wave(1.2, 12.0, np.deg2rad(degrees)))
    assert pulse.coherence(a, b) == pytest.approx(np.cos(np.deg2rad(degrees)), abs=0.02)


def test_the_band_keeps_a_pulse_and_drops_drift_and_flicker() -> None:
    kept = pulse.rms(band(wave(1.2))) / pulse.rms(wave(1.2))
    assert kept == pytest.approx(1.0, abs=0.02)
    assert pulse.rms(band(wave(0.1))) < 0.05
    assert pulse.rms(band(wave(8.0))) < 0.01


def test_a_clip_without_an_inside_is_refused() -> None:
    with pytest.raises(ValueError, match="too few"):
        pulse.in_band(np.zeros(60), RATE)


def test_blocks_is_the_median_over_the_skin_alone() -> None:
    truth = band(wave(1.2))
    grid = np.zeros((len(truth), 1, 4))
    grid[:, 0, 0] = grid[:, 0, 1] = truth
    grid[:, 0, 2] = -truth
    grid[:, 0, 3] = -truth
    where = SkinBlocks(np.array([[True, True, True, False]]), np.array([[False, False, False, True]]))
    assert pulse.blocks(grid, truth, where) == pytest.approx(1.0)


def test_leak_is_the_ratio_of_what_was_added_outside() -> None:
    truth = band(wave(1.2))
    grid = np.stack([truth, 0.25 * truth, 9 * truth], axis=1)[:, None, :]
    where = SkinBlocks(np.array([[True, False, False]]), np.array([[False, True, False]]))
    assert pulse.leak(grid, where) == pytest.approx(0.25)


def test_the_residual_is_the_distance_left_to_the_truth() -> None:
    pulse_only = band(wave(1.2))[:, None, None]
    nothing, true = 0 * pulse_only, 9 * pulse_only
    assert pulse.residual(6 * pulse_only, nothing, true) == pytest.approx(1 / 3)
    assert pulse.residual(18 * pulse_only, nothing, true) == pytest.approx(1.0)
    assert np.isnan(pulse.residual(pulse_only, nothing, nothing))


def test_scores_without_skin_are_not_a_number() -> None:
    nowhere = SkinBlocks(np.zeros((1, 2), bool), np.ones((1, 2), bool))
    grid = np.zeros((90, 1, 2))
    assert np.isnan(pulse.blocks(grid, np.zeros(90), nowhere))
    assert np.isnan(pulse.leak(grid, nowhere))


def test_block_means_are_those_of_the_picture() -> None:
    planes = picture(1, (3, 2 * BLOCK + 5, 3 * BLOCK))
    means = block_means(planes)
    assert means.shape == (3, 2, 3)
    assert means[2, 1, 0] == pytest.approx(planes[2, BLOCK : 2 * BLOCK, :BLOCK].mean(), rel=1e-5)


def test_a_block_that_is_skin_half_of_the_time_counts_as_neither() -> None:
    skin = np.zeros((10, BLOCK, 3 * BLOCK), np.float32)
    skin[:, :, :BLOCK] = 1
    skin[:5, :, BLOCK : 2 * BLOCK] = 1
    where = skin_blocks(skin)
    assert where.inside.tolist() == [[True, False, False]]
    assert where.outside.tolist() == [[False, False, True]]


def test_the_blocks_of_a_box_are_inside_and_all_others_outside() -> None:
    where = box_blocks((40, 24), (8, 8, 16, 16))
    assert where.inside.tolist() == [
        [False] * 5,
        [False, True, True, False, False],
        [False, True, True, False, False],
    ]
    assert (where.outside == ~where.inside).all()


def test_the_mean_colour_follows_a_moving_skin() -> None:
    video = np.full((2, 6, 6, 3), 10, np.uint8)
    skin = np.zeros((2, 6, 6), np.float32)
    for i, x in enumerate((0, 3)):
        video[i, :, x : x + 3] = (50, 100, 150)
        skin[i, :, x : x + 3] = 0.5
    assert skin_means(video, skin) == pytest.approx(np.array([[50, 100, 150]] * 2))


def test_a_frame_without_skin_is_named() -> None:
    with pytest.raises(ValueError, match="frame 1 has no skin"):
        skin_means(np.zeros((2, 4, 4, 3), np.uint8), np.stack([np.ones((4, 4)), np.zeros((4, 4))]))
