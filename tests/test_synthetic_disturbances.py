"""Lamps, cameras and passers-by that disturb a take."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from deepmag.models.synthetic.disturbances import Flicker, Passer, auto_exposure, screen, white_balance
from deepmag.models.synthetic.disturbed import Disturbances, disturbed, exposed
from deepmag.models.synthetic.person import Person
from deepmag.models.synthetic.scene import random_scene, render
from deepmag.models.training import sequences
from deepmag.models.training.sequences import random_take, self_exposed

T = np.arange(120) / 30


def still(frames=120, rate=30.0, **options):
    return random_scene(
        np.random.default_rng(1), frames, rate, person=Person(42, 0.2, 0.0), still=True, **options
    )


def test_a_lamp_at_120_hz_does_not_show_at_30_hz_and_one_at_100_hz_beats():
    t, rows = torch.arange(60, dtype=torch.float64)[:, None, None] / 30, torch.zeros(1, 1, 1)
    steady = Flicker(120.0, 0.1, exposure=0.0).factor(t, rows)
    beating = Flicker(100.0, 0.1, exposure=0.0).factor(t, rows)[:, 0, 0].numpy()
    assert float(steady.std()) < 1e-5
    assert beating.std() == pytest.approx(0.1 / np.sqrt(2), rel=0.05)
    spectrum = np.abs(np.fft.rfft(beating - beating.mean()))
    assert np.fft.rfftfreq(60, 1 / 30)[spectrum.argmax()] == pytest.approx(10.0)


def test_an_exposure_of_whole_periods_takes_the_flicker_out():
    t, rows = torch.arange(60.0)[:, None, None] / 30, torch.zeros(1, 1, 1)
    assert float(Flicker(100.0, 0.1, exposure=0.01).factor(t, rows).std()) < 1e-6


def test_a_rolling_shutter_makes_bands():
    scene = replace(still(2, flat := 30.0), flicker=Flicker(100.0, 0.2, exposure=0.0, readout=0.02))
    plain = render(still(2, flat), 48, 48, slice(0, 1)).video
    banded = render(scene, 48, 48, slice(0, 1)).video
    ratio = (banded / plain)[0, 1].mean(1).numpy()
    assert np.ptp(ratio) > 0.1
    crossings = (np.diff(np.sign(ratio - ratio.mean())) != 0).sum()
    assert crossings == pytest.approx(4, abs=1)  # two periods of 10 ms in 20 ms


def test_someone_who_walks_past_behind_changes_the_wall_and_not_the_face():
    walker = Passer(start=0.0, speed=0.5, x0=-0.6, colour=(0.02, 0.02, 0.02), skin=(0.3, 0.2, 0.1))
    scene = still(60)
    with_walker = replace(scene, passers=(walker,))
    plain, passed = render(scene, 48, 48), render(with_walker, 48, 48)
    change = (plain.video - passed.video).abs().amax((0, 1))
    assert float(change[:24, :8].max()) > 5.0
    assert float(change[plain.skin.amin(0) > 0.99].max()) < 0.5


def test_someone_near_comes_and_goes():
    walker = Passer(0.0, 0.8, -0.9, (0.02, 0.02, 0.02), (0.3, 0.2, 0.1), size=0.35, near=True, turn=-0.5)
    x = walker.where(torch.from_numpy(T)).numpy()
    assert x.max() == pytest.approx(-0.5, abs=0.02)
    assert x[-1] < -0.9


def test_auto_exposure_follows_the_picture_back_to_its_brightness():
    light = np.ones((120, 3))
    light[30:] = 0.6
    scene = replace(still(), light=light)
    seen = exposed(scene, lambda brightness: auto_exposure(brightness, scene.t, seconds=0.4, delay=0.1))
    gain = seen.light[:, 1] / light[:, 1]
    assert gain[:31] == pytest.approx(1.0, abs=0.02)
    assert gain[33] < 1.2  # not at once
    assert gain[-1] == pytest.approx(1 / 0.6, rel=0.05)
    half = np.flatnonzero(gain > 1 + 0.5 * (1 / 0.6 - 1))[0] / 30 - 1.0
    assert 0.15 < half < 0.8


def test_auto_exposure_steers_to_a_target():
    scene = still(90)
    target = 0.3
    seen = exposed(scene, lambda brightness: auto_exposure(brightness, scene.t, target=target))
    mean = ((render(seen, 24, 24).video / 255) ** 2.2).mean((1, 2, 3))
    assert float(mean[-1]) == pytest.approx(target, rel=0.15)


def test_a_screen_and_a_white_balance_change_colours_about_each_other():
    rng = np.random.default_rng(0)
    for light in (screen(rng, T, 0.02), white_balance(rng, T, 0.01)):
        assert light.shape == (120, 3)
        assert (light > 0).all()
        assert (light / light[:, :1]).std(0).max() > 1e-3


def chosen(**options):
    return disturbed(still(), Disturbances(**options), np.random.default_rng(4))


def test_nothing_disturbs_unless_it_is_chosen():
    scene = still()
    assert disturbed(scene, Disturbances(), np.random.default_rng(4)) is scene


def test_talk_opens_the_mouth_and_nothing_else():
    talking = chosen(talk=True)
    assert np.ptp(talking.motion.jaw) > 0.1
    assert np.array_equal(talking.motion.yaw, still().motion.yaw)
    assert not talking.motion.camera_x.any()


def test_a_camera_in_a_hand_shifts_by_as_much_as_asked():
    seeds = range(20)
    scenes = [disturbed(still(), Disturbances(hand_held=0.01), np.random.default_rng(seed)) for seed in seeds]
    rms = np.sqrt(np.mean([(scene.motion.camera_x**2 + scene.motion.camera_y**2) / 2 for scene in scenes]))
    assert rms == pytest.approx(0.01, rel=0.25)


@pytest.mark.parametrize(("where", "near"), [("behind", False), ("near", True)])
def test_a_passer_by_walks_where_chosen(where, near):
    assert [walker.near for walker in chosen(passer_by=where).passers] == [near]


def test_the_lamps_flicker_as_chosen():
    lamp = Flicker(120.0, 0.05)
    assert chosen(flicker=lamp).flicker == lamp


def test_a_passer_by_who_is_chosen_is_seen_within_the_take():
    plain = render(still(), 24, 24).video
    for where in ("behind", "near"):
        for seed in range(6):
            scene = disturbed(still(), Disturbances(passer_by=where), np.random.default_rng(seed))
            assert float((render(scene, 24, 24).video - plain).abs().max()) > 5, (where, seed)


def test_a_camera_that_sets_its_exposure_answers_to_someone_near():
    alone = chosen(auto_exposure=True)
    passed, answered = (chosen(passer_by="near", auto_exposure=auto) for auto in (False, True))
    assert np.ptp(alone.light) < 1e-3
    assert np.ptp(passed.light) == 0
    assert np.ptp(answered.light) > 0.005


def test_what_is_switched_on_changes_nothing_of_the_rest():
    alone, among = chosen(hand_held=0.01), chosen(talk=True, hand_held=0.01, passer_by="near")
    assert np.array_equal(alone.motion.camera_x, among.motion.camera_x)
    assert chosen(passer_by="near").passers == among.passers


@pytest.mark.parametrize("wrong", [{"hand_held": -0.1}, {"hand_held": float("nan")}, {"passer_by": "above"}])
def test_what_is_no_disturbance_is_refused(wrong):
    with pytest.raises(ValueError, match=r"hand-held|passer-by"):
        Disturbances(**wrong)


def test_a_take_to_train_on_can_be_seen_by_a_camera_that_sets_its_exposure():
    light = np.ones((120, 3))
    light[20:] = 0.7
    for seed in range(3):
        seen = self_exposed(np.random.default_rng(seed), replace(still(), light=light))
        gain = seen.light[:, 1] / light[:, 1]
        assert gain[20] == pytest.approx(1.0, abs=0.02)
        assert 1.2 < gain[-1] < 1.5


def test_the_exposure_changes_the_takes_picture_and_not_its_target(monkeypatch):
    monkeypatch.setattr(sequences, "CODED", 0.0)  # so that nothing else differs
    takes = []
    for share in (0.0, 1.0):
        monkeypatch.setattr(sequences, "SELF_EXPOSED", share)
        takes.append(random_take(np.random.default_rng(3)))
    assert torch.equal(takes[0].target, takes[1].target)
    assert not torch.equal(takes[0].video, takes[1].video)
