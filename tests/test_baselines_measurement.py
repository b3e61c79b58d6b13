"""The classical measurements against a known pulse, and the yardsticks against known spectra."""

from __future__ import annotations

import numpy as np
import pytest

from deepmag.models.baselines.measurement import MEASUREMENTS
from deepmag.models.baselines.rate import pulse_rate, pulse_snr
from deepmag.models.blood import BLOOD

RATE = 30.0
BPM = 72.0
T = np.arange(900) / RATE
SKIN = np.array([170.0, 120.0, 95.0])
BLOOD_VOLUME = np.sin(2 * np.pi * BPM / 60 * T)


def trace(light: np.ndarray, pulse: float = 0.006, noise: float = 0.01, seed: int = 1) -> np.ndarray:
    """Mean colour (T, 3) of skin under a relative change of light (T,); ``noise`` in grey levels."""
    colour = SKIN * (1 - pulse * BLOOD * BLOOD_VOLUME[:, None]) * (1 + light[:, None])
    return colour + noise * np.random.default_rng(seed).standard_normal(colour.shape)


def shaken() -> np.ndarray:
    """Light on a moving head: in the pulse's band, five times as strong as the pulse in green."""
    return 0.02 * np.sin(2 * np.pi * 1.6 * T + 0.5) + 0.015 * np.sin(2 * np.pi * 0.9 * T) + 0.02 * np.sin(T)


def agreement(pulse: np.ndarray) -> float:
    """Correlation with the true blood volume, without the ends."""
    return float(np.corrcoef(pulse[45:-45], BLOOD_VOLUME[45:-45])[0, 1])


@pytest.mark.parametrize("name", MEASUREMENTS)
def test_in_steady_light_each_rises_with_blood_volume(name):
    pulse = MEASUREMENTS[name](trace(np.zeros_like(T)), RATE)
    assert pulse.shape == T.shape
    assert agreement(pulse) > 0.95
    assert pulse_rate(pulse, RATE) == pytest.approx(BPM, abs=0.5)


@pytest.mark.parametrize("name", ["chrom", "pbv", "pos"])
def test_changes_of_light_in_the_band_do_not_hide_the_pulse(name):
    pulse = MEASUREMENTS[name](trace(shaken()), RATE)
    assert agreement(pulse) > 0.9
    assert pulse_rate(pulse, RATE) == pytest.approx(BPM, abs=0.5)
    assert pulse_snr(pulse, RATE, BPM) > 6.0


def test_green_alone_follows_the_light_instead():
    pulse = MEASUREMENTS["green"](trace(shaken()), RATE)
    assert pulse_rate(pulse, RATE) == pytest.approx(96.0, abs=1.0)
    assert pulse_snr(pulse, RATE, BPM) < 0.0


@pytest.mark.parametrize("name", MEASUREMENTS)
@pytest.mark.parametrize("samples", [2, 20, 61])
def test_a_short_trace_gives_a_short_pulse(name, samples):
    pulse = MEASUREMENTS[name](trace(shaken())[:samples], RATE)
    assert pulse.shape == (samples,)
    assert np.isfinite(pulse).all()


@pytest.mark.parametrize("name", MEASUREMENTS)
def test_a_dark_or_constant_trace_gives_no_nonsense(name):
    for colours in (np.zeros((90, 3)), np.full((90, 3), 120.0)):
        pulse = MEASUREMENTS[name](colours, RATE)
        assert np.isfinite(pulse).all()
        assert np.abs(pulse).max() <= 1.0


@pytest.mark.parametrize("name", MEASUREMENTS)
def test_another_shape_is_refused(name):
    with pytest.raises(ValueError, match=r"\(T, 3\)"):
        MEASUREMENTS[name](np.zeros((3, 90)), RATE)


@pytest.mark.parametrize("bpm", [41.0, 71.3, 179.0])
def test_the_rate_is_the_strongest_frequency_to_a_tenth(bpm):
    signal = np.sin(2 * np.pi * bpm / 60 * T) + 5.0 + 3.0 * T
    assert pulse_rate(signal, RATE) == pytest.approx(bpm, abs=0.2)


def test_what_lies_outside_40_to_180_is_no_rate():
    signal = np.sin(2 * np.pi * 1.2 * T) + 4 * np.sin(2 * np.pi * 0.3 * T) + 4 * np.sin(2 * np.pi * 5.0 * T)
    assert pulse_rate(signal, RATE) == pytest.approx(72.0, abs=0.5)


def test_the_snr_is_the_ratio_of_powers():
    """The rate with amplitude 1 and its harmonic with 0.5, against a disturbance with 0.7."""
    beat = np.sin(2 * np.pi * 1.2 * T) + 0.5 * np.sin(2 * np.pi * 2.4 * T)
    snr = pulse_snr(beat + 0.7 * np.sin(2 * np.pi * 1.8 * T), RATE, 72.0)
    assert snr == pytest.approx(10 * np.log10((1 + 0.25) / 0.49), abs=0.3)


def test_a_signal_that_is_none_is_refused():
    for signal in (np.zeros(3), np.zeros((90, 3)), np.full(90, np.nan)):
        with pytest.raises(ValueError, match="finite samples"):
            pulse_rate(signal, RATE)


@pytest.mark.parametrize("rate", [0.0, 1.0, float("nan")])
def test_a_rate_at_which_no_pulse_can_be_seen_is_refused(rate):
    for ask in (lambda: pulse_rate(np.arange(90.0), rate), lambda: pulse_snr(np.arange(90.0), rate, 72.0)):
        with pytest.raises(ValueError, match="too few to see 40 beats a minute"):
            ask()
