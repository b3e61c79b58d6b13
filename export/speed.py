"""How fast the ascent runs against what this machine can do: timing that a busy machine does not falsify.

A machine's speed changes while it is measured, above all a busy one's: so every contender's run has a matrix
product in torch, on the same threads or the same GPU, before and after it, and the ratio is the median over rounds of
run against product.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from deepmag.models.representation import L
from deepmag.models.step_size import PAPER_ITERATIONS, STEADY_ITERATIONS

if TYPE_CHECKING:
    from collections.abc import Callable

    from deepmag.models.networks import PulseNet

SGEMM_SIDE = 1024
GPU_SGEMM_SIDE = 4096  # a smaller one does not fill a large GPU


@dataclass(frozen=True, slots=True)
class Contender:
    """Something to be timed. flops, traffic: of one run, the latter in bytes; see `forward_bytes`.

    threads: of the sgemm it is held against, on the CPU. gpu: where that runs instead, as torch has it; None where the
    contender runs on a GPU that torch cannot use.
    """

    name: str
    mode: str
    threads: int
    flops: int
    run: Callable[[], object]
    traffic: int = 0
    gpu: torch.device | None = None

    @property
    def has_peak(self) -> bool:
        """Whether there is an sgemm to hold it against."""
        return self.threads > 0 or self.gpu is not None


@dataclass(frozen=True, slots=True)
class Row:
    """Figures of one contender: times in ms, speeds in GFLOP/s, ratio of its speed to sgemm's beside it.

    mbyte: of weights and activations that it reads and writes, 0 where it was not counted.
    """

    name: str
    mode: str
    threads: int
    mflop: float
    p50_ms: float
    best_ms: float
    gflops: float
    sgemm_gflops: float
    ratio: float | None  # none for a GPU that torch cannot use
    best_ratio: float | None
    mbyte: float = 0.0


def forward_flops(net: PulseNet) -> int:
    """Multiplications and additions of a pair's forward pass; the backward pass to the input has as many."""
    whole, half = L * L, L * L // 4
    pixels = {"conv1": whole, "conv2": whole, "conv3": half, "conv4": half, "dense1": 1, "dense2": 1}
    return sum(2 * getattr(net, name).weight.numel() * count for name, count in pixels.items())


def forward_bytes(net: PulseNet) -> int:
    """Bytes that a pair's forward pass moves in float32, were nothing kept in a cache.

    Each weight is read once, and what each layer makes is written once and read once. The backward pass to the input
    moves about as many.
    """
    whole, half = L * L, L * L // 4
    pixels = {"conv1": whole, "conv2": whole, "conv3": half, "conv4": half, "dense1": 1, "dense2": 1}
    layers = [(getattr(net, name).weight, count) for name, count in pixels.items()]
    return sum(4 * (weight.numel() + 2 * weight.shape[0] * count) for weight, count in layers)


def paper_flops(forward: int) -> int:
    """Of one paper ascent: N - 1 forward and as many backward passes. forward: of one pass; bytes count alike."""
    return 2 * (PAPER_ITERATIONS - 1) * forward


def steady_flops(forward: int) -> int:
    """Of one steady ascent: N - 1 forward passes and one backward pass. forward: of one pass; bytes count alike."""
    return STEADY_ITERATIONS * forward


def measure(entries: list[Contender], rounds: int) -> list[Row]:
    """Time all contenders in turn, ``rounds`` times over."""
    matrices = {entry.gpu: _matrix(entry.gpu) for entry in entries}
    times: list[list[float]] = [[] for _ in entries]
    peaks: list[list[float]] = [[] for _ in entries]

    threads_before = torch.get_num_threads()
    for turn in range(rounds + 1):
        for entry, its_times, its_peaks in zip(entries, times, peaks, strict=True):
            torch.set_num_threads(entry.threads or 1)
            matrix = matrices[entry.gpu]
            before = _sgemm(matrix)
            # Brings the weights into the cache, as the frame before does in a stream, and outlasts torch's
            # threads, which wait awake for a while after the product.
            entry.run()
            start = time.perf_counter()
            entry.run()
            elapsed = time.perf_counter() - start
            after = _sgemm(matrix)
            if turn:  # the first round is for warming up
                its_times.append(elapsed)
                its_peaks.append((before + after) / 2)
    torch.set_num_threads(threads_before)
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
                ratio=float(np.median(speed / peak)) if entry.has_peak else None,
                best_ratio=float(speed.max() / peak.max()) if entry.has_peak else None,
                mbyte=entry.traffic / 1e6,
            )
        )
    return rows


def _matrix(gpu: torch.device | None) -> torch.Tensor:
    side = SGEMM_SIDE if gpu is None else GPU_SGEMM_SIDE
    return torch.randn(side, side, generator=torch.Generator().manual_seed(0)).to(gpu or "cpu")


def _sgemm(matrix: torch.Tensor) -> float:
    """Multiply a square matrix with itself. Returns FLOP/s; factors of float32, which is torch's own setting."""
    start = time.perf_counter()
    torch.mm(matrix, matrix)
    if matrix.is_cuda:
        torch.cuda.synchronize(matrix.device)
    return float(2 * len(matrix) ** 3 / (time.perf_counter() - start))
