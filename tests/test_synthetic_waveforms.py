from __future__ import annotations

import numpy as np
import pytest

from deepmag.models.synthetic.waveforms import Rhythm, beat_phase, beat_shape, blood_volume, breath

T = np.arange(0, 120, 1 / 100)


@pytest.mark.parametrize("bpm", [45.0, 72.0, 150.0])
def test_the_mean_rate_is_the_rate_asked_for(bpm):
    phase = beat_phase(Rhythm(bpm=bpm, variability=0.05, seed=1), T)
    assert (phase[-1] - phase[0]) / (T[-1] - T[0]) * 60 == pytest.approx(bpm, rel=0.03)


def test_beat_intervals_vary_as_much_as_asked():
    t = np.arange(0, 600, 1 / 200)
    beats = np.interp(np.arange(20, 600), beat_phase(Rhythm(bpm=72, variability=0.05, seed=2), t), t)
    intervals = np.diff(beats)
    assert intervals.std() / intervals.mean() == pytest.approx(0.05, rel=0.3)
    still = np.diff(np.interp(np.arange(20, 600), beat_phase(Rhythm(bpm=72, variability=0.0), t), t))
    assert still.std() < 1e-3 * still.mean()


def test_time_never_runs_backward_for_the_heart():
    for seed in range(5):
        assert (np.diff(beat_phase(Rhythm.random(np.random.default_rng(seed)), T)) > 0).all()


def test_a_beat_has_no_step_no_mean_and_a_height_of_one():
    phase = np.linspace(0, 3, 3000)
    wave = beat_shape(phase, Rhythm())
    assert np.ptp(wave) == pytest.approx(1.0, abs=0.01)
    assert wave.mean() == pytest.approx(0.0, abs=0.01)
    assert np.abs(np.diff(wave)).max() < 0.02


def test_the_same_seed_beats_the_same_at_any_sampling():
    rhythm = Rhythm(seed=4)
    assert blood_volume(rhythm, T)[::4] == pytest.approx(blood_volume(rhythm, T[::4]), abs=0.05)


def test_a_beat_is_at_the_same_time_whatever_times_are_asked_for():
    rhythm = Rhythm(bpm=80, variability=0.05, seed=3)
    whole = blood_volume(rhythm, T)
    assert blood_volume(rhythm, T[3000:3500]) == pytest.approx(whole[3000:3500])
    late = blood_volume(rhythm, T - 0.05)
    assert late[5:] == pytest.approx(whole[:-5])


def test_the_breath_is_within_one_and_has_its_rate():
    chest = breath(Rhythm(breaths=15), T)
    assert np.abs(chest).max() <= 1.0
    assert (np.diff(np.sign(chest)) > 0).sum() == pytest.approx(30, abs=1)
