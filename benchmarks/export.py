"""Exported models beside what the package runs itself: size, time to load and to run; and what half precision does.

    python benchmarks/export.py [--rounds 15] [--threads 1]

All on the CPU, by ONNX Runtime, one pair, times as medians. Half precision: the relative L2 error of what `paper` adds,
per layer whose weights are rounded, median over pairs of a rendered person; and of y and gradient, all layers rounded
that are half in an export.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray

from deepmag.export.device import CPU
from deepmag.export.exported import ExportedPulse, ExportedRespiration
from deepmag.export.graph import paper_graph, steady_graph
from deepmag.export.ort_ascender import open_session
from deepmag.export.pulse_model import pulse_model
from deepmag.export.respiration_model import respiration_model
from deepmag.export.runtime import load_weights
from deepmag.export.torch_respiration import TorchRespiration
from deepmag.models import ascent, respiration_ascent
from deepmag.models.networks import PulseNet, RespirationNet
from deepmag.models.representation import normalized_difference
from deepmag.models.respiration import ASCENT_RATE
from deepmag.models.step_size import GAMMA, RESPIRATION_GAMMA, gamma_for_rate
from deepmag.models.synthetic.clip import make_clip
from deepmag.models.weights import PULSE, RESPIRATION
from deepmag.stream.evaluation.measurement import reduce_clip
from deepmag.stream.export_check import tick_pairs

Floats = NDArray[np.float32]
Weights = dict[str, Floats]
BREATH_STEP = gamma_for_rate(ASCENT_RATE, RESPIRATION_GAMMA)  # rad


def medians(work: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Median time of each, ms, all in turn, after a round that does not count."""
    spent: dict[str, list[float]] = {name: [] for name in work}
    for turn in range(rounds + 1):
        for name, run in work.items():
            start = time.perf_counter()
            run()
            if turn:
                spent[name].append(time.perf_counter() - start)
    return {name: 1e3 * float(np.median(times)) for name, times in spent.items()}


