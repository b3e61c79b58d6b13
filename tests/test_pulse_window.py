"""The window's kernel for a pulse whose rate is known, and how the live path takes it on."""

from __future__ import annotations

import numpy as np
import pytest
from live_run import NoMeter, as_frames, magnifier, person, pictures, shipped

from deepmag.models.magnify import BANDS
from deepmag.models.pulse_window import pulse_kernel
from deepmag.models.running_difference import RunningDifference, delay
from deepmag.models.temporal import band_at
from deepmag.models.window import WINDOW, SlidingWindow, window_kernel
from deepmag.stream.frames import Reading
from deepmag.stream.settings import Settings

BAND = BANDS["steady"]
LAG = 0.25


def usual(rate):
    return window_kernel(band_at(BAND, rate), rate, WINDOW, LAG, delay(rate))


def own(bpm, rate):
    return pulse_kernel(band_at(BAND, rate), rate, WINDOW, LAG, bpm / 60)


def shown(kernel, log, rate):
    """What a log factor (T,) is shown as, each at its own time, by way of the mean of its last steps."""
    running = RunningDifference()
    steps = [
        float(running.update(np.full((1, 1, 1), one, np.float32), 1, rate)[0, 0, 0])
        for one in np.diff(log, prepend=log[0]) / 2
    ]
    return np.convolve(steps, kernel[::-1])[round(LAG * rate) :][: len(log)]


def beats(bpm, rate, seconds=30.0):
    return np.sin(2 * np.pi * bpm / 60 * np.arange(round(seconds * rate)) / rate)


@pytest.mark.parametrize("rate", [15.0, 30.0, 60.0])
@pytest.mark.parametrize("bpm", [42, 50, 70, 120, 150, 175])
def test_a_known_pulse_comes_out_as_large_as_it_is_and_on_time(bpm, rate):
    pulse = beats(bpm, rate)
    found = shown(own(bpm, rate), pulse, rate)
    later = slice(round(10 * rate), round(28 * rate))
    turned = np.angle(np.exp(-2j * np.pi * bpm / 60 * np.arange(len(pulse)) / rate)[later] @ found[later])
    assert found[later].std() / pulse[later].std() == pytest.approx(1.0, abs=0.03)
    assert abs(turned + np.pi / 2) < np.deg2rad(12)


@pytest.mark.parametrize(("bpm", "slow", "least"), [(70, True, 0.9), (150, True, 0.6), (150, False, 0.8)])
def test_less_noise_comes_with_it_than_through_the_whole_band(bpm, slow, least):
    steps = np.random.default_rng(1).standard_normal(18000)
    noise = np.cumsum(np.convolve(steps, np.ones(90) / 90, "same") if slow else steps)
    pulse = beats(bpm, 30.0)

    def left(kernel):
        return shown(kernel, noise, 30.0)[300:-60].std() / shown(kernel, pulse, 30.0)[300:-60].std()

    assert left(own(bpm, 30.0)) < least * left(usual(30.0))


def test_a_beat_that_is_left_out_is_missed_as_soon_as_in_the_whole_band():
    pulse = beats(70, 30.0)
    gap = slice(450, 450 + round(60 / 70 * 30))
    pulse[gap] = 0.0
    deepest = []
    for kernel in (own(70, 30.0), usual(30.0)):
        found = shown(kernel, pulse, 30.0)
        deepest.append(np.abs(found[460:466]).max() / found[200:400].max())
    assert deepest[0] < deepest[1] + 0.1
    stopped = beats(70, 30.0)
    stopped[450:] = 0.0
    assert np.abs(shown(own(70, 30.0), stopped, 30.0)[480:]).max() < 0.1


def test_its_beats_may_come_a_fifth_sooner_or_later():
    for bpm in (60, 85):
        found = shown(own(70, 30.0), beats(bpm, 30.0), 30.0)[300:840]
        assert found.std() * np.sqrt(2) == pytest.approx(1.0, abs=0.22)


def test_a_steady_brightening_adds_nothing():
    assert abs(shown(own(70, 30.0), 1e-2 * np.arange(900), 30.0)[300:800]).max() < 1e-6


def test_an_impossible_lag_is_refused():
    with pytest.raises(ValueError, match="lag"):
        pulse_kernel(BAND, 30.0, WINDOW, 7.0, 1.0)


def test_a_window_leans_until_rate_or_lag_are_others():
    window = SlidingWindow((1,), 30.0, BAND)
    before, other = window.kernel, own(70, 30.0)
    window.lean(other, 0.25)
    assert window.kernel == pytest.approx(0.75 * before + 0.25 * other, rel=1e-4, abs=1e-5)
    window.look_back(3)
    window.look_back(0)
    assert window.kernel == pytest.approx(0.75 * before + 0.25 * other, rel=1e-4, abs=1e-5)
    window.lean(other, 0.0)
    np.testing.assert_array_equal(window.kernel, before)
    window.lean(other, 1.0)
    window.set_lag(window.lag)
    np.testing.assert_array_equal(window.kernel, before)


class Sure(NoMeter):
    """Knows the rate throughout."""

    def reading(self, t: float) -> Reading:
        return Reading(66.0 if t < 10.0 else 90.0, 0.8, "")


def test_the_picture_and_the_waveform_lean_to_the_sure_rate_and_follow_it():
    images = pictures(seconds=12.0)
    machine = magnifier(shipped(), meter=Sure())
    region = person().region
    share, followed = [], []
    for frame in as_frames(images, np.arange(len(images)) / 30.0):
        machine.push(frame, Settings(roi=region))
        share.append(machine._estimate.sure)
        followed.append(machine._frequency)
        np.testing.assert_array_equal(machine._window.kernel, machine._pulse.kernel)
    assert share[150] == 0.0
    assert followed[-1] == pytest.approx(1.5, abs=0.01)
    assert followed[200] == pytest.approx(1.1, abs=0.01)
    wanted = machine._window._usual + share[-1] * (own(90, 30.0) - machine._window._usual)
    assert np.linalg.norm(machine._window.kernel - wanted) < 0.1 * np.linalg.norm(wanted)
    # another lag is another kernel, and leans with the next pair
    lagging = as_frames(images[-2:], [12.0, 12.0 + 1 / 30])
    machine.push(lagging[0], Settings(roi=region, lag=0.5))
    leaning = machine._window.kernel
    assert not np.array_equal(leaning, machine._window._usual)
    machine.push(lagging[1], Settings(roi=region, lag=0.25))
    machine.push(as_frames(images[:1], [12.0 + 2 / 30])[0], Settings(roi=region, lag=0.5))
    assert not np.array_equal(machine._window.kernel, machine._window._usual)
