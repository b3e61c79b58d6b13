"""How far each reduced pixel pulses: of differences whose pulse is known."""

from __future__ import annotations

import numpy as np
import pytest

from deepmag.models.amplitude import (
    MEMORY,
    MOST,
    Amplitudes,
    RunningAmplitudes,
    along_blood,
    centred_amplitudes,
    independent,
)
from deepmag.models.blood import BLOOD
from deepmag.models.representation import L

RATE = 30.0
HERE, THERE, NOWHERE = (8, 8), (8, 24), (26, 16)  # centres of squares that pulse in full, by half, not at all
EVERYWHERE = np.ones((L, L), np.float32)


def scene(noise=0.0, *, seconds=20.0, rate=RATE, beats=72.0, motion=0.0):
    """X (P, 3, L, L) of three squares, and y (P,) of a pulse; both per tick. motion: in band, on the third square."""
    random = np.random.default_rng(1)
    t = np.arange(round(seconds * rate)) / rate
    y = np.sin(2 * np.pi * beats / 60 * t).astype(np.float32)
    depth = np.zeros((L, L), np.float32)
    for (row, column), part in ((HERE, 1.0), (THERE, 0.5)):
        depth[row - 6 : row + 6, column - 6 : column + 6] = part
    x = -BLOOD[:, None, None] * depth * (0.001 * y)[:, None, None, None]
    x += random.normal(0, noise, x.shape)
    sway = motion * np.sin(2 * np.pi * 1.9 * t + 0.3)
    x[:, :, NOWHERE[0] - 6 : NOWHERE[0] + 6, NOWHERE[1] - 6 : NOWHERE[1] + 6] += sway[:, None, None, None]
    return x.astype(np.float32), y


def relative(x, y, *, rate=RATE, ticks=1, strength=EVERYWHERE):
    running = RunningAmplitudes()
    for pair, output in zip(x, y, strict=True):
        running.update(pair, float(output), ticks, rate)
    return running.current().relative(strength)


def squares(found):
    return [
        float(found[row - 2 : row + 2, column - 2 : column + 2].mean())
        for row, column in (HERE, THERE, NOWHERE)
    ]


def skin():
    """Where the gradient is: on all three squares alike."""
    strength = np.zeros((L, L), np.float32)
    for row, column in (HERE, THERE, NOWHERE):
        strength[row - 4 : row + 4, column - 4 : column + 4] = 1.0
    return strength


def test_what_pulses_by_half_gets_half_and_what_does_not_gets_nothing():
    full, half, none = squares(relative(*scene(), strength=skin()))
    assert full == pytest.approx(2.0, abs=0.15)  # the mean of 1, 1/2 and 0 is 1/2
    assert half == pytest.approx(1.0, abs=0.15)
    assert none == pytest.approx(0.0, abs=0.1)


def test_it_is_found_in_noise_of_three_times_the_pulse():
    full, half, none = squares(relative(*scene(noise=0.003), strength=skin()))
    assert full > half + 0.2 > none + 0.4


def test_where_noise_hides_the_pulse_the_gradient_is_followed():
    assert squares(relative(*scene(noise=0.3), strength=skin())) == pytest.approx([1.0] * 3, abs=0.3)


def test_what_moves_in_the_band_out_of_step_is_no_pulse_and_not_certain_either():
    still = squares(relative(*scene(noise=0.001), strength=skin()))
    moving = squares(relative(*scene(noise=0.001, motion=0.01), strength=skin()))
    assert moving[:2] == pytest.approx(still[:2], abs=0.3)
    assert moving[2] < 1.1


def test_none_gets_more_than_the_most():
    strength = skin()
    strength[:12, :12] = 0.0  # the mean is of the two weaker ones
    assert relative(*scene(), strength=strength).max() == MOST


def test_an_output_that_no_pixel_follows_leaves_all_as_it_was():
    x, y = scene()
    assert np.array_equal(relative(-x, y, strength=skin()), EVERYWHERE)
    assert np.array_equal(relative(np.zeros_like(x), y), EVERYWHERE)
    assert np.array_equal(relative(x, np.zeros_like(y)), EVERYWHERE)


