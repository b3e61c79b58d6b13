"""The live magnifier's physics against the truth of a synthetic scene, and its bookkeeping. No thread, no clock."""

from __future__ import annotations

import numpy as np
import pytest
from live_run import (
    REPEATS,
    NoMeter,
    Remembering,
    added,
    as_frames,
    in_band,
    lag_of,
    live,
    magnifier,
    offline,
    person,
    pictures,
    rhythm,
    shipped,
)

from deepmag.models.representation import normalized_difference, reduce_frame
from deepmag.models.synthetic.layers import LayeredPerson
from deepmag.stream.face import Face
from deepmag.stream.magnifier import PulseMagnifier
from deepmag.stream.roi import RegionError, Roi, RoiTracker
from deepmag.stream.settings import Settings

RATE = 30.0
SETTLED = slice(150, -30)  # frames: after the window has filled, before the lag runs out at the end


def settings(**changes):
    return Settings(**{"roi": person().region, **changes})


def frames_of(**options):
    images = pictures(**options)
    rate = options.get("rate", RATE)
    return as_frames(images, np.arange(len(images)) / rate)


def shown_by(frames, chosen=None, **options):
    done = live(shipped(), frames, chosen or settings(), **options)
    return [magnified.image for magnified in done]


def skin_added(images, shown, mask=None):
    return added(images, shown, (person().skin > 0.9).astype(np.float32) if mask is None else mask)


@pytest.fixture(scope="module")
def take():
    images = pictures()
    return images, shown_by(frames_of())


def test_more_blood_is_darker_and_in_phase_with_the_true_pulse(take):
    green = in_band(skin_added(*take)[:, 1], RATE)
    blood = LayeredPerson.blood(np.arange(len(green)) / RATE, rhythm(72))
    lag, r = lag_of(-green[SETTLED], in_band(blood, RATE)[SETTLED], RATE)
    assert abs(lag) <= 0.05
    assert r > 0.9


def test_a_fast_pulse_grows_as_far_as_one_at_rest():
    def grown(bpm):
        green = skin_added(pictures(bpm=bpm), shown_by(frames_of(bpm=bpm)))[SETTLED, 1]
        blood = LayeredPerson.blood(np.arange(SETTLED.start, SETTLED.start + len(green)) / RATE, rhythm(bpm))
        blood = blood - blood.mean()
        return -(green @ blood) / (blood @ blood)

    assert grown(170) > 0.7 * grown(72)


def test_what_is_added_grows_with_the_gain(take):
    images, shown = take
    usual = settings().gain
    size = {usual: in_band(skin_added(images, shown), RATE)[SETTLED, 1].std()}
    for gain in (5, 20):
        shown = shown_by(frames_of(), settings(gain=gain))
        size[gain] = in_band(skin_added(images, shown), RATE)[SETTLED, 1].std()
    # what is added is the gain less the one that is there already
    assert size[5] / size[usual] == pytest.approx(4 / (usual - 1), rel=0.1)
    assert size[20] / size[usual] == pytest.approx(19 / (usual - 1), rel=0.1)


def test_a_gain_of_one_gives_the_very_frames():
    images = pictures()[:60]
    shown = shown_by(frames_of()[:60], settings(gain=1.0))
    assert all(np.array_equal(a, b) for a, b in zip(images, shown, strict=True))


def test_the_pulse_is_added_to_skin_only(take):
    images, shown = take
    off = in_band(skin_added(images, shown, (person().skin < 0.01).astype(np.float32)), RATE)[
        SETTLED, 1
    ].std()
    on = in_band(skin_added(images, shown), RATE)[SETTLED, 1].std()
    assert off < 0.01 * on


@pytest.mark.parametrize("light", ["steady", "a lamp goes out"])
@pytest.mark.parametrize("how", ["live", "offline"])
def test_half_a_face_that_does_not_pulse_is_left_nearly_alone(how, light):
    x, _, w, _ = person().region
    middle = x + w // 2
    images = [
        np.concatenate([alive[:, :middle], dead[:, middle:]], axis=1)
        for alive, dead in zip(pictures(), pictures(strength=0.0), strict=True)
    ]
    if light != "steady":
        images[100:] = [(0.9 * image).astype(np.uint8) for image in images[100:]]
    if how == "live":
        shown = shown_by(as_frames(images, np.arange(len(images)) / RATE))
    else:
        shown = offline(shipped(), images, person().region, RATE)
    skin, column = person().skin > 0.9, np.arange(images[0].shape[1])
    alive, dead = (
        in_band(skin_added(images, shown, (skin & side).astype(np.float32)), RATE)[SETTLED, 1]
        for side in (column < middle - 10, column > middle + 10)  # what is between is blurred over both
    )
    assert dead.std() < 0.4 * alive.std()


