"""The pulse of a pair: what the network and the skin's colour have in common, without what moves and shines."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from live_run import (
    NoMeter,
    added,
    as_frames,
    in_band,
    live,
    offline,
    person,
    pictures,
    rhythm,
    shipped,
)

from deepmag.models import magnify, pulse_estimate
from deepmag.models.blood import BLOOD
from deepmag.models.pulse_estimate import (
    BESIDE,
    OTHERS,
    RunningEstimate,
    centred_estimate,
    seen_beside,
)
from deepmag.models.representation import L, normalized_difference, reduce_frame
from deepmag.stream import magnifier
from deepmag.stream.settings import Settings

RATE = 30.0
SECONDS = 30.0
T = np.arange(round(SECONDS * RATE)) / RATE
PULSE = 1e-3  # of X
UNIT = 0.5  # of the skin's blood, for one of y
LATER = slice(round(10 * RATE), None)


def wave(seed, low=0.8, high=2.4):
    """Something that changes as often as a heart beats, with no rhythm; its RMS is 1."""
    rng = np.random.default_rng(seed)
    frequency = np.fft.rfftfreq(len(T), 1 / RATE)
    spectrum = np.where((frequency > low) & (frequency < high), rng.standard_normal((2, len(frequency))), 0.0)
    made = np.fft.irfft(spectrum[0] + 1j * spectrum[1], len(T))
    return made / made.std()


def beats(rate=72.0):
    return np.sqrt(2) * np.sin(2 * np.pi * rate / 60 * T)


def seen(blood, others=(0.0, 0.0), shift=(0.0, 0.0)):
    """(T, 5) of `seen_beside`."""
    return np.stack(np.broadcast_arrays(blood, *others, *shift), axis=1).astype(np.float64)


def causal(y, beside, pulse_rate=None):
    estimate = RunningEstimate()
    pairs = zip(y, beside, strict=True)
    return np.array([estimate.update(a, b, UNIT, 1, RATE, pulse_rate) for a, b in pairs])


def centred(y, beside, pulse_rate=0.0):
    units, rates = np.full(len(y), UNIT, np.float32), np.broadcast_to(pulse_rate, len(y))
    return centred_estimate(y.astype(np.float32), beside, units, np.ones(len(y), np.int64), RATE, rates)


def coherence(a, b):
    return float(np.corrcoef(a[LATER], b[LATER])[0, 1])


def gain(found, truth):
    return float(found[LATER] @ truth[LATER] / (truth[LATER] @ truth[LATER]))


BOTH = pytest.mark.parametrize("how", [causal, centred])


@BOTH
def test_a_nod_goes_that_is_in_the_networks_output_and_in_the_skin(how):
    true, nod, own = PULSE * beats(), wave(1), PULSE * wave(2)
    y = (true + 1.5 * PULSE * nod + 0.3 * own) / UNIT
    found = how(y, seen(true + 8 * PULSE * nod, (4 * PULSE * nod, -PULSE * nod), (0.2 * nod, 0.3 * nod)))
    assert coherence(y, true) < 0.6
    assert coherence(found, true) > 0.89
    assert gain(UNIT * found, true) == pytest.approx(1.0, abs=0.1)


@BOTH
def test_noise_of_the_network_alone_is_less_with_the_skins_colour(how):
    true = PULSE * beats()
    y = (true + PULSE * wave(1)) / UNIT
    found = how(y, seen(true + 0.5 * PULSE * wave(2)))
    assert coherence(found, true) > 0.8
    assert coherence(y, true) < 0.62
    assert gain(UNIT * found, true) == pytest.approx(1.0, abs=0.12)


@BOTH
def test_a_pulse_that_is_seen_in_other_colours_too_stays(how):
    """That of real blood in a real camera's colours is not quite that of the model."""
    true = PULSE * beats()
    found = how(true / UNIT, seen(true, (0.2 * true, -0.1 * true), (2.0 * true, 2.0 * true)))
    assert coherence(found, true) > 0.99
    assert gain(UNIT * found, true) > 0.9


