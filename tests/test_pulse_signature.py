"""What a sure pulse looks like, told by its coming again, and what is read of it."""

from __future__ import annotations

import numpy as np
import pytest
from live_run import NoMeter, added, as_frames, in_band, live, magnifier, person, pictures, rhythm, shipped

from deepmag.models.amplitude import independent
from deepmag.models.pulse_signature import (
    EXPECTED,
    FAINTEST,
    GOES,
    LEAST,
    MEMORY,
    REMEMBERED,
    STRONGEST,
    PulseSignature,
    shifted_products,
    signature,
    weights_of,
)
from deepmag.models.synthetic.codec import h264
from deepmag.models.synthetic.layers import LayeredPerson
from deepmag.stream.frames import Reading
from deepmag.stream.settings import Settings

RATE = 30.0
SECONDS = 20.0
PULSE_RATE = 72.0
SHOWN = np.array([0.5, 1.0, 0.2, -0.1, 0.05, 0.0])  # of a compressed one


def noise(seed, count, seconds=SECONDS, low=0.7, high=2.5):
    """(T, count), in the pulse's band and without a rhythm; the RMS of each is 1."""
    rng, length = np.random.default_rng(seed), round(seconds * RATE)
    frequency = np.fft.rfftfreq(length, 1 / RATE)[:, np.newaxis]
    spectrum = rng.standard_normal((2, len(frequency), count)) * ((frequency > low) & (frequency < high))
    made = np.fft.irfft(spectrum[0] + 1j * spectrum[1], length, axis=0)
    return made / made.std(axis=0)


def beats(seconds=SECONDS, rate=PULSE_RATE):
    return np.sqrt(2) * np.sin(2 * np.pi * rate / 60 * np.arange(round(seconds * RATE)) / RATE)


def periods(seconds=SECONDS, rate=PULSE_RATE):
    return np.full(round(seconds * RATE), 60 / rate * RATE)


def products(past):
    return past.T @ past / len(past)


def take(known, past, pulse_rate=PULSE_RATE, rate=RATE):
    for one in past:
        known.update(one[np.newaxis], products(past), len(past) / rate, rate, pulse_rate)
    return known


def told(past, pulse_rate=PULSE_RATE):
    return take(PulseSignature(), past, pulse_rate)


def looks(past, known):
    """The signature of all that was."""
    again, pairs = shifted_products(past, known)
    count = len(past) / RATE * independent(RATE)
    return signature(again.sum(0) / pairs.sum(), products(past), np.asarray(count))


def test_noise_of_the_network_makes_nothing_smaller():
    pulse, others = beats(120.0), noise(1, 6, 120.0)
    past = pulse[:, np.newaxis] * SHOWN + [0.5, 0.7, 0.3, 0.2, 0.1, 0.1] * others
    regression = past[:, 1] @ past[:, 0] / (past[:, 0] @ past[:, 0])
    found = looks(past, periods(120.0))
    assert regression < 0.55 / SHOWN[0]
    assert found[0] == pytest.approx(SHOWN[0], abs=0.1)
    assert found[2:] == pytest.approx(SHOWN[2:], abs=0.1)


def test_what_moves_the_network_and_the_skin_without_a_rhythm_is_no_part_of_it():
    pulse, nod = beats(), noise(2, 1)
    past = pulse[:, np.newaxis] * SHOWN + nod * [1.0, 3.0, 2.0, 0.5, 1.0, 1.0]
    assert looks(past, periods()) == pytest.approx(SHOWN, abs=0.25)
    quiet = pulse[:, np.newaxis] * SHOWN + 0.3 * nod * [1.0, 3.0, 2.0, 0.5, 1.0, 1.0]
    assert looks(quiet, periods()) == pytest.approx(SHOWN, abs=0.08)


def test_of_what_does_not_come_again_nothing_is_believed():
    found = looks(10 * noise(3, 6), periods())
    assert found == pytest.approx(EXPECTED, abs=0.25)
    assert looks(np.zeros((600, 6)), periods()) == pytest.approx(EXPECTED)
    # the network's output again and again, in time with nothing that the skin shows
    alone = np.zeros((600, 6))
    alone[:, 0] = beats()
    assert looks(alone, periods()) == pytest.approx(EXPECTED)


def test_the_network_against_the_skin_is_no_pulse():
    against = beats()[:, np.newaxis] * [-1.0, 1.0, 0.0, 0.0, 0.0, 0.0]
    assert looks(against, periods()) == pytest.approx(EXPECTED)