def test_what_is_added_keeps_the_colours_order_of_blood(take):
    images, shown = take
    mask = (person().skin > 0.9).astype(np.float32)
    level = np.tensordot(mask, images[0].astype(np.float32), ([0, 1], [0, 1])) / mask.sum()
    red, green, blue = in_band(skin_added(images, shown), RATE)[SETTLED].std(0) / level
    assert green > blue > red > 0.15 * green


def test_without_a_pulse_far_less_is_added(take):
    images, shown = take
    dead = pictures(strength=0.0)
    nothing = in_band(skin_added(dead, shown_by(frames_of(strength=0.0))), RATE)[SETTLED, 1].std()
    assert nothing < 0.25 * in_band(skin_added(images, shown), RATE)[SETTLED, 1].std()


def test_one_picture_comes_out_for_each_that_goes_in_and_in_order():
    frames = frames_of()[:80]
    machine = magnifier(shipped(), lag=0.25)
    done, most = [], 0
    for frame in frames:
        done += machine.push(frame, settings())
        most = max(most, machine.waiting)
    assert most == round(0.25 * RATE)
    done += machine.flush()
    assert [magnified.frame.seq for magnified in done] == [frame.seq for frame in frames]
    assert all(magnified.frame is frame for magnified, frame in zip(done, frames, strict=True))


def test_a_new_session_starts_with_an_empty_memory():
    first, second = frames_of()[:90], pictures(bpm=120)[:90]
    restarted = as_frames(second, np.arange(90) / RATE, session=1, seq=90)
    after = live(shipped(), [*first, *restarted], settings())[90:]
    fresh = live(shipped(), as_frames(second, np.arange(90) / RATE), settings())
    assert len(after) == 90
    assert all(np.array_equal(a.image, b.image) for a, b in zip(after, fresh, strict=True))


def test_a_new_session_looks_for_its_own_face():
    machine, face = magnifier(shipped()), Face((110, 60, 60, 80), 0.9, ())
    images = pictures()[:3]
    for frame in as_frames(images, 600 + np.arange(3) / RATE):
        machine.push(frame, settings(roi="auto"), [face] if frame.seq == 0 else None)
    for frame in as_frames(images, np.arange(3) / RATE, session=1):
        machine.push(frame, settings(roi="auto"), [])
    shown = machine.flush()
    height, width = images[0].shape[:2]
    assert [one.roi for one in shown] == 3 * [(0, 0, width, height)]


def test_a_gap_empties_the_filter_and_loses_no_picture():
    images = pictures()[:160]
    times = np.arange(160) / RATE
    times[80:] += 0.8
    done = live(shipped(), as_frames(images, times), settings())
    assert len(done) == 160
    fresh = live(shipped(), as_frames(images[80:], times[80:]), settings())
    assert all(np.array_equal(a.image, b.image) for a, b in zip(done[80:], fresh, strict=True))


def test_with_a_fifth_of_the_frames_lost_phase_and_rate_stay_right(take):
    keep = np.sort(np.random.default_rng(5).permutation(360)[:288])
    frames = frames_of()
    kept = [frames[i] for i in keep]
    images = [frame.image for frame in kept]
    uneven = skin_added(images, shown_by(kept))[:, 1]
    green = in_band(np.interp(np.arange(360), keep, uneven), RATE)
    truth = in_band(LayeredPerson.blood(np.arange(360) / RATE, rhythm(72)), RATE)
    lag, r = lag_of(-green[SETTLED], truth[SETTLED], RATE)
    assert abs(lag) <= 0.05
    assert r > 0.85
    spectrum = np.abs(np.fft.rfft(green * np.hanning(360), 8192))
    assert np.fft.rfftfreq(8192, 1 / RATE)[spectrum.argmax()] * 60 == pytest.approx(72, abs=3)


def test_when_the_square_moves_nothing_of_the_old_one_is_averaged_in():
    """Cell by cell, X of another square is that of other places in the face."""
    frames, seen = frames_of()[:12], []
    before, after = (40, 40, 72, 72), (80, 60, 72, 72)

    class Seeing(Remembering):
        def steady(self, x, direction, growth):
            seen.append(x[0])
            return super().steady(x, direction, growth)

    class Moving(RoiTracker):
        def update(self, now, size, faces, region="auto"):
            return Roi(before if now < frames[10].pts else after, "face", None)

    machine = PulseMagnifier(
        Seeing(shipped()), Moving(), NoMeter(), clock=lambda: 0.0, nominal_rate=lambda: RATE
    )
    for frame in frames:
        machine.push(frame, Settings())

    def x_of(i):
        x, y, w, h = after
        pair = [reduce_frame(frame.image[y : y + h, x : x + w]) for frame in frames[i - 1 : i + 1]]
        return normalized_difference(*pair)

    assert seen[-2] == pytest.approx(x_of(10), abs=1e-7)
    assert seen[-1] == pytest.approx((x_of(10) + x_of(11)) / 2, abs=1e-7)


