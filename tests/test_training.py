from __future__ import annotations

import contextlib
import itertools
import math
import multiprocessing
import os
import resource
import signal
from dataclasses import replace

import numpy as np
import pytest
import seeded_draw
import torch
from safetensors.torch import load_file

from deepmag.models.networks import PulseNet
from deepmag.models.representation import L
from deepmag.models.training.learned import train_learned
from deepmag.models.training.loop import HELD_OUT, Pupil, Recipe, saved_without_workers, sequence_loss, train
from deepmag.models.training.pulse import FLOOR, LESSON
from deepmag.models.training.sequences import FRAMES, network_input, random_take
from deepmag.models.training.supply import Supply, worker_pool

TINY = Recipe(steps=4, batch=2, fresh=1, store=4)


@pytest.fixture
def lesson():
    """Real takes, but three of them: a run holds out 24, which take half a minute to render."""
    takes = itertools.cycle([random_take(np.random.default_rng(seed)) for seed in range(3)])
    return replace(LESSON, take=lambda _rng, _assets, _device: next(takes))


def wave(beats):
    return torch.sin(2 * math.pi * beats * torch.arange(64) / 64)[None]


def test_a_perfect_output_costs_nothing_and_a_wrong_sign_much():
    target = 0.1 * wave(2)
    assert float(sequence_loss(target, target, FLOOR)) == pytest.approx(0.0, abs=1e-5)
    assert float(sequence_loss(-target, target, FLOOR)) > 2.0


def test_the_scale_of_the_output_matters_as_its_shape_does():
    target = 0.1 * wave(2)
    assert float(sequence_loss(0.5 * target, target, FLOOR)) > 0.02
    assert float(sequence_loss(0.9 * target, target, FLOOR)) < float(
        sequence_loss(0.5 * target, target, FLOOR)
    )


def test_a_sequence_without_a_pulse_asks_for_silence_and_has_a_gradient():
    target = torch.zeros(1, 64)
    y = (0.01 * wave(3)).requires_grad_()
    loss = sequence_loss(y, target, FLOOR)
    loss.backward()
    assert float(loss.detach()) > float(sequence_loss(0.1 * y.detach(), target, FLOOR))
    assert torch.isfinite(y.grad).all()


def test_a_take_is_what_the_network_takes():
    take = random_take(np.random.default_rng(1))
    assert take.video.shape == (FRAMES, 3, L, L)
    assert take.target.shape == (FRAMES - 1,)
    x = network_input(take, np.random.default_rng(2), torch.Generator().manual_seed(2))
    assert x.shape == (FRAMES - 1, 3, L, L)
    assert torch.isfinite(x).all()


def test_a_run_that_was_cut_goes_on_from_its_checkpoint(tmp_path, lesson):
    asked = iter([True] * (HELD_OUT + 2) + [False])
    cut = train(tmp_path, lesson, TINY, keep_going=lambda: next(asked))
    half = load_file(cut)
    assert torch.load(tmp_path / "checkpoint.pt", weights_only=True)["step"] == 2
    taken = iter(range(100))
    whole = train(tmp_path, lesson, TINY, keep_going=lambda: next(taken) >= 0)
    assert next(taken) == HELD_OUT + 2  # two more steps, not four
    state = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    assert state["step"] == 4
    assert any(not torch.equal(half[name], value) for name, value in load_file(whole).items())
    with pytest.raises(ValueError, match="planned to end at step 4"):
        train(tmp_path, lesson, replace(TINY, steps=6))


def test_the_weights_file_is_what_the_package_loads(tmp_path, lesson):
    weights = load_file(train(tmp_path, lesson, Recipe(steps=1, batch=2, fresh=1)))
    net = PulseNet.from_weights(weights)
    assert all(torch.isfinite(parameter).all() for parameter in net.parameters())
    assert (tmp_path / "pulse.safetensors").stat().st_size < 4_000_000
    assert not list(tmp_path.glob("*.tmp"))


def tiny_pupil(folder, inputs=2, **more):
    return Pupil(folder, "pulse", lambda: torch.nn.Linear(inputs, 1), replace(TINY, **more), "cpu")


