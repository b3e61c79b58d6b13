"""The respiration rate and its reasons, from breaths made up. Time is an argument: nothing waits."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from test_breath import Take

from deepmag.models.breath import SLOW_WINDOW, WINDOW, Breath, Glances
from deepmag.models.local_motion import GRID
from deepmag.models.respiration import ASCENT_RATE
from deepmag.stream.breath_rate import SHOW, BreathRate, weigh
from deepmag.stream.tick_pairs import BLOCKS

LENGTH = round(WINDOW * ASCENT_RATE)  # ticks of a full window
T = np.arange(LENGTH) / ASCENT_RATE
STILL = np.zeros((LENGTH, 2))
DEPTH = 0.05  # cells: amplitude of the region's motion
PATTERN = np.zeros((2, GRID, GRID), np.float32)


def breath_of(wave, *, explained: float = 0.97, unit: float = DEPTH) -> Breath:
    return Breath(PATTERN, np.asarray(wave, np.float64), explained, unit)


def sine(bpm: float, t=T, phase: float = 0.4):
    return np.sin(2 * np.pi * bpm / 60 * t + phase)


def noise(seed: int = 0, length: int = LENGTH):
    """Noise within the band of breaths, SD 1: what is left of a motion without one."""
    t = np.arange(length) / ASCENT_RATE
    rng = np.random.default_rng(seed)
    wave = sum(
        rng.standard_normal() * np.sin(2 * np.pi * f * t + rng.uniform(0, 2 * np.pi))
        for f in np.arange(0.1, 0.8, 0.02)
    )
    return wave / wave.std()


def run(
    path, seconds: float = 30.0, *, rate: BreathRate | None = None, start: float = 0.0, camera=None, **how
):
    """Feed a rate with what a window would say of a path(t), tick by tick. Returns it and the readings."""
    rate = rate or BreathRate()
    readings = []
    for tick in range(1, round(seconds * ASCENT_RATE) + 1):
        seen = min(tick, LENGTH)
        t = start + np.arange(tick - seen + 1, tick + 1) / ASCENT_RATE
        found = breath_of(path(t), **how) if seen >= 2 * ASCENT_RATE else None
        rate.update(t[-1], found, np.zeros(4) if camera is None else camera(t[-1]))
        readings.append(rate.reading(t[-1]))
    return rate, readings


# --- one look ---


@pytest.mark.parametrize("bpm", [6.0, 10.0, 15.0, 22.0, 31.0, 39.5])
@pytest.mark.parametrize("phase", [0.0, 1.5, 4.0])
def test_the_rate_of_a_sine_is_right_to_half_a_breath(bpm, phase) -> None:
    found = weigh(breath_of(sine(bpm, phase=phase)), STILL)
    assert found.rate == pytest.approx(bpm, abs=0.5)
    assert found.objection == ""
    assert found.quality > 0.9


@pytest.mark.parametrize("bpm", [10.0, 15.0, 30.0])
def test_a_breath_with_a_pause_and_with_noise_has_the_same_rate(bpm) -> None:
    pausing = np.exp(sine(bpm))
    wave = (pausing - pausing.mean()) / pausing.std() + 0.3 * noise()
    assert weigh(breath_of(wave), STILL).rate == pytest.approx(bpm, abs=1.0)


@pytest.mark.parametrize("share", [0.2, 0.35])
def test_deep_and_shallow_breaths_by_turns_are_two_breaths_not_one(share) -> None:
    wave = sine(20) * (1 + share * np.sign(np.sin(2 * np.pi * T * 10 / 60 + 0.2)))
    found = weigh(breath_of(wave), STILL)
    assert found.rate == pytest.approx(20, abs=0.7)
    assert found.quality > 0.5


@pytest.mark.parametrize("seed", range(8))
def test_noise_alone_has_no_quality(seed) -> None:
    assert weigh(breath_of(noise(seed)), STILL).quality < SHOW


def glanced(hertz: float, *, noise: float = 0.0, count: int = 33, gap: float = 1 / 30) -> Breath:
    """What moves so many times a second, seen at each tick, and how it has moved on after every third."""
    rng, ages = np.random.default_rng(0), np.arange(count) * 3

    def path(t):
        return np.sin(2 * np.pi * hertz * t)

    at = T[LENGTH - 1 - ages]
    steps = path(at + gap) - path(at) + noise * rng.standard_normal(count)
    return replace(breath_of(path(T)), glances=Glances(ages, steps, np.full(count, gap)))


@pytest.mark.parametrize("hertz", [4.5, 4.8, 5.2, 5.5, 9.75, 10.25])
@pytest.mark.parametrize("gap", [1 / 30, 1 / 15, 1 / 10])
def test_what_shakes_too_fast_for_ticks_does_not_breathe(hertz, gap) -> None:
    assert weigh(replace(glanced(hertz, gap=gap), glances=None), STILL).quality > 0.9  # it would seem to
    if abs(hertz * gap - round(hertz * gap)) > 0.1:  # else it is where it was after that time, too
        assert weigh(glanced(hertz, gap=gap), STILL).objection == "other movement"


@pytest.mark.parametrize("hertz", [0.1, 0.25, 0.6])
@pytest.mark.parametrize("gap", [1 / 30, 1 / 15, 1 / 10])
def test_a_breath_that_is_glanced_at_in_noise_as_large_as_it_is_a_breath(hertz, gap) -> None:
    assert weigh(glanced(hertz, gap=gap, noise=1.0), STILL).objection == ""


def test_a_few_glances_tell_nothing() -> None:
    assert weigh(glanced(4.8, count=7), STILL).objection == ""


def test_a_camera_that_swings_as_the_breath_does_is_what_breathes() -> None:
    swinging = np.stack([np.gradient(3 * DEPTH * sine(15)), np.zeros(LENGTH)], 1)
    assert weigh(breath_of(sine(15)), swinging).objection == "the camera moves"
    sideways = swinging[:, ::-1]
    assert weigh(breath_of(sine(15)), sideways).objection == "the camera moves"


def test_a_camera_that_moves_differently_or_less_than_the_chest_is_no_objection() -> None:
    elsewhere = np.stack([np.gradient(3 * DEPTH * sine(23)), np.gradient(3 * DEPTH * noise(2))], 1)
    assert weigh(breath_of(sine(15)), elsewhere).objection == ""
    faint = np.stack([np.gradient(0.3 * DEPTH * sine(15)), np.zeros(LENGTH)], 1)
    assert weigh(breath_of(sine(15)), faint).objection == ""


def test_a_camera_that_swings_aslant_is_measured_along_its_own_way() -> None:
    aslant = np.gradient(0.7 * DEPTH * sine(15))  # along each axis: together as far as the chest
    assert weigh(breath_of(sine(15)), np.stack([aslant, aslant], 1)).objection == "the camera moves"


def test_light_that_swings_as_the_breath_does_is_what_seems_to_breathe() -> None:
    def objection(light) -> str:
        return weigh(breath_of(sine(15)), STILL, np.diff(light, axis=0, prepend=0)).objection

    assert objection(0.1 * sine(15)[:, None]) == "the light changes"
    assert objection(0.1 * sine(23)[:, None]) == ""
    assert objection(0.005 * sine(15)[:, None]) == ""
    # an exposure that follows the chest: the whole picture alike
    assert objection(0.01 * np.tile(sine(15)[:, None], BLOCKS)) == ""


def test_mains_light_that_is_seen_as_bands_is_what_seems_to_breathe() -> None:
    def objection(size: float, bpm: float, lit: float = 1.0) -> str:
        phases = np.linspace(0, 2 * np.pi * 3, BLOCKS, endpoint=False)  # three bands: their mean is nothing
        bands = np.stack([sine(bpm, phase=phase) for phase in phases], axis=1)
        bands[:, : round((1 - lit) * BLOCKS)] = 0
        return weigh(breath_of(sine(15)), STILL, np.diff(size * bands, axis=0, prepend=0)).objection

    assert objection(0.02, 15) == "the light changes"
    assert objection(0.02, 23) == ""
    assert objection(0.002, 15) == ""
    assert objection(0.02, 15, lit=0.6) == ""  # a chest that moves changes the blocks that it is in


@pytest.mark.parametrize("bpm", [8.0, 15.0, 30.0])
def test_who_stops_breathing_has_no_rate_one_breath_later(bpm) -> None:
    path = breath_of(np.where(WINDOW - 1.5 * 60 / bpm > T, sine(bpm), 0.0))
    assert weigh(path, STILL).objection == "breathing too faint"
    assert weigh(breath_of(np.where(WINDOW - 0.7 * 60 / bpm > T, sine(bpm), 0.0)), STILL).objection == ""


@pytest.mark.parametrize("bpm", [50.0, 56.0, 60.0, 70.0])
def test_of_what_is_too_fast_no_two_are_taken_for_one(bpm) -> None:
    assert weigh(breath_of(sine(bpm)), STILL).quality == 0.0


def test_breaths_long_and_short_by_turns_are_counted_over_both() -> None:
    phase = 2 * np.pi * T * 31 / 60
    wave = np.sin(phase + 0.5 * np.sin(0.5 * phase))
    assert weigh(breath_of(wave[:50]), STILL[:50]).rate == pytest.approx(31, abs=1.0)


def with_one_long(bpm: float, longer: float):
    """Breaths of which one, in the middle of the window, takes so much longer; and how many there are."""
    begin, end = 8.0, 8.0 + 60 / bpm * (1 + longer)
    counts = np.interp(
        T, [0.0, begin, end, WINDOW], np.cumsum([0.0, begin, 60 / bpm, WINDOW - end]) * bpm / 60
    )
    return -np.cos(2 * np.pi * counts), counts[-1] - counts[0]


@pytest.mark.parametrize(("bpm", "longer"), [(20.0, 0.8), (25.0, 0.8), (33.0, 1.0)])
def test_one_long_breath_does_not_take_the_rate_of_the_others_away(bpm, longer) -> None:
    wave, count = with_one_long(bpm, longer)
    found = weigh(breath_of(wave), STILL)
    assert found.rate == pytest.approx(60 / WINDOW * count, abs=1.0)
    assert found.quality > 0.8


def test_of_breaths_that_are_no_more_even_than_noise_is_none_is_counted() -> None:
    wave, _ = with_one_long(20.0, 2.5)
    assert not weigh(breath_of(wave), STILL).counted


def test_too_few_breaths_are_not_counted_one_by_one() -> None:
    assert weigh(breath_of(sine(18)), STILL).counted
    assert not weigh(breath_of(sine(13)), STILL).counted
    assert not weigh(breath_of(sine(8)), STILL).counted


def test_neither_slow_breaths_nor_those_beyond_its_band_are_counted_in_the_longer_window() -> None:
    assert weigh(replace(breath_of(sine(13)), slow=sine(13, LONG)), STILL).counted
    assert not weigh(replace(breath_of(sine(9.5)), slow=sine(9.5, LONG)), STILL).counted
    wave, count = with_one_long(38.0, 2.0)
    assert not weigh(replace(breath_of(wave), slow=sine(60 / WINDOW * count, LONG)), STILL).counted


@pytest.mark.parametrize(
    ("unit", "explained", "objection"),
    [
        (0.001, 0.97, "breathing too faint"),
        (3.0, 0.97, "too much motion"),
        (DEPTH, 0.4, "other movement"),
        (0.012, 0.6, "other movement"),  # as faint as a codec's key frames, and as little explained
        (DEPTH, 0.97, ""),
    ],
)
def test_what_speaks_against_a_rate_is_said_in_words(unit, explained, objection) -> None:
    found = weigh(breath_of(sine(15), unit=unit, explained=explained), STILL)
    assert found.objection == objection
    assert (found.quality == 0) == bool(objection)


def test_less_than_two_breaths_are_no_rate_yet() -> None:
    short = T[: round(8 * ASCENT_RATE)]
    assert weigh(breath_of(sine(7, short)), STILL[: len(short)]).objection == "measuring"
    assert weigh(breath_of(sine(20, short)), STILL[: len(short)]).objection == ""


# --- over time ---


@pytest.mark.parametrize("bpm", [6.0, 15.0, 31.0, 39.5])
def test_a_steady_breath_gets_its_rate_and_keeps_it(bpm) -> None:
    _, readings = run(lambda t: sine(bpm, t), 30.0)
    shown = [one for one in readings[-25:] if one.rate is not None]
    assert len(shown) == 25
    assert all(abs(one.rate - bpm) < 0.5 for one in shown)
    assert all(one.quality > 0.8 for one in shown)
    assert all(one.reason == "" for one in shown)


def test_nothing_is_shown_before_enough_breaths_were_seen() -> None:
    for bpm, earliest in ((6.0, 15.0), (15.0, 7.0), (39.5, 7.0)):
        _, readings = run(lambda t, bpm=bpm: sine(bpm, t), 25.0)
        first = next(i for i, one in enumerate(readings) if one.rate is not None) / ASCENT_RATE
        assert earliest <= first < 24
        assert all(one.reason for one in readings if one.rate is None)
        assert {one.reason for one in readings[:30]} == {"measuring"}


def test_a_rate_that_the_longer_window_contradicts_is_not_shown() -> None:
    """In its last seconds the shorter one has taken a turning head for the breath, which was smaller and slower."""
    long = np.arange(round(SLOW_WINDOW * ASCENT_RATE)) / ASCENT_RATE
    contradicting = 40.0 * (sine(5.0, long) + 0.7 * noise(3, len(long)))
    for slow, reason in ((sine(7.5, long), ""), (contradicting, "too much motion")):
        rate = BreathRate()
        for tick in range(100):
            rate.update(tick / ASCENT_RATE, Breath(PATTERN, sine(7.5), 0.97, DEPTH, slow), np.zeros(4))
        assert rate.reading(99 / ASCENT_RATE).reason == reason


# of four a minute too little is in the window's own band for a noisier picture
@pytest.mark.parametrize(("bpm", "noise"), [(4.0, 0.001), (4.7, 0.003), (8.0, 0.003)])
def test_a_slow_breath_with_pauses_is_never_shown_twice_as_fast(bpm, noise) -> None:
    phase = 2 * np.pi * bpm / 60 * np.arange(50 * ASCENT_RATE + 1) / ASCENT_RATE + 0.7
    pausing = np.exp(1.5 * np.sin(phase))
    rate, shown = BreathRate(), {}
    for tick, found in enumerate(Take((pausing - pausing.mean()) / pausing.std(), noise=noise).estimates, 1):
        t = tick / ASCENT_RATE
        rate.update(t, found, np.zeros(4))
        shown[t] = rate.reading(t).rate
    rates = {t: one for t, one in shown.items() if one is not None}
    assert all(abs(one - bpm) < 0.5 for one in rates.values())
    # two breaths, and the third of one for which they have to be trusted
    assert min(rates) < 150 / bpm + 3
    assert max(rates) == 50.0


def breaths(counts, depth=lambda n: 1.0):
    """A chest that is empty at whole counts. depth: of each breath, by how many there were."""
    phase = 2 * np.pi * counts
    path = (1 - np.cos(phase + 0.35 * np.sin(phase))) * depth(np.floor(counts))
    return (path - path.mean()) / path.std()


def in_bursts(bpm: float, on: float, off: float, seconds: float = 80.0):
    """How many breaths there were, of so many a minute for ``on`` s and none for ``off`` s by turns."""
    t = np.arange(round(seconds * ASCENT_RATE)) / ASCENT_RATE
    return np.cumsum(t % (on + off) < on) * bpm / 60 / ASCENT_RATE


@pytest.mark.parametrize(
    ("bpm", "path"),
    [
        (37.5, breaths(in_bursts(37.5, 8, 6))),  # a newborn's periodic breathing: 4.3 of these a minute
        (36.0, breaths(in_bursts(36.0, 10, 5))),
        (15.0, breaths(in_bursts(15.0, 60, 0), lambda n: np.where(n % 3 == 0, 3.0, 1.0))),  # sighs
    ],
)
def test_many_breaths_that_come_and_go_are_never_shown_as_one_slow_breath(bpm, path) -> None:
    rate = BreathRate()
    for tick, found in enumerate(Take(path, noise=0.003).estimates, 1):
        t = tick / ASCENT_RATE
        rate.update(t, found, np.zeros(4))
        shown = rate.reading(t).rate
        assert shown is None or shown == pytest.approx(bpm, abs=2.0)


LONG = np.arange(round(SLOW_WINDOW * ASCENT_RATE)) / ASCENT_RATE


def looked(wave, slow, **how):
    """What is found of a breath in the window, and in the longer one."""
    rate = BreathRate()
    for tick in range(len(LONG)):
        found = breath_of(wave, **how)
        rate.update(tick / ASCENT_RATE, replace(found, slow=slow), np.zeros(4))
    return rate.evidence


def test_a_slow_breath_has_to_be_about_as_regular_as_the_one_that_is_seen_now() -> None:
    assert looked(sine(12), sine(5.0, LONG)).rate == pytest.approx(5.0, abs=0.3)
    assert looked(sine(12), sine(5.0, LONG) + 0.5 * noise(3, len(LONG))).rate == pytest.approx(12, abs=0.3)


def test_breaths_that_fill_the_window_one_by_one_are_no_part_of_a_slow_one() -> None:
    assert looked(sine(20), sine(5.0, LONG)).rate == pytest.approx(20, abs=0.3)
    assert looked(sine(20), sine(5.0, LONG)).quality > 0.9
    assert looked(sine(20), 3.0 * sine(5.0, LONG)).rate == pytest.approx(5.0, abs=0.3)  # small beside it


def test_breaths_too_few_to_be_counted_are_where_those_of_the_longer_window_are_as_many() -> None:
    wave, count = with_one_long(13.0, 0.6)
    before = -np.cos(2 * np.pi * 13 / 60 * (T - WINDOW))
    found = looked(wave, np.concatenate([before, wave]))
    assert found.rate == pytest.approx(60 / WINDOW * count, abs=1.5)
    assert found.quality > 0.9
    assert looked(wave, sine(25, LONG)).quality < SHOW  # other breaths


def test_the_rate_of_the_same_breath_is_the_longer_windows() -> None:
    found = looked(sine(6.4), sine(5.5, LONG) + 0.4 * noise(3, len(LONG)))
    assert found.rate == pytest.approx(5.5, abs=0.2)
    assert found.quality > 0.9


def test_what_is_not_breath_counts_for_less_where_a_slow_breath_is_much_larger() -> None:
    assert looked(sine(4.5), sine(4.5, LONG), explained=0.6).objection == "other movement"
    assert looked(sine(4.5), 6 * sine(4.5, LONG), explained=0.6).objection == ""


@pytest.mark.parametrize(("bpm", "after"), [(6.5, 0.3 * 60 / 6.5), (30.0, 1.5)])
def test_a_rate_has_to_be_trusted_for_a_third_of_a_breath(bpm, after) -> None:
    rate, trusted = BreathRate(), None
    for tick in range(LENGTH):
        t = tick / ASCENT_RATE
        rate.update(t, breath_of(sine(bpm)), np.zeros(4))
        trusted = t if trusted is None and rate.evidence.quality > SHOW else trusted
        if rate.reading(t).rate is not None:
            break
    assert t - trusted == pytest.approx(after, abs=1 / ASCENT_RATE)


def test_a_breath_of_ordinary_pace_needs_no_longer_window() -> None:
    _, readings = run(lambda t: sine(9.0, t), 20.0)
    assert readings[-1].rate == pytest.approx(9.0, abs=0.3)


def test_a_breath_that_is_good_from_the_first_look_is_being_measured_not_irregular() -> None:
    _, readings = run(lambda t: sine(15, t), 10.0)
    assert {one.reason for one in readings if one.rate is None} == {"measuring"}
    assert readings[-1].rate is not None


@pytest.mark.parametrize("seed", range(3))
def test_noise_that_runs_past_shows_no_rate(seed) -> None:
    whole = noise(seed, 600)
    _, readings = run(lambda t: np.interp(t, np.arange(600) / ASCENT_RATE, whole), 60.0)
    assert np.mean([one.rate is not None for one in readings]) < 0.1
    assert readings[-1].rate is None
    assert readings[-1].reason != ""


def test_without_a_breath_it_goes_on_measuring() -> None:
    rate = BreathRate()
    assert rate.reading(0.0).reason == "measuring"
    for tick in range(100):
        rate.update(tick / ASCENT_RATE, None, np.zeros(4))
    assert rate.reading(20.0).rate is None
    assert rate.reading(20.0).reason == "measuring"


def test_a_rate_is_withdrawn_when_the_breath_is_lost_and_says_why() -> None:
    rate, readings = run(lambda t: sine(15, t), 25.0)
    assert readings[-1].rate == pytest.approx(15, abs=0.5)
    rate.update(25.2, breath_of(sine(15), explained=0.3), np.zeros(4))
    lost = rate.reading(25.2)
    assert (lost.rate, lost.quality, lost.reason) == (None, 0.0, "other movement")


def test_a_camera_that_begins_to_swing_takes_the_rate_away() -> None:
    def steps(t):
        swing = 3 * DEPTH * 2 * np.pi * 15 / 60 / ASCENT_RATE * np.cos(2 * np.pi * 15 / 60 * t + 0.4)
        return np.array([swing if t > 25 else 0.0, 0.0, 0.0, 0.0])

    _, readings = run(lambda t: sine(15, t), 50.0, camera=steps)
    assert readings[120].rate == pytest.approx(15, abs=0.5)
    assert readings[-1].rate is None
    assert readings[-1].reason == "the camera moves"


def test_a_rate_that_jumps_is_not_trusted_at_once() -> None:
    rate, _ = run(lambda t: sine(12, t), 25.0)
    assert rate.reading(25.0).rate == pytest.approx(12, abs=0.5)
    rate.update(25.2, breath_of(sine(30)), np.zeros(4))
    assert rate.reading(25.2).rate is None
    for tick in range(2, 15):
        rate.update(25.0 + tick / ASCENT_RATE, breath_of(sine(30)), np.zeros(4))
    assert rate.reading(27.8).rate == pytest.approx(30, abs=0.5)


def test_a_rate_that_drifts_is_followed() -> None:
    def drifting(t):  # 12 per minute, and a tenth more each second
        return np.sin(2 * np.pi / 60 * (12 * t + 0.05 * t**2))

    _, readings = run(drifting, 60.0)
    rates = [one.rate for one in readings[150:]]
    assert all(rate is not None for rate in rates)
    middle_of_window = 60.0 - 0.5 * WINDOW
    assert rates[-1] == pytest.approx(12 + 0.1 * middle_of_window, abs=1.0)


def test_a_second_without_frames_is_said_and_ends_with_the_next() -> None:
    rate, readings = run(lambda t: sine(15, t), 25.0)
    assert rate.reading(25.9).rate == readings[-1].rate
    stale = rate.reading(26.5)
    assert (stale.rate, stale.quality, stale.reason) == (None, 0.0, "no new frames")
    rate.update(26.6, breath_of(sine(15)), np.zeros(4))
    assert rate.reading(26.6).rate == pytest.approx(15, abs=0.5)


def test_after_a_reset_nothing_is_known() -> None:
    rate, _ = run(lambda t: sine(15, t), 25.0)
    rate.reset()
    assert rate.reading(25.0).reason == "measuring"
    assert rate.evidence.objection == "measuring"
    _, readings = run(lambda t: sine(15, t), 6.0, rate=rate, start=25.0)
    assert all(one.rate is None for one in readings)
