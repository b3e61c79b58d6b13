from __future__ import annotations

import time
import tracemalloc

import numpy as np
import pytest

from deepmag.models.temporal import PULSE_BAND, log_factor, zero_phase
from deepmag.models.window import (
    SlidingWindow,
    cut_kernel,
    step_response,
    window_kernel,
)

RATE = 30.0


def noisy_steps(bpm: float, seconds: float = 180.0, rate: float = RATE, seed: int = 1) -> np.ndarray:
    """Half the differences of a wandering pulse, under white, blue and slow noise. (T, 1)."""
    random = np.random.default_rng(seed)
    t = np.arange(round(seconds * rate) + 1) / rate
    phase = 2 * np.pi * np.cumsum(bpm / 60 * (1 + 0.03 * np.sin(0.6 * t) + 0.02 * np.sin(1.6 * t))) / rate
    steps = np.diff(np.sin(phase) + 0.3 * np.sin(2 * phase + 0.5)) / 2
    white = random.standard_normal(steps.size)
    blue = np.diff(random.standard_normal(steps.size + 1))
    slow = zero_phase(random.standard_normal(steps.size), (0.02, 0.3), rate)
    noise = 0.5 * white + 0.5 * blue + 0.5 * slow / slow.std()
    return (1e-3 * (steps + steps.std() * noise))[:, None]


def live(steps: np.ndarray, lag: float, rate: float = RATE) -> np.ndarray:
    """S of every frame that has been shown by the end, (T + 1 - delay,), frame 0 first."""
    window = SlidingWindow((1,), rate, lag=lag)
    shown = [0.0] if window.delay_ticks == 0 else []
    for step in steps:
        window.push(step)
        shown.append(float(window.log_factor()[0]))
    return np.array(shown[max(0, window.delay_ticks - 1) :])


def agreement(steps: np.ndarray, lag: float) -> tuple[float, float]:
    """Correlation and amplitude ratio of the live log factor against the offline one."""
    offline = log_factor(steps, PULSE_BAND, RATE)[:, 0]
    shown = live(steps, lag)
    inside = slice(240, len(shown) - 120)
    a, b = shown[inside], offline[: len(shown)][inside]
    return float(np.corrcoef(a, b)[0, 1]), float(a.std() / b.std())


@pytest.mark.parametrize("bpm", [50, 72, 120])
@pytest.mark.parametrize(
    ("lag", "least", "error"),
    [(0.0, 0.75, 0.35), (0.1, 0.83, 0.35), (0.25, 0.97, 0.15), (0.5, 0.98, 0.1), (1.0, 0.995, 0.07)],
)
def test_live_agrees_with_offline(bpm, lag, least, error):
    correlation, amplitude = agreement(noisy_steps(bpm), lag)
    assert correlation >= least
    assert amplitude == pytest.approx(1.0, abs=error)


@pytest.mark.parametrize("bpm", [50, 72, 120])
def test_without_lag_the_designed_kernel_beats_the_cut_one(bpm):
    steps = noisy_steps(bpm)[:, 0]
    offline = log_factor(steps[:, None], PULSE_BAND, RATE)[1:, 0]

    def correlation(kernel):
        shown = np.convolve(steps, kernel[::-1])[: steps.size]
        return np.corrcoef(shown[240:-120], offline[240:-120])[0, 1]

    designed = correlation(window_kernel(PULSE_BAND, RATE, 6.0, 0.0))
    assert designed > correlation(cut_kernel(PULSE_BAND, RATE, 6.0, 0.0)) + 0.01


@pytest.mark.parametrize("bpm", [50, 72, 120])
@pytest.mark.parametrize(("lag", "degrees"), [(0.25, 12), (0.5, 10), (1.0, 4)])
def test_the_picture_beats_in_time_with_the_pulse(bpm, lag, degrees):
    t = np.arange(901) / RATE
    pulse = np.exp(2j * np.pi * bpm / 60 * t)
    shown = live(np.diff(pulse.imag)[:, None] / 2, lag)
    inside = slice(240, len(shown))
    phase = np.angle(np.vdot(pulse[: len(shown)][inside], shown[inside] * 1j))
    assert abs(np.degrees(phase)) < degrees