@pytest.mark.parametrize(("factor", "bound"), [(0.05, FAINTEST), (20.0, STRONGEST)])
def test_it_has_ends(factor, bound):
    past = beats()[:, np.newaxis] * [factor, 1.0, 0.0, 0.0, 0.0, 0.0]
    assert looks(past, periods())[0] == pytest.approx(bound)


def test_the_rate_may_change_meanwhile_and_be_unknown_at_first():
    rate = np.linspace(60.0, 100.0, round(SECONDS * RATE))
    phase = np.cumsum(rate / 60 / RATE)
    past = np.sin(2 * np.pi * phase)[:, np.newaxis] * SHOWN + 0.05 * noise(4, 6)
    known = 60 / rate * RATE
    assert looks(past, known) == pytest.approx(SHOWN, abs=0.05)
    known[:300] = np.inf
    assert looks(past, known) == pytest.approx(SHOWN, abs=0.05)


def test_what_is_read_is_the_pulse_with_less_noise_than_in_any_of_the_six():
    pulse, nod, own = beats(), noise(5, 1), noise(6, 6)
    past = pulse[:, np.newaxis] * SHOWN + nod * [0.3, 1.0, 0.8, 0.0, 0.5, 0.0] + 0.2 * own
    weights = told(past).weights(products(past), SECONDS)
    read = past @ weights
    assert read @ pulse / (pulse @ pulse) == pytest.approx(1.0, abs=0.15)
    each = [abs(np.corrcoef(past[:, i], pulse)[0, 1]) for i in range(6)]
    assert np.corrcoef(read, pulse)[0, 1] > max(each) + 0.05


def test_who_sat_still_and_begins_to_move_is_not_read_from_the_shift():
    """A little of it goes with noise by chance, and it may be a hundred times as large in the next second."""
    still = [0.3, 0.4, 0.1, 0.1, 0.04, 0.04]
    shares = []
    for seed in range(20):
        past = beats()[:, np.newaxis] * EXPECTED + still * noise(20 + seed, 6)
        shares.append(told(past).weights(products(past), SECONDS)[4:])
    assert np.abs(shares).max() < 0.05
    # one that goes on all the time is taken out
    nod = noise(19, 1) * [0.5, 1.0, 0.0, 0.0, 3.0, 0.0]
    past = beats()[:, np.newaxis] * EXPECTED + still * noise(18, 6) + nod
    read = past @ told(past).weights(products(past), SECONDS)
    assert np.corrcoef(read, beats())[0, 1] > 0.95


def test_it_is_taken_on_in_two_seconds_and_left_in_ten():
    past = beats()[:, np.newaxis] * SHOWN
    begun = round(LEAST * RATE)
    assert told(past[: begun - 1]).sure == 0.0
    known = told(past[: begun + round(2 * RATE)])
    assert known.sure == pytest.approx(1 - np.exp(-1), abs=0.02)
    held = known.sure
    take(known, past[: round(GOES * RATE)], None)
    assert known.sure == pytest.approx(held * np.exp(-1), rel=0.01)


def test_weights_of_many_are_those_of_each():
    past, known = noise(8, 6), np.stack([EXPECTED, SHOWN])
    both = np.stack([products(past), products(past[:200])])
    together = weights_of(known, both, np.array([20.0, 7.0]))
    for i, seconds in enumerate((20.0, 7.0)):
        assert together[i] == pytest.approx(weights_of(known[i], both[i], np.asarray(seconds)))
        assert together[i] @ known[i] == pytest.approx(1.0)


@pytest.mark.parametrize("quiet", [0.0, 1e-12])
def test_a_network_that_says_nothing_of_what_changes_has_weights_all_the_same(quiet):
    past = np.outer(beats(), [quiet, 1.0, 1.0, 1.0, 1.0, 1.0])
    known = looks(past, periods())
    assert np.isfinite(known).all()
    weights = weights_of(known, products(past), np.asarray(SECONDS))
    assert weights @ known == pytest.approx(1.0)
    assert np.abs(weights).max() < 10


def test_without_a_sure_pulse_there_is_none():
    known = told(beats()[:, np.newaxis] * SHOWN, pulse_rate=None)
    assert known.sure == 0.0
    assert known.weights(np.eye(6), SECONDS) is None


def test_what_was_seen_before_a_pulse_was_sure_counts():
    known, past = PulseSignature(), beats()[:, np.newaxis] * SHOWN + 0.2 * noise(7, 6)
    take(known, past[:-1], None)
    known.update(past[-1:], products(past), SECONDS, RATE, PULSE_RATE)
    whole = told(past).weights(products(past), SECONDS)
    assert known.weights(products(past), SECONDS) == pytest.approx(whole, rel=0.1, abs=0.05)


