"""RespirationNet, what it learns from, and the processes that make it; each against what it should be by itself."""

from __future__ import annotations

import os
import sys
from dataclasses import replace

import numpy as np
import pytest
import seeded_draw
import torch
from safetensors.torch import load_file

from deepmag.export.respiration import open_respiration_ascender
from deepmag.export.runtime import AscenderUnavailableError, load_weights
from deepmag.models.networks import RespirationNet
from deepmag.models.phase import REDUCED, SIDE, PhaseDifference
from deepmag.models.respiration import ASCENT_RATE, INPUT_SCALE, REACH, TARGET_SCALE, network_input
from deepmag.models.respiration_ascent import respiration_gradient
from deepmag.models.synthetic import breathing
from deepmag.models.synthetic.breathing import BREATHS, DEPTHS, breath_path, random_breathing
from deepmag.models.training import respiration
from deepmag.models.training.loop import Lesson, Pupil, Recipe, sequence_loss, train_together
from deepmag.models.training.respiration import FRAMES, LESSON, random_sequence
from deepmag.models.training.supply import AHEAD, Supply, worker_pool
from deepmag.models.weights import PULSE, RESPIRATION

LARGEST = 8_000_000  # bytes
RUNTIMES = ("auto", "torch")
T = np.arange(FRAMES) / ASCENT_RATE


@pytest.fixture(scope="module")
def net():
    return RespirationNet.from_weights(load_file(RESPIRATION))


def pairs(count: int = 2, seed: int = 0):
    rng = np.random.default_rng(seed)
    x = rng.normal(0, 0.1, (count, 4, SIDE, SIDE)).astype(np.float32)
    return x, rng.uniform(0, 1, x.shape).astype(np.float32)


# --- the network ---


def test_the_shipped_weights_are_small_whole_and_finite(net):
    assert RESPIRATION.stat().st_size < LARGEST
    assert all(torch.isfinite(parameter).all() for parameter in net.parameters())
    assert not any(parameter.requires_grad for parameter in net.parameters())
    assert not net.training


@pytest.mark.parametrize("widths", [RespirationNet.WIDTHS, (4, 8, 16, 16)])
def test_a_pair_of_four_orientations_becomes_one_number(widths):
    fresh = RespirationNet(widths)
    y = fresh(torch.zeros(3, 4, SIDE, SIDE))
    assert y.shape == (3,)
    assert y.tolist() == [0, 0, 0]  # no bias before training: nothing moves, nothing is said


def test_each_pair_is_looked_at_on_its_own(net):
    x = torch.from_numpy(pairs(3)[0]) / INPUT_SCALE
    together = net(x)
    assert [float(net(one[None])) for one in x] == pytest.approx(together.tolist(), rel=1e-4)


def test_the_input_is_held_weighted_and_scaled():
    x, weight = pairs(1)
    x[0, 0, 0, 0] = 2.5 * REACH
    shown = network_input(PhaseDifference(x[0], weight[0], np.zeros((2, 4, SIDE, SIDE), np.float32)))
    assert shown[0, 0, 0] == pytest.approx(REACH * weight[0, 0, 0, 0] / INPUT_SCALE)
    assert shown[1, 5, 6] == pytest.approx(x[0, 1, 5, 6] * weight[0, 1, 5, 6] / INPUT_SCALE)


# --- its gradient ---


def test_the_gradient_is_that_of_finite_differences(net):
    exact = RespirationNet.from_weights(net.state_dict()).double()
    x, weight = (torch.from_numpy(part).double() for part in pairs())
    y, gradient = respiration_gradient(exact, x, weight)
    rng = np.random.default_rng(1)
    strongest = np.argsort(-np.abs(gradient.numpy()).reshape(2, -1), 1)[:, :400]
    for pair in range(2):
        for place in rng.choice(strongest[pair], 4, replace=False):
            index = (pair, *np.unravel_index(place, (4, SIDE, SIDE)))
            step = torch.zeros_like(x)
            step[index] = 1e-5
            up, down = (exact((x + sign * step) * weight / INPUT_SCALE) for sign in (1, -1))
            told = float(up[pair] - down[pair]) / 2e-5
            assert float(gradient[index]) == pytest.approx(told, rel=1e-5, abs=1e-9)
            assert float(up[1 - pair]) == float(down[1 - pair])  # one pair tells nothing of another
    assert y.tolist() == pytest.approx(exact(x * weight / INPUT_SCALE).tolist())


