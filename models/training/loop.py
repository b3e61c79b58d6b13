"""Training of a network from nothing on synthetic people: resumable, on a CPU or a GPU."""

from __future__ import annotations

import io
import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save

from deepmag.models.synthetic.assets import Assets, Kind, load_assets
from deepmag.models.training.supply import Supply, worker_pool

AVERAGED = 10  # the weights are averaged over about the last tenth of the steps
HELD_OUT = 24  # takes that are never trained on

Take = TypeVar("Take")


@dataclass(frozen=True)
class Lesson(Generic[Take]):
    """What a network learns from.

    name: of the weights' file. network: a new one; called with (B, ...) it returns (B,). take(rng, assets, device):
    draws a sequence. present(take, rng, generator): the network's input (P, ...) of a freshly disturbed take, and its
    target (P,). floor: of a target's standard deviation; below it there is no signal. unit: of the distance between
    output and target where the target's standard deviation is smaller; None is the floor. uses: what of the assets.
    """

    name: str
    network: Callable[[], torch.nn.Module]
    take: Callable[[np.random.Generator, Assets | None, str], Take]
    present: Callable[[Take, np.random.Generator, torch.Generator], tuple[torch.Tensor, torch.Tensor]]
    floor: float
    unit: float | None = None
    uses: tuple[Kind, ...] = ("rhythms", "tracks", "mesh", "backgrounds")


@dataclass(frozen=True)
class Recipe:
    """How to train.

    steps: optimiser steps. batch: sequences a step. fresh: newly rendered ones among them; the others come from a
    store of ``store`` takes, disturbed anew: faster, but from about 1500 steps on the network learns the stored people
    by heart (of the pulse, held-out r fell from 0.33 to 0.24). rate: learning rate at its peak. seed: of everything.
    start: weights to start from instead of random ones. assets: folder of recordings, meshes and pictures from which
    some of it is then made. workers: processes that make the sequences; 0 makes them in between.
    """

    steps: int = 4000
    batch: int = 4
    fresh: int = 4
    store: int = 1500
    rate: float = 1e-3
    seed: int = 1
    start: Path | None = None
    assets: Path | None = None
    workers: int = 0


def sequence_loss(
    y: torch.Tensor, target: torch.Tensor, floor: float, unit: float | None = None
) -> torch.Tensor:
    """1 - Pearson r, plus smooth L1 in units of the target's standard deviation. y, target: (B, T). Returns a scalar.

    A sequence without a signal, below ``floor``, has only the second term, which asks for silence. unit: see `Lesson`.
    """
    scale = target.std(1, keepdim=True).clamp(min=floor if unit is None else unit)
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
                y = net(x.to(device).float()).cpu()
                values.append(float(torch.corrcoef(torch.stack([y, target]))[0, 1]))
    return float(np.median(values))


