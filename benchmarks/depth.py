"""How deep and how wide the network of respiration should be: several learn from the same sequences, side by side.

Prints for each its parameters, the time of one output with its gradient on one core, as a ratio to the shipped
widths, and the median correlation with the chest's motion of people that none was trained on.

    python benchmarks/depth.py --steps 1000 --workers 15 --device cuda
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch

from deepmag.models.networks import RespirationNet
from deepmag.models.training.loop import Pupil, Recipe, train_together
from deepmag.models.training.respiration import LESSON

PANEL = {
    "4-deep": (8, 16, 32, 48),
    "5-deep": (8, 16, 32, 48, 64),
    "5-deep-wide": (16, 32, 64, 96, 128),
    "5-deep-narrow": (4, 8, 16, 24, 32),
    "6-deep": RespirationNet.WIDTHS,
    "6-deep-wide": (16, 32, 64, 96, 128, 128),
    "7-deep": (8, 16, 32, 48, 64, 64, 64),
}


def milliseconds(widths):
    """Of one output and its gradient, median of ten."""
    net = RespirationNet(widths).requires_grad_(False)
    x = torch.randn(1, 4, 123, 123).requires_grad_()
    times = []
    for _ in range(12):
        began = time.perf_counter()
        torch.autograd.grad(net(x).sum(), x)
        times.append(time.perf_counter() - began)
    return 1000 * float(np.median(times[2:]))


def main():
    """Train the panel and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--batch", type=int, default=4, help="sequences a step")
    parser.add_argument("--fresh", type=int, default=2, help="of them newly made")
    parser.add_argument("--store", type=int, default=1500, help="sequences kept to be seen again")
    parser.add_argument("--rate", type=float, default=1e-3, help="learning rate at its peak")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=1e9, help="after which it ends early")
    parser.add_argument("--workers", type=int, default=0, help="processes that make the sequences")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--assets", type=Path, help="folder of pictures for some backgrounds")
    parser.add_argument("--out", type=Path, default=Path("runs/depth"), help="folder for the weights")
    parser.add_argument("--only", nargs="+", choices=PANEL, default=list(PANEL), help="of the panel")
    parser.add_argument("--start", type=Path, help="weights that the shipped widths start from")
    args = parser.parse_args()
    panel = {name: PANEL[name] for name in args.only}
    recipe = Recipe(
        args.steps,
        args.batch,
        args.fresh,
        args.store,
        args.rate,
        args.seed,
        assets=args.assets,
        workers=args.workers,
    )
    pupils = [
        Pupil(
            args.out / name,
            "respiration",
            partial(RespirationNet, widths),
            replace(recipe, start=args.start if widths == RespirationNet.WIDTHS else None),
            args.device,
        )
        for name, widths in panel.items()
    ]
    began = time.monotonic()
    last = [float("nan")] * len(pupils)

    def report(step, losses, rs, speed):
        last[:] = rs
        columns = ", ".join(f"{loss:.3f}/{r:.3f}" for loss, r in zip(losses, rs, strict=True))
        seconds = time.monotonic() - began
        print(f"{seconds:.0f} s, step {step}, loss/r {columns}, {speed:.1f} sequences/s", flush=True)

    train_together(
        pupils,
        LESSON,
        recipe,
        device=args.device,
        report=report,
        keep_going=lambda: time.monotonic() - began < args.seconds,
    )
    torch.set_num_threads(1)
    shipped = milliseconds(RespirationNet.WIDTHS)
    print(f"{'network':16} {'parameters':>10} {'time':>6} {'held-out r':>10}")
    for pupil, (name, widths), r in zip(pupils, panel.items(), last, strict=True):
        count = sum(parameter.numel() for parameter in pupil.net.parameters())
        print(f"{name:16} {count:10,} {milliseconds(widths) / shipped:6.2f} {r:10.3f}")


if __name__ == "__main__":
    main()
