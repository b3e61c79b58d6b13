"""The live magnifier of breathing, with its network, against the truth of a synthetic person. No thread, no clock."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np
import pytest
from live_run import Remembering, as_frames
from waves import wavy

from deepmag.export.respiration import open_respiration_ascender
from deepmag.models.metrics.motion import added_displacement, displacement, motion_scores
from deepmag.models.metrics.picture import luma
from deepmag.models.phase import REDUCED
from deepmag.models.synthetic.clip import SyntheticClip, make_clip
from deepmag.models.weights import RESPIRATION
from deepmag.stream import breath_ticks
from deepmag.stream.pictures import HostPictures
from deepmag.stream.respiration import RespirationMagnifier
from deepmag.stream.settings import Settings

RATE = 15.0  # Hz
SIZE = (240, 180)  # px, width and height
BAND = (0.16, 0.5)  # Hz
CHEST, HEAD = (67, 135, 106, 45), (91, 36, 58, 81)  # x, y, w, h, px
WALL = (slice(0, 60), slice(0, 50))
LAG = 2.0  # s
KNOWN = slice(round(5 * RATE), None)  # once a breath has been seen


class Ascender(Remembering):
    """Looks at each pair once: runs that differ only in gain, lag or what is shown cost little more."""

    def gradient(self, x, weight):
        return self._look_up(("gradient",), (x, weight), lambda: self._ascender.gradient(x, weight))


@lru_cache(maxsize=1)
def network() -> Ascender:
    return Ascender(open_respiration_ascender(RESPIRATION, "cpu"))


@lru_cache(maxsize=2)
def clip(seed: int = 3, seconds: float = 15.0) -> SyntheticClip:
    return make_clip("A", seed=seed, seconds=seconds, rate=RATE, size=SIZE)


def settings(**changes) -> Settings:
    return Settings(**{"gain": 5.0, "lag": LAG, "target": "respiration", **changes})


def timed(images, rate: float = RATE, start: float = 0.0, **numbers):
    return as_frames(images, start + np.arange(len(images)) / rate, **numbers)


def run(frames, chosen: Settings | None = None):
    machine = RespirationMagnifier(network(), clock=lambda: 0.0, lag=LAG)
    done = []
    for frame in frames:
        done += machine.push(frame, chosen or settings())
    return done + machine.flush()


def scores_of(done):
    before, after = [luma(one.frame.image) for one in done], [luma(one.image) for one in done]
    return motion_scores(
        displacement(before, CHEST)[KNOWN],
        displacement(after, CHEST)[KNOWN],
        added_displacement(before, after, HEAD)[KNOWN],
        BAND,
        RATE,
    )


def change_of(done):
    """Grey levels by which each picture was changed, (T, H, W, 3)."""
    return np.abs(np.stack([one.image.astype(np.int16) - one.frame.image for one in done]))


def rates_of(done):
    return [one.respiration.reading.rate for one in done]


def test_of_a_camera_that_is_too_slow_for_any_rate_it_is_said():
    done = run(timed([np.zeros((180, 240, 3), np.uint8)] * 8, rate=1.0))
    assert [one.respiration.reading.reason for one in done][1:] == 7 * ["too few frames a second"]


def test_nothing_is_moved_further_than_twelve_cells():
    motion = np.array([0.5, -0.5, 2.0, -2.0], np.float32)
    assert breath_ticks.magnified(motion, 9.0).tolist() == [4.0, -4.0, 12.0, -12.0]


@pytest.fixture(scope="module")
def person():
    return timed(clip().video)


@pytest.fixture(scope="module")
def magnified(person):
    return run(person)


class Looked(HostPictures):
    """Notes which frames are expected, and which are changed."""

    def __init__(self):
        self.expected, self.changed = [], []

    def expect(self, frame):
        if frame.seq not in self.expected:
            self.expected.append(frame.seq)

    def change(self, frame, *, move=None, colouring=None):
        self.changed.append((frame.seq, frame.seq + 1 in self.expected))
        return super().change(frame, move=move, colouring=colouring)


# --- what is seen ---


def test_the_chest_moves_more_and_as_it_did(magnified):
    scores = scores_of(magnified)
    assert scores.before > 0.3  # px
    assert 2.5 < scores.gain < 6.0
    assert scores.coherence > 0.95
    assert scores.rough < 0.3


def test_the_head_and_the_wall_are_left_where_they_were(magnified):
    assert scores_of(magnified).leak < 0.35
    change = change_of(magnified)[KNOWN]
    assert change[(slice(None), *WALL)].mean() < 0.05 < 1.0 < change[:, 135:].mean()


def test_what_is_added_grows_with_the_gain(person, magnified):
    before = [luma(frame.image) for frame in person]

    def added(done):
        path = added_displacement(before, [luma(one.image) for one in done], CHEST)
        return path[KNOWN].std()

    assert added(run(person, settings(gain=3.0))) / added(magnified) == pytest.approx(2 / 4, rel=0.15)
    assert all(one.image is one.frame.image for one in run(person[:100], settings(gain=1.0)))


def test_what_is_shown_next_is_expected_once_something_moves(person):
    pictures = Looked()
    machine = RespirationMagnifier(network(), clock=lambda: 0.0, lag=LAG, pictures=pictures)
    for frame in person[: round(10 * RATE)]:
        machine.push(frame, settings())
    changed, next_known = zip(*pictures.changed, strict=True)
    assert len(changed) > 4 * RATE
    assert all(next_known)  # as one is changed: it goes up as that one comes down
    assert set(pictures.expected) <= {*changed, changed[0] - 1, changed[-1] + 1}  # and hardly any in vain


def test_the_rate_is_the_persons_and_the_wave_rises_as_they_breathe_in(magnified):
    shown = [rate for rate in rates_of(magnified) if rate is not None]
    assert len(shown) > 0.3 * len(magnified)
    assert all(abs(rate - clip().breaths) < 1.0 for rate in shown)
    wave = np.array([one.respiration.wave for one in magnified])
    assert np.corrcoef(wave[KNOWN], clip().respiration[KNOWN])[0, 1] > 0.9
    # px of the picture: the region's RMS, of which the chest's middle moves the most
    assert 0.3 < wave[KNOWN].std() / scores_of(magnified).before < 1.3


def test_a_camera_of_infrared_with_three_equal_channels_does_as_well(person):
    grey = [np.repeat(luma(frame.image).round().astype(np.uint8)[..., None], 3, 2) for frame in person[:165]]
    done = run(timed(grey))
    scores = scores_of(done)
    assert scores.gain > 2.5
    assert scores.coherence > 0.95
    assert all(np.array_equal(one.image[..., 0], one.image[..., 2]) for one in done)


def test_with_a_fifth_of_the_frames_lost_the_rate_stays_right(person):
    keep = np.sort(np.random.default_rng(5).permutation(len(person))[: round(0.8 * len(person))])
    done = run([person[i] for i in keep])
    shown = [rate for rate in rates_of(done) if rate is not None]
    assert len(shown) > 0.2 * len(done)
    assert shown[-1] == pytest.approx(clip().breaths, abs=1.0)


def test_without_a_lag_each_picture_comes_out_at_once_and_its_chest_moves_more(person):
    machine = RespirationMagnifier(network(), clock=lambda: 0.0, lag=0.0)
    done = []
    for frame in person[:165]:
        out = machine.push(frame, settings(lag=0.0))
        assert [one.frame for one in out] == [frame]
        done += out
    scores = scores_of(done)
    assert scores.gain > 2.0
    assert scores.coherence > 0.85


def test_in_a_dim_room_the_chest_moves_nearly_as_far(magnified):
    rng = np.random.default_rng(0)
    dim = [
        np.clip(0.15 * image + rng.normal(0.5, 0.5, image.shape), 0, 255).astype(np.uint8)
        for image in clip().video
    ]
    scores, bright = scores_of(run(timed(dim))), scores_of(magnified)
    assert scores.gain > 0.85 * bright.gain
    assert scores.coherence > 0.95


# --- nothing to magnify ---


@pytest.mark.parametrize("picture", ["black", "a flat wall", "a person in a photograph"])
def test_a_picture_in_which_nothing_happens_is_shown_itself(picture):
    levels = {"black": 0, "a flat wall": 120}
    image = np.full((*SIZE[::-1], 3), levels[picture], np.uint8) if picture in levels else clip().video[0]
    done = run(timed([image] * 40, rate=5.0))
    assert all(one.image is one.frame.image for one in done)
    assert set(rates_of(done)) == {None}
    assert all(one.respiration.wave == 0 for one in done)


@pytest.mark.parametrize("light", [1.0, 0.1])
@pytest.mark.parametrize("scene", ["a flat wall", "a person in a photograph"])
def test_a_cameras_noise_is_not_magnified_and_has_no_rate(scene, light):
    rng = np.random.default_rng(0)
    still = light * (clip().video[0].astype(np.float32) if "photograph" in scene else np.float32(120))
    images = [
        np.clip(still + rng.normal(0, 2, (*SIZE[::-1], 3)), 0, 255).round().astype(np.uint8)
        for _ in range(50)
    ]
    done = run(timed(images, rate=5.0), settings(gain=15.0))
    assert set(rates_of(done)) == {None}
    assert change_of(done).mean() < 0.5


class Moves(HostPictures):
    """Notes how far any part was moved, cells."""

    most = 0.0

    def change(self, frame, *, move=None, colouring=None):
        self.most = max(self.most, float(np.hypot(*breath_ticks.magnified(move.motion, move.gain)).max()))
        return super().change(frame, move=move, colouring=colouring)


@pytest.mark.parametrize(("light", "noise"), [(0.25, 3.0), (0.1, 2.0)])
def test_in_the_dark_noise_moves_no_spot_of_a_still_picture_not_even_at_first(light, noise):
    rng, moves = np.random.default_rng(0), Moves()
    machine = RespirationMagnifier(network(), clock=lambda: 0.0, lag=LAG, pictures=moves)
    still = light * clip().video[0].astype(np.float32)
    images = [
        np.clip(still + rng.normal(0.5, noise, still.shape), 0, 255).astype(np.uint8) for _ in range(30)
    ]
    for frame in timed(images, rate=5.0):
        machine.push(frame, settings(gain=16.0))
    machine.flush()
    assert moves.most < 0.2


def test_what_only_goes_with_a_camera_in_a_hand_is_not_magnified():
    """Who sits nearer than the wall moves further by it: what is left without the camera goes as the camera does."""
    rows, columns = np.mgrid[:REDUCED, :REDUCED].astype(np.float32)
    person = luma(cv2.resize(clip().video[0], (REDUCED, REDUCED)))
    seen = (0.5 * person + 0.5 * wavy((REDUCED, REDUCED))).astype(np.float32)
    nearer = 1.0 + 0.8 * np.exp(-0.5 * (((rows - 185) / 40) ** 2 + ((columns - 123) / 55) ** 2))
    rng = np.random.default_rng(0)
    hand = cv2.GaussianBlur(rng.standard_normal((2, 55)), None, 3)
    hand *= np.array([[1.5], [0.5]]) / hand.std()
    ticks, moved = breath_ticks.BreathTicks(network()), []
    for i, (down, right) in enumerate(hand.T.astype(np.float32)):
        picture = cv2.remap(
            seen,
            columns - nearer * right,
            rows - nearer * down,
            cv2.INTER_CUBIC,
            borderMode=cv2.BORDER_REPLICATE,
        )
        assert ticks.take(i / 5, picture + rng.normal(0, 0.4, seen.shape).astype(np.float32))
        known = ticks.moved(min(i, 9))
        moved.append(0.0 if known is None else np.abs(known.motion).max())
    assert ticks.reading(i / 5).reason == "the camera moves"
    assert max(moved[10:35]) > 0.2  # cells: nothing is known of it before the first look, after 7 s
    assert max(moved[43:]) == 0.0
    assert min(moved[35:39]) > 0.1  # it fades


# --- bookkeeping ---


def test_a_chest_that_trembles_five_times_a_second_does_not_seem_to_breathe():
    still = clip().video[0]
    rows, columns = np.mgrid[: SIZE[1], : SIZE[0]].astype(np.float32)
    x, y, w, h = CHEST
    chest = np.clip(1.5 - np.hypot((columns - x - w / 2) / w, (rows - y - h / 2) / h), 0, 1).astype(
        np.float32
    )

    def trembling(t):
        return cv2.remap(
            still, columns, rows + chest * np.float32(np.sin(2 * np.pi * 4.8 * t)), cv2.INTER_CUBIC
        )

    done = run(timed([trembling(i / RATE) for i in range(round(14 * RATE))]))
    assert set(rates_of(done)) == {None}
    assert done[-1].respiration.reading.reason == "other movement"


def test_one_picture_comes_out_for_each_that_goes_in_in_order_and_with_its_own_frame(person, magnified):
    assert len(magnified) == len(person)
    assert all(one.frame is frame for one, frame in zip(magnified, person, strict=True))
    assert all(one.pulse is None and set(one.signals) == {"respiration"} for one in magnified)


def test_no_more_pictures_wait_than_the_lag_lasts(person):
    machine = RespirationMagnifier(network(), clock=lambda: 0.0, lag=LAG)
    waiting = []
    for frame in person[:90]:
        machine.push(frame, settings())
        waiting.append(machine.waiting)
    assert max(waiting) == round(LAG * RATE)
    machine.flush()
    assert machine.waiting == 0


def test_a_frame_is_never_written_to(person):
    kept = [frame.image.copy() for frame in person[:100]]
    run(person[:100])
    assert all(np.array_equal(frame.image, image) for frame, image in zip(person, kept, strict=False))


def test_a_change_of_lag_or_gain_loses_and_repeats_nothing(person):
    machine = RespirationMagnifier(network(), clock=lambda: 0.0, lag=LAG)
    done = []
    for frame in person[:120]:
        lag = 0.4 if 50 <= frame.seq < 100 else LAG
        done += machine.push(frame, settings(lag=lag, gain=5.0 + frame.seq % 3))
    done += machine.flush()
    assert [one.frame.seq for one in done] == list(range(120))


def test_what_comes_out_at_once_when_the_lag_is_made_shorter_goes_on_breathing(person):
    frames = person[: round(12 * RATE)]
    machine, cut = RespirationMagnifier(network(), clock=lambda: 0.0, lag=LAG), []
    change = round(11 * RATE)
    for frame in frames:
        cut += machine.push(frame, settings(lag=LAG if frame.seq < change else 0.4))
    cut += machine.flush()
    always = run(frames)

    def waves(done):
        return np.array([one.respiration.wave for one in done])[change - round(1.9 * RATE) : change - 12]

    def bend(wave):
        return wave - np.linspace(wave[0], wave[-1], len(wave))

    found, expected = waves(cut), waves(always)
    assert np.corrcoef(found, expected)[0, 1] > 0.98
    assert bend(found).std() > 0.6 * bend(expected).std()


def test_a_longer_lag_shows_no_breath_out_of_turn(person):
    machine, done = RespirationMagnifier(network(), clock=lambda: 0.0, lag=0.4), []
    change = round(10 * RATE)
    for frame in person[: round(13 * RATE)]:
        done += machine.push(frame, settings(lag=0.4 if frame.seq < change else LAG))
        times = [moved.pts for moved in machine._path]
        assert times == sorted(times)
    assert done[-1].respiration.wave != 0.0


SECOND = 4.0  # s of the part after a break


def other_person():
    return list(clip(2, SECOND).video)


@pytest.mark.parametrize("kind", ["session", "gap", "backwards", "cut", "cut between ticks"])
def test_after_a_break_nothing_is_known_of_what_was_before(person, kind):
    first = person[: 60 + (kind == "cut between ticks")]
    end = first[-1].pts
    start = {"session": 0.0, "gap": end + 0.9, "backwards": end - 3.0}.get(kind, end + 1 / RATE)
    second = timed(other_person(), start=start, session=int(kind == "session"), seq=len(first))
    done = run([*first, *second])
    assert [one.frame.seq for one in done] == list(range(len(first) + len(second)))
    # a cut is noticed when its tick ends: two frames later here
    late = 2 if kind == "cut between ticks" else 0
    after, alone = done[len(first) + late :], run(second[late:])
    assert all(np.array_equal(a.image, b.image) for a, b in zip(after, alone, strict=True))
    assert change_of(alone).mean() > 0.2  # or all that would say little


def test_a_change_of_size_empties_it_and_each_picture_keeps_its_own(person):
    first = person[:60]
    small = [cv2.resize(image, (160, 120), interpolation=cv2.INTER_AREA) for image in other_person()]
    start = first[-1].pts + 1 / RATE
    frames = timed(small, start=start, seq=len(first))
    done = run([*first, *frames])
    assert all(one.image.shape == one.frame.image.shape for one in done)
    assert [one.frame.seq for one in done] == list(range(len(first) + len(small)))
    alone = run(timed(small, start=start))
    assert all(np.array_equal(a.image, b.image) for a, b in zip(done[len(first) :], alone, strict=True))
    assert not np.array_equal(alone[-30].image, alone[-30].frame.image)


def test_a_new_session_begins_without_the_rate_of_the_one_before(person, magnified):
    after = run([*person, *timed(other_person(), session=1, seq=len(person))])[len(person) :]
    assert rates_of(magnified)[-1] is not None
    assert set(rates_of(after)) == {None}


# --- what is looked at ---


def test_in_a_box_around_the_chest_it_moves_and_outside_nothing_does(person):
    box = (40, 80, 160, 100)
    done = run(person[:165], settings(roi=box))
    assert {one.roi for one in done} == {box}
    outside = np.ones(SIZE[::-1], bool)
    outside[80:180, 40:200] = False
    change = change_of(done)
    assert change[:, outside].max() == 0
    assert change[KNOWN][:, 135:, 60:180].mean() > 1.0
    assert scores_of(done).gain > 1.5


def test_a_box_on_the_wall_finds_nobody(person):
    done = run(person[:120], settings(roi=(0, 0, 60, 60)))
    assert change_of(done).mean() < 0.02
    assert set(rates_of(done)) == {None}


@pytest.mark.parametrize("box", [(220, 100, 60, 60), (0, 150, 60, 60)])
def test_a_box_that_is_hardly_in_the_picture_is_refused_in_words(person, box):
    with pytest.raises(ValueError, match="leaves less than 36x36 pixels of the 240x180 picture"):
        run(person[:1], settings(roi=box))


def test_a_box_that_reaches_out_of_the_picture_is_cut(person):
    assert {one.roi for one in run(person[:3], settings(roi=(200, 100, 60, 100)))} == {(200, 100, 40, 80)}


def test_full_is_what_auto_is_so_that_nothing_begins_anew(person):
    machine = RespirationMagnifier(network(), clock=lambda: 0.0, lag=LAG)
    done = []
    for frame in person:
        done += machine.push(frame, settings(roi="auto" if frame.seq < 90 else "full"))
    usual = run(person)[: len(done)]
    assert rates_of(done) == rates_of(usual)
    assert all(np.array_equal(a.image, b.image) for a, b in zip(done, usual, strict=True))


def test_a_picture_that_repeats_for_a_second_is_too_slow_to_tell(person):
    """An alias: one picture a second, shown as many, does not tell 40 breaths a minute from 20."""
    repeated = timed([person[int(i // RATE * RATE)].image for i in range(len(person))])
    reasons = [one.respiration.reading.reason for one in run(repeated)]
    assert set(rates_of(run(repeated))) == {None}
    assert set(reasons[round(4 * RATE) :]) == {"too few frames a second"}


def test_another_box_begins_anew(person):
    machine = RespirationMagnifier(network(), clock=lambda: 0.0, lag=LAG)
    done = []
    for frame in person[:120]:
        done += machine.push(frame, settings(roi="full" if frame.seq < 90 else (40, 80, 160, 100)))
    assert machine.breath is None or machine.breath.wave.size < 3 * RATE
    done += machine.flush()
    assert [one.frame.seq for one in done] == list(range(120))
    assert [one.roi for one in done[:90]] == [(0, 0, *SIZE)] * 90


@pytest.mark.parametrize("size", [(48, 36), (20, 15), (5, 4), (1, 1)])
def test_a_picture_too_small_to_show_a_breath_passes_through(size):
    images = [cv2.resize(image, size, interpolation=cv2.INTER_AREA) for image in clip().video[:60]]
    done = run(timed(images))
    assert len(done) == len(images)
    assert all(one.image.shape == (size[1], size[0], 3) for one in done)
    assert change_of(done).mean() < 3.0
