"""What the ascent adds is scaled by how far the skin moves, where a pulse is sure."""

from __future__ import annotations

import numpy as np
import pytest
from live_run import NoMeter, added, as_frames, in_band, live, magnifier, person, pictures, rhythm, shipped

from deepmag.models.confirmed_scale import MOST, ConfirmedScale
from deepmag.models.synthetic.codec import h264
from deepmag.models.synthetic.layers import LayeredPerson
from deepmag.stream.frames import Reading
from deepmag.stream.settings import Settings

RATE = 30.0
INDEPENDENT = 3.6  # values a second in the pulse's band
SECONDS = 15.0


def fed(scale, moved, said, *, sure=True):
    for one, other in zip(moved, said, strict=True):
        scale.update(one, other, 1 / RATE, INDEPENDENT, sure=sure)
    return scale.value


def beats(seconds=SECONDS):
    return np.sin(2 * np.pi * 1.2 * np.arange(round(seconds * RATE)) / RATE)


def test_without_a_sure_pulse_it_is_one():
    assert fed(ConfirmedScale(), 3.0 * beats(), beats(), sure=False) == 1.0


def test_what_moves_further_than_the_network_says_is_scaled_by_as_much():
    assert fed(ConfirmedScale(), 2.5 * beats(), beats()) == pytest.approx(2.5, rel=0.01)


def test_what_was_seen_before_a_pulse_was_sure_counts():
    scale = ConfirmedScale()
    fed(scale, 2.5 * beats(), beats(), sure=False)
    # three of its time constants, 2 s
    assert fed(scale, 2.5 * beats(6.0), beats(6.0)) == pytest.approx(1 + 1.5 * (1 - np.exp(-3)), rel=0.01)


@pytest.mark.parametrize("factor", [0.4, -1.0, 0.0])
def test_it_makes_nothing_smaller(factor):
    assert fed(ConfirmedScale(), factor * beats(), beats()) == 1.0


def test_it_has_an_end():
    assert fed(ConfirmedScale(), 50.0 * beats(), beats()) == pytest.approx(MOST, rel=0.01)


def test_what_is_drowned_in_other_changes_hardly_counts():
    noise = 40.0 * np.random.default_rng(1).standard_normal(len(beats()))
    assert fed(ConfirmedScale(), 3.0 * beats() + noise, beats()) < 1.3


@pytest.mark.parametrize(("seconds", "certain"), [(3.0, 0.08), (15.0, 0.41), (200.0, 0.5)])
def test_it_counts_as_far_as_it_is_certain(seconds, certain):
    t = np.arange(round(seconds * RATE)) / RATE
    other = np.sqrt(18.0) * np.sin(2 * np.pi * 2.2 * t)  # 18 times the pulse's power
    found = fed(ConfirmedScale(), 3.0 * beats(seconds) + other, beats(seconds))
    assert found == pytest.approx(1 + 2 * certain, abs=0.1)


def test_of_half_a_second_nothing_is_believed():
    assert fed(ConfirmedScale(), 2.5 * beats(0.5), beats(0.5)) == 1.0


def test_what_is_ten_seconds_ago_counts_less():
    scale = ConfirmedScale()
    fed(scale, 3.0 * beats(60.0), beats(60.0))
    # the time constant of what is known, less the 2 s that it takes to be taken on
    assert fed(scale, 1.5 * beats(10.0), beats(10.0)) == pytest.approx(1.5 + 1.5 * np.exp(-0.8), abs=0.1)


def test_it_goes_when_the_pulse_is_no_longer_sure():
    scale = ConfirmedScale()
    fed(scale, 2.5 * beats(), beats())
    held = fed(scale, 2.5 * beats(2.0), beats(2.0), sure=False)
    assert held > 2.3
    assert fed(scale, 2.5 * beats(90.0), beats(90.0), sure=False) < 1.03


def test_a_network_that_says_nothing_is_no_division_by_zero():
    assert fed(ConfirmedScale(), beats(), 0.0 * beats()) == 1.0