@pytest.mark.parametrize("mode", ["paper", "steady"])
def test_the_rate_is_told_by_how_much_the_networks_output_is_late(mode):
    """With that made up for, it swings against the skin's green, 16 degrees off without at this rate."""
    rows, bpm = [], 150.0

    class Seeing(NoMeter):
        def update(self, t, y, before, after, _roi, _ticks, late):
            rows.append((t, y, late, after[1, 12:24, 12:24].mean() - before[1, 12:24, 12:24].mean()))

    machine = PulseMagnifier(shipped(), RoiTracker(), Seeing(), clock=lambda: 0.0, nominal_rate=lambda: RATE)
    for frame in frames_of(bpm=bpm):
        machine.push(frame, settings(mode=mode))
    t, y, late, green = np.array(rows[60:]).T
    wave = np.hanning(len(t)) * np.exp(-2j * np.pi * bpm / 60 * t)
    turned = np.exp(2j * np.pi * bpm / 60 * late)
    assert np.angle(-(y * turned) @ wave / (green @ wave), deg=True) == pytest.approx(0, abs=5)


def test_after_paper_steady_follows_no_direction_of_before():
    class Watched(Remembering):
        def steady(self, x, direction, growth):
            followed.append(bool(direction.any()))
            return super().steady(x, direction, growth)

    followed: list[bool] = []
    machine = magnifier(Watched(shipped()))
    for frame, mode in zip(frames_of()[:9], ["steady"] * 4 + ["paper"] * 2 + ["steady"] * 3, strict=True):
        machine.push(frame, settings(mode=mode))
    assert followed == [False, True, True, False, True, True]


def test_the_waveform_of_paper_is_the_same_whatever_came_before():
    def swing(first):
        done = live(
            shipped(), frames_of()[:240], lambda frame: settings(mode="paper" if frame.seq >= 30 else first)
        )
        return np.std([one.pulse.wave for one in done[220:]])

    assert swing("steady") == pytest.approx(swing("paper"), rel=0.05)


def test_a_change_of_gain_acts_on_the_next_picture_out():
    frames = frames_of()[:240]
    changed = live(shipped(), frames, lambda frame: settings(gain=10.0 if frame.seq < 200 else 1.0))
    behind = round(0.25 * RATE)
    assert not np.array_equal(changed[199 - behind].image, frames[199 - behind].image)
    assert np.array_equal(changed[200 - behind].image, frames[200 - behind].image)


def test_a_change_of_lag_loses_and_repeats_nothing():
    frames = frames_of()[:150]
    done = live(shipped(), frames, lambda frame: settings(lag=0.25 if not 50 <= frame.seq < 100 else 1.0))
    assert [magnified.frame.seq for magnified in done] == list(range(150))


def test_what_comes_out_at_once_when_the_lag_is_made_shorter_is_magnified_as_it_would_have_been():
    """A recording that has a second of one and the same change in it looks as if the pulse had stopped."""
    frames = frames_of()[:280]
    cut = live(shipped(), frames, lambda frame: settings(lag=2.0 if frame.seq < 240 else 0.25))
    always = live(shipped(), frames, settings(lag=0.25))
    at_once = slice(240 - 58, 240 - 8)
    found, expected = (
        skin_added([frame.image for frame in frames], [one.image for one in done])[at_once, 1]
        for done in (cut, always)
    )
    assert np.corrcoef(found, expected)[0, 1] > 0.98
    assert found.std() / expected.std() == pytest.approx(1.0, abs=0.15)


@pytest.mark.parametrize("rate", [25.0, 60.0])
def test_another_frame_rate_shows_the_same(take, rate):
    options = {"rate": rate, "seconds": 9.0}
    shown = shown_by(frames_of(**options), rate=rate)
    other = in_band(skin_added(pictures(**options), shown)[:, 1], rate)
    at_30 = in_band(skin_added(*take)[:, 1], RATE)
    t = np.arange(4.5, 8.0, 0.01)
    a = np.interp(t, np.arange(len(other)) / rate, other)
    b = np.interp(t, np.arange(len(at_30)) / RATE, at_30)
    assert np.corrcoef(a, b)[0, 1] > 0.95
    assert a.std() / b.std() == pytest.approx(1.0, abs=0.35)