@pytest.mark.parametrize("lag", [0.0, 0.25, 1.0])
def test_a_steady_brightening_adds_nothing(lag):
    kernel = window_kernel(PULSE_BAND, RATE, 6.0, lag)
    assert abs(kernel.sum()) < 1e-9 * np.abs(kernel).sum()


def test_an_accelerating_brightening_adds_next_to_nothing():
    kernel = window_kernel(PULSE_BAND, RATE, 6.0, 0.25)
    ramp = 1e-3 * np.arange(kernel.size) / kernel.size
    beat = 1e-3 * np.sin(2 * np.pi * 1.2 * np.arange(kernel.size) / RATE)
    assert abs(kernel @ ramp) < 0.05 * abs(np.convolve(beat, kernel)).max()


def test_looking_back_is_as_it_was_but_for_what_has_left_the_window():
    steps = noisy_steps(72, 20.0)
    window, then = SlidingWindow((1,), RATE), []
    for step in steps:
        window.push(step)
        then.append(float(window.log_factor()[0]))
    back = []
    for ticks in range(60):
        window.look_back(ticks)
        back.append(float(window.log_factor()[0]))
    assert np.corrcoef(back, then[: -len(back) - 1 : -1])[0, 1] > 0.98
    assert back[0] == then[-1]
    window.look_back(0)
    assert window.log_factor()[0] == np.float32(then[-1])


@pytest.mark.parametrize(("rate", "late"), [(30.0, 0.5), (60.0, 1.5), (120.0, 3.5)])
@pytest.mark.parametrize("bpm", [50, 72, 120])
def test_steps_that_are_told_late_give_what_prompt_ones_do(bpm, rate, late):
    """Fractions of a tick count: the mean over an even number of steps is late by half of one."""
    age = np.arange(round(6.0 * rate))[::-1]

    def shown(late, kernel_late):
        steps = np.exp(-2j * np.pi * bpm / 60 * (age + late) / rate)
        return window_kernel(PULSE_BAND, rate, 6.0, 0.25, kernel_late) @ steps

    turn = 2 * np.pi * bpm / 60 * late / rate
    assert np.angle(shown(late, 0.0) / shown(0.0, 0.0)) == pytest.approx(-turn)
    assert abs(shown(late, late) / shown(0.0, 0.0) - 1) < 0.02 + 0.25 * turn


@pytest.mark.parametrize("bpm", [42, 60, 90, 150])
@pytest.mark.parametrize(("rate", "lag"), [(15.0, 0.25), (30.0, 0.25), (30.0, 1.0)])
def test_how_much_of_a_pulse_it_keeps_is_known(bpm, rate, lag):
    t = np.arange(round(40 * rate) + 1) / rate
    log = 1e-3 * np.sin(2 * np.pi * bpm / 60 * t)
    shown = live(np.diff(log)[:, None] / 2, lag, rate)[round(20 * rate) :]
    kept = step_response(SlidingWindow((1,), rate, lag=lag).kernel, rate, bpm / 60)
    assert np.abs(shown).max() / 1e-3 == pytest.approx(kept, rel=0.05)


def test_nothing_drifts_in_an_hour():
    window = SlidingWindow((2,), RATE)
    random = np.random.default_rng(3)
    steps = (1e-3 * random.standard_normal((100_000, 2)) + 1e-3).astype(np.float32)
    early, late = [], []
    for index, step in enumerate(steps):
        window.push(step)
        if 1000 <= index < 3000:
            early.append(window.log_factor())
        elif index >= 98_000:
            late.append(window.log_factor())
    assert np.std(late) == pytest.approx(np.std(early), rel=0.3)
    assert abs(np.mean(late)) < 0.1 * np.std(late)


def test_after_a_step_the_window_is_silent_again():
    window = SlidingWindow((1,), RATE, seconds=6.0)
    window.push(np.ones(1))
    for _ in range(180):
        window.push(np.zeros(1))
    assert window.log_factor() == 0


def test_memory_does_not_grow():
    window = SlidingWindow((3, 36, 36), RATE)
    step = np.full((3, 36, 36), 1e-3, np.float32)

    def run(count):
        for _ in range(count):
            window.push(step)
            window.log_factor()

    tracemalloc.start()
    run(300)
    before = tracemalloc.get_traced_memory()[0]
    run(1000)
    after = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert after - before < 50_000


