"""What helps a pulse network to learn: each variant trained from nothing, on the same people, for the same few steps.

The budget is small (minutes on one core, where the shipped weights took hours), so the figures say which variant learns
faster, not how far it would get in the end. Judged by the median Pearson r of the odd output over held-out synthetic
sequences with all disturbances, its standard error, and, where the real clips are, r with the contact PPG of clip_a.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from network import PPG_CLIP, ppg_correlation, read_ppg_clip
from torch import nn
from torch.nn.functional import avg_pool2d, smooth_l1_loss

from deepmag.models.representation import INPUT_SCALE, L, normalized_difference
from deepmag.models.synthetic.camera import camera_noise
from deepmag.models.synthetic.person import Person
from deepmag.models.synthetic.render import GAMMA
from deepmag.models.synthetic.scene import random_scene, render
from deepmag.models.training.loop import sequence_loss
from deepmag.models.training.pulse import FLOOR
from deepmag.models.training.sequences import FRAMES, Take, random_framing, random_take

PEOPLE, HELD_OUT = 240, 60
NOISE = 0.1  # grey levels of a reduced pixel, where the camera is not varied
PAIRS = FRAMES - 1


@dataclass(frozen=True)
class Variant:
    """width: of the first convolutions; the others grow with it. pairs: that the network sees at once."""

    name: str
    width: int = 32
    attention: bool = False
    pairs: int = 1
    loss: str = "both"
    negate: bool = True
    still: bool = False
    camera: bool = True


BASE = Variant("as shipped: 32 channels, both losses, negated at random")
VARIANTS = (
    BASE,
    replace(BASE, name="16 channels", width=16),
    replace(BASE, name="48 channels", width=48),
    replace(BASE, name="1 - Pearson r alone", loss="pearson"),
    replace(BASE, name="smooth L1 alone", loss="distance"),
    replace(BASE, name="not negated", negate=False),
    replace(BASE, name="people who sit still only", still=True),
    replace(BASE, name="one camera: white noise, no codec", camera=False),
    replace(BASE, name="appearance branch with attention (DeepPhys)", attention=True),
    replace(BASE, name="three frame pairs as input", pairs=3),
)


class Network(nn.Module):
    """PulseNet of any width, with DeepPhys's appearance branch and its two attention masks where asked for."""

    def __init__(self, variant: Variant) -> None:
        super().__init__()
        w = variant.width
        self.motion = nn.ModuleList(_convolutions(3 * variant.pairs, w))
        self.appearance = nn.ModuleList(_convolutions(3, w) if variant.attention else [])
        self.masks = nn.ModuleList([nn.Conv2d(w, 1, 1), nn.Conv2d(2 * w, 1, 1)] if variant.attention else [])
        self.dense = nn.Sequential(nn.Linear(2 * w * (L // 4) ** 2, 4 * w), nn.ReLU(), nn.Linear(4 * w, 1))

    def forward(self, x: torch.Tensor, frame: torch.Tensor) -> torch.Tensor:
        """x: (B, 3 pairs, L, L). frame: (B, 3, L, L), grey levels. Returns (B,)."""
        frame = frame - frame.mean((1, 2, 3), keepdim=True)
        frame = frame / frame.std((1, 2, 3), keepdim=True).clamp(min=1)
        for stage in (0, 1):
            for i in (2 * stage, 2 * stage + 1):
                x = torch.relu(self.motion[i](x))
                if self.appearance:
                    frame = torch.relu(self.appearance[i](frame))
            if self.masks:
                mask = torch.sigmoid(self.masks[stage](frame))
                x = x * mask * (mask[0, 0].numel() / 2 / mask.sum((2, 3), keepdim=True))
                frame = avg_pool2d(frame, 2)
            x = avg_pool2d(x, 2)
        result: torch.Tensor = self.dense(x.flatten(1))[:, 0]
        return result


def _convolutions(channels: int, width: int) -> list[nn.Conv2d]:
    sizes = (channels, width, width, 2 * width, 2 * width)
    return [nn.Conv2d(a, b, 3, padding=1) for a, b in itertools.pairwise(sizes)]


def still_take(rng: np.random.Generator) -> Take:
    """A sequence of somebody who sits still in steady light (task A)."""
    person = Person.random(rng)
    scene = random_scene(
        rng, FRAMES, 30.0, framing=random_framing(rng), person=person, task="A", steady_light=True
    )
    small = render(scene, 2 * L, 2 * L).video.view(FRAMES, 3, L, 2, L, 2).mean((3, 5))
    target = np.diff(0.5 * (scene.pulse + scene.late_pulse)) * person.pulse / (2 * GAMMA) / INPUT_SCALE
    return Take(small.half(), torch.from_numpy(target.astype(np.float32)))


def inputs(
    take: Take, variant: Variant, rng: np.random.Generator, noise: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """X (T-1, 3 pairs, L, L) and the frames (T-1, 3, L, L) of a freshly disturbed take."""
    video = take.video.float()
    if rng.random() < 0.5:
        video = video.flip(-1)
    if variant.camera:
        video = camera_noise(rng, video, noise)
    else:
        video = video + NOISE * torch.randn(video.shape, generator=noise)
    video = video.clamp(0, 255)
    x = normalized_difference(video[:-1], video[1:]) / INPUT_SCALE
    return stacked(x, variant.pairs), video[1:]


def stacked(x: torch.Tensor, pairs: int) -> torch.Tensor:
    """Each pair with those before it as further channels; the first ones are repeated."""
    before = [torch.cat([x[:1].expand(k, *x.shape[1:]), x[: len(x) - k]]) for k in range(pairs - 1, 0, -1)]
    return torch.cat([*before, x], dim=1)


def loss_of(variant: Variant, y: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """As `sequence_loss`, or one half of it. y, target: (B, T)."""
    if variant.loss == "both":
        return sequence_loss(y, target, FLOOR)
    scale = target.std(1, keepdim=True).clamp(min=FLOOR)
    distance = 0.5 * smooth_l1_loss(y / scale, target / scale, reduction="none").mean(1).mean()
    return distance if variant.loss == "distance" else sequence_loss(y, target, FLOOR) - distance


def odd(net: Network, x: torch.Tensor, frame: torch.Tensor) -> torch.Tensor:
    """The odd part of the output."""
    return (net(x, frame) - net(-x, frame)) / 2


def train(variant: Variant, takes: list[Take], steps: int, batch: int, seed: int) -> Network:
    """A network after ``steps`` steps; its weights are averaged over about the last tenth."""
    torch.manual_seed(seed)
    rng, noise = np.random.default_rng(seed), torch.Generator().manual_seed(seed)
    net, average = Network(variant), Network(variant)
    average.load_state_dict(net.state_dict())
    optimiser = torch.optim.AdamW(net.parameters(), lr=1e-3, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 1e-3, total_steps=steps + 1, pct_start=0.08)
    for step in range(steps):
        chosen = [takes[int(i)] for i in rng.integers(len(takes), size=batch)]
        made = [inputs(take, variant, rng, noise) for take in chosen]
        x, frames = torch.cat([x for x, _ in made]), torch.cat([frame for _, frame in made])
        target = torch.stack([take.target for take in chosen])
        if variant.negate:
            sign = torch.from_numpy(rng.choice([-1.0, 1.0], batch).astype(np.float32))
            x, target = x * sign.repeat_interleave(PAIRS)[:, None, None, None], target * sign[:, None]
        loss = loss_of(variant, net(x, frames).view(batch, -1), target)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        with torch.no_grad():
            decay = min(1 - 10 / steps, (step + 1) / (step + 21))
            for mean, new in zip(average.parameters(), net.parameters(), strict=True):
                mean.lerp_(new, 1 - decay)
    return average.eval().requires_grad_(False)


def judge(net: Network, variant: Variant, held_out: list[Take]) -> tuple[float, float]:
    """Median r over held-out sequences with a pulse, disturbed alike for every variant, and its standard error."""
    rng, noise = np.random.default_rng(5), torch.Generator().manual_seed(5)
    seen = []
    for take in held_out:
        x, frames = inputs(take, replace(variant, camera=True), rng, noise)
        if take.target.std() > FLOOR / 4:
            seen.append(float(torch.corrcoef(torch.stack([odd(net, x, frames), take.target]))[0, 1]))
    return float(np.median(seen)), float(1.25 * np.std(seen) / np.sqrt(len(seen)))


def main() -> None:
    """Print one row a variant."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    default = Path(__file__).resolve().parents[1].parent / "shared" / "data"
    parser.add_argument("--data", type=Path, default=default, help="folder of the real clips")
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--batch", type=int, default=6, help="sequences a step")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    torch.set_flush_denormal(True)

    def people(make: Callable[[np.random.Generator], Take], count: int, seed: int) -> list[Take]:
        rng = np.random.default_rng(seed)
        return [make(rng) for _ in range(count)]

    everyone, held_out = people(random_take, PEOPLE, args.seed), people(random_take, HELD_OUT, 900_000)
    still = people(still_take, PEOPLE, args.seed)
    real = read_ppg_clip(args.data) if (args.data / "clips.json").is_file() else None
    rows: dict[str, Any] = {}
    for variant in VARIANTS:
        began = time.monotonic()
        net = train(variant, still if variant.still else everyone, args.steps, args.batch, args.seed)
        r, error = judge(net, variant, held_out)
        weights = sum(p.numel() for p in net.parameters())
        row = rows[variant.name] = {"r": r, "error": error, "parameters": weights}
        if real is not None:
            video = torch.from_numpy(real.small["as live"])
            x = stacked(normalized_difference(video[:-1], video[1:]) / INPUT_SCALE, variant.pairs)
            row[PPG_CLIP] = ppg_correlation(odd(net, x, video[1:]).numpy(), real)[0]
        took = time.monotonic() - began
        print(f"{variant.name}: {json.dumps(row)}, {took:.0f} s", file=sys.stderr, flush=True)
    if args.json:
        print(json.dumps(rows))
        return
    print(f"{'':60s}{'parameters':>11s}{'held-out r':>14s}{PPG_CLIP:>8s}")
    for name, row in rows.items():
        clip = f"{row[PPG_CLIP]:8.2f}" if PPG_CLIP in row else f"{'-':>8s}"
        print(f"{name:60s}{row['parameters']:11,d}{row['r']:8.3f} +-{row['error']:.2f}{clip}")


if __name__ == "__main__":
    main()
