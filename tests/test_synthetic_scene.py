"""The pulse in a rendered picture is the pulse asked for: its size, sign, colours, place and time."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from deepmag.models.synthetic import look
from deepmag.models.synthetic.camera import camera_noise, skip_blocks
from deepmag.models.synthetic.layers import LayeredPerson
from deepmag.models.synthetic.motion import Motion, random_motion, yaw_of_task
from deepmag.models.synthetic.person import Person
from deepmag.models.synthetic.scene import Framing, random_scene, render
from deepmag.models.synthetic.waveforms import TRANSIT, Rhythm, blood_volume

T = np.arange(60) / 30
GAMMA = 2.2


def still_scene(pulse=0.012, **options):
    person = Person(42, 0.19, pulse)
    return random_scene(np.random.default_rng(1), 30, 30.0, person=person, still=True, **options)


@pytest.fixture(scope="module")
def rendered():
    scene = still_scene()
    return scene, render(scene, 96, 96)


def relative(scene, result):
    """Relative change of each colour over the skin, (T, 3)."""
    skin = (result.skin[0] > 0.9).float()
    mean = (result.video * skin).sum((2, 3)) / skin.sum()
    return (mean / mean.mean(0) - 1).numpy()


def test_more_blood_is_darker_at_once_and_in_proportion(rendered):
    green = relative(*rendered)[:, 1]
    blood = 0.5 * (rendered[0].pulse + rendered[0].late_pulse)
    assert np.corrcoef(green, blood)[0, 1] < -0.98
    slope = -np.polyfit(blood, green, 1)[0]
    assert 0.5 < slope / (0.012 / GAMMA) < 1.5  # gloss, which has no pulse, takes a part of it


def linear(video):
    return (video.double() / 255) ** GAMMA


def test_without_gloss_the_light_of_each_pixel_changes_by_the_pulse_times_its_strength():
    scene = replace(still_scene(), gloss=0.0)
    strength = scene.person.head_maps(96)[look.STRENGTH]
    result = render(scene, 96, 96)
    light = linear(result.video)[:, 1]
    blood = torch.from_numpy(scene.pulse)
    inner = (result.skin[0] > 0.995) & (light.amax(0) < 1)
    swing = (light[blood.argmin()] / light[blood.argmax()] - 1)[inner] / (np.ptp(scene.pulse) * 0.012)
    assert float(swing.max()) < 1.1 * strength.max()
    assert float(swing.min()) > 0.5
    assert float(swing.std() / swing.mean()) > 0.05  # not every place pulses alike


def test_the_pulse_arrives_later_where_the_map_of_delays_says_so():
    t = np.arange(240) / 120
    scene = replace(
        still_scene(), t=t, light=np.ones((240, 3)), motion=Motion.none(240), chest=0 * t, gloss=0.0
    )
    rhythm = Rhythm(bpm=60, breaths=0.0, variability=0.0)  # two whole beats
    scene = replace(scene, pulse=blood_volume(rhythm, t), late_pulse=blood_volume(rhythm, t - TRANSIT))
    result = render(scene, 64, 64)
    inner = (result.skin[0] > 0.5).numpy()
    green = -result.video[:, 1].numpy()[:, inner]
    turn = np.exp(-2j * np.pi * t)
    late = -np.angle((green * turn[:, None]).sum(0) * np.conj((scene.pulse * turn).sum())) / (2 * np.pi)
    assert -0.002 < late.min() < 0.4 * TRANSIT
    assert 0.5 * TRANSIT < late.max() < TRANSIT + 0.002
    assert np.ptp(late) > 0.25 * TRANSIT


def test_green_pulses_most_and_red_least(rendered):
    red, green, blue = relative(*rendered).std(0)
    assert green > blue > red > 0


def test_nothing_but_skin_pulses(rendered):
    _, result = rendered
    off = (result.skin.amax(0) < 1e-6).numpy()
    moving = result.video.std(0).amax(0).numpy()
    body = off & (moving > 1e-3)
    assert body.sum() == 0
    assert moving[result.skin[0].numpy() > 0.9].min() > 0


def test_without_a_pulse_a_still_scene_stands_still():
    assert float(render(still_scene(pulse=0.0), 48, 48).video.std(0).max()) < 1e-3


def test_the_ideal_magnified_video_has_the_pulse_times_the_factor(rendered):
    scene, result = rendered
    ten = relative(scene, render(scene.with_pulse_times(10.0), 96, 96))
    assert ten[:, 1].std() / relative(scene, result)[:, 1].std() == pytest.approx(10.0, rel=0.1)


def test_further_gains_are_the_same_as_rendering_each_by_itself(rendered):
    scene, alone = rendered
    both = render(scene, 96, 96, pulse_gains=(1.0, 10.0))
    assert torch.equal(both.video, alone.video)
    assert torch.allclose(both.magnified[0], render(scene.with_pulse_times(10.0), 96, 96).video, atol=2e-3)


def test_in_linear_light_the_ideal_changes_exactly_k_times_as_much_pixel_by_pixel(rendered):
    scene, _ = rendered
    none, one, five = (
        linear(render(scene.with_pulse_times(k), 48, 48, slice(9, 10)).video) for k in (0.0, 1.0, 5.0)
    )
    change = (one - none).abs()
    clear = (change > 1e-4) & (one < 0.99)
    ratio = ((five - none) / (one - none))[clear]
    assert clear.sum() > 300
    assert float((ratio - 5).abs().max()) < 0.15  # single precision of a small difference


def shoulder_height(video):
    """Row of the shoulders' edge, px, (T,): where the picture beside the neck turns from wall to cloth."""
    column = video[:, 1, :, 93].double()
    dark, light = column[:, -1:], column[:, :1]
    return ((column - light) / (dark - light)).clamp(0, 1).sum(1).numpy()


