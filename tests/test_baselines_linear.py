"""The linear baselines on whole clips, each against the property that defines it."""

from __future__ import annotations

import numpy as np
import pytest
from swinging import CENTRE, RATE, brightening, mean_of, phasor

from deepmag.models.baselines.acceleration import ColourAcceleration
from deepmag.models.baselines.eulerian import ColourEulerian
from deepmag.models.baselines.laplacian import MotionEulerian
from deepmag.models.baselines.linear import filter_stretch, magnify_linear
from deepmag.models.baselines.methods import METHODS

SECONDS = 10.0
T = np.arange(round(SECONDS * RATE)) / RATE
INSIDE = slice(60, -60)


def ratio(method, frequency: float, gain: float) -> complex:
    """Complex ratio of the output's swing to the input's."""
    images = brightening(1.5 * np.sin(2 * np.pi * frequency * T))
    shown = list(magnify_linear(method, images, RATE, gain))
    return phasor(mean_of(shown)[INSIDE], frequency) / phasor(mean_of(images)[INSIDE], frequency)


@pytest.mark.parametrize("frequency", [1.0, CENTRE, 1.8])
def test_eulerian_makes_a_swing_in_the_band_alpha_plus_one_times_as_large(frequency):
    found = ratio(ColourEulerian(), frequency, gain=10.0)
    assert abs(found) == pytest.approx(10.0, rel=0.03)
    assert abs(np.angle(found)) < np.radians(1)


@pytest.mark.parametrize("frequency", [0.2, 5.0])
def test_eulerian_leaves_what_lies_outside_the_band(frequency):
    assert abs(ratio(ColourEulerian(), frequency, gain=10.0)) == pytest.approx(1.0, abs=0.1)


def test_acceleration_makes_a_swing_at_its_frequency_gain_times_as_large():
    found = ratio(ColourAcceleration(), CENTRE, gain=10.0)
    assert abs(found) == pytest.approx(10.0, rel=0.01)
    assert abs(np.angle(found)) < np.radians(1)


@pytest.mark.parametrize("rate", [15.0, 25.0, 30.0, 60.0, 120.0])
@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS.keys())
def test_a_response_has_no_phase_and_no_constant_at_any_rate(method, rate):
    kernel = method.temporal_kernel(rate)
    assert kernel.size % 2 == 1
    assert kernel == pytest.approx(kernel[::-1], abs=1e-4 * kernel.max())
    assert abs(kernel.sum()) < 1e-5
    t = (np.arange(kernel.size) - kernel.size // 2) / rate
    centre = np.sqrt(method.band[0] * method.band[1])
    assert kernel @ np.cos(2 * np.pi * centre * t) == pytest.approx(1.0, abs=1e-3)


def test_acceleration_ignores_a_linear_change_exactly():
    ramp = [np.full((48, 64, 3), 40 + i, np.uint8) for i in range(150)]
    shown = list(magnify_linear(ColourAcceleration(), ramp, RATE, 50.0))
    assert all(np.array_equal(a, b) for a, b in zip(ramp, shown, strict=True))


def test_acceleration_has_the_gaussian_of_its_paper():
    method = ColourAcceleration()
    t = np.arange(-300, 301) / 600.0
    sigma = 1 / (4 * np.sqrt(2) * CENTRE)
    truth = (1 - (t / sigma) ** 2) * np.exp(-((t / sigma) ** 2) / 2)
    kernel = method.temporal_kernel(600.0)
    half = kernel.size // 2
    middle = kernel[half - 300 : half + 301]
    assert middle / middle.max() == pytest.approx(truth, abs=1e-3)


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS.keys())
@pytest.mark.parametrize("size", [(64, 48), (101, 67)])
def test_a_gain_of_one_gives_the_very_frames(method, size):
    images = brightening(np.sin(T[:40]), size)
    shown = list(magnify_linear(method, images, RATE, 1.0))
    assert all(np.array_equal(a, b) for a, b in zip(images, shown, strict=True))


