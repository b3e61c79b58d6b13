"""Respiration on a whole clip in the paper's own mode: its ascent, its phases over time and its pictures."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from test_live_against_offline import read
from test_magnify_breath import BAND, CHEST, grey, write

from deepmag.export.device import CPU
from deepmag.export.torch_respiration import TorchRespiration
from deepmag.models.metrics.motion import displacement, motion_scores
from deepmag.models.networks import RespirationNet
from deepmag.models.phase import SIDE, PhaseDifference
from deepmag.models.phase_reconstruction import LIMIT, PhaseReconstruction, filter_phase, weighted
from deepmag.models.pyramid_filters import ORIENTATIONS
from deepmag.models.respiration import ASCENT_RATE, INPUT_SCALE
from deepmag.models.respiration_ascent import ascend_paper
from deepmag.models.step_size import RESPIRATION_GAMMA, gamma_for_rate
from deepmag.models.synthetic.clip import make_clip
from deepmag.models.weights import RESPIRATION
from deepmag.stream.combine import combine
from deepmag.stream.offline import magnify_file
from deepmag.stream.settings import LiveSettings, Settings

RATE = 10.0
PAPER = {"mode": "paper", "roi": "full", "lossless": True}


# --- the ascent ---


@pytest.fixture(scope="module")
def net():
    return RespirationNet.from_weights(load_file(RESPIRATION))


def pairs(count=2):
    rng = np.random.default_rng(0)
    x = rng.normal(0, 0.1, (count, ORIENTATIONS, SIDE, SIDE)).astype(np.float32)
    return torch.from_numpy(x), torch.from_numpy(rng.uniform(0, 1, x.shape).astype(np.float32))


def test_one_step_is_that_of_equation_4_by_automatic_differentiation(net):
    x, weight = pairs()
    added, y = ascend_paper(net, x, weight, torch.tensor([0.01, 0.03]), iterations=2)
    for i, gamma in enumerate((0.01, 0.03)):
        leaf = x[i : i + 1].clone().requires_grad_()
        value = net(leaf * weight[i : i + 1] / INPUT_SCALE)
        (slope,) = torch.autograd.grad(value.abs().sum(), leaf)
        step = gamma * slope * torch.sign(leaf * slope) / slope.abs().mean()
        torch.testing.assert_close(added[i : i + 1], step.detach(), rtol=1e-4, atol=1e-6)
        assert float(y[i]) == pytest.approx(value.item(), rel=1e-5)


def test_every_step_adds_as_much_and_moves_x_away_from_zero(net):
    x, weight = pairs(1)
    added, _ = ascend_paper(net, x, weight, RESPIRATION_GAMMA, iterations=4)
    assert float(added.abs().mean()) == pytest.approx(3 * RESPIRATION_GAMMA, rel=1e-3)
    assert bool((added * x >= 0).all())


def test_where_nothing_is_trusted_nothing_changes(net):
    x, weight = pairs()
    weight[0, :, 40:80, 30:] = 0
    weight[1] = 0
    added, _ = ascend_paper(net, x, weight, 0.01, iterations=3)
    assert torch.count_nonzero(added[0, :, 40:80, 30:]) == 0
    assert torch.count_nonzero(added[0]) > 10_000
    assert torch.count_nonzero(added[1]) == 0


def test_the_ascender_takes_twenty_iterations_and_refuses_other_shapes(net):
    x, weight = pairs(1)
    ascender = TorchRespiration({name: part.numpy() for name, part in net.state_dict().items()}, CPU)
    added, y = ascender.paper(x.numpy(), weight.numpy(), 0.002)
    assert np.abs(added).mean() == pytest.approx(19 * 0.002, rel=1e-3)
    assert y.shape == (1,)
    with pytest.raises(ValueError, match="expected pairs and weights"):
        ascender.paper(x.numpy(), weight.numpy()[:, :2], 0.002)


def test_five_pairs_a_second_take_six_times_the_step_of_thirty():
    assert gamma_for_rate(30.0, RESPIRATION_GAMMA) == pytest.approx(3.6e-3)
    assert gamma_for_rate(ASCENT_RATE, RESPIRATION_GAMMA) == pytest.approx(6 * 3.6e-3)


# --- its phases over time ---


def test_a_breath_is_kept_and_drift_and_tremor_are_not_where_ticks_are_missing_too():
    place = np.delete(np.arange(300), [40, 41, 100, 220])
    t = place / ASCENT_RATE
    breath, drift, tremor = (np.sin(2 * np.pi * f * t) for f in (0.28, 0.03, 1.5))
    total = np.stack([breath, drift + 0.1 * t, tremor], 1).astype(np.float32)
    filter_phase(total, place, ASCENT_RATE)
    inner = slice(50, -50)
    assert np.abs(total[inner, 0] - breath[inner]).max() < 0.12
    assert np.abs(total[inner, 1:]).max() < 0.1


def test_a_step_counts_where_something_moves_and_its_neighbours_have_a_pattern():
    x, weight = (part[0].numpy() for part in pairs(1))
    x[:, :40] = 1e-3
    weight[:, 80:] = 0
    step = weighted(np.ones_like(x), PhaseDifference(x, weight, np.zeros((2, *x.shape), np.float32)))
    assert step[:, :30].max() < 0.01
    assert step[:, 50:80].min() > 0.5
    assert step[:, 95:].max() < 0.01


def test_phases_are_held_to_two_pi():
    t = np.arange(200) / ASCENT_RATE
    total = (20 * np.sin(2 * np.pi * 0.3 * t)).astype(np.float32)[:, None]
    filter_phase(total, np.arange(200), ASCENT_RATE)
    assert total.max() == pytest.approx(LIMIT)
    assert total.min() == pytest.approx(-LIMIT)


# --- its pictures ---


@pytest.mark.parametrize("wavelength", [6.0, 12.0, 24.0])
def test_phases_added_at_one_scale_move_patterns_of_others_as_far(wavelength):
    y = np.arange(480)

    def grating(shift):
        wave = 128 + 60 * np.sin(2 * np.pi * (y - shift) / wavelength)
        return np.repeat(np.repeat(wave[:, None], 360, 1)[..., None], 3, 2)

    image = np.round(grating(0.0)).astype(np.uint8)
    added = np.zeros((ORIENTATIONS, SIDE, SIDE), np.float32)
    # the octave of the ascent is centred on a wavelength of about 4 of its cells' sqrt(2)
    added[2] = -2 * np.pi * 1.0 / (480 / SIDE * 2 * 2**0.5)
    moved = PhaseReconstruction().magnify(image, added, (0, 0, 360, 480))
    middle = (slice(96, 384), slice(60, 300))
    inner = moved[middle].astype(float).mean((1, 2)) - 128
    turn = np.exp(-2j * np.pi * y[96:384] / wavelength)
    phase = np.angle((inner * turn).sum() / ((grating(0.0)[middle].mean((1, 2)) - 128) * turn).sum())
    shift = -phase * wavelength / (2 * np.pi)
    assert 0.6 < shift < 1.6


def test_nothing_outside_a_box_changes_and_nothing_at_all_without_phases():
    image = np.random.default_rng(0).integers(0, 255, (90, 120, 3)).astype(np.uint8)
    added = np.full((ORIENTATIONS, SIDE, SIDE), 0.5, np.float32)
    moved = PhaseReconstruction().magnify(image, added, (30, 20, 60, 50))
    changed = (moved != image).any(2)
    assert changed[20:70, 30:90].mean() > 0.5
    changed[20:70, 30:90] = False
    assert not changed.any()
    assert PhaseReconstruction().magnify(image, 0 * added, (30, 20, 60, 50)) is image


# --- a file ---


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """Somebody who sits still for 8 s and breathes 20 times a minute, their chest by 0.6 px RMS."""
    path = tmp_path_factory.mktemp("clip") / "in.mkv"
    write(path, make_clip("A", seed=1, seconds=8, rate=RATE, size=(160, 120)).video, RATE)
    return path


@pytest.fixture(scope="module")
def done(clip, tmp_path_factory):
    out = tmp_path_factory.mktemp("done") / "out.mkv"
    magnify_file(clip, out, target="respiration", gain=30.0, **PAPER)
    return out


def test_the_chest_moves_further_and_every_picture_keeps_its_time(clip, done):
    before, after = read(clip), read(done)
    assert [frame.pts for frame in after] == pytest.approx([frame.pts for frame in before], abs=1e-3)
    still = np.zeros((len(before), 2))
    scores = motion_scores(
        displacement(grey(clip), CHEST), displacement(grey(done), CHEST), still, BAND, RATE
    )
    # the paper's step has a fixed size, so a breath as deep as this one grows by less than a faint one
    assert scores.gain > 1.4
    assert scores.coherence > 0.9


def test_both_adds_the_pulses_colour_to_it(clip, tmp_path):
    first = [frame.image for frame in read(clip)][:15]
    write(tmp_path / "in.mkv", first, RATE)
    for target in ("respiration", "pulse", "both"):
        magnify_file(tmp_path / "in.mkv", tmp_path / f"{target}.mkv", target=target, **PAPER)
    paths = (tmp_path / f"{name}.mkv" for name in ("in", "respiration", "pulse", "both"))
    for a, m, c, b in zip(*(read(path) for path in paths), strict=True):
        assert np.array_equal(b.image, combine(a.image, m.image, c.image))


def test_a_still_picture_stays_as_it_is(clip, tmp_path):
    still = read(clip)[0].image
    write(tmp_path / "still.mkv", [still] * 20, RATE)
    magnify_file(tmp_path / "still.mkv", tmp_path / "out.mkv", target="respiration", **PAPER)
    frames = read(tmp_path / "out.mkv")
    assert len(frames) == 20
    assert all(np.array_equal(frame.image, still) for frame in frames)


def test_gain_one_gives_the_very_pictures(clip, tmp_path):
    frames = read(clip)[:15]
    write(tmp_path / "in.mkv", [frame.image for frame in frames], RATE)
    magnify_file(tmp_path / "in.mkv", tmp_path / "out.mkv", target="respiration", gain=1.0, **PAPER)
    after = read(tmp_path / "out.mkv")
    assert all(np.array_equal(a.image, b.image) for a, b in zip(frames, after, strict=True))


def test_live_knows_no_such_mode_and_says_what_does():
    with pytest.raises(ValueError, match="deepmag magnify"):
        Settings(target="respiration", mode="paper")
    with pytest.raises(ValueError, match="steady mode only"):
        LiveSettings(Settings(target="both")).change(mode="paper")
    assert Settings(target="respiration", mode="paper", whole_clip=True).mode == "paper"
