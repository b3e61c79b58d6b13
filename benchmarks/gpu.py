"""What a GPU makes of it: one pair, many pairs, a whole frame; each as a stream meets it, copies included.

    python benchmarks/gpu.py [--device cuda:0] [--runs 300] [--json]

pair: an ascent on one frame pair, N = 20, from the host's array to the host's array, captured in a CUDA graph; in ONNX
Runtime beside it. tf32: the same with ten bits of mantissa, and how far its result is from the full one. batch: pairs
a second, and how many streams of 30 Hz that is. frame: `deepmag live` on a picture of --size, from the captured frame
to the magnified one, without encoding. Runs on a CPU, too (--device cpu), to see whether it works; those figures say
nothing.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from contextlib import contextmanager

import numpy as np
import torch

from deepmag.export.device import parse_device
from deepmag.export.respiration import RespirationAscender
from deepmag.export.runtime import AscenderUnavailableError, load_weights, open_ascender
from deepmag.export.torch_ascender import TorchAscender
from deepmag.export.torch_device import on_device, open_torch_device
from deepmag.models.ascent import ascend_paper
from deepmag.models.networks import PulseNet
from deepmag.models.phase import SIDE
from deepmag.models.pyramid import ORIENTATIONS
from deepmag.models.representation import INPUT_SCALE, L
from deepmag.models.steady import ascend_symmetric
from deepmag.models.step_size import GAMMA, PAPER_ITERATIONS, RESPIRATION_GAMMA, STEADY_ITERATIONS
from deepmag.models.weights import PULSE, RESPIRATION
from deepmag.stream.capture.portrait import Portrait
from deepmag.stream.device_pictures import DevicePictures
from deepmag.stream.frames import Frame
from deepmag.stream.magnifier import PulseMagnifier
from deepmag.stream.roi import RoiTracker
from deepmag.stream.settings import Settings
from deepmag.stream.vitals import PulseRate

RATE = 30.0  # Hz, of a stream
BATCHES = (1, 8, 64, 256, 512)


def times(run, runs):
    """Milliseconds of each of many runs, after some that do not count."""
    for _ in range(max(3, runs // 10)):
        run()
    found = []
    for _ in range(runs):
        began = time.perf_counter()
        run()
        found.append(1e3 * (time.perf_counter() - began))
    return found


def row(name, found, **more):
    """One line of the table."""
    return {
        "name": name,
        "p50_ms": float(np.median(found)),
        "p99_ms": float(np.percentile(found, 99)),
        **more,
    }


@contextmanager
def tf32():
    """Matrix products and convolutions with ten bits of mantissa."""
    before = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = True
    try:
        with torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=False, allow_tf32=True):
            yield
    finally:
        torch.backends.cuda.matmul.allow_tf32 = before


def pairs(count, rng):
    """Frame pairs of noise, units of X."""
    return rng.normal(0, INPUT_SCALE, (count, 3, L, L)).astype(np.float32)


def one_pair(device, weights, runs, rng):
    """A pulse pair in torch, in ONNX Runtime, and in TF32; a respiration pair."""
    x = pairs(1, rng)
    along = (1e-3 * x).astype(np.float32)
    ours = TorchAscender(weights, device, 1, PAPER_ITERATIONS, STEADY_ITERATIONS)
    yield row("pulse pair, paper, torch", times(lambda: ours.paper(x, GAMMA), runs))
    yield row("pulse frame, steady, torch", times(lambda: ascend_symmetric(ours, x, along), runs))
    try:
        theirs = open_ascender(weights, "ort", str(device))
        yield row("pulse pair, paper, ONNX Runtime", times(lambda: theirs.paper(x, GAMMA), runs))
    except AscenderUnavailableError as refusal:
        print(f"left out: {refusal}", file=sys.stderr)
    where = open_torch_device(device)
    net = PulseNet.from_weights({name: torch.from_numpy(array) for name, array in weights.items()}).to(where)

    def coarse(x, gamma):
        with tf32():
            return ascend_paper(net, x, gamma, PAPER_ITERATIONS)

    short = on_device(coarse, ((3, L, L), ()), where)
    gamma = np.full(1, GAMMA, np.float32)
    full, rough = ours.paper(x, GAMMA)[0], short(x, gamma)[0]
    apart = float(np.linalg.norm(rough - full) / np.linalg.norm(full))
    yield row("pulse pair, paper, torch, TF32", times(lambda: short(x, gamma), runs), relative_l2=apart)
    breath = RespirationAscender(load_weights(RESPIRATION), device)
    wide = rng.normal(0, 0.1, (1, ORIENTATIONS, SIDE, SIDE)).astype(np.float32)
    trust = np.ones_like(wide)
    yield row(
        "respiration pair, paper, torch",
        times(lambda: breath.paper(wide, trust, RESPIRATION_GAMMA), max(3, runs // 3)),
    )
    yield row("respiration tick, steady, torch", times(lambda: breath.gradient(wide, trust), runs))


def batches(device, weights, runs, rng):
    """Throughput of the ascent of a whole ward."""
    ours = TorchAscender(weights, device, 1, PAPER_ITERATIONS, STEADY_ITERATIONS)
    for count in BATCHES:
        x = pairs(count, rng)
        along = (1e-3 * x).astype(np.float32)
        few = max(3, runs // 10)
        for name, run in (
            ("paper", lambda x=x: ours.paper(x, GAMMA)),
            ("steady", lambda x=x, along=along: ascend_symmetric(ours, x, along)),
        ):
            found = times(run, few)
            streams = count / (1e-3 * float(np.median(found))) / RATE
            yield row(f"batch of {count}, {name}", found, streams_of_30_hz=streams)


def whole_frames(device, weights, runs, size):
    """The live path, from a frame to its magnified picture."""
    width, height = size
    portrait = Portrait((width, height))
    images = [portrait.frame(i / RATE) for i in range(16)]
    number = 0
    for name, pictures in (("device", DevicePictures(open_torch_device(device))), ("host", None)):
        magnifier = PulseMagnifier(
            TorchAscender(weights, device, 1, PAPER_ITERATIONS, STEADY_ITERATIONS),
            RoiTracker(),
            PulseRate(),
            clock=time.monotonic,
            nominal_rate=lambda: RATE,
            pictures=pictures,
        )
        settings = Settings(roi="full")

        def push(magnifier=magnifier, settings=settings):
            nonlocal number
            number += 1
            magnifier.push(Frame(0, number, number / RATE, 0.0, images[number % 16]), settings)

        yield row(f"frame of {width}x{height}, pictures on the {name}", times(push, max(30, runs // 2)))
        number += 100  # another stream


def line(found):
    """A row for a reader."""
    text = f"{found['name']:45} p50 {found['p50_ms']:8.2f} ms  p99 {found['p99_ms']:8.2f} ms"
    for name in ("relative_l2", "streams_of_30_hz"):
        if name in found:
            text += f"  {name} {found[name]:.3g}"
    return text


def main():
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", default="cuda:0")
    parser.add_argument("--runs", type=int, default=300)
    parser.add_argument("--size", default="1920x1080")
    parser.add_argument("--json", action="store_true", help="print JSON")
    args = parser.parse_args()
    device = parse_device(args.device)
    if device is None or (device.is_gpu and not torch.cuda.is_available()):
        print("torch can use no GPU here", file=sys.stderr)
        return 1
    weights, rng = load_weights(PULSE), np.random.default_rng(0)
    width, height = (int(side) for side in args.size.split("x"))
    rows = []
    for part in (
        one_pair(device, weights, args.runs, rng),
        batches(device, weights, args.runs, rng),
        whole_frames(device, weights, args.runs, (width, height)),
    ):
        for found in part:
            rows.append(found)
            if not args.json:
                print(line(found), flush=True)
    if args.json:
        name = torch.cuda.get_device_name(device.index) if device.is_gpu else "CPU"
        print(json.dumps({"device": name, "torch": torch.__version__, "rows": rows}, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