def test_a_camera_that_slows_down_at_night_loses_no_picture_and_none_is_late():
    images = pictures()[:130]
    # 30 frames/s, then 2.5, which is too few to see all of a pulse's band
    times = np.concatenate([np.arange(100) / RATE, 100 / RATE + 0.4 * np.arange(30)])
    machine = magnifier(shipped(), rate=None)
    done = []
    for frame in as_frames(images, times):
        done += machine.push(frame, settings())
        oldest = done[-1].frame.pts if done else 0.0
        assert frame.pts - oldest <= 0.25 + 0.4 + 0.01
    done += machine.flush()
    assert [magnified.frame.seq for magnified in done] == list(range(130))
    assert machine.rate == 3.0


def test_of_a_camera_that_is_too_slow_for_any_rate_it_is_said():
    images = pictures()[:12]
    times = np.concatenate([np.arange(8.0), 7.0 + np.arange(1, 5) / RATE])  # one a second, then 30
    done = live(shipped(), as_frames(images, times), settings())
    reasons = [magnified.pulse.reading.reason for magnified in done]
    assert reasons == ["not measured"] + 6 * ["too few frames a second"] + 5 * ["not measured"]


def test_what_timestamps_have_shown_is_believed_over_what_a_stream_says_when_it_begins_again():
    images = pictures()[:60]
    machine = magnifier(shipped(), rate=25.0)
    for session in range(2):
        for frame in as_frames(images, np.arange(60) / 10.0, session=session):
            machine.push(frame, settings())
            assert machine.rate == 10.0 or (session == 0 and frame.pts < 2.0)


def test_a_stated_rate_of_a_thousand_frames_makes_no_window_of_thousands():
    machine = magnifier(shipped(), rate=1000.0)
    assert machine.rate == 240.0
    for frame in as_frames(pictures()[:40], np.arange(40) / RATE):
        machine.push(frame, settings())
    assert machine.rate == RATE


@pytest.mark.parametrize("copies", [10, 60])
def test_a_still_picture_at_first_does_not_hold_down_the_pulse_after_it(take, copies):
    images, shown = take
    t = np.arange(copies + len(images)) / RATE
    late = shown_by(as_frames([images[0]] * copies + list(images), t))[copies:]
    whole, found = (in_band(skin_added(images, what), RATE)[SETTLED, 1].std() for what in (shown, late))
    assert found == pytest.approx(whole, rel=0.05)


@pytest.mark.parametrize("repeat", REPEATS.values(), ids=REPEATS)
def test_pictures_that_repeat_are_magnified_as_single_ones_are(take, repeat):
    """A camera that gets slower in the dark may give its last picture again."""
    images, shown = take
    repeated = [images[i] for i in repeat(np.arange(len(images)))]
    again = shown_by(as_frames(repeated, np.arange(len(images)) / RATE))
    whole = in_band(skin_added(images, shown), RATE)[SETTLED, 1]
    found = in_band(skin_added(repeated, again), RATE)[SETTLED, 1]
    assert found.std() == pytest.approx(whole.std(), rel=0.2)
    lag, r = lag_of(found, whole, RATE)
    assert 0.0 <= lag <= 0.07  # a picture that repeats is late itself
    assert r > 0.9


def test_a_region_that_is_refused_costs_no_picture():
    frames = frames_of()[:40]
    cut = frames[20].image[:100, :100]
    frames += as_frames([cut] * 20, np.arange(20) / RATE, session=1, seq=40)
    machine, done = magnifier(shipped(), lag=0.5), []
    for frame in frames:
        try:
            done += machine.push(frame, settings(roi=(60, 60, 100, 100), lag=0.5))
        except RegionError:
            done += machine.push(frame, settings(roi="full", lag=0.5))
    done += machine.flush()
    assert [magnified.frame for magnified in done] == frames


def test_the_pulse_of_one_region_is_not_shown_in_another():
    images = list(pictures()[:200])
    frames = as_frames(images + images[-1:] * 40, np.arange(240) / RATE)
    done = live(
        shipped(),
        frames,
        lambda frame: settings(roi=person().region if frame.seq < 200 else (40, 40, 140, 140)),
    )
    assert all(np.array_equal(one.image, one.frame.image) for one in done[200:])


def test_a_region_outside_the_picture_is_refused_in_words():
    with pytest.raises(RegionError, match="region"):
        magnifier(shipped()).push(frames_of()[0], Settings(roi=(230, 230, 100, 100)))