@pytest.mark.parametrize("damage", ["empty", "text", "cut off", "another dictionary", "another network"])
def test_a_checkpoint_that_is_none_is_said_to_be(damage, tmp_path):
    tiny_pupil(tmp_path, 3 if damage == "another network" else 2).save()
    file = tmp_path / "checkpoint.pt"
    whole = file.read_bytes()
    if damage == "another dictionary":
        torch.save({"weights": torch.zeros(3)}, file)
    elif damage != "another network":
        file.write_bytes({"empty": b"", "text": b"nothing", "cut off": whole[: len(whole) // 2]}[damage])
    with pytest.raises(ValueError, match=r"checkpoint.pt cannot be read as a checkpoint of pulse; remove it"):
        tiny_pupil(tmp_path)


def test_weights_to_start_from_are_not_passed_over_for_a_checkpoint(tmp_path):
    tiny_pupil(tmp_path).save()
    with pytest.raises(ValueError, match=r"goes on from its checkpoint: .* train in another folder"):
        tiny_pupil(tmp_path, start=tmp_path / "none.safetensors")


@pytest.mark.parametrize(
    "begin",
    [
        lambda folder: train(folder, LESSON, TINY, keep_going=lambda: False),
        lambda folder: train_learned(folder, TINY, keep_going=lambda: False),
    ],
)
def test_a_run_stops_also_before_its_first_step_without_making_what_it_would_be_judged_by(
    begin, tmp_path, monkeypatch
):
    made = []
    monkeypatch.setattr(Supply, "take", made.append)
    assert begin(tmp_path).exists()
    assert made == []


def test_a_run_that_has_not_been_judged_yet_says_so(tmp_path):
    easy = replace(
        LESSON,
        network=lambda: torch.nn.Linear(1, 1),
        take=lambda rng, _assets, _device: torch.from_numpy(rng.standard_normal(8, np.float32)),
        present=lambda take, _rng, _generator: (take[:, None], take),
    )
    said = []
    train(tmp_path, easy, replace(TINY, steps=50), report=lambda *now: said.append(now))
    assert [(step, math.isnan(r)) for step, _, r, _ in said] == [(50, True)]


@pytest.mark.parametrize("asked", [True, False])
def test_what_was_learnt_is_kept_where_a_process_that_makes_sequences_is_ended(asked, tmp_path):
    answers = iter([not asked])
    pupil = tiny_pupil(tmp_path)
    pupil.step = 3
    told = contextlib.nullcontext() if asked else pytest.raises(RuntimeError, match="fewer --workers")
    with told, saved_without_workers([pupil], lambda: next(answers)), worker_pool(1, None) as pool:
        Supply(seeded_draw.end, 1, pool=pool, workers=1).take()
    assert tiny_pupil(tmp_path).step == 3


class Interrupting:
    """A pool in whose terminal Ctrl-C is pressed as its processes begin."""

    def __init__(self, pool):
        self._pool = pool

    def submit(self, *work):
        future = self._pool.submit(*work)
        for process in multiprocessing.active_children():
            os.kill(process.pid, signal.SIGINT)
        return future


def test_a_process_that_makes_sequences_is_deaf_to_ctrl_c_from_its_first_moment():
    with worker_pool(1, None) as pool:
        taken = Supply(seeded_draw.draw, 7, pool=Interrupting(pool), workers=1).take()
    assert taken[1] != os.getpid()


def test_a_disk_that_is_full_leaves_the_last_checkpoint_and_no_part_of_another(tmp_path):
    pupil = tiny_pupil(tmp_path)
    pupil.save()
    whole = (tmp_path / "checkpoint.pt").read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(whole) // 2, hard))  # of any file, bytes
    try:
        with pytest.raises(OSError, match=r"checkpoint\.pt"):
            pupil.save()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert (tmp_path / "checkpoint.pt").read_bytes() == whole
    assert sorted(file.name for file in tmp_path.iterdir()) == ["checkpoint.pt", "pulse.safetensors"]


@pytest.mark.parametrize("what", ["/dev/null", "folder"])
def test_weights_to_start_from_that_are_no_file_are_said_to_be_none(what, tmp_path):
    (tmp_path / "folder").mkdir()
    with pytest.raises(ValueError, match="is no file of weights"):
        tiny_pupil(tmp_path / "new", start=tmp_path / what)


def test_weights_of_another_network_are_no_start(tmp_path):
    weights = tiny_pupil(tmp_path / "other", 3).save()
    with pytest.raises(ValueError, match=r"pulse.safetensors cannot be read as weights of pulse"):
        tiny_pupil(tmp_path / "new", start=weights)