def speed(
    pulse: Weights, breath: Weights, x: Floats, phases: Floats, trust: Floats, options: argparse.Namespace
) -> None:
    """Print sizes and times."""
    threads = options.threads
    torch.set_num_threads(threads)
    files = {
        "pulse, unrolled, paper": paper_graph(pulse),
        "pulse, unrolled, steady": steady_graph(pulse),
        "pulse, exported fp32": pulse_model(pulse),
        "pulse, exported fp16": pulse_model(pulse, "fp16"),
        "respiration, exported fp32": respiration_model(breath),
        "respiration, exported fp16": respiration_model(breath, "fp16"),
    }
    contents = {name: model.SerializeToString() for name, model in files.items()}
    loading = medians(
        {
            name: (lambda content=content: open_session(content, CPU, threads, batch=1))
            for name, content in contents.items()
        },
        max(3, options.rounds // 3),
    )
    unrolled = [
        open_session(contents[f"pulse, unrolled, {mode}"], CPU, threads, batch=1)
        for mode in ("paper", "steady")
    ]
    gamma, growth = np.array(GAMMA, np.float32), np.ones(1, np.float32)
    runs: dict[str, Callable[[], object]] = {
        "pulse, unrolled, paper": lambda: unrolled[0].run(None, {"x": x, "gamma": gamma}),
        "pulse, unrolled, steady": lambda: unrolled[1].run(None, {"x": x, "direction": x, "growth": growth}),
    }
    for precision in ("fp32", "fp16"):
        ours = ExportedPulse(contents[f"pulse, exported {precision}"], threads=threads)
        runs[f"pulse, exported {precision}, paper"] = lambda ours=ours: ours.paper(x, GAMMA)
        runs[f"pulse, exported {precision}, steady"] = lambda ours=ours: ours.steady(x, x, 1.0)
        breathing = ExportedRespiration(contents[f"respiration, exported {precision}"], threads=threads)
        runs[f"respiration, exported {precision}, paper"] = lambda breathing=breathing: breathing.paper(
            phases, trust, BREATH_STEP
        )
        runs[f"respiration, exported {precision}, steady"] = lambda breathing=breathing: breathing.gradient(
            phases, trust
        )
    in_torch = TorchRespiration(breath, CPU)
    runs["respiration, torch, paper"] = lambda: in_torch.paper(phases, trust, BREATH_STEP)
    runs["respiration, torch, steady"] = lambda: in_torch.gradient(phases, trust)
    print(f"{'':30} {'MB':>6} {'load, ms':>9}")
    for name, content in contents.items():
        print(f"{name:30} {len(content) / 1e6:6.2f} {loading[name]:9.0f}")
    print(f"\n{'':40} {'run, ms':>8}")
    for name, took in sorted(medians(runs, options.rounds).items()):
        print(f"{name:40} {took:8.2f}")


def rounding(
    weights: Weights, layers: list[str], run: Callable[[Weights], tuple[Floats, Floats, Floats]]
) -> None:
    """Print how far dx, y and gradient move where the weights of some layers are rounded to half precision."""
    exact = run(weights)
    for layer in [*layers, "dense", ""]:
        rounded = {
            name: part.astype(np.float16).astype(np.float32) if name.startswith(layer) else part
            for name, part in weights.items()
        }
        size = sum(part.size for name, part in weights.items() if name.startswith(layer))
        share = size / sum(part.size for part in weights.values())
        errors = [
            np.linalg.norm((a - b).reshape(len(b), -1), axis=1)
            / np.linalg.norm(b.reshape(len(b), -1), axis=1)
            for a, b in zip(run(rounded), exact, strict=True)
        ]
        figures = " ".join(f"{np.median(error):9.1e}" for error in errors)
        print(f"  {layer or 'all layers':12} {100 * share:5.1f} % {figures} {errors[0].max():9.1e}")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    pulse, breath = load_weights(PULSE), load_weights(RESPIRATION)
    clip = make_clip("B", seed=3, seconds=1.0, size=(128, 96))
    small = reduce_clip(clip.video, clip.region)
    x = np.ascontiguousarray(normalized_difference(small[:-1], small[1:])[:24])
    clip = make_clip("A", seed=1, seconds=1.8, rate=10.0, size=(160, 120))
    phases, trust = tick_pairs(list(clip.video), [i / 10.0 for i in range(len(clip.video))])
    speed(pulse, breath, x[:1], phases[:1], trust[:1], options)

    def of_pulse(weights: Weights) -> tuple[Floats, Floats, Floats]:
        net = PulseNet.from_weights({name: torch.from_numpy(part) for name, part in weights.items()})
        tensor = torch.from_numpy(x)
        y, grad = ascent.pulse_gradient(net, tensor)
        return ascent.ascend_paper(net, tensor, GAMMA)[0].numpy(), y.numpy(), grad.numpy()

    def of_breath(weights: Weights) -> tuple[Floats, Floats, Floats]:
        net = RespirationNet.from_weights({name: torch.from_numpy(part) for name, part in weights.items()})
        given = torch.from_numpy(phases), torch.from_numpy(trust)
        y, grad = respiration_ascent.respiration_gradient(net, *given)
        return respiration_ascent.ascend_paper(net, *given, BREATH_STEP)[0].numpy(), y.numpy(), grad.numpy()

    print(f"\n  {'rounded':12} {'share':>7} {'paper dx':>9} {'y':>9} {'grad':>9} {'worst dx':>9}")
    rounding(pulse, ["conv1", "conv2", "conv3", "conv4", "dense1", "dense2"], of_pulse)
    print("  respiration")
    rounding(breath, [*(f"convs.{i}" for i in range(6)), "dense1", "dense2"], of_breath)


if __name__ == "__main__":
    main()
