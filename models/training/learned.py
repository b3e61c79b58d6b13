"""Training of MotionNet on synthetic motion of pictures; see `synthetic.moving_layers`."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import cast

import numpy as np
import torch
from torch.nn import functional

from deepmag.models.baselines.motion_network import CELL, MotionNet, slopes
from deepmag.models.synthetic.assets import Assets, load_assets
from deepmag.models.synthetic.moving_layers import Floats, MovingPair, random_pair
from deepmag.models.training.loop import HELD_OUT, Pupil, Recipe, saved_without_workers
from deepmag.models.training.supply import Supply, worker_pool

UNSEEN = 4 * HELD_OUT  # pairs to judge by, of other pictures
EVERY, FIRST = 10, 3  # of the pictures one in so many, from this one on, is never trained on
PICTURE = 0.5  # of the loss: the picture, beside the motion
VISIBLE = 1.0  # grey levels a px: of a weaker slope a motion is hardly to be seen
SLIGHT = 0.03  # px: the unit of the error of a smaller step
FACTOR = 1.0  # of the loss: by how much a pair's motion as a whole grows too little, or too much
ALONG = 0.15  # of the error: motion along an edge, which cannot be seen


def held_out(pictures: Sequence[Floats]) -> list[Floats]:
    """Those that are never trained on."""
    return list(pictures[FIRST::EVERY])


def trained(pictures: Sequence[Floats]) -> list[Floats]:
    """All others."""
    return [picture for i, picture in enumerate(pictures) if i % EVERY != FIRST]


@dataclass(frozen=True, slots=True)
class Edges:
    """What of a motion can be seen in a picture's cells: that across its edges. (B, 1, h, w) each.

    right, down, both: mean products of the slopes, of all slopes and VISIBLE together. seen: in [0, 1].
    """

    right: torch.Tensor
    down: torch.Tensor
    both: torch.Tensor
    seen: torch.Tensor

    @classmethod
    def of(cls, pictures: torch.Tensor) -> Edges:
        """Of pictures (B, 1, H, W), grey levels."""
        x, y = slopes(pictures)
        right, down, both = (_around(product) for product in (x * x, y * y, x * y))
        energy = right + down + VISIBLE**2
        return cls(right / energy, down / energy, both / energy, 1 - VISIBLE**2 / energy)

    def across(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        """Product of two motions (B, 2, h, w), right and down, of which only what crosses the edges counts."""
        (ax, ay), (bx, by) = torch.split(a, 1, 1), torch.split(b, 1, 1)
        product: torch.Tensor = self.right * ax * bx + self.down * ay * by + self.both * (ax * by + ay * bx)
        return product


def motion_loss(net: MotionNet, pairs: Sequence[MovingPair], device: str) -> tuple[torch.Tensor, float]:
    """What the network gets wrong of some pairs: a scalar, and the mean error of the visible motion in parts of it.

    The error of the displacement, where and across what a displacement can be seen, in units of the step; that of the
    moved picture in units of its change (L1, as in the paper); and that of the factor by which all of it grows.
    """
    before, after, clean, magnified = (
        torch.from_numpy(np.stack([getattr(pair, name) for pair in pairs]))[:, None].to(device)
        for name in ("before", "after", "clean", "magnified")
    )
    truth = torch.from_numpy(np.stack([pair.motion for pair in pairs])).to(device)
    factor = torch.tensor([pair.amplification for pair in pairs], device=device).view(-1, 1, 1, 1)
    representation = net.encode(after)
    # before to after is one step; as much of it again as was asked for is added
    amplified = factor * (representation.shape - net.shape(before))
    found = net.decode(representation, representation.shape + net.manipulate(amplified))

    told = functional.avg_pool2d(truth, CELL)
    size = told.square().sum(1, keepdim=True).amax((2, 3), keepdim=True).sqrt()
    unit = size.clamp(min=1e-6) + SLIGHT * factor
    error = (found - told) / unit
    edges = Edges.of(magnified)
    visible = (edges.across(error, error).clamp(min=0.0) + 1e-8).sqrt()
    motion = (visible + ALONG * (error.square().sum(1, keepdim=True) + 1e-8).sqrt()).mean()
    # noise makes the least error by moving too little; over a whole picture it cancels, and too little shows
    true, grown = (edges.across(a / unit, told / unit).mean((1, 2, 3)) for a in (told, found))
    too_little = ((grown - true).abs() / (true + 1e-3)).mean()

    moved = move(clean, found)
    wrong, change = ((picture - magnified).abs().mean((1, 2, 3)) for picture in (moved, clean))
    picture = (wrong / (change + 0.2)).mean()
    part = visible.detach().sum((1, 2, 3)) / edges.seen.sum((1, 2, 3)).clamp(min=1e-3)
    return motion + PICTURE * picture + FACTOR * too_little, float(part.median())


def move(pictures: torch.Tensor, motion: torch.Tensor) -> torch.Tensor:
    """Move pictures (B, 1, H, W) by (B, 2, h, w) px, right and down, of their cells."""
    height, width = pictures.shape[-2:]
    whole = functional.interpolate(motion, size=(height, width), mode="bilinear", align_corners=False)
    rows, columns = torch.meshgrid(
        torch.arange(height, device=pictures.device),
        torch.arange(width, device=pictures.device),
        indexing="ij",
    )
    x = (2 * (columns - whole[:, 0]) + 1) / width - 1
    y = (2 * (rows - whole[:, 1]) + 1) / height - 1
    return functional.grid_sample(pictures, torch.stack([x, y], -1), "bicubic", "border", align_corners=False)


def train_learned(
    folder: Path,
    recipe: Recipe,
    *,
    device: str = "cpu",
    report: Callable[[int, float, float, float], None] = lambda *_: None,
    keep_going: Callable[[], bool] = lambda: True,
) -> Path:
    """Train, or go on from ``folder``/checkpoint.pt; see `loop.train`. Returns the path of the weights.

    report(step, loss, held-out error, pairs per second): the error is the median over pairs of other pictures, in
    parts of their motion, of the last step that 250 divides, and NaN before there was one.
    """
    pupil = Pupil(folder, "learned", MotionNet, recipe, device)
    net, average = cast(MotionNet, pupil.net), cast(MotionNet, pupil.average)
    assets = load_assets(recipe.assets, ("pictures",)) if recipe.assets is not None else None
    rng = np.random.default_rng([recipe.seed, pupil.step])
    first = pupil.step
    store: list[MovingPair] = []
    losses: list[float] = []
    error = float("nan")
    with saved_without_workers([pupil], keep_going), worker_pool(recipe.workers, recipe.assets) as pool:
        draw = partial(Supply, device=device, pool=pool, workers=recipe.workers)
        others: Supply[MovingPair] = draw(_other_pair, recipe.seed + 10_000, assets=assets)
        unseen = others.several(UNSEEN, keep_going)
        supply: Supply[MovingPair] = draw(_pair, recipe.seed, pupil.step * recipe.fresh, assets=assets)
        began = time.monotonic()
        while pupil.step < recipe.steps and keep_going():
            pairs = [supply.take() for _ in range(recipe.fresh)]
            for pair in pairs:
                if len(store) < recipe.store:
                    store.append(pair)
                else:
                    store[int(rng.integers(recipe.store))] = pair
            pairs += [store[int(rng.integers(len(store)))] for _ in range(recipe.batch - recipe.fresh)]
            loss, _ = motion_loss(net, pairs, device)
            pupil.learn(loss)
            losses.append(float(loss.detach()))
            if pupil.step % 50 == 0:
                if pupil.step % 250 == 0:
                    with torch.no_grad():
                        error = motion_loss(average, unseen, device)[1]
                    pupil.save()
                speed = (pupil.step - first) * recipe.batch / (time.monotonic() - began)
                report(pupil.step, float(np.mean(losses[-50:])), error, speed)
    return pupil.save()


def _pair(rng: np.random.Generator, assets: Assets | None, device: str) -> MovingPair:
    return random_pair(rng, trained(assets.pictures) if assets else ())


def _other_pair(rng: np.random.Generator, assets: Assets | None, device: str) -> MovingPair:
    return random_pair(rng, held_out(assets.pictures) if assets else ())


def _around(x: torch.Tensor) -> torch.Tensor:
    """Mean about each cell."""
    return functional.avg_pool2d(functional.avg_pool2d(x, CELL), 3, 1, 1, count_include_pad=False)