def test_days_take_no_more_memory_than_half_a_minute():
    known = told(np.tile(beats()[:, np.newaxis] * SHOWN, (3, 1)))
    assert len(known._past) == len(known._periods) == REMEMBERED * MEMORY * RATE


def test_at_another_rate_the_past_is_no_longer_one():
    past = beats()[:, np.newaxis] * SHOWN
    known = told(past)
    before = known.weights(products(past), SECONDS)
    take(known, past[:1], rate=2 * RATE)
    assert len(known._past) == 1
    # what the pulse looks like stays known
    assert known.weights(products(past), SECONDS) == pytest.approx(before)


def test_it_forgets():
    known = told(beats()[:, np.newaxis] * SHOWN)
    known.reset()
    assert known.sure == 0.0
    assert known.weights(np.eye(6), SECONDS) is None


class SureFrom(NoMeter):
    """Knows the rate from some time on, s."""

    def __init__(self, begin: float, rate: float = PULSE_RATE) -> None:
        self._begin, self._rate = begin, rate

    def reading(self, t: float) -> Reading:
        return Reading(self._rate, 0.8, "") if t >= self._begin else super().reading(t)


@pytest.mark.parametrize(
    ("session", "change"), [(1, {}), (0, {"mode": "paper"}), (0, {"roi": (40, 40, 140, 140)})]
)
def test_of_another_session_mode_or_region_nothing_is_sure_any_more(session, change):
    images = pictures()[:240]
    machine = magnifier(shipped(), meter=SureFrom(0.0))
    for frame in as_frames(images[:-1], np.arange(len(images) - 1) / RATE):
        machine.push(frame, Settings(roi=person().region))
    assert machine._estimate.sure > 0.3
    frame = as_frames(images[-1:], [len(images) / RATE], session=session)[0]
    machine.push(frame, Settings(**{"roi": person().region, **change}))
    assert machine._estimate.sure == 0.0
    np.testing.assert_array_equal(machine._window.kernel, machine._window._usual)


def grown(images, sure_from: float, rate: float = PULSE_RATE) -> tuple[float, float]:
    """How many times the true pulse of the skin's green is added, from 9 to 14 s; and how large the waveform is."""
    frames = as_frames(images, np.arange(len(images)) / RATE)
    done = live(shipped(), frames, Settings(roi=person().region), meter=SureFrom(sure_from, rate))
    skin = (person().skin > 0.9).astype(np.float32)
    green = in_band(added(images, [one.image for one in done], skin)[:, 1], RATE)
    truth = in_band(true_green(len(images), rate), RATE)
    part = slice(round(9 * RATE), round(14 * RATE))
    wave = in_band(np.array([one.pulse.wave for one in done]), RATE)
    return float(green[part] @ truth[part] / (truth[part] @ truth[part])), float(wave[part].std())


def true_green(count: int, rate: float):
    """Grey levels of the skin's mean, without noise."""
    t = np.arange(count) / RATE
    blood = LayeredPerson.blood(t, rhythm(rate))
    skin = (person().skin > 0.9).astype(np.float32)
    # whole grey levels would hide a pulse that is not made larger
    still, beating = (
        [
            np.average(one[..., 1], weights=skin)
            for one in person().frames(t, rhythm(rate), strength=strength, noise=0.0, sway=0.0)
        ]
        for strength in (0.0, 20.0)
    )
    larger = np.array(beating) - np.array(still)
    return blood * float(larger @ blood / (blood @ blood)) / 20.0


def test_compressed_a_sure_pulse_grows_nearly_as_far_as_it_should():
    images = pictures(seconds=15.0)
    coded = list(h264(np.stack(images), RATE, 3e6)[0])
    plain, _ = grown(images, np.inf)
    unsure, small = grown(coded, np.inf)
    sure, large = grown(coded, 3.0)
    assert unsure < 0.6 * plain
    assert sure > 1.4 * unsure
    assert sure < 1.1 * plain
    # the waveform with the picture
    assert large / small == pytest.approx(sure / unsure, rel=0.1)


def test_uncompressed_it_grows_as_far_as_before():
    images = pictures(seconds=15.0)
    assert grown(images, 3.0)[0] == pytest.approx(grown(images, np.inf)[0], rel=0.1)


def test_a_slow_pulse_grows_as_far_as_others_once_it_is_sure():
    """Of one near the end of the band the filter keeps two thirds."""
    slow, usual = pictures(bpm=48.0, seconds=15.0), pictures(seconds=15.0)
    unsure, _ = grown(slow, np.inf, 48.0)
    sure, _ = grown(slow, 3.0, 48.0)
    plain, _ = grown(usual, 3.0)
    assert unsure < 0.8 * plain
    assert sure == pytest.approx(plain, rel=0.15)
