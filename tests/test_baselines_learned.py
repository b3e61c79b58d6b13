"""Learned magnification: a picture that moves by d moves by gain d, whatever is in it; and what it learns from."""

from __future__ import annotations

import hashlib
import re

import cv2
import numpy as np
import pytest
import test_baselines_motion as motion_tests
import torch
from safetensors.torch import load_file, save_file
from test_baselines_motion import LEARNED as IN_THE_PULSES_BAND
from test_baselines_motion import grating, shifted, texture

from deepmag.models.baselines.learned import SIDE, LearnedEulerian
from deepmag.models.baselines.motion_network import LIMIT, MULTIPLE, MotionNet
from deepmag.models.metrics.motion import added_displacement
from deepmag.models.synthetic import moving_layers
from deepmag.models.synthetic.moving_layers import SIDE as PAIR_SIDE
from deepmag.models.synthetic.moving_layers import STEPS, random_pair
from deepmag.models.training import learned
from deepmag.models.training.learned import held_out, motion_loss, move, train_learned, trained
from deepmag.models.training.loop import Recipe
from deepmag.models.weights import LEARNED, PULSE, RESPIRATION

METHOD = LearnedEulerian()


@pytest.fixture(scope="module")
def net():
    return MotionNet.from_weights(load_file(LEARNED))


# --- a motion of d becomes one of gain d ---


def photograph(name: str) -> np.ndarray:
    """A picture that was never trained on, (240, 320) grey levels; mirrored, so that its spectrum can move it."""
    data = pytest.importorskip("skimage.data")
    whole = np.asarray(getattr(data, name)(), float)
    grey = whole if whole.ndim == 2 else whole[..., :3].mean(-1)
    top, left = (grey.shape[0] - 120) // 2, (grey.shape[1] - 160) // 2
    part = grey[top : top + 120, left : left + 160]
    return np.block([[part, part[:, ::-1]], [part[::-1], part[::-1, ::-1]]])


def as_image(grey: np.ndarray, seed: int = 0) -> np.ndarray:
    """(H, W, 3) uint8, rounded at random, so that a fiftieth of a pixel is not lost."""
    dithered = np.floor(grey + np.random.default_rng(seed).random(grey.shape))
    return np.clip(dithered, 0, 255).astype(np.uint8)[..., None].repeat(3, 2)


def growth(picture: np.ndarray, d: float, gain: float, direction: tuple[int, int]) -> float:
    """By how much a step of d px along (down, right) grows."""
    moved = shifted(picture, np.array(direction) * d)
    roundings = range(16 if d < 0.1 else 2)  # of faint steps the temporal filter averages many
    step = np.mean(
        [
            METHOD.step(METHOD.analyse(as_image(picture, k)), METHOD.analyse(as_image(moved, 10 + k)))
            for k in roundings
        ],
        0,
    )
    shown = METHOD.synthesise(as_image(moved), step.astype(np.float32), gain)
    # against the picture moved as far as it should be, since ECC does not find far motions of fine detail
    target = shifted(picture, np.array(direction) * d * gain)
    height, width = picture.shape
    box = (24, 24, width - 48, height - 48)
    off = added_displacement([target.astype(np.float32)], [shown[..., 1].astype(np.float32)], box)[0]
    return gain + float(off @ np.array(direction)) / d


# The worst that were found: lone round edges on a plain ground, and what is out of focus.
WORSE = {"coins": 0.15, "clock": 0.18}

PICTURES = {
    "fine texture": lambda: 128 + texture(6, 16, (128, 160)),
    "texture": lambda: 128 + texture(6, 64, (128, 160)),
    "coins": lambda: photograph("coins"),
    "clock": lambda: photograph("clock"),
    "retina": lambda: photograph("retina"),
    "chelsea": lambda: photograph("chelsea"),
}


@pytest.mark.parametrize("direction", [(0, 1), (1, 0)], ids=["right", "down"])
@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_moves_gain_times_as_far_whatever_is_in_it(name, direction):
    picture = PICTURES[name]()
    for d, gain in [(0.02, 51.0), (0.1, 11.0), (0.1, 41.0), (0.5, 3.0), (0.5, 7.0)]:
        assert growth(picture, d, gain, direction) == pytest.approx(gain, rel=WORSE.get(name, 0.1)), (d, gain)