@BOTH
def test_a_nod_as_often_as_the_heart_beats_takes_no_more_than_a_third_of_the_pulse(how):
    true, nod = PULSE * beats(67.0), beats(68.0)
    found = how(true / UNIT, seen(true + 3 * PULSE * nod, (2 * PULSE * nod, 0.0), (0.1 * nod, 0.1 * nod)))
    assert coherence(found, true) > 0.88
    assert gain(UNIT * found, true) > 0.67


@BOTH
def test_without_a_pulse_there_is_no_more_than_the_network_says(how):
    noise = PULSE * wave(1)
    found = how(noise / UNIT, seen(20 * PULSE * wave(2), (5 * PULSE * wave(3), 0.0)))
    assert found[LATER].std() < 1.02 * noise[LATER].std() / UNIT


def test_a_light_that_blinks_on_a_wall_is_not_taken_for_a_pulse():
    blinks = 20 * PULSE * beats(60.0)
    found = causal(0.02 * blinks / UNIT + 0.1 * PULSE * wave(1), seen(blinks))
    assert found[LATER].std() < 0.05 * blinks.std() / UNIT


def test_one_flash_is_forgotten_at_once():
    true = PULSE * beats()
    y, beside = true / UNIT, seen(true, (0.1 * true, 0.0))
    flashed = beside.copy()
    flashed[round(12 * RATE)] += [0.3, 0.1, 0.2, 5.0, 5.0]
    difference = causal(y, flashed) - causal(y, beside)
    assert np.abs(difference).max() < 0.6 * PULSE / UNIT
    assert np.abs(difference[round(13 * RATE) :]).max() < 0.03 * PULSE / UNIT


@BOTH
def test_a_sure_pulse_of_which_the_network_sees_half_is_as_large_as_the_skins(how):
    true = PULSE * beats(72.0)
    y = (0.5 * true + 0.1 * PULSE * wave(1)) / UNIT
    beside = seen(true + PULSE * wave(2), (0.2 * true, -0.1 * true))
    unsure, sure = how(y, beside), how(y, beside, pulse_rate=72.0)
    assert gain(UNIT * unsure, true) < 0.7
    assert gain(UNIT * sure, true) == pytest.approx(1.0, abs=0.1)
    assert coherence(sure, true) > 0.97


def test_of_a_clip_the_signature_counts_only_where_the_pulse_is_sure():
    true, known = PULSE * beats(72.0), np.where(T < 15, 72.0, 0.0)
    y = (0.5 * true + 0.1 * PULSE * wave(1)) / UNIT
    beside = seen(true + PULSE * wave(2), (0.2 * true, -0.1 * true))
    partly, sure, unsure = centred(y, beside, known), centred(y, beside, 72.0), centred(y, beside)
    until, from_then = round(13 * RATE), round(17 * RATE)
    assert partly[from_then + 1 :] == pytest.approx(unsure[from_then + 1 :])
    assert partly[until - 30 : until] == pytest.approx(sure[until - 30 : until], abs=0.2 * PULSE / UNIT)
    # it comes and goes in some seconds
    middle = partly[round(15 * RATE)]
    both = sure[round(15 * RATE)], unsure[round(15 * RATE)]
    assert middle == pytest.approx(np.mean(both), abs=0.1 * PULSE / UNIT)
    near = slice(round(15.8 * RATE), round(16.2 * RATE))
    assert np.abs(partly[near] - unsure[near]).max() > 0.1 * np.abs(sure[near] - unsure[near]).max()


