"""Time of one gradient ascent, by each runtime, as a ratio to this machine's sgemm peak.

    python benchmarks/ascent.py [--rounds 40] [--weights FILE.safetensors] [--spin US] [--json]

A machine's speed changes while it is measured, above all a busy one's: so every contender's run has a matrix
product in torch, on the same threads, before and after it, and the ratio is the median over rounds of run
against product.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from deepmag.export.ort_ascender import OrtAscender
from deepmag.export.runtime import (
    Ascender,
    AscenderUnavailableError,
    cuda_device_count,
    load_weights,
    open_ascender,
)
from deepmag.models.networks import PulseNet
from deepmag.models.representation import INPUT_SCALE, L
from deepmag.models.step_size import GAMMA, PAPER_ITERATIONS, STEADY_ITERATIONS

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

SGEMM_SIDE = 1024
GROWTH = 0.3


@dataclass(frozen=True, slots=True)
class Contender:
    """Something to be timed. flops: of one run. threads: of the sgemm it is held against, 0 for a GPU."""

    name: str
    mode: str
    threads: int
    flops: int
    run: Callable[[], object]


@dataclass(frozen=True, slots=True)
class Row:
    """Figures of one contender: times in ms, speeds in GFLOP/s, ratio of its speed to sgemm's beside it."""

    name: str
    mode: str
    threads: int
    mflop: float
    p50_ms: float
    best_ms: float
    gflops: float
    sgemm_gflops: float
    ratio: float | None  # none for a GPU
    best_ratio: float | None


def forward_flops(net: PulseNet) -> int:
    """Multiplications and additions of a pair's forward pass; the backward pass to the input has as many."""
    whole, half = L * L, L * L // 4
    pixels = {"conv1": whole, "conv2": whole, "conv3": half, "conv4": half, "dense1": 1, "dense2": 1}
    return sum(2 * getattr(net, name).weight.numel() * count for name, count in pixels.items())


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
    paper_flops = 2 * (PAPER_ITERATIONS - 1) * flops
    steady_flops = STEADY_ITERATIONS * flops  # N - 1 forward passes and one backward pass
    cores = torch.get_num_threads()
    ascenders: list[tuple[str, int, Ascender]] = []
    wanted = [("ort", "cpu", threads) for threads in range(1, cores + 1)] + [("torch", "cpu", cores)]
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
        ascender = OrtAscender(weights, "cpu", cores, PAPER_ITERATIONS, STEADY_ITERATIONS, spin=spin)
        ascenders.append((f"{ascender.description}, spin {spin} us", cores, ascender))
    result: list[Contender] = []
    for name, threads, ascender in ascenders:
        paper = partial(ascender.paper, x, GAMMA)
        steady = partial(ascender.steady, x, direction, GROWTH)
        result += [
            Contender(name, "paper", threads, paper_flops, paper),
            Contender(name, "steady", threads, steady_flops, steady),
        ]
    tensor, along = torch.from_numpy(x), torch.from_numpy(direction)
    name = f"torch autograd CPU, {cores} threads"
    result += [
        Contender(name, "paper", cores, paper_flops, lambda: autograd_paper(net, tensor)),
        Contender(name, "steady", cores, steady_flops, lambda: autograd_steady(net, tensor, along)),
    ]
    return sorted(result, key=lambda contender: contender.mode)


def measure(entries: list[Contender], rounds: int) -> list[Row]:
    """Time all contenders in turn, ``rounds`` times over."""
    matrix = torch.randn(SGEMM_SIDE, SGEMM_SIDE, generator=torch.Generator().manual_seed(0))
    times: list[list[float]] = [[] for _ in entries]
    peaks: list[list[float]] = [[] for _ in entries]

    def sgemm() -> float:
        start = time.perf_counter()
        torch.mm(matrix, matrix)
        return 2 * SGEMM_SIDE**3 / (time.perf_counter() - start)

    for turn in range(rounds + 1):
        for entry, its_times, its_peaks in zip(entries, times, peaks, strict=True):
            torch.set_num_threads(entry.threads or 1)
            before = sgemm()
            # Brings the weights into the cache, as the frame before does in a stream, and outlasts torch's
            # threads, which wait awake for a while after the product.
            entry.run()
            start = time.perf_counter()
            entry.run()
            elapsed = time.perf_counter() - start
            after = sgemm()
            if turn:  # the first round is for warming up
                its_times.append(elapsed)
                its_peaks.append((before + after) / 2)
    rows = []
    for entry, its_times, its_peaks in zip(entries, times, peaks, strict=True):
        seconds, peak = np.array(its_times), np.array(its_peaks)
        speed = entry.flops / seconds
        rows.append(
            Row(
                name=entry.name,
                mode=entry.mode,
                threads=entry.threads,
                mflop=entry.flops / 1e6,
                p50_ms=float(np.median(seconds)) * 1e3,
                best_ms=float(seconds.min()) * 1e3,
                gflops=float(np.median(speed)) / 1e9,
                sgemm_gflops=float(np.median(peak)) / 1e9,
                ratio=float(np.median(speed / peak)) if entry.threads else None,
                best_ratio=float(speed.max() / peak.max()) if entry.threads else None,
            )
        )
    return rows


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
    parser.add_argument("--weights", type=Path, help="a safetensors file (default: random weights)")
    parser.add_argument(
        "--spin", type=int, action="append", default=[], help="also try this, us (repeatable)"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args()
    torch.manual_seed(0)
    random = {name: tensor.detach().numpy() for name, tensor in PulseNet().state_dict().items()}
    weights = load_weights(options.weights) if options.weights else random
    rows = measure(contenders(weights, options.spin), options.rounds)
    print(json.dumps([asdict(row) for row in rows], indent=2) if options.json else table(rows))


if __name__ == "__main__":
    main()