def test_the_units_of_picture_and_network_do_not_matter():
    x, y = scene(noise=0.001)
    assert relative(7 * x, 0.2 * y) == pytest.approx(relative(x, y), abs=1e-3)


@pytest.mark.parametrize(
    ("rate", "seconds"), [(30.0, 1.0), (30.0, 2.0), (30.0, 5.0), (3.0, 5.0), (3.0, 20.0)]
)
def test_it_is_no_surer_than_it_should_be_of_skin_that_is_even(rate, seconds):
    random = np.random.default_rng(2)
    spread, claimed = [], []
    for take in range(20):
        t = np.arange(round((seconds + 0.5) * rate) + 1) / rate + take
        y = np.sin(2 * np.pi * 1.1 * t)
        x = -BLOOD[:, None, None] * (0.001 * y)[:, None, None, None] + random.normal(
            0, 0.003, (len(t), 3, L, L)
        )
        running = RunningAmplitudes()
        for pair, output in zip(x.astype(np.float32), y, strict=True):
            running.update(pair, float(output), 1, rate)
        found = running.current()
        amplitude = found.both / found.power
        spread.append(amplitude.var())
        claimed.append(
            float(np.mean(found.square / found.power - amplitude**2)) / max(found.count - 2.0, 0.5)
        )
    assert np.mean(spread) < 1.5 * np.mean(claimed)