def test_stripes_move_across_themselves():
    picture = 128 + grating(16.0)
    assert growth(picture, 0.2, 11.0, (0, 1)) == pytest.approx(11.0, rel=0.1)


def test_a_swing_in_the_band_of_a_whole_clip_grows_so_too():
    found = motion_tests.growth(IN_THE_PULSES_BAND, texture(6, 16), 0.1, 21.0)
    assert abs(found) == pytest.approx(21.0, rel=0.1)
    assert abs(np.angle(found)) < np.radians(2)


def test_a_picture_larger_than_the_working_one_moves_as_far():
    picture = 128 + texture(12, 64, (480, 640))
    assert growth(picture, 0.4, 11.0, (0, 1)) == pytest.approx(11.0, rel=0.1)


@pytest.mark.parametrize("size", [(97, 131), (240, 426), (33, 321)])
def test_sizes_need_be_no_multiples_of_anything(size):
    random = np.random.default_rng(1)
    image = random.integers(0, 255, (*size, 3), dtype=np.uint8)
    step = METHOD.step(METHOD.analyse(image), METHOD.analyse(np.roll(image, 1, 1)))
    assert METHOD.synthesise(image, step, 3.0).shape == image.shape
    assert np.array_equal(METHOD.synthesise(image, step, 1.0), image)
    assert np.array_equal(METHOD.synthesise(image, 0 * step, 30.0), image)


def test_all_colours_move():
    """Of the picture only green and blue are textured; a red edge goes where they go."""
    picture, x = 128 + texture(8, 64, (128, 160)), np.arange(160)

    def image(d: float) -> np.ndarray:
        shown = as_image(shifted(picture, np.array([0, d])))
        shown[..., 0] = np.round(128 - 80 * np.tanh((x - 80 - d) / 2))
        return shown

    step = METHOD.step(METHOD.analyse(image(0.0)), METHOD.analyse(image(0.3)))
    red = METHOD.synthesise(image(0.3), step, 10.0)[30:-30, 60:100, 0].mean(0, dtype=float)
    assert np.interp(-128.0, -red, x[60:100]) == pytest.approx(83.0, abs=0.3)


def test_each_side_needs_some_pixels():
    METHOD.analyse(np.zeros((MULTIPLE, SIDE, 3), np.uint8))
    with pytest.raises(ValueError, match=rf"a picture of 640x40 px is too small .* needs {2 * MULTIPLE} px"):
        METHOD.analyse(np.zeros((40, 640, 3), np.uint8))


# --- the network ---


def test_the_shipped_weights_are_small_whole_and_finite(net):
    assert LEARNED.stat().st_size < 1_000_000
    assert all(torch.isfinite(parameter).all() for parameter in net.parameters())


@pytest.mark.parametrize("weights", [PULSE, RESPIRATION, LEARNED], ids=lambda path: path.stem)
def test_a_model_card_is_of_the_file_that_ships(weights):
    card = weights.with_suffix(".md").read_text()
    assert re.findall(r"\b[0-9a-f]{64}\b", card) == [hashlib.sha256(weights.read_bytes()).hexdigest()]


def test_weights_that_are_another_networks_are_refused(tmp_path):
    image = np.zeros((64, 64, 3), np.uint8)
    with pytest.raises(ValueError, match="does not hold the weights of a MotionNet"):
        LearnedEulerian(weights=PULSE).analyse(image)
    damaged = tmp_path / "damaged.safetensors"
    damaged.write_bytes(b"not weights at all")
    with pytest.raises(ValueError, match="does not hold the weights of a MotionNet"):
        LearnedEulerian(weights=damaged).analyse(image)


def test_what_is_added_grows_with_the_amplification_and_turns_with_its_sign(net):
    random = torch.Generator().manual_seed(1)
    luma = 128 + 30 * torch.randn(1, 1, 64, 96, generator=random)
    representation = net.encode(luma)
    change = 0.01 * torch.randn(representation.shape.shape, generator=random)

    def decoded(times: float) -> torch.Tensor:
        return net.decode(representation, representation.shape + net.manipulate(times * change))

    unit = decoded(1.0)
    assert unit.abs().max() > 1e-3
    for times in (-1.0, 0.1, 3.0):
        torch.testing.assert_close(decoded(times), times * unit, rtol=2e-3, atol=1e-4)
    assert torch.count_nonzero(decoded(0.0)) == 0
    assert decoded(1e6).square().sum(1).sqrt().max() <= LIMIT * 1.001