def test_live_a_signature_is_left_when_no_pulse_is_sure_any_more():
    true = np.tile(PULSE * beats(72.0), 3)
    y = (0.5 * true + 0.1 * PULSE * np.tile(wave(1), 3)) / UNIT
    beside = seen(true + PULSE * np.tile(wave(2), 3), (0.2 * true, -0.1 * true))
    estimate, unsure = RunningEstimate(), RunningEstimate()
    found, as_before = np.array(
        [
            (
                estimate.update(*pair, UNIT, 1, RATE, 72.0 if i < 300 else None),
                unsure.update(*pair, UNIT, 1, RATE),
            )
            for i, pair in enumerate(zip(y, beside, strict=True))
        ]
    ).T
    last = slice(round(85 * RATE), None)
    assert np.abs(found - as_before)[last].max() < 0.1 * PULSE / UNIT
    assert np.abs(found - as_before)[300:600].max() > 0.3 * PULSE / UNIT


def test_the_first_moments_follow_the_network():
    true = PULSE * beats()
    y = true / UNIT
    found = causal(y, seen(true + 5 * PULSE * wave(1), (2 * PULSE * wave(1), 0.0)))
    assert found[: round(0.4 * RATE)] == pytest.approx(y[: round(0.4 * RATE)])
    first = slice(round(0.5 * RATE), round(2 * RATE))
    assert np.corrcoef(found[first], y[first])[0, 1] > 0.9


@BOTH
def test_of_two_seconds_little_is_believed(how):
    """What is nearly in step by chance would be taken out."""
    few, true, changed = slice(round(2 * RATE)), PULSE * beats(), []
    for seed in range(6):
        own, light, *rest = (wave(10 * seed + i) for i in range(6))
        y = (true + PULSE * own) / UNIT
        beside = seen(
            true + 5 * PULSE * light, PULSE * np.array([2.0 * rest[0], rest[1]]), 0.1 * np.array(rest[2:])
        )
        difference = (how(y[few], beside[few]) - y[few])[round(0.5 * RATE) :]
        changed.append(difference.std() / y[few].std())
    assert np.mean(changed) < 0.45


def test_what_a_nod_did_long_ago_is_forgotten():
    true, nod = PULSE * beats(), wave(1)
    other_way = np.where(T < 15, 1.0, -1.0)
    y = (true + 1.5 * PULSE * nod * other_way) / UNIT
    found = causal(y, seen(true, (4 * PULSE * nod, 0.0)))
    last = slice(round(25 * RATE), None)
    assert np.corrcoef(found[last], true[last])[0, 1] > 0.94


@BOTH
def test_however_noisy_the_network_half_of_it_is_followed(how):
    """What knows a pulse from a change of light is the network alone."""
    true, noise = PULSE * beats(), 3 * PULSE * wave(1)
    left = UNIT * how((true + noise) / UNIT, seen(true)) - true
    assert 0.5 * noise[LATER].std() < left[LATER].std() < 0.7 * noise[LATER].std()


def test_live_pairs_that_span_more_ticks_count_for_as_many():
    true, nod = PULSE * beats(), wave(1)
    y, beside = (true + PULSE * nod) / UNIT, seen(true + 5 * PULSE * nod, (3 * PULSE * nod, 0.0))
    each, estimate = causal(y, beside)[::2], RunningEstimate()
    half = np.array([estimate.update(*pair, UNIT, 2, RATE) for pair in zip(y[::2], beside[::2], strict=True)])
    assert np.abs(half - each)[100:].max() < 0.05 * each.std()


def test_both_ways_agree_once_the_past_is_long_enough():
    true, nod = PULSE * beats(), wave(1)
    y, beside = (true + PULSE * nod) / UNIT, seen(true + 5 * PULSE * nod, (3 * PULSE * nod, 0.0))
    later = slice(round(20 * RATE), round(25 * RATE))
    assert np.corrcoef(causal(y, beside)[later], centred(y, beside)[later])[0, 1] > 0.98