@pytest.mark.parametrize(("variance", "count"), [(0.35**2, 1e6), (0.0, 4.0)], ids=["uncertain", "few values"])
def test_an_amplitude_as_uncertain_as_skin_is_uneven_counts_by_half(variance, count):
    both = np.full((L, L), 1.25, np.float32)
    both[:, L // 2 :] = 0.75
    square = both**2 + np.float32(variance * count)  # about the regression; the mean is 1
    found = Amplitudes(both, square, 1.0, count).relative(EVERYWHERE)
    assert found[0, [0, -1]] == pytest.approx([1.125, 0.875], abs=1e-3)


@pytest.mark.parametrize(("seconds", "counted"), [(1.0, 1.0), (40.0, 10.0)])
def test_first_all_that_was_seen_counts_and_later_two_time_constants(seconds, counted):
    running = RunningAmplitudes()
    for _ in range(15 + round(seconds * RATE)):  # of the first half second nothing counts
        running.update(np.zeros((3, L, L), np.float32), 1.0, 1, RATE)
    assert running.current().count == pytest.approx(counted * independent(RATE), rel=0.01)


def test_nothing_is_known_before_half_a_second():
    running = RunningAmplitudes()
    x, y = scene(noise=0.003)
    for pair, output in zip(x[:15], y[:15], strict=True):
        assert running.current() is None
        running.update(pair, float(output), 1, RATE)
    running.update(x[15], float(y[15]), 1, RATE)
    assert running.current() is not None
    running.reset()
    assert running.current() is None


@pytest.mark.parametrize("when", [slice(0, 12), slice(150, 151)], ids=["exposure at first", "lamp"])
def test_one_change_of_light_does_not_hide_the_pulse(when):
    x, y = scene(noise=0.001, seconds=8.0)
    x[when] += 0.05 / (when.stop - when.start) ** 0.5
    full, half, none = squares(relative(x, y, strength=skin()))
    assert full > half + 0.5 > none + 0.8


def test_in_another_square_of_the_picture_what_was_found_is_where_it_was():
    x, y = scene(noise=0.001)
    running = RunningAmplitudes()
    for pair, output in zip(x, y, strict=True):
        running.update(pair, float(output), 1, RATE)
    before = running.current().relative(skin())
    running.move((100, 50, 360, 360), (140, 50, 360, 360))  # by four reduced pixels to the right
    moved = running.current().relative(np.roll(skin(), -4, axis=1))
    assert moved[:, 4:28] == pytest.approx(before[:, 8:32], abs=0.05)


def test_in_another_square_the_filter_begins_anew():
    x, y = scene()
    running = RunningAmplitudes()
    for pair, output in zip(x, y, strict=True):
        running.update(pair, float(output), 1, RATE)
    running.move((100, 50, 360, 360), (140, 50, 360, 360))
    before = running.current()
    running.update(
        np.zeros_like(x[0]), 0.0, 1, RATE
    )  # nothing is left of the other square's last differences
    assert running.current().both == pytest.approx(before.both * np.exp(-1 / RATE / MEMORY), rel=1e-4)


def test_what_is_known_now_stays_as_it_is_when_more_comes():
    x, y = scene(noise=0.003)
    running = RunningAmplitudes()
    for pair, output in zip(x[:90], y[:90], strict=True):
        running.update(pair, float(output), 1, RATE)
    now = running.current()
    before = now.relative(skin())
    running.update(x[90], float(y[90]), 1, RATE)
    assert np.array_equal(now.relative(skin()), before)


def test_the_memory_is_in_seconds_whatever_the_rate():
    def after_a_change(rate):
        x, y = scene(seconds=15.0, rate=rate)
        x[round(10 * rate) :] = x[round(10 * rate) :, :, ::-1]  # the squares change places
        return squares(relative(x, y, rate=rate, strength=skin() + skin()[::-1]))

    assert after_a_change(60.0) == pytest.approx(after_a_change(20.0), abs=0.12)


def test_a_pair_over_two_ticks_counts_as_two():
    x, y = scene(rate=60.0)
    doubled = relative(x[::2], y[::2], rate=60.0, ticks=2, strength=skin())
    assert squares(doubled) == pytest.approx(squares(relative(x, y, rate=60.0, strength=skin())), abs=0.1)


def test_another_rate_keeps_what_was_found():
    running = RunningAmplitudes()
    for rate in (30.0, 15.0):
        x, y = scene(rate=rate)
        for pair, output in zip(x, y, strict=True):
            running.update(pair, float(output), 1, rate)
    full, half, none = squares(running.current().relative(skin()))
    assert (full, half, none) == pytest.approx((2.0, 1.0, 0.0), abs=0.15)


def test_offline_it_is_the_same_in_the_middle_of_a_clip():
    x, y = scene(noise=0.001)
    own = np.stack([along_blood(one) for one in x])
    found = centred_amplitudes(own, y, np.ones(len(y), np.int64), slice(300, 310), RATE)
    assert len(found) == 10
    assert squares(found[0].relative(skin())) == pytest.approx(
        squares(relative(x, y, strength=skin())), abs=0.1
    )


def test_offline_pairs_of_no_ticks_do_not_count_and_the_others_do():
    x, y = scene(noise=0.001)
    own = np.stack([along_blood(one) for one in x])
    every = centred_amplitudes(own, y, np.ones(len(y), np.int64), slice(300, 301), RATE)[0]
    # each pair's time given to the next but one, and rubbish in the others
    spans = np.tile([0, 2], len(y) // 2)
    own[spans == 0] = 1.0
    half = centred_amplitudes(own, y, spans, slice(301, 302), RATE)[0]
    assert squares(half.relative(skin())) == pytest.approx(squares(every.relative(skin())), abs=0.15)
    assert half.count == pytest.approx(every.count, rel=0.02)


def test_offline_a_stretch_in_which_nothing_is_told_leaves_all_as_it_was():
    own = np.zeros((40, L, L), np.float32)
    found = centred_amplitudes(own, np.zeros(40, np.float32), np.zeros(40, np.int64), slice(10, 20), RATE)
    assert len(found) == 10
    assert np.array_equal(found[3].relative(EVERYWHERE), EVERYWHERE)


def test_a_rate_too_low_for_a_pulse_is_refused():
    with pytest.raises(ValueError, match="too few"):
        RunningAmplitudes().update(np.zeros((3, L, L), np.float32), 0.0, 1, 1.0)