def test_the_shape_of_a_frame_is_the_one_that_the_encoder_gives_with_its_texture(net):
    luma = 128 + 30 * torch.randn(1, 1, 64, 96, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(net.shape(luma), net.encode(luma).shape)


# --- what it learns from ---


@pytest.mark.parametrize("seed", range(6))
def test_a_picture_of_one_layer_moves_as_it_says(seed, monkeypatch):
    monkeypatch.setattr(moving_layers, "ONE_LAYER", 1.0)
    pair = random_pair(np.random.default_rng(seed))
    assert pair.before.shape == pair.magnified.shape == (PAIR_SIDE, PAIR_SIDE)
    assert STEPS[0] / 2 < np.hypot(*pair.motion).max() / pair.amplification < 2 * STEPS[1]
    clean, motion = torch.from_numpy(pair.clean)[None, None], torch.from_numpy(pair.motion)[None]
    wrong = (move(clean, motion)[0, 0].numpy() - pair.magnified)[12:-12, 12:-12]
    change = (pair.clean - pair.magnified)[12:-12, 12:-12]
    assert np.abs(wrong).mean() < 0.3 * np.abs(change).mean() + 0.01  # what interpolation costs sharp edges


def test_behind_what_moves_a_still_background_stays(monkeypatch):
    monkeypatch.setattr(moving_layers, "ONE_LAYER", 0.0)
    monkeypatch.setattr(moving_layers, "STILL", 1.0)
    pair = random_pair(np.random.default_rng(2))
    still = np.hypot(*pair.motion) < 1e-3
    assert 0.02 < still.mean() < 0.98
    inner = cv2.erode(still.astype(np.uint8), np.ones((17, 17))) > 0
    assert np.abs(pair.magnified - pair.clean)[inner].max() < 0.1


def test_pairs_come_from_pictures_where_there_are_some():
    marked = np.tile(np.where(np.arange(300) % 2, 255.0, 0.0).astype(np.float32), (300, 1))
    pair = random_pair(np.random.default_rng(4), [marked])
    assert not np.array_equal(pair.clean, random_pair(np.random.default_rng(4)).clean)


def test_one_picture_in_ten_is_never_trained_on():
    pictures = [np.full((2, 2), i, np.float32) for i in range(23)]
    kept = [int(picture[0, 0]) for picture in held_out(pictures)]
    assert kept == [3, 13]
    assert sorted(kept + [int(picture[0, 0]) for picture in trained(pictures)]) == list(range(23))


def test_the_right_motion_costs_least(net):
    pairs = [random_pair(np.random.default_rng(seed)) for seed in range(4)]
    with torch.no_grad():
        good, part = motion_loss(net, pairs, "cpu")
        still = MotionNet().eval().requires_grad_(False)
        still.shape_head.weight.zero_()
        bad, none = motion_loss(still, pairs, "cpu")
    assert good < 0.6 * bad
    assert part < 0.5 * none


TINY = Recipe(steps=4, batch=2, fresh=1, store=3)


def test_a_run_that_was_cut_goes_on_from_its_checkpoint(tmp_path, monkeypatch):
    monkeypatch.setattr(learned, "UNSEEN", unseen := 2)
    asked = iter([True] * (unseen + 2) + [False])
    cut = load_file(train_learned(tmp_path, TINY, keep_going=lambda: next(asked)))
    assert torch.load(tmp_path / "checkpoint.pt", weights_only=True)["step"] == 2
    taken = iter(range(100))
    path = train_learned(tmp_path, TINY, keep_going=lambda: next(taken) >= 0)
    assert next(taken) == unseen + 2  # two more steps, not four
    assert path == tmp_path / "learned.safetensors"
    whole = load_file(path)
    assert any(not torch.equal(cut[name], value) for name, value in whole.items())
    MotionNet.from_weights(whole)
    save_file(whole, str(tmp_path / "again.safetensors"))