def test_it_forgets():
    scale = ConfirmedScale()
    fed(scale, 2.5 * beats(), beats())
    scale.reset()
    assert scale.value == 1.0
    assert fed(scale, beats(), beats()) == pytest.approx(1.0)


class SureFrom(NoMeter):
    """Knows the rate from some time on, s."""

    def __init__(self, begin: float) -> None:
        self._begin = begin

    def reading(self, t: float) -> Reading:
        return Reading(72.0, 0.8, "") if t >= self._begin else super().reading(t)


@pytest.mark.parametrize(
    ("session", "change"), [(1, {}), (0, {"mode": "paper"}), (0, {"roi": (40, 40, 140, 140)})]
)
def test_of_another_session_mode_or_region_nothing_is_sure_any_more(session, change):
    images = pictures()[:6]
    machine = magnifier(shipped(), meter=SureFrom(0.0))
    for frame in as_frames(images[:5], np.arange(5) / RATE):
        machine.push(frame, Settings(roi=person().region))
    fed(machine._scale, 2.5 * beats(), beats())
    assert machine._scale.value > 2
    frame = as_frames(images[5:], [5 / RATE], session=session)[0]
    machine.push(frame, Settings(**{"roi": person().region, **change}))
    assert machine._scale.value == 1.0


def test_the_waveform_is_as_much_larger_as_the_picture_shows_it():
    images = pictures()[:90]
    frames = as_frames(images, np.arange(90) / RATE)
    skin = (person().skin > 0.9).astype(np.float32)

    def seen(scaled):
        machine = magnifier(shipped(), meter=SureFrom(0.0))
        done = []
        for frame in frames:
            if scaled and frame.seq == 50:
                fed(machine._scale, 2.5 * beats(), beats())
            done += machine.push(frame, Settings(roi=person().region))
        done = done[50:]
        green = added(images[50 : 50 + len(done)], [one.image for one in done], skin)[:, 1]
        return np.array([one.pulse.wave for one in done]), green

    (wave, green), (plain_wave, plain_green) = seen(scaled=True), seen(scaled=False)
    shown = float(green @ plain_green / (plain_green @ plain_green))
    assert shown > 1.2
    assert float(wave @ plain_wave / (plain_wave @ plain_wave)) == pytest.approx(shown, rel=0.05)


def grown(images, sure_from: float) -> float:
    """How many times the true pulse of the skin's green is added, from 9 to 14 s."""
    frames = as_frames(images, np.arange(len(images)) / RATE)
    done = live(shipped(), frames, Settings(roi=person().region), meter=SureFrom(sure_from))
    skin = (person().skin > 0.9).astype(np.float32)
    green = in_band(added(images, [one.image for one in done], skin)[:, 1], RATE)
    truth = in_band(true_green(len(images)), RATE)
    part = slice(round(9 * RATE), round(14 * RATE))
    return float(green[part] @ truth[part] / (truth[part] @ truth[part]))


def true_green(count: int):
    """Grey levels of the skin's mean, without noise."""
    t = np.arange(count) / RATE
    blood = LayeredPerson.blood(t, rhythm(72))
    skin = (person().skin > 0.9).astype(np.float32)
    # whole grey levels would hide a pulse that is not made larger
    still, beating = (
        [
            np.average(one[..., 1], weights=skin)
            for one in person().frames(t, rhythm(72), strength=strength, noise=0.0, sway=0.0)
        ]
        for strength in (0.0, 20.0)
    )
    larger = np.array(beating) - np.array(still)
    return blood * float(larger @ blood / (blood @ blood)) / 20.0


def test_compressed_a_sure_pulse_grows_nearly_as_far_as_it_should():
    images = pictures(seconds=SECONDS)
    coded = list(h264(np.stack(images), RATE, 3e6)[0])
    plain, unsure, sure = grown(images, np.inf), grown(coded, np.inf), grown(coded, 3.0)
    assert unsure < 0.6 * plain
    assert sure > 1.4 * unsure
    assert sure < 1.1 * plain


def test_uncompressed_it_grows_as_far_as_before():
    images = pictures(seconds=SECONDS)
    assert grown(images, 3.0) == pytest.approx(grown(images, np.inf), rel=0.1)