def test_where_nothing_is_trusted_nothing_is_to_be_gained(net):
    x, weight = pairs()
    weight[:, :, 40:80, 30:] = 0
    _, gradient = respiration_gradient(net, torch.from_numpy(x), torch.from_numpy(weight))
    assert torch.count_nonzero(gradient[:, :, 40:80, 30:]) == 0
    assert torch.count_nonzero(gradient[:, :, :40]) > 1000
    assert respiration_gradient(net, torch.from_numpy(x), torch.zeros(x.shape))[1].abs().max() == 0


def test_it_needs_no_gradients_to_be_on_and_leaves_its_input_as_it_was(net):
    x, weight = (torch.from_numpy(part) for part in pairs())
    with torch.no_grad():
        y, gradient = respiration_gradient(net, x, weight)
    assert not x.requires_grad
    assert not y.requires_grad
    assert gradient.shape == x.shape


# --- what runs it ---


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_the_ascender_says_what_the_network_says(net, runtime):
    ascender = open_respiration_ascender(RESPIRATION, "cpu", runtime=runtime)
    assert ascender.description == {"auto": "onnxruntime CPU, 1 thread", "torch": "torch CPU"}[runtime]
    x, weight = pairs()
    kept = x.copy()
    y, gradient = ascender.gradient(x, weight)
    told, slope = respiration_gradient(net, torch.from_numpy(x), torch.from_numpy(weight))
    for found, wanted in ((y, told.numpy()), (gradient, slope.numpy())):
        assert np.linalg.norm(found - wanted) < {"auto": 1e-5, "torch": 1e-12}[runtime] * np.linalg.norm(
            wanted
        )
    assert y.dtype == gradient.dtype == np.float32
    np.testing.assert_array_equal(x, kept)


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_readers_own_array_is_taken_and_not_written_to(runtime):
    x, weight = pairs(1)
    x.setflags(write=False)
    weight.setflags(write=False)
    open_respiration_ascender(load_weights(RESPIRATION), "cpu", runtime=runtime).gradient(x, weight)


@pytest.mark.parametrize(
    ("shape", "other"),
    [
        ((4, SIDE, SIDE), (4, SIDE, SIDE)),
        ((1, 3, SIDE, SIDE), (1, 3, SIDE, SIDE)),
        ((1, 4, SIDE, 100), (1, 4, SIDE, 100)),
        ((2, 4, SIDE, SIDE), (1, 4, SIDE, SIDE)),
    ],
)
@pytest.mark.parametrize("runtime", RUNTIMES)
def test_other_shapes_are_refused_in_words(shape, other, runtime):
    ascender = open_respiration_ascender(RESPIRATION, "cpu", runtime=runtime)
    with pytest.raises(ValueError, match=r"expected pairs (and weights )?of shape \(B, 4, 123, 123\)"):
        ascender.gradient(np.zeros(shape, np.float32), np.zeros(other, np.float32))


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_weights_that_are_another_networks_are_refused(tmp_path, runtime):
    with pytest.raises(ValueError, match="not the weights of a RespirationNet"):
        open_respiration_ascender(PULSE, "cpu", runtime=runtime)
    whole = load_weights(RESPIRATION)
    part = {name: array for name, array in whole.items() if "dense2" not in name}
    with pytest.raises(ValueError, match="not the weights of a RespirationNet"):
        open_respiration_ascender(part, "cpu", runtime=runtime)
    smaller = whole | {"convs.1.weight": whole["convs.1.weight"][:, :-1]}
    with pytest.raises(ValueError, match="not the weights of a RespirationNet"):
        open_respiration_ascender(smaller, "cpu", runtime=runtime)
    damaged = tmp_path / "damaged.safetensors"
    damaged.write_bytes(b"not weights at all")
    with pytest.raises(ValueError, match="not a safetensors file"):
        open_respiration_ascender(damaged, "cpu")
    with pytest.raises(OSError, match="missing"):
        open_respiration_ascender(tmp_path / "missing.safetensors", "cpu")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_a_gpu_that_is_not_there_is_said_and_auto_does_without():
    with pytest.raises(AscenderUnavailableError, match="sees no GPU here"):
        open_respiration_ascender(RESPIRATION, "cuda")
    assert open_respiration_ascender(RESPIRATION, "auto").description == "onnxruntime CPU, 1 thread"