@pytest.mark.parametrize("ticks", [1, 2, 3, 7, 1000])
def test_a_pair_of_k_ticks_equals_k_pairs_of_its_kth(ticks):
    once, often = SlidingWindow((4,), RATE), SlidingWindow((4,), RATE)
    random = np.random.default_rng(4)
    for window in (once, often):
        window.push(np.ones(4))
    step = random.standard_normal(4)
    once.push(step, ticks)
    for _ in range(ticks):
        often.push(step / ticks)
    assert once.log_factor() == pytest.approx(often.log_factor(), rel=1e-4, abs=1e-6)


def test_two_frames_within_a_tick_count_as_one():
    split, whole = SlidingWindow((1,), RATE), SlidingWindow((1,), RATE)
    split.push(np.array([0.3]), 0)
    assert split.log_factor() == 0
    split.push(np.array([0.7]), 1)
    whole.push(np.array([1.0]), 1)
    assert split.log_factor() == pytest.approx(whole.log_factor())
    split.push(np.zeros(1))
    whole.push(np.zeros(1))
    assert split.log_factor() == pytest.approx(whole.log_factor())


def test_a_negative_span_or_another_shape_is_refused():
    window = SlidingWindow((3, 2, 2), RATE)
    with pytest.raises(ValueError, match="-1 ticks"):
        window.push(np.zeros((3, 2, 2)), -1)
    with pytest.raises(ValueError, match="shape"):
        window.push(np.zeros((2, 2, 3)))


def test_the_lag_acts_at_once_and_keeps_the_history():
    changed, always = SlidingWindow((1,), RATE, lag=1.0), SlidingWindow((1,), RATE, lag=0.25)
    for step in noisy_steps(72, 8.0):
        changed.push(step)
        always.push(step)
    changed.set_lag(0.25)
    assert changed.delay_ticks == always.delay_ticks == 8
    assert changed.log_factor() == always.log_factor()


def test_after_looking_back_it_is_for_the_lag_that_was_set_meanwhile():
    changed = SlidingWindow((1,), RATE, lag=1.0)
    changed.set_lag(0.25)
    changed.look_back(3)
    changed.look_back(0)
    np.testing.assert_array_equal(changed.kernel, SlidingWindow((1,), RATE, lag=0.25).kernel)


@pytest.mark.parametrize("lag", [-0.1, 6.0])
def test_an_impossible_lag_is_refused_and_changes_nothing(lag):
    window = SlidingWindow((1,), RATE, lag=0.5)
    with pytest.raises(ValueError, match="lag"):
        window.set_lag(lag)
    assert window.lag == 0.5


def test_a_new_rate_and_a_reset_empty_the_window():
    window = SlidingWindow((1,), RATE)
    window.push(np.ones(1))
    window.reset()
    assert window.log_factor() == 0
    window.push(np.ones(1))
    window.set_rate(25.0)
    assert window.log_factor() == 0
    assert window.delay_ticks == 6
    with pytest.raises(ValueError, match="too few"):
        window.set_rate(2.5)
    assert window.rate == 25.0


def test_a_reset_forgets_what_waits_for_its_tick():
    window = SlidingWindow((1,), RATE)
    window.push(np.ones(1), 0)
    window.reset()
    window.push(np.zeros(1))
    assert not window.steps.any()


@pytest.mark.parametrize("rate", [15.0, 25.0, 50.0, 60.0, 120.0])
def test_all_rates_show_the_same_at_the_same_time(rate):
    def shown(rate):
        t = np.arange(round(20 * rate) + 1) / rate
        s = live(np.diff(np.sin(2 * np.pi * 1.2 * t))[:, None] / 2, 0.4, rate)
        return np.interp(np.arange(10.0, 18.0, 0.05), np.arange(len(s)) / rate, s)

    reference = shown(30.0)
    assert np.corrcoef(reference, shown(rate))[0, 1] > 0.99
    assert shown(rate).std() == pytest.approx(reference.std(), rel=0.05)


@pytest.mark.parametrize("rate", [30.0, 60.0, 120.0])
def test_a_kernel_is_designed_within_50_ms(rate):
    def once():
        start = time.perf_counter()
        window_kernel(PULSE_BAND, rate, 6.0, 0.25)
        return time.perf_counter() - start

    assert min(once() for _ in range(5)) < 0.05
