"""Training of a network from nothing on synthetic people: resumable, on a CPU or a GPU."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from deepmag.models.synthetic.assets import Assets, load_assets

AVERAGED = 10  # the weights are averaged over about the last tenth of the steps
HELD_OUT = 24  # takes that are never trained on

Take = TypeVar("Take")


@dataclass(frozen=True)
class Lesson(Generic[Take]):
    """What a network learns from.

    name: of the weights' file. network: a new one; called with (B, ...) it returns (B,). take(rng, assets, device):
    draws a sequence. present(take, rng, generator): the network's input (P, ...) of a freshly disturbed take, and its
    target (P,). floor: of a target's standard deviation; below it there is no signal.
    """

    name: str
    network: Callable[[], torch.nn.Module]
    take: Callable[[np.random.Generator, Assets | None, str], Take]
    present: Callable[[Take, np.random.Generator, torch.Generator], tuple[torch.Tensor, torch.Tensor]]
    floor: float


@dataclass(frozen=True)
class Recipe:
    """How to train.

    steps: optimiser steps. batch: sequences a step. fresh: newly rendered ones among them; the others come from a
    store of ``store`` takes, disturbed anew: faster, but from about 1500 steps on the network learns the stored people
    by heart (of the pulse, held-out r fell from 0.33 to 0.24). rate: learning rate at its peak. seed: of everything.
    start: weights to start from instead of random ones. assets: folder of recordings, meshes and pictures from which
    some of it is then made.
    """

    steps: int = 4000
    batch: int = 4
    fresh: int = 4
    store: int = 1500
    rate: float = 1e-3
    seed: int = 1
    start: Path | None = None
    assets: Path | None = None


def sequence_loss(y: torch.Tensor, target: torch.Tensor, floor: float) -> torch.Tensor:
    """1 - Pearson r, plus smooth L1 in units of the target's standard deviation. y, target: (B, T). Returns a scalar.

    A sequence without a signal, below ``floor``, has only the second term, which asks for silence.
    """
    scale = target.std(1, keepdim=True).clamp(min=floor)
    alive = (target.std(1) > floor / 4).float()
    a, b = y - y.mean(1, keepdim=True), target - target.mean(1, keepdim=True)
    r = (a * b).sum(1) / (a.square().sum(1) * b.square().sum(1)).clamp(min=1e-12).sqrt()
    distance = torch.nn.functional.smooth_l1_loss(y / scale, target / scale, reduction="none").mean(1)
    return (alive * (1 - r) + 0.5 * distance).mean()


def correlation_of(
    net: torch.nn.Module, lesson: Lesson[Take], takes: list[Take], seed: int, device: str
) -> float:
    """Median Pearson r over held-out sequences, disturbed the same way each time."""
    rng, generator = np.random.default_rng(seed), torch.Generator().manual_seed(seed)
    values = []
    with torch.no_grad():
        for take in takes:
            x, target = lesson.present(take, rng, generator)
            if target.std() > lesson.floor / 4:
                values.append(float(torch.corrcoef(torch.stack([net(x.to(device)).cpu(), target]))[0, 1]))
    return float(np.median(values))


def train(
    folder: Path,
    lesson: Lesson[Take],
    recipe: Recipe,
    *,
    device: str = "cpu",
    report: Callable[[int, float, float, float], None] = lambda *_: None,
    keep_going: Callable[[], bool] = lambda: True,
) -> Path:
    """Train, or go on from ``folder``/checkpoint.pt. Returns the path of the weights (safetensors).

    report(step, loss, held-out r, takes per second) is called every 50 steps. keep_going() False ends it early, with
    a checkpoint and weights written. The weights are an exponential average over the last steps.
    """
    folder.mkdir(parents=True, exist_ok=True)
    checkpoint = folder / "checkpoint.pt"
    torch.manual_seed(recipe.seed)
    net, average = lesson.network().to(device), lesson.network().to(device)
    optimiser = torch.optim.AdamW(net.parameters(), lr=recipe.rate, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, recipe.rate, total_steps=recipe.steps + 1, pct_start=0.08
    )
    if recipe.start is not None and not checkpoint.exists():
        net.load_state_dict(load_file(str(recipe.start), device=device))
    average.load_state_dict(net.state_dict())
    step = 0
    if checkpoint.exists():
        state: dict[str, Any] = torch.load(checkpoint, map_location=device, weights_only=True)
        net.load_state_dict(state["net"])
        average.load_state_dict(state["average"])
        optimiser.load_state_dict(state["optimiser"])
        schedule.load_state_dict(state["schedule"])
        step = int(state["step"])
    # A resumed run draws other people than the first part did, but the same ones whenever it is repeated.
    assets = load_assets(recipe.assets) if recipe.assets is not None else None
    rng = np.random.default_rng([recipe.seed, step])
    generator = torch.Generator().manual_seed(recipe.seed + step)
    held_out_rng = np.random.default_rng(recipe.seed + 10_000)
    held_out = [lesson.take(held_out_rng, None, device) for _ in range(HELD_OUT)]
    store: list[Take] = []
    began, losses, r = time.monotonic(), [], 0.0

    def save() -> Path:
        torch.save(
            {
                "net": net.state_dict(),
                "average": average.state_dict(),
                "optimiser": optimiser.state_dict(),
                "schedule": schedule.state_dict(),
                "step": step,
            },
            checkpoint.with_suffix(".tmp"),
        )
        checkpoint.with_suffix(".tmp").replace(checkpoint)
        weights = folder / f"{lesson.name}.safetensors"
        save_file({k: v.detach().cpu().contiguous() for k, v in average.state_dict().items()}, str(weights))
        return weights

    first = step
    while step < recipe.steps and keep_going():
        takes = [lesson.take(rng, assets, device) for _ in range(recipe.fresh)]
        for take in takes:
            if len(store) < recipe.store:
                store.append(take)
            else:
                store[int(rng.integers(recipe.store))] = take
        takes += [store[int(rng.integers(len(store)))] for _ in range(recipe.batch - recipe.fresh)]
        shown = [lesson.present(take, rng, generator) for take in takes]
        x = torch.cat([one for one, _ in shown]).to(device)
        target = torch.stack([one for _, one in shown]).to(device)
        # What falls is what rises, negated: half of the sequences are shown so.
        sign = torch.from_numpy(rng.choice([-1.0, 1.0], len(takes)).astype(np.float32)).to(device)
        signs = sign.repeat_interleave(target.shape[1]).reshape(-1, *[1] * (x.dim() - 1))
        x, target = x * signs, target * sign[:, None]
        loss = sequence_loss(net(x).view(len(takes), -1), target, lesson.floor)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        step += 1
        with torch.no_grad():
            decay = min(1 - AVERAGED / recipe.steps, step / (step + 20))
            for mean, new in zip(average.parameters(), net.parameters(), strict=True):
                mean.lerp_(new, 1 - decay)
        losses.append(float(loss.detach()))
        if step % 50 == 0:
            if step % 100 == 0:
                r = correlation_of(average, lesson, held_out, recipe.seed, device)
                save()
            report(
                step,
                float(np.mean(losses[-50:])),
                r,
                (step - first) * recipe.batch / (time.monotonic() - began),
            )
    return save()
