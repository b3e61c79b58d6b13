"""Clips as a camera delivers them: sensor, codec, truth."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from deepmag.models.synthetic.clip import make_clip
from deepmag.models.synthetic.codec import h264
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


def test_progress_counts_to_the_end_and_a_codec_states_its_rate():
    seen = []
    clip = make_clip("B", seed=3, seconds=0.5, size=SMALL, bit_rate=3e5, progress=lambda *at: seen.append(at))
    assert seen[-1] == (15, 15)
    assert clip.bit_rate is not None
    assert clip.bit_rate > 0


def test_the_tone_asked_for_is_the_persons():
    assert make_clip("A", seed=1, seconds=0.1, size=SMALL, melanin=0.8).person.fitzpatrick == 6


def test_a_clip_of_no_length_is_refused():
    with pytest.raises(ValueError, match="two frames"):
        make_clip("A", seed=1, seconds=0.01)
