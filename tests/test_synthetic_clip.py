"""Clips as a camera delivers them: sensor, codec, truth."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch

from deepmag.models.synthetic.clip import make_clip
from deepmag.models.synthetic.codec import h264
from deepmag.models.synthetic.disturbances import Flicker
from deepmag.models.synthetic.disturbed import Disturbances
from deepmag.models.synthetic.scene import random_scene
from deepmag.models.synthetic.sensor import Sensor, demosaic, mosaic

SMALL = (128, 96)


def moving_noise(frames=60, size=(96, 128)):
    rng = np.random.default_rng(0)
    base = rng.uniform(60, 190, (*size, 3))
    return (
        np.stack([np.roll(base, i, 1) + rng.normal(0, 4, base.shape) for i in range(frames)])
        .clip(0, 255)
        .astype(np.uint8)
    )


@pytest.mark.parametrize("bit_rate", [100e3, 400e3])
@pytest.mark.parametrize("live", [True, False])
def test_the_codec_keeps_to_its_bit_rate(bit_rate, live):
    video = moving_noise(120)
    decoded, produced = h264(video, 30.0, bit_rate, live=live)
    assert decoded.shape == video.shape
    assert produced == pytest.approx(bit_rate, rel=0.25)


def test_more_bits_are_a_better_picture():
    video = moving_noise()
    errors = [np.abs(h264(video, 30.0, rate)[0].astype(float) - video).mean() for rate in (50e3, 500e3, 5e6)]
    assert errors[0] > errors[1] > errors[2]


def test_pictures_of_odd_size_come_back_as_they_were():
    video = np.full((5, 33, 47, 3), 130, np.uint8)
    decoded, _ = h264(video, 25.0, 200e3)
    assert decoded.shape == video.shape
    assert np.abs(decoded.astype(int) - 130).max() <= 2


def test_a_codec_says_what_it_cannot_code():
    with pytest.raises(ValueError, match="16 px"):
        h264(np.zeros((3, 8, 8, 3), np.uint8), 30.0, 1e5)
    with pytest.raises(ValueError, match="bit rate"):
        h264(np.zeros((3, 32, 32, 3), np.uint8), 30.0, 0.0)


def test_the_bayer_mosaic_keeps_the_mean_colour():
    y, x = np.mgrid[:64, :64].astype(np.float32)
    picture = np.stack([100 + x, 150 - 0.5 * y, 60 + 0.3 * x], -1).astype(np.float32)
    back = demosaic((256 * mosaic(picture)).astype(np.uint16)) / 256
    assert back.mean((0, 1)) == pytest.approx(picture.mean((0, 1)), abs=0.3)
    assert np.abs(back - picture)[4:-4, 4:-4].max() < 1.5


def test_the_sensor_adds_the_noise_asked_for_and_no_bias():
    picture = np.full((200, 200, 3), 128.4, np.float32)
    sensor = Sensor(noise=2.0, bayer=False)
    seen = sensor.expose(picture, sensor.grain(np.random.default_rng(0), 200, 200)).astype(float)
    assert seen.std() == pytest.approx(2.0, rel=0.05)
    assert seen.mean() == pytest.approx(128.4, abs=0.05)


def test_brighter_pixels_have_more_shot_noise():
    sensor = Sensor(noise=2.0, bayer=False)
    grain = sensor.grain(np.random.default_rng(0), 200, 200)
    dark, light = (sensor.expose(np.full((200, 200, 3), v, np.float32), grain).std() for v in (30, 220))
    assert light > 1.5 * dark


@pytest.fixture(scope="module")
def clip():
    return make_clip("A", seed=4, seconds=4.0, size=SMALL, bpm=70.0, factor=10.0)


def test_a_clip_has_the_shapes_and_types_it_states(clip):
    assert clip.video.shape == clip.ideal.shape == (120, 96, 128, 3)
    assert clip.video.dtype == clip.ideal.dtype == np.uint8
    assert clip.skin.shape == (120, 96, 128)
    assert clip.blood.shape == clip.respiration.shape == (120,)
    assert clip.bpm == pytest.approx(70.0, rel=0.1)


def in_band(trace):
    from scipy.signal import butter, sosfiltfilt

    return sosfiltfilt(butter(2, (0.7, 4.0), "bandpass", fs=30, output="sos"), trace)


def test_the_ideal_has_the_pulse_times_its_factor_and_the_same_noise(clip):
    skin = clip.skin.mean(0) > 0.8
    ideals = [clip, make_clip("A", seed=4, seconds=4.0, size=SMALL, bpm=70.0, factor=4.0)]
    added = [in_band((c.ideal - c.video.astype(float))[:, skin, 1].mean(1)) for c in ideals]
    truth = in_band(clip.blood)
    assert np.corrcoef(added[0], truth)[0, 1] < -0.98  # more blood is darker
    assert (added[0] @ truth) / (added[1] @ truth) == pytest.approx(9 / 3, rel=0.03)
    assert np.array_equal(ideals[0].video, ideals[1].video)
    # the mosaic's colours come from neighbours
    off = cv2.dilate(clip.skin.max(0), np.ones((7, 7))) == 0
    assert np.array_equal(clip.video[:, off], clip.ideal[:, off])


def test_the_region_holds_the_face(clip):
    x, y, w, h = clip.region
    assert w == h
    assert clip.skin[:, y : y + h, x : x + w].sum() > 0.85 * clip.skin.sum()


def test_the_same_seed_is_the_same_clip_and_another_is_not():
    one, same, other = (make_clip("C", seed=seed, seconds=0.2, size=SMALL).video for seed in (1, 1, 2))
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)


def test_a_wall_is_the_same_in_all_tasks():
    def corner(task, seed, wall):
        # what a person moves before it is elsewhere; noise is left out by the mean over the clip
        return (
            make_clip(task, seed=seed, seconds=1.0, rate=10.0, size=(96, 72), wall=wall)
            .video[:, :16, :16]
            .mean(0)
        )

    assert np.abs(corner("A", 3, 7) - corner("D", 3, 7)).max() < 4
    assert np.abs(corner("A", 3, 7) - corner("D", 3, None)).max() > 20
    assert np.abs(corner("A", 3, 7) - corner("A", 3, 8)).max() > 20
    assert np.abs(corner("A", 3, 7) - corner("B", 3, 7)).max() < 4
    assert corner("B", 3, None).max() < 60


def test_a_seed_is_the_same_person_with_the_same_pulse_in_all_tasks():
    clips = [make_clip(task, seed=6, seconds=0.5, size=SMALL) for task in "ABCD"]
    for other in clips[1:]:
        assert other.person == clips[0].person
        assert (other.bpm, other.breaths) == (clips[0].bpm, clips[0].breaths)
        assert np.array_equal(other.blood, clips[0].blood)
        assert np.array_equal(other.respiration, clips[0].respiration)
        assert not np.array_equal(other.video, clips[0].video)


def test_in_all_tasks_light_and_exposure_are_the_same_and_motion_and_wall_are_not():
    scenes = [
        random_scene(
            np.random.default_rng([3]),
            30,
            30.0,
            task=task,
            steady_light=True,
            stage=np.random.default_rng([3, ord(task)]),
        )
        for task in "ABCD"
    ]
    for other in scenes[1:]:
        assert np.array_equal(other.lamps, scenes[0].lamps)
        assert np.array_equal(other.colour, scenes[0].colour)
        for name in ("ambient", "gloss", "exposure", "lift", "head_lift", "rhythm", "person"):
            assert getattr(other, name) == getattr(scenes[0], name), name
        assert not np.array_equal(other.motion.yaw, scenes[0].motion.yaw)
        assert not torch.equal(other.background, scenes[0].background)


def test_progress_counts_to_the_end_and_a_codec_states_its_rate():
    seen = []
    clip = make_clip("B", seed=3, seconds=0.5, size=SMALL, bit_rate=3e5, progress=lambda *at: seen.append(at))
    assert seen[-1] == (15, 15)
    assert clip.bit_rate is not None
    assert clip.bit_rate > 0


def test_the_tone_asked_for_is_the_persons():
    assert make_clip("A", seed=1, seconds=0.1, size=SMALL, melanin=0.8).person.fitzpatrick == 6


def test_the_person_breathes_as_often_as_asked():
    clip = make_clip("A", seed=1, seconds=30.0, rate=2.0, size=SMALL, breaths=6.0)
    assert clip.breaths == 6.0
    spectrum = np.abs(np.fft.rfft(clip.respiration - clip.respiration.mean()))
    assert 60 * np.fft.rfftfreq(60, 0.5)[spectrum.argmax()] == pytest.approx(6.0, abs=1.0)


def shoulder_slope(video, chest):
    """How much the picture beside the neck brightens, grey levels, for a unit of breath."""
    width = video.shape[2]
    beside = np.r_[round(0.12 * width) : round(0.3 * width), round(0.7 * width) : round(0.88 * width)]
    return np.polyfit(chest, video[:, 60:, beside].astype(float).mean((1, 2, 3)), 1)[0]


def test_the_ideal_has_the_breath_times_its_factor():
    clip = make_clip("B", seed=5, seconds=5.0, rate=10.0, size=(160, 120), noise=0.0, breath_factor=3.0)
    assert clip.ideal is not None
    assert (clip.factor, clip.breath_factor) == (1.0, 3.0)
    assert np.abs(clip.respiration).max() <= 1
    asked, larger = (shoulder_slope(v, clip.respiration) for v in (clip.video, clip.ideal))
    assert abs(asked) > 0.05
    assert larger / asked == pytest.approx(3.0, rel=0.1)
    assert np.array_equal(clip.video[:, :12], clip.ideal[:, :12])  # the wall above them does not breathe


def test_pulse_and_breath_can_both_be_larger_in_the_ideal():
    options = {"seed": 4, "seconds": 4.0, "size": SMALL, "bpm": 70.0, "noise": 0.0}
    still, moved = (make_clip("A", factor=10.0, breath_factor=b, **options) for b in (1.0, 1.5))
    assert np.array_equal(still.video, moved.video)
    skin = still.skin.min(0) > 0.9
    one, other = (in_band(clip.ideal[:, skin, 1].mean(1)) for clip in (still, moved))
    assert other @ one / (one @ one) == pytest.approx(1.0, abs=0.03)
    assert not np.array_equal(still.ideal, moved.ideal)


def test_disturbances_leave_the_person_and_the_pulse_as_they_are(clip):
    options = {"seed": 4, "seconds": 4.0, "size": SMALL, "bpm": 70.0, "factor": 10.0}
    chosen = Disturbances(
        talk=True, hand_held=0.005, flicker=Flicker(depth=0.01), passer_by="near", auto_exposure=True
    )
    restless = make_clip("A", disturbances=chosen, **options)
    assert restless.person == clip.person
    assert np.array_equal(restless.blood, clip.blood)
    skin = restless.skin.min(0) > 0.8
    assert np.abs(restless.video.astype(float) - clip.video).mean() > 2
    # what disturbs is in the ideal as well, so that only the pulse is between the two
    added = in_band((restless.ideal - restless.video.astype(float))[:, skin, 1].mean(1))
    assert np.corrcoef(added, in_band(clip.blood))[0, 1] < -0.95


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"bpm": -5.0}, "pulse rate is 20 to 300 beats per minute, not -5"),
        ({"bpm": 0.0}, "pulse rate"),
        ({"bpm": float("nan")}, "pulse rate"),
        ({"melanin": 3.0}, "melanin is 0 to 1, not 3"),
        ({"melanin": float("nan")}, "melanin"),
        ({"factor": float("inf")}, "ideal's pulse"),
        ({"factor": -1.0}, "ideal's pulse"),
        ({"breath_factor": -1.0}, "ideal's breath"),
        ({"breaths": 0.0}, "breathing rate"),
        ({"noise": -0.1}, "noise"),
        ({"bit_rate": 0.0}, "bit rate"),
        ({"bit_rate": 999.0}, "bit rate is 1000 bits per second or more"),
        ({"rate": 0.0}, "frame rate"),
        ({"seconds": float("nan")}, "length"),
        ({"seconds": -1.0}, "length is 0 s or more"),
        ({"size": (8, 96)}, "16 px"),
        ({"seed": -1}, "seed"),
    ],
)
def test_what_nobody_has_is_refused_in_words(wrong, said):
    with pytest.raises(ValueError, match=said):
        make_clip("A", **({"seed": 1, "size": SMALL} | wrong))


def test_a_task_that_the_paper_does_not_have_is_refused():
    with pytest.raises(ValueError, match="A, B, C and D, not 'E'"):
        make_clip("E", seed=1)


def test_a_clip_of_no_length_is_refused():
    with pytest.raises(ValueError, match="two frames"):
        make_clip("A", seed=1, seconds=0.01)