def test_where_onnx_runtime_is_missing_torch_takes_its_place(monkeypatch):
    monkeypatch.setitem(sys.modules, "deepmag.export.ort_respiration", None)
    assert open_respiration_ascender(RESPIRATION, "cpu").description == "torch CPU"


# --- what it learns from ---


def test_a_breath_is_of_its_range_and_of_unit_size():
    for seed in range(20):
        t = np.arange(0, 120, 1 / ASCENT_RATE)
        path = breath_path(np.random.default_rng(seed), t)
        assert path.std() == pytest.approx(1.0)
        power = np.abs(np.fft.rfft((path - path.mean()) * np.hanning(len(path)), 8192)) ** 2
        rate = 60 * np.fft.rfftfreq(8192, 1 / ASCENT_RATE)[power.argmax()]
        assert BREATHS[0] - 1 < rate < BREATHS[1] + 1


@pytest.mark.parametrize("seed", range(6))
def test_the_chests_path_is_the_mean_motion_where_the_breath_moves_the_picture(seed):
    take = random_breathing(np.random.default_rng(seed), T)
    assert take.luma.shape == (REDUCED, REDUCED)
    assert take.paths.shape == (len(take.fields), FRAMES)
    assert take.region.min() >= 0
    assert take.region.max() <= 1
    if not take.chest.any():
        return  # one of those who do not breathe
    mean = (take.fields[0] * take.region).sum((1, 2)) / take.region.sum()
    along = np.hypot(*mean) * take.paths[0]
    # up to the unevenness of the region: that of its field is not cut at one
    assert np.abs(np.corrcoef(take.chest, along)[0, 1]) == pytest.approx(1.0)
    assert np.abs(take.chest).max() / np.abs(along).max() == pytest.approx(1.0, rel=0.35)
    sign = np.sign(np.corrcoef(take.chest, take.paths[0])[0, 1])
    assert sign * (mean @ np.array(breathing.UPWARD)) >= 0  # up, or to the right, is a breath in
    rms = np.sqrt(((take.fields[0] ** 2).sum(0) * take.region).sum() / take.region.sum())
    assert 0.5 * DEPTHS[0] < rms < 2 * DEPTHS[1]


def test_its_pictures_move_as_its_fields_say():
    rows, columns = np.mgrid[:REDUCED, :REDUCED].astype(np.float32)
    still = 100 + 50 * np.sin(columns / 7) * np.cos(rows / 9)
    field = np.stack([np.full_like(rows, 2.0), np.full_like(rows, -3.0)])[None]
    take = breathing.BreathingTake(
        still.astype(np.float32),
        field,
        np.array([[0.0, 1.0, 0.5]]),
        np.array([1.0, 1.0, 1.1]),
        np.zeros(3),
        rows,
    )
    first, moved, half = take.frames()
    middle = slice(20, -20)
    assert first == pytest.approx(still, abs=1e-3)
    told = 100 + 50 * np.sin((columns + 3) / 7) * np.cos((rows - 2) / 9)
    assert np.abs(moved - told)[middle, middle].max() < 0.1
    told = 1.1 * (100 + 50 * np.sin((columns + 1.5) / 7) * np.cos((rows - 1) / 9))
    assert np.abs(half - told)[middle, middle].max() < 0.3


def test_a_sequence_is_what_the_network_takes_and_its_target_the_chests_motion_over_each_pair(monkeypatch):
    taken = []

    def remembered(*arguments):
        taken.append(random_breathing(*arguments))
        return taken[-1]

    monkeypatch.setattr(respiration, "random_breathing", remembered)
    sequence = random_sequence(np.random.default_rng(1))
    assert sequence.x.shape == (FRAMES - 1, 4, SIDE, SIDE)
    assert sequence.x.dtype == torch.float16
    assert float(sequence.x.abs().max()) <= REACH / INPUT_SCALE
    steps = np.diff(taken[0].chest) * SIDE / REDUCED / TARGET_SCALE
    assert sequence.target.numpy() == pytest.approx(steps, abs=1e-4)
    again = random_sequence(np.random.default_rng(1))
    assert torch.equal(sequence.x, again.x)


