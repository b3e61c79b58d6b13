"""Time of one gradient ascent, by each runtime, as a ratio to this machine's sgemm peak.

    python benchmarks/ascent.py [--rounds 40] [--weights FILE.safetensors | --random] [--spin US] [--json]

The ratio counts all products of the network, also those with a factor of zero, which our kernels for the CPU leave out
where a whole region of a channel is zero: with the network that ships more than half of them, so that the ratio can
exceed one. --random: an untrained network, which has few such regions.

A machine's speed changes while it is measured, above all a busy one's: so every contender's run has a matrix
product in torch, on the same threads, before and after it, and the ratio is the median over rounds of run
against product.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from deepmag.export.device import CPU, cuda_device_count
from deepmag.export.ort_ascender import OrtAscender
from deepmag.export.runtime import (
    Ascender,
    AscenderUnavailableError,
    load_weights,
    open_ascender,
)
from deepmag.export.speed import Contender, Row, forward_flops, measure, paper_flops, steady_flops
from deepmag.models.networks import PulseNet
from deepmag.models.representation import INPUT_SCALE, L
from deepmag.models.step_size import GAMMA, PAPER_ITERATIONS, STEADY_ITERATIONS
from deepmag.models.weights import PULSE

if TYPE_CHECKING:
    from numpy.typing import NDArray

GROWTH = 0.3


def autograd_paper(net: PulseNet, x_1: torch.Tensor) -> torch.Tensor:
    """Eq. 4 as one would first write it, with a tape: the reference."""
    x: torch.Tensor = x_1
    for _ in range(1, PAPER_ITERATIONS):
        x = x.detach().requires_grad_()
        (g,) = torch.autograd.grad(net(x / INPUT_SCALE).abs().sum(), x)
        with torch.no_grad():
            x = x + GAMMA * g * torch.sign(x * g) / g.abs().mean(dim=(1, 2, 3), keepdim=True)
    return x - x_1


def autograd_steady(net: PulseNet, x: torch.Tensor, direction: torch.Tensor) -> torch.Tensor:
    """The steady ascent with a tape for its one gradient."""
    x_1 = x.detach().requires_grad_()
    y: torch.Tensor = net(x_1 / INPUT_SCALE)
    torch.autograd.grad(y.sum(), x_1)
    with torch.no_grad():
        dx = GROWTH * y[:, None, None, None] * direction
        for _ in range(2, STEADY_ITERATIONS):
            dx += GROWTH * net((x + dx) / INPUT_SCALE)[:, None, None, None] * direction
    return dx


def contenders(weights: dict[str, NDArray[np.float32]], spins: list[int]) -> list[Contender]:
    """Every runtime of this machine, in both modes; ONNX Runtime also with other times of spinning, in us."""
    net = PulseNet.from_weights({name: torch.from_numpy(array) for name, array in weights.items()})
    rng = np.random.default_rng(0)
    x = rng.normal(0, INPUT_SCALE, (1, 3, L, L)).astype(np.float32)
    direction = (x * 1e-3).astype(np.float32)
    flops = forward_flops(net)
    cost = {"paper": paper_flops(flops), "steady": steady_flops(flops)}
    cores = torch.get_num_threads()
    ascenders: list[tuple[str, int, Ascender]] = []
    wanted = [(runtime, "cpu", threads) for runtime in ("numba", "ort") for threads in range(1, cores + 1)]
    wanted.append(("torch", "cpu", cores))
    if cuda_device_count():
        wanted += [("ort", "cuda", 0), ("torch", "cuda", 0)]
    for runtime, device, threads in wanted:
        try:
            ascender = open_ascender(weights, runtime, device, threads or None)  # type: ignore[arg-type]
        except AscenderUnavailableError as refusal:
            print(f"left out: {refusal}")
            continue
        ascenders.append((ascender.description, threads, ascender))
    for spin in spins:
        ascender = OrtAscender(weights, CPU, cores, PAPER_ITERATIONS, STEADY_ITERATIONS, spin=spin)
        ascenders.append((f"{ascender.description}, spin {spin} us", cores, ascender))
    result: list[Contender] = []
    for name, threads, ascender in ascenders:
        paper = partial(ascender.paper, x, GAMMA)
        steady = partial(ascender.steady, x, direction, GROWTH)
        result += [
            Contender(name, "paper", threads, cost["paper"], paper),
            Contender(name, "steady", threads, cost["steady"], steady),
        ]
    tensor, along = torch.from_numpy(x), torch.from_numpy(direction)
    name = f"torch autograd CPU, {cores} threads"
    result += [
        Contender(name, "paper", cores, cost["paper"], lambda: autograd_paper(net, tensor)),
        Contender(name, "steady", cores, cost["steady"], lambda: autograd_steady(net, tensor, along)),
    ]
    return sorted(result, key=lambda contender: contender.mode)


def table(rows: list[Row]) -> str:
    """The figures for a reader."""
    head = f"{'mode':7} {'runtime':42} {'MFLOP':>6} {'p50 ms':>7} {'best ms':>7} {'GFLOP/s':>8} {'sgemm':>6}"
    lines = [f"{head} {'ratio':>6} {'best/best':>9}"]
    lines += [
        f"{row.mode:7} {row.name:42} {row.mflop:6.0f} {row.p50_ms:7.1f} {row.best_ms:7.1f} {row.gflops:8.1f} "
        f"{row.sgemm_gflops:6.0f} {_ratio(row.ratio):>6} {_ratio(row.best_ratio):>9}"
        for row in rows
    ]
    return "\n".join(lines)


def _ratio(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=40, help="runs of each contender (default 40)")
    weights_from = parser.add_mutually_exclusive_group()
    weights_from.add_argument(
        "--weights", type=Path, default=PULSE, help="a safetensors file (default: what ships)"
    )
    weights_from.add_argument("--random", action="store_true", help="an untrained network instead")
    parser.add_argument(
        "--spin", type=int, action="append", default=[], help="also try this, us (repeatable)"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args()
    torch.manual_seed(0)
    random = {name: tensor.detach().numpy() for name, tensor in PulseNet().state_dict().items()}
    weights = random if options.random else load_weights(options.weights)
    rows = measure(contenders(weights, options.spin), options.rounds)
    print(json.dumps([asdict(row) for row in rows], indent=2) if options.json else table(rows))


if __name__ == "__main__":
    main()