def test_a_long_clip_is_worked_through_in_blocks_without_seams(monkeypatch):
    true, nod = PULSE * beats(), wave(1)
    y, beside = (true + PULSE * nod) / UNIT, seen(true + 5 * PULSE * nod, (3 * PULSE * nod, 0.0))
    whole = centred(y, beside)
    monkeypatch.setattr(pulse_estimate, "BLOCK", 100)
    assert centred(y, beside) == pytest.approx(whole, rel=1e-6, abs=1e-9)


def test_pairs_that_span_more_ticks_count_for_as_many():
    true, nod = PULSE * beats(), wave(1)
    y, beside = (true + PULSE * nod) / UNIT, seen(true + 5 * PULSE * nod, (3 * PULSE * nod, 0.0))
    each = centred(y, beside)
    units = np.full(len(y) // 2, UNIT, np.float32)
    spans = np.full(len(units), 2, np.int64)
    half = centred_estimate(y[::2].astype(np.float32), beside[::2], units, spans, RATE)
    assert np.corrcoef(half[100:-100], each[::2][100:-100])[0, 1] > 0.98


def test_where_there_is_no_skin_the_network_is_followed():
    y = wave(1).astype(np.float32)
    nothing = np.zeros(len(y), np.float32)
    spans = np.ones(len(y), np.int64)
    assert centred_estimate(y, np.zeros((len(y), BESIDE)), nothing, spans, RATE) == pytest.approx(y)
    assert centred_estimate(y, np.zeros((len(y), BESIDE)), nothing, 0 * spans, RATE) == pytest.approx(y)
    black = np.zeros((3, L, L), np.float32)
    assert seen_beside(black, black, black) is None


def test_stillness_is_no_division_by_zero():
    assert causal(np.zeros(100), np.zeros((100, BESIDE))) == pytest.approx(np.zeros(100))
    assert centred(np.zeros(100), np.zeros((100, BESIDE))) == pytest.approx(np.zeros(100))


@pytest.mark.parametrize("seed", range(12))
def test_a_clip_that_stands_still_after_a_sure_pulse_is_no_division_by_zero(seed):
    """What rounding leaves of the pulse then is of any sign."""
    rng, rate, until, count = np.random.default_rng(seed), 15.0, 300, 1500
    y, beside = PULSE * rng.standard_normal(count), PULSE * rng.standard_normal((count, BESIDE))
    y[until:], beside[until:] = 0.0, 0.0
    known = np.where(np.arange(count) < until, 72.0, 0.0)
    units, spans = np.ones(count, np.float32), np.ones(count, np.int64)
    found = centred_estimate(y.astype(np.float32), beside, units, spans, rate, known)
    assert np.isfinite(found).all()
    assert found[until:] == pytest.approx(np.zeros(count - until))


@BOTH
def test_where_the_network_says_nothing_nothing_is_made_up(how):
    nothing, nod = np.zeros(len(T)), wave(1)
    assert how(nothing, seen(5 * PULSE * nod, (2 * PULSE * nod, PULSE * nod))) == pytest.approx(nothing)


def test_it_forgets():
    true, nod = PULSE * beats(), wave(1)
    y, beside = (true + PULSE * nod) / UNIT, seen(true + 5 * PULSE * nod, (3 * PULSE * nod, 0.0))
    estimate = RunningEstimate()
    first = [estimate.update(a, b, UNIT, 1, RATE) for a, b in zip(y, beside, strict=True)]
    estimate.reset()
    assert [estimate.update(a, b, UNIT, 1, RATE) for a, b in zip(y, beside, strict=True)] == first


def test_a_rate_too_low_for_a_pulse_is_refused():
    with pytest.raises(ValueError, match="frames per second"):
        RunningEstimate().update(1.0, np.zeros(BESIDE), UNIT, 1, 1.0)


def test_what_the_ascent_would_add_is_all_blood():
    direction = np.zeros((3, L, L), np.float32)
    direction[:, 10:20, 12:24] = -BLOOD[:, None, None]
    direction[:, 15:20] *= 0.5
    picture = np.full((3, L, L), 100.0, np.float32)
    found, unit = seen_beside(0.7 * direction, picture, direction)
    assert found[0] == pytest.approx(0.7 * unit)
    assert found[1:3] == pytest.approx(0.0, abs=1e-6)


def test_another_colour_is_no_blood():
    direction = np.zeros((3, L, L), np.float32)
    direction[:, 10:20, 12:24] = -BLOOD[:, None, None]
    x = np.broadcast_to((0.01 * OTHERS[0]).astype(np.float32)[:, None, None], direction.shape)
    found, _ = seen_beside(np.ascontiguousarray(x), np.full_like(direction, 100.0), direction)
    assert found[0] == pytest.approx(0.0, abs=1e-8)
    assert found[1:3] == pytest.approx([0.01, 0.0], abs=1e-8)


@pytest.mark.parametrize("shift", [(0.3, 0.0), (0.0, -0.2)])
def test_the_shift_of_the_picture_is_in_reduced_pixels(shift):
    image = cv2.GaussianBlur(np.asarray(cv2.resize(pictures()[0], (720, 720))), (0, 0), 15)
    matrix = np.array([[1, 0, 20 * shift[0]], [0, 1, 20 * shift[1]]])
    moved = cv2.warpAffine(image, matrix, (720, 720), borderMode=cv2.BORDER_REPLICATE)
    before, after = reduce_frame(image), reduce_frame(moved)
    found, _ = seen_beside(normalized_difference(before, after), after, np.ones_like(after))
    assert found[3:] == pytest.approx(shift, abs=0.05)


def trembling():
    """A camera that moves as often as a heart beats, by a pixel or so."""
    count = len(pictures())
    moves = [1.2 * wave(seed)[:count] for seed in (11, 12)]
    return [
        cv2.warpAffine(
            image,
            np.array([[1.0, 0.0, dx], [0.0, 1.0, dy]]),
            image.shape[1::-1],
            borderMode=cv2.BORDER_REPLICATE,
        )
        for image, dx, dy in zip(pictures(), *moves, strict=True)
    ]


def shown(images, how):
    if how == "live":
        frames = as_frames(images, np.arange(len(images)) / RATE)
        return [one.image for one in live(shipped(), frames, Settings(roi=person().region, gain=10.0))]
    return offline(shipped(), images, person().region, RATE)


@pytest.mark.parametrize("how", ["live", "offline"])
def test_a_trembling_picture_is_magnified_more_in_step_with_the_true_pulse(how, monkeypatch):
    images = trembling()
    skin = cv2.erode((person().skin > 0.9).astype(np.float32), np.ones((9, 9)))
    truth = -in_band(person().blood(np.arange(len(images)) / RATE, rhythm(72)), RATE)

    def follows():
        green = in_band(added(images, shown(images, how), skin)[:, 1], RATE)
        return np.corrcoef(green[90:-30], truth[90:-30])[0, 1]

    found = follows()
    monkeypatch.setattr(magnifier.RunningEstimate, "update", lambda _self, y, *_rest: y)
    monkeypatch.setattr(magnify, "centred_estimate", lambda y, *_rest: y)
    assert found > follows() + 0.01


class Noting(NoMeter):
    """Keeps the network's output that it is told."""

    def __init__(self):
        self.told = []

    def update(self, _pts, y, *_rest):
        self.told.append(y)


def test_the_rate_is_told_from_the_network_alone(monkeypatch):
    """What has the skin's colour in it would have the rhythm of a lamp."""

    def told():
        meter = Noting()
        frames = as_frames(pictures()[:60], np.arange(60) / RATE)
        live(shipped(), frames, Settings(roi=person().region), meter=meter)
        return meter.told

    as_it_is = told()
    monkeypatch.setattr(magnifier.RunningEstimate, "update", lambda _self, y, *_rest: 3 * y)
    assert told() == as_it_is
    assert np.std(as_it_is) > 0