def test_breathing_lifts_the_shoulders_by_the_pixels_asked_for():
    framing = Framing(0.5, 0.45, 0.28, 4 / 3)
    wall = torch.full((3, 8, 8), 0.8)
    options = {"framing": framing, "person": Person(5, 0.3, 0.0), "background": wall}
    scene = random_scene(np.random.default_rng(3), 40, 10.0, still=True, lift=0.04, **options)
    rise = shoulder_height(render(scene, 240, 320).video)
    asked = 0.04 * 0.28 * 240 * np.ptp(scene.chest)
    assert np.ptp(rise) == pytest.approx(asked, rel=0.2)
    assert np.corrcoef(rise, scene.chest)[0, 1] > 0.99
    twice = shoulder_height(render(scene.with_breath_times(2.0), 240, 320).video)
    assert np.ptp(twice) == pytest.approx(2 * asked, rel=0.2)


def test_someone_still_does_not_breathe_unless_asked():
    assert still_scene().lift == 0.0
    assert still_scene(lift=0.05).lift == 0.05


@pytest.mark.parametrize("task", ["A", "B", "C", "D"])
def test_tasks_a_and_d_have_the_patterned_background_and_b_and_c_the_black_one(task):
    scene = random_scene(np.random.default_rng(2), 5, 30.0, task=task)
    if task in "BC":
        assert float(scene.background.max()) < 0.01
    else:
        assert float(scene.background.std()) > 0.05


def test_one_frame_by_itself_is_the_same_as_in_a_batch():
    scene = random_scene(np.random.default_rng(8), 6, 30.0)
    batch = render(scene, 40, 52)
    for i in range(6):
        one = render(scene, 40, 52, slice(i, i + 1))
        assert torch.allclose(one.video[0], batch.video[i], atol=0.05)
        assert torch.allclose(one.skin[0], batch.skin[i], atol=1e-3)


def test_darker_skin_is_darker_and_pulses_less():
    light, dark = (replace(still_scene(), person=Person(42, melanin, 0.012)) for melanin in (0.1, 0.9))
    assert render(dark, 48, 48, slice(0, 1)).video.mean() < render(light, 48, 48, slice(0, 1)).video.mean()
    rng = np.random.default_rng(0)
    people = [Person.random(rng) for _ in range(400)]
    strong = [p.pulse for p in people if p.melanin < 0.2]
    weak = [p.pulse for p in people if p.melanin > 0.8]
    assert np.median(weak) < 0.8 * np.median(strong)


def test_the_same_seed_is_the_same_take_and_another_another():
    one, same, other = (random_scene(np.random.default_rng(seed), 3, 30.0) for seed in (5, 5, 6))
    assert torch.equal(render(one, 40, 40).video, render(same, 40, 40).video)
    assert not torch.equal(render(one, 40, 40).video, render(other, 40, 40).video)


@pytest.mark.parametrize(("task", "speed"), [("B", 10.0), ("C", 30.0)])
def test_the_papers_tasks_turn_the_head_at_their_speed(task, speed):
    t = np.arange(0, 20, 1 / 30)
    yaw = np.rad2deg(yaw_of_task(task, np.random.default_rng(0), t))
    assert np.median(np.abs(np.diff(yaw))) * 30 == pytest.approx(speed, rel=0.01)
    assert np.abs(yaw).max() <= 60.0 + 1e-6
    assert not yaw_of_task("A", np.random.default_rng(0), t).any()


def test_motion_is_smooth_and_bounded():
    for seed in range(10):
        motion = random_motion(np.random.default_rng(seed), T)
        assert np.abs(motion.camera_x).max() < 0.2
        assert np.abs(np.diff(motion.yaw)).max() < 0.6
        for track in (motion.jaw, motion.blink, motion.smile, motion.brow):
            assert ((track >= 0) & (track <= 1)).all()


def test_camera_noise_has_no_bias_and_a_strength_that_cameras_have():
    video = torch.full((40, 3, 36, 36), 120.0)
    for seed in range(6):
        noisy = camera_noise(np.random.default_rng(seed), video, torch.Generator().manual_seed(seed))
        assert noisy.shape == video.shape
        assert float((noisy - video).mean().abs()) < 0.2
        assert 0.01 < float((noisy - video).std()) < 6.0


def test_an_encoder_that_skips_blocks_shows_old_ones_until_they_changed_enough():
    video = torch.arange(20.0)[:, None, None, None].expand(20, 3, 36, 36).clone()
    shown = skip_blocks(video, 2.5, 10_000, np.random.default_rng(0))
    lateness = (video - shown)[:, 0, 0, 0]
    assert float(lateness.max()) == 2.0
    assert float(lateness.min()) == 0.0


def test_the_layered_person_has_the_pulse_of_the_rendered_one():
    person = LayeredPerson((120, 120))
    rhythm = Rhythm(bpm=72)
    pictures = np.stack([p[..., 1] for p in person.frames(T, rhythm, noise=0.5, sway=0.0)]).astype(float)
    green = pictures[:, person.skin > 0.9].mean(1)
    assert np.corrcoef(green, person.blood(T, rhythm))[0, 1] < -0.9
    still = np.stack([p[..., 1] for p in person.frames(T, rhythm, strength=0.0, noise=0.5, sway=0.0)])
    assert still[:, person.skin > 0.9].mean(1).std() < 0.2 * green.std()
    x, y, w, h = person.region
    inside = person.skin[y : y + h, x : x + w].sum() / person.skin.sum()
    assert inside > 0.95
