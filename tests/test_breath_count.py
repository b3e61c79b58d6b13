"""Breaths counted one by one, of waves made up: what is counted, and what is too uneven to be."""

from __future__ import annotations

import numpy as np
import pytest
from test_breath_rate import STILL, T, breath_of, noise, sine

from deepmag.models.breath import BREATH_BAND, SLOW_WINDOW
from deepmag.models.respiration import ASCENT_RATE
from deepmag.stream.breath_count import NONE, count_breaths
from deepmag.stream.breath_rate import _period, weigh


def uneven_breaths(bpm: float, periods: float, depths: float, seed: int, t=T):
    """A chest whose breaths' periods and depths vary at random by such shares, and how many of them are done by t."""
    rng = np.random.default_rng(seed)
    number = round(2 * len(t) / ASCENT_RATE / 60 * bpm) + 4
    ends = np.cumsum(np.clip(rng.normal(1, periods, number), 0.4, 1.6)) * 60 / bpm
    counts = np.interp(t - t[0], ends - ends[0], np.arange(number))
    depth = np.clip(rng.normal(1, depths, number), 0.3, 1.7)
    # empty at whole counts, full between them
    wave = depth[counts.astype(int)] * (1 - np.cos(2 * np.pi * counts))
    return wave - wave.mean(), counts


@pytest.mark.parametrize("bpm", [12.0, 20.0, 39.0])
def test_breaths_of_a_sine_are_counted_and_even(bpm) -> None:
    found = count_breaths(sine(bpm))
    assert found.rate == pytest.approx(bpm, abs=0.5)
    assert found.uneven < 0.3
    assert found.periods == pytest.approx(bpm / 3 - 1, abs=0.8)


@pytest.mark.parametrize("bpm", [16.0, 25.0, 34.0])
@pytest.mark.parametrize("seed", range(4))
def test_breaths_that_vary_as_real_ones_are_counted_right(bpm, seed) -> None:
    wave, counts = uneven_breaths(bpm, 0.12, 0.12, seed)
    found = count_breaths(wave)
    assert found.rate == pytest.approx(3 * (counts[-1] - counts[0]), abs=1.5)
    assert found.uneven < 1.0


def test_the_count_does_not_hang_on_size_or_sign() -> None:
    wave, _ = uneven_breaths(20.0, 0.12, 0.12, 1)
    found = count_breaths(wave)
    for other in (count_breaths(1e-3 * wave), count_breaths(-wave)):
        assert other.rate == pytest.approx(found.rate)
        assert other.uneven == pytest.approx(found.uneven)


def test_noise_is_too_uneven() -> None:
    for length in (len(T), round(SLOW_WINDOW * ASCENT_RATE)):
        found = [count_breaths(noise(seed, length)).uneven for seed in range(100)]
        assert min(found) > 0.9
        assert np.median(found) > 1.4


def test_small_wiggles_are_no_breaths() -> None:
    assert count_breaths(sine(15) + 0.1 * sine(60)).rate == pytest.approx(15, abs=0.5)


def test_breaths_that_fill_less_of_the_wave_than_they_have_to_are_not_even() -> None:
    assert count_breaths(np.where(T < 9.0, sine(30), 0.0)).uneven == NONE


def test_a_pause_at_the_end_is_not_counted_as_breaths() -> None:
    paused = count_breaths(np.where(T < 14.5, sine(20), 0.0))
    assert 14.5 < paused.rate < 17.0  # of 14.5: where the last one ends is not seen


def test_how_regular_breaths_are_at_another_rate_does_not_count() -> None:
    breath = breath_of(uneven_breaths(30.0, 0.2, 0.25, 112)[0])
    alike, count = _period(breath.wave, BREATH_BAND), count_breaths(breath.wave)
    assert alike == pytest.approx((14.5, 0.73), abs=0.1)  # two of them are like the next two, by chance
    found = weigh(breath, STILL)
    assert found.rate == pytest.approx(count.rate)
    assert found.regular < 0.65


@pytest.mark.parametrize("wave", [np.zeros(100), sine(4.0), np.linspace(-1, 1, 100)])
def test_without_two_breaths_nothing_is_counted(wave) -> None:
    found = count_breaths(wave)
    assert (found.rate, found.uneven) == (0.0, NONE)