# --- the processes that make it ---


def numbers(supply: Supply, count: int):
    return [supply.take()[0].tolist() for _ in range(count)]


def test_the_same_takes_come_with_workers_as_without_and_after_a_resumption():
    alone = numbers(Supply(seeded_draw.draw, 7), 20)
    assert len({tuple(take) for take in alone}) == 20
    assert numbers(Supply(seeded_draw.draw, 8), 3) != alone[:3]
    with worker_pool(2, None) as pool:
        supply = Supply(seeded_draw.draw, 7, pool=pool, workers=2)
        assert numbers(supply, 12) == alone[:12]
        resumed = Supply(seeded_draw.draw, 7, 12, pool=pool, workers=2)
        assert numbers(resumed, 8) == alone[12:]
        with pytest.raises(RuntimeError, match="cannot be made"):
            Supply(seeded_draw.fail, 1, pool=pool, workers=1).take()
        makers = {resumed.take()[1] for _ in range(6)}
        processes = list(pool._processes.values())
    assert os.getpid() not in makers
    assert len(processes) == 2
    assert all(not process.is_alive() for process in processes)
    assert numbers(Supply(seeded_draw.draw, 7, 12), 8) == alone[12:]


class CountingPool:
    """Runs at once what it is given, and counts."""

    def __init__(self):
        self.given = 0

    def submit(self, function, *arguments):
        from concurrent.futures import Future

        self.given += 1
        future = Future()
        future.set_result(function(*arguments))
        return future


def test_no_more_is_asked_of_the_workers_than_they_have_ahead():
    pool = CountingPool()
    supply = Supply(seeded_draw.draw, 7, pool=pool, workers=2)
    for taken in range(5):
        assert pool.given == (0 if taken == 0 else 2 * AHEAD + taken - 1)
        supply.take()


def test_no_workers_are_no_pool_and_a_failure_reaches_the_one_who_asked():
    with worker_pool(0, None) as pool:
        assert pool is None
    with pytest.raises(RuntimeError, match="cannot be made"):
        Supply(seeded_draw.fail, 1).take()


# --- training ---


def small_take(rng, assets, device):
    """A sequence whose target is the mean of what is shown, times ten thirds."""
    target = rng.standard_normal(12).astype(np.float32)
    x = 0.3 * target[:, None, None, None] + rng.standard_normal((12, 4, SIDE, SIDE)).astype(np.float32)
    return respiration.BreathingSequence(torch.from_numpy(x), torch.from_numpy(target))


EASY: Lesson = replace(LESSON, take=small_take, network=lambda: RespirationNet((4, 8, 8, 8, 8, 8)))


def test_several_networks_learn_from_the_same_sequences_and_save_what_the_package_loads(tmp_path):
    recipe = Recipe(steps=3, batch=2, fresh=2, rate=3e-3)
    pupils = [
        Pupil(tmp_path / name, "respiration", EASY.network, replace(recipe, seed=seed), "cpu")
        for name, seed in (("a", 1), ("b", 1), ("c", 2))
    ]
    paths = train_together(pupils, EASY, recipe)
    a, b, c = (load_file(path) for path in paths)
    assert all(torch.equal(a[name], b[name]) for name in a)
    assert any(not torch.equal(a[name], c[name]) for name in a)
    assert [pupil.step for pupil in pupils] == [3, 3, 3]
    RespirationNet((4, 8, 8, 8, 8, 8)).load_state_dict(a)


def test_a_network_learns_what_there_is_to_learn_in_thirty_steps(tmp_path):
    recipe = Recipe(steps=30, batch=2, fresh=2, rate=3e-3)
    pupil = Pupil(tmp_path, "respiration", EASY.network, recipe, "cpu")
    x, target = EASY.present(small_take(np.random.default_rng(99), None, "cpu"), None, None)

    def loss():
        with torch.no_grad():
            return float(sequence_loss(pupil.net(x)[None], target[None], EASY.floor, EASY.unit))

    before = loss()
    train_together([pupil], EASY, recipe)
    assert loss() < 0.3 * before
