from __future__ import annotations

import numpy as np
import pytest
from scipy.signal import butter, sosfiltfilt, sosfreqz

from deepmag.models.temporal import (
    PULSE_BAND,
    band_at,
    butterworth,
    log_factor,
    zero_phase,
    zero_phase_response,
)

RATE = 30.0


def test_the_band_pass_has_six_poles_and_half_power_at_its_corners():
    sos = butterworth(PULSE_BAND, RATE)
    assert sos.shape == (3, 6)
    _, response = sosfreqz(sos, worN=[0.7, 1.32, 2.5], fs=RATE)
    assert abs(response) == pytest.approx([0.5**0.5, 1.0, 0.5**0.5], abs=0.01)


@pytest.mark.parametrize("bpm", [42, 50, 90, 150])
def test_how_much_of_a_pulse_is_kept_is_known(bpm):
    t = np.arange(round(60 * RATE)) / RATE
    kept = np.abs(zero_phase(np.sin(2 * np.pi * bpm / 60 * t), PULSE_BAND, RATE)[600:-600]).max()
    assert zero_phase_response(PULSE_BAND, RATE, np.array([bpm / 60])) == pytest.approx([kept], rel=0.03)


@pytest.mark.parametrize("rate", [1.0, 5.0, 5.25])
def test_a_rate_too_low_for_the_band_is_refused_in_words(rate):
    with pytest.raises(ValueError, match="too few"):
        butterworth(PULSE_BAND, rate)


def test_a_slow_camera_shows_as_much_of_the_band_as_it_can():
    assert band_at(PULSE_BAND, RATE) == PULSE_BAND
    low, high = band_at(PULSE_BAND, 5.0)
    assert low == PULSE_BAND[0]
    assert 2.3 < high < 2.5
    butterworth((low, high), 5.0)  # is not refused
    with pytest.raises(ValueError, match="too few"):
        band_at(PULSE_BAND, 2.5)


@pytest.mark.parametrize("band", [(0.0, 2.5), (2.5, 0.7), (1.0, 1.0)])
def test_an_empty_band_is_refused(band):
    with pytest.raises(ValueError, match="low < high"):
        butterworth(band, RATE)


def test_zero_phase_agrees_with_scipy_inside_a_long_clip():
    x = np.random.default_rng(0).standard_normal((1200, 2))
    expected = sosfiltfilt(butter(3, PULSE_BAND, "bandpass", fs=RATE, output="sos"), x, axis=0)
    assert zero_phase(x, PULSE_BAND, RATE)[300:-300] == pytest.approx(expected[300:-300], abs=1e-3)


def test_a_clip_that_begins_and_ends_at_a_crest_is_filtered_as_if_the_pulse_went_on():
    crest_to_crest = np.cos(2 * np.pi * 1.2 * np.arange(6 * 25 + 1) / RATE)
    assert zero_phase(crest_to_crest, PULSE_BAND, RATE) == pytest.approx(crest_to_crest, abs=0.03)


@pytest.mark.parametrize("length", [1, 2, 10, 25])
def test_a_clip_shorter_than_the_filter_is_filtered_and_stays_bounded(length):
    x = np.random.default_rng(1).standard_normal((length, 3))
    filtered = zero_phase(x, PULSE_BAND, RATE)
    assert filtered.shape == x.shape
    assert np.abs(filtered).max() < 2 * np.abs(x).max() + 1e-9


def test_a_single_picture_has_nothing_to_filter():
    with pytest.raises(ValueError, match="fewer than two frames"):
        log_factor(np.zeros((0, 3)), PULSE_BAND, RATE)


@pytest.mark.parametrize("bpm", [50, 72, 120])
def test_the_log_factor_of_a_pulses_own_differences_is_that_pulse(bpm):
    """Eq. 14 of a beating grey value, then Eq. 16: what comes back is its logarithm."""
    time = np.arange(601) / RATE
    grey = 128 * np.exp(2e-3 * np.sin(2 * np.pi * bpm / 60 * time))
    steps = (grey[1:] - grey[:-1]) / (grey[1:] + grey[:-1])
    factor = log_factor(steps[:, None], PULSE_BAND, RATE)[:, 0]
    assert factor[0] == 0
    assert factor.shape == grey.shape
    truth = np.log(grey / 128)
    inside = slice(90, -90)
    gain = np.polyfit(truth[inside], factor[inside], 1)[0]
    assert np.corrcoef(truth[inside], factor[inside])[0, 1] > 0.999
    _, response = sosfreqz(butterworth(PULSE_BAND, RATE), worN=[bpm / 60], fs=RATE)
    assert gain == pytest.approx(abs(response[0]) ** 2, abs=0.01)  # once forward, once backward


def test_a_steady_brightening_adds_nothing():
    steps = np.full((900, 1), 1e-3)
    pulse = 1e-3 * np.sin(2 * np.pi * 1.2 * np.arange(900) / RATE)[:, None]
    size = np.abs(log_factor(pulse, PULSE_BAND, RATE)).max()
    assert np.abs(log_factor(steps, PULSE_BAND, RATE)).max() < 1e-3 * size