def test_what_is_added_lies_where_the_change_is():
    """A blob that pulses off centre: its centre of mass in what is added is its own, to a pixel."""
    y, x = np.mgrid[:180, :250]
    blob = np.exp(-((x - 171) ** 2 + (y - 59) ** 2) / (2 * 18.0**2))
    images = [
        np.round(100 + 12 * blob * np.sin(2 * np.pi * CENTRE * t))[..., None].repeat(3, 2).astype(np.uint8)
        for t in T[:120]
    ]
    shown = list(magnify_linear(ColourEulerian(), images, RATE, 6.0))
    added = sum(
        np.sin(2 * np.pi * CENTRE * t) * (a[..., 1].astype(float) - b[..., 1])
        for t, a, b in zip(T, shown, images, strict=False)
    )
    weight = np.maximum(added, 0.1 * added.max()) - 0.1 * added.max()
    assert (weight * x).sum() / weight.sum() == pytest.approx(171, abs=1)
    assert (weight * y).sum() / weight.sum() == pytest.approx(59, abs=1)


def test_frames_that_are_missing_are_filtered_as_if_they_lay_between_their_neighbours():
    method = ColourEulerian()
    swing = np.sin(2 * np.pi * 1.2 * T)[:, None].astype(np.float32)
    keep = np.sort(np.random.default_rng(2).permutation(len(T))[: len(T) * 4 // 5])
    keep = np.union1d(keep, [0, len(T) - 1])
    whole = filter_stretch(method, swing, RATE)
    sparse = filter_stretch(method, swing[keep], RATE, np.diff(keep))
    assert sparse == pytest.approx(whole[keep], abs=0.06)


def test_too_slow_a_camera_and_too_short_a_clip_are_refused_in_words():
    for method in METHODS.values():
        with pytest.raises(ValueError, match="too few"):
            method.temporal_kernel(3.0 * method.band[0])
        with pytest.raises(ValueError, match="at least two"):
            list(magnify_linear(method, [np.zeros((48, 64, 3), np.uint8)], RATE, 2.0))


def grating(wavelength: float, displacement: float, gain: float) -> float:
    """By how many times a moving grating's displacement grows."""
    x = np.arange(320)
    moved = displacement * np.sin(2 * np.pi * CENTRE * T[:150])
    wave = 2 * np.pi / wavelength
    images = [
        np.broadcast_to(np.round(128 + 60 * np.sin(wave * (x - d)))[None, :, None], (256, 320, 3)).astype(
            np.uint8
        )
        for d in moved
    ]
    shown = magnify_linear(MotionEulerian(), images, RATE, gain)
    middle = slice(64, 64 + 192)
    carrier = np.exp(-1j * wave * x[middle])
    phase = np.unwrap([np.angle((image[128, middle, 1] * carrier).sum()) for image in shown])
    return abs(phasor(-phase / wave, CENTRE)) / displacement


def test_motion_within_the_range_grows_by_alpha_plus_one():
    # 6 * 0.25 px is well below 64 px / 8, and no level is held back
    assert min(MotionEulerian().alpha(level, 6.0) for level in range(2, 6)) == 5.0
    assert grating(64, 0.25, gain=6.0) == pytest.approx(6.0, rel=0.1)


def test_motion_beyond_the_range_is_limited_to_an_eighth_of_a_wavelength():
    found = 0.25 * grating(32, 0.25, gain=100.0)
    assert 1.0 < found < 32 / 8


def test_the_finer_the_level_the_less_it_is_magnified():
    method = MotionEulerian(displacement=0.25)
    alphas = [method.alpha(level, 100.0) for level in range(2, 6)]
    for level, alpha in zip(range(2, 6), alphas, strict=True):
        assert (1 + alpha) * method.displacement <= 4 * 2**level / 8
    assert alphas == sorted(alphas)
    assert method.alpha(2, 1.0) == 0.0