class Pupil:
    """A network that learns: its weights, their average over the last steps, its optimiser, and where it saves them.

    Goes on from ``folder``/checkpoint.pt where there is one. Raises ValueError, in words for a person, where that is
    none of this network and recipe, and where there are weights to start from besides.
    """

    def __init__(
        self, folder: Path, name: str, network: Callable[[], torch.nn.Module], recipe: Recipe, device: str
    ):
        folder.mkdir(parents=True, exist_ok=True)
        self._folder, self._name, self._steps = folder, name, recipe.steps
        torch.manual_seed(recipe.seed)
        self.net, self.average = network().to(device), network().to(device)
        self._optimiser = torch.optim.AdamW(self.net.parameters(), lr=recipe.rate, weight_decay=1e-4)
        self._schedule = torch.optim.lr_scheduler.OneCycleLR(
            self._optimiser, recipe.rate, total_steps=recipe.steps + 1, pct_start=0.08
        )
        self.step = 0
        checkpoint = folder / "checkpoint.pt"
        if checkpoint.exists():
            if recipe.start is not None:
                raise ValueError(
                    f"the training in {folder} goes on from its checkpoint: to go on, name no weights to start from; "
                    f"to start from {recipe.start}, train in another folder"
                )
            self._go_on(checkpoint, device)
            planned = self._schedule.total_steps - 1
            if planned != recipe.steps:
                raise ValueError(
                    f"the training in {folder} is planned to end at step {planned}: go on with that number, or "
                    f"train {recipe.steps} steps in another folder"
                )
        else:
            if recipe.start is not None:
                self._start_from(recipe.start, device)
            self.average.load_state_dict(self.net.state_dict())

    def learn(self, loss: torch.Tensor) -> None:
        """One step down the gradient of a loss."""
        self._optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.net.parameters(), 1.0)
        self._optimiser.step()
        self._schedule.step()
        self.step += 1
        decay = min(1 - AVERAGED / self._steps, self.step / (self.step + 20))
        with torch.no_grad():
            for mean, new in zip(self.average.parameters(), self.net.parameters(), strict=True):
                mean.lerp_(new, 1 - decay)

    def save(self) -> Path:
        """Write the checkpoint, and the averaged weights, whose path is returned."""
        checkpoint = self._folder / "checkpoint.pt"
        state = {
            "net": self.net.state_dict(),
            "average": self.average.state_dict(),
            "optimiser": self._optimiser.state_dict(),
            "schedule": self._schedule.state_dict(),
            "step": self.step,
        }
        content = io.BytesIO()  # torch does not say what was wrong with a file that it could not write
        torch.save(state, content)
        _replace(checkpoint, content.getvalue())
        weights = self._folder / f"{self._name}.safetensors"
        average = {k: v.detach().cpu().contiguous() for k, v in self.average.state_dict().items()}
        _replace(weights, save(average))
        return weights

    def _go_on(self, checkpoint: Path, device: str) -> None:
        try:
            state: dict[str, Any] = torch.load(checkpoint, map_location=device, weights_only=True)
            self.net.load_state_dict(state["net"])
            self.average.load_state_dict(state["average"])
            self._optimiser.load_state_dict(state["optimiser"])
            self._schedule.load_state_dict(state["schedule"])
            self.step = int(state["step"])
        except (PermissionError, torch.OutOfMemoryError):
            raise  # there is nothing wrong with the file
        except Exception as error:  # torch raises a dozen of them, EOFError and KeyError among them
            raise ValueError(
                f"{checkpoint} cannot be read as a checkpoint of {self._name}; remove it to begin again"
            ) from error

    def _start_from(self, weights: Path, device: str) -> None:
        if weights.exists() and not weights.is_file():  # of which "No such device" would be said
            raise ValueError(f"{weights} is no file of weights")
        try:
            self.net.load_state_dict(load_file(str(weights), device=device))
        except (SafetensorError, RuntimeError) as error:
            raise ValueError(f"{weights} cannot be read as weights of {self._name}") from error


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

    report(step, loss, held-out r, takes per second) is called every 50 steps; r is of the last hundredth step, and NaN
    before there was one. keep_going() False ends it early, with a checkpoint and weights written, as does the end of a
    worker, for which RuntimeError is raised. The weights are an exponential average over the last steps.
    """
    pupil = Pupil(folder, lesson.name, lesson.network, recipe, device)

    def tell(step: int, losses: list[float], rs: list[float], speed: float) -> None:
        report(step, losses[0], rs[0], speed)

    return train_together([pupil], lesson, recipe, device=device, report=tell, keep_going=keep_going)[0]


def train_together(
    pupils: Sequence[Pupil],
    lesson: Lesson[Take],
    recipe: Recipe,
    *,
    device: str = "cpu",
    report: Callable[[int, list[float], list[float], float], None] = lambda *_: None,
    keep_going: Callable[[], bool] = lambda: True,
) -> list[Path]:
    """Train several networks on the same sequences, which are what costs time; see `train`. All at the same step."""
    first = step = pupils[0].step
    assets = load_assets(recipe.assets, lesson.uses) if recipe.assets is not None else None
    # the store of a resumed run fills anew, so what is drawn from it differs from a run in one piece
    rng = np.random.default_rng([recipe.seed, step])
    generator = torch.Generator().manual_seed(recipe.seed + step)
    store: list[Take] = []
    losses: list[list[float]] = []
    rs = [float("nan")] * len(pupils)
    with saved_without_workers(pupils, keep_going), worker_pool(recipe.workers, recipe.assets) as pool:
        draw = partial(Supply, lesson.take, device=device, pool=pool, workers=recipe.workers)
        held_out_supply = draw(recipe.seed + 10_000)
        held_out = held_out_supply.several(HELD_OUT, keep_going)
        supply = draw(recipe.seed, step * recipe.fresh, assets=assets)
        began = time.monotonic()
        while step < recipe.steps and keep_going():
            takes = [supply.take() for _ in range(recipe.fresh)]
            for take in takes:
                if len(store) < recipe.store:
                    store.append(take)
                else:
                    store[int(rng.integers(recipe.store))] = take
            takes += [store[int(rng.integers(len(store)))] for _ in range(recipe.batch - recipe.fresh)]
            shown = [lesson.present(take, rng, generator) for take in takes]
            x = torch.cat([one for one, _ in shown]).to(device).float()
            target = torch.stack([one for _, one in shown]).to(device)
            # What falls is what rises, negated: half of the sequences are shown so.
            sign = torch.from_numpy(rng.choice([-1.0, 1.0], len(takes)).astype(np.float32)).to(device)
            signs = sign.repeat_interleave(target.shape[1]).reshape(-1, *[1] * (x.dim() - 1))
            x, target = x * signs, target * sign[:, None]
            now = []
            for pupil in pupils:
                y = pupil.net(x).view(len(takes), -1)
                loss = sequence_loss(y, target, lesson.floor, lesson.unit)
                pupil.learn(loss)
                now.append(float(loss.detach()))
            losses.append(now)
            step += 1
            if step % 50 == 0:
                if step % 100 == 0:
                    rs = [correlation_of(p.average, lesson, held_out, recipe.seed, device) for p in pupils]
                    for pupil in pupils:
                        pupil.save()
                speed = (step - first) * recipe.batch / (time.monotonic() - began)
                report(step, [float(x) for x in np.mean(losses[-50:], 0)], rs, speed)
    return [pupil.save() for pupil in pupils]


@contextmanager
def saved_without_workers(pupils: Sequence[Pupil], keep_going: Callable[[], bool]) -> Iterator[None]:
    """Save what was learnt also where a worker is ended: for its memory, or by what asks all processes to stop.

    Raises RuntimeError, in words for a person, where nobody asked to stop.
    """
    try:
        yield
    except BrokenProcessPool:
        for pupil in pupils:
            pupil.save()
        if keep_going():
            raise RuntimeError(
                "a process that makes the sequences was ended from outside, most likely for lack of memory: run it "
                "again with fewer --workers; it goes on from here"
            ) from None


def _replace(path: Path, content: bytes) -> None:
    """Write a file of which nobody sees a part, nor finds one where the power or the disk failed meanwhile."""
    part = path.with_suffix(".tmp")
    try:
        with part.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise OSError(error.errno, error.strerror, str(path)) from None
