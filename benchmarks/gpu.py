"""What a GPU makes of it: one pair, many pairs, a whole frame; each as a stream meets it, copies included.

    python benchmarks/gpu.py [--device cuda:0] [--runs 300] [--json]

pair: an ascent on one frame pair, N = 20, from the host's array to the host's array, captured in a CUDA graph: by
torch's operators, by our kernels, those with factors of ten bits (TF32, fp16), and in ONNX Runtime. relative_l2: how
far the result is from that of float64. batch: pairs a second, and how many streams of 30 Hz that is. frame: `deepmag
live` on a picture of --size, from the captured frame to the magnified one, without encoding; frames_a_second is of the
mean, in which respiration's ticks count. Runs on a CPU, too (--device cpu), to see whether it works; those figures say
nothing.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import sys
import time
from functools import partial

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # as `deepmag` has it

import numpy as np
import torch

from deepmag.export.device import parse_device
from deepmag.export.runtime import AscenderUnavailableError, load_weights, open_ascender
from deepmag.export.torch_ascender import PlainPulse, TorchAscender
from deepmag.export.torch_respiration import TorchRespiration
from deepmag.models.ascent import ascend_paper
from deepmag.models.networks import PulseNet
from deepmag.models.phase import SIDE
from deepmag.models.pyramid_filters import ORIENTATIONS
from deepmag.models.representation import INPUT_SCALE, L
from deepmag.models.steady import ascend_symmetric
from deepmag.models.step_size import GAMMA, PAPER_ITERATIONS, RESPIRATION_GAMMA, STEADY_ITERATIONS
from deepmag.models.weights import PULSE, RESPIRATION
from deepmag.stream.capture.portrait import Portrait
from deepmag.stream.frames import Frame
from deepmag.stream.methods import open_magnifier
from deepmag.stream.networks import open_networks
from deepmag.stream.pictures import HostPictures
from deepmag.stream.settings import DEFAULT_LAG, Settings

RATE = 30.0  # Hz, of a stream
SECONDS = 2.0  # of pictures, made before: at 1920x1080 one takes as long to draw as ten to magnify
SETTLE = 8.0  # s of stream before frames count, since nothing is moved before a breath is known
BATCHES = (8, 64, 512)


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


def pairs(count, rng):
    """Frame pairs of noise, units of X."""
    return rng.normal(0, INPUT_SCALE, (count, 3, L, L)).astype(np.float32)


def precisions(device):
    """Ways to run the network, the best last but for what is less precise: its name, and what makes it."""
    yield "torch's operators", PlainPulse
    if device.is_gpu:
        from deepmag.export.fused_pulse import FusedPulse

        yield "our kernels", FusedPulse
        yield "our kernels, TF32", partial(FusedPulse, precision="tf32")
        yield "our kernels, fp16", partial(FusedPulse, precision="fp16")


def open_pulse(device, weights, make):
    """An ascender of the live path."""
    return TorchAscender(weights, device, 1, PAPER_ITERATIONS, STEADY_ITERATIONS, makers=make and (make,))


def one_pair(device, weights, runs, rng):
    """A pulse pair in torch, in ONNX Runtime, and in less precision; a respiration pair."""
    x = pairs(1, rng)
    along = (1e-3 * x).astype(np.float32)
    net = PulseNet.from_weights({name: torch.from_numpy(array).double() for name, array in weights.items()})
    exact = ascend_paper(net.double(), torch.from_numpy(x).double(), GAMMA, PAPER_ITERATIONS)[0].numpy()
    for name, make in precisions(device):
        ours = open_pulse(device, weights, make)
        apart = float(np.linalg.norm(ours.paper(x, GAMMA)[0] - exact) / np.linalg.norm(exact))
        yield row(
            f"pulse pair, paper, {name}", times(lambda a=ours: a.paper(x, GAMMA), runs), relative_l2=apart
        )
        yield row(f"pulse frame, steady, {name}", times(lambda a=ours: ascend_symmetric(a, x, along), runs))
    for runtime in ("ort", "tensorrt"):
        try:
            theirs = open_ascender(weights, runtime, str(device))
        except AscenderUnavailableError as refusal:
            print(f"left out: {refusal}", file=sys.stderr)
            continue
        apart = float(np.linalg.norm(theirs.paper(x, GAMMA)[0] - exact) / np.linalg.norm(exact))
        found = times(lambda a=theirs: a.paper(x, GAMMA), runs)
        yield row(f"pulse pair, paper, {theirs.description}", found, relative_l2=apart)
    breath = TorchRespiration(load_weights(RESPIRATION), device)
    wide = rng.normal(0, 0.1, (1, ORIENTATIONS, SIDE, SIDE)).astype(np.float32)
    trust = np.ones_like(wide)
    yield row(
        "respiration pair, paper, torch",
        times(lambda: breath.paper(wide, trust, RESPIRATION_GAMMA), max(3, runs // 3)),
    )
    yield row("respiration tick, steady, torch", times(lambda: breath.gradient(wide, trust), runs))


def batches(device, weights, runs, rng):
    """Throughput of the ascent of a whole ward."""
    few = max(3, runs // 10)
    for way, make in precisions(device):
        ours = open_pulse(device, weights, make)
        for count in BATCHES:
            x = pairs(count, rng)
            along = (1e-3 * x).astype(np.float32)
            for name, run in (
                ("paper", lambda a=ours, x=x: a.paper(x, GAMMA)),
                ("steady", lambda a=ours, x=x, along=along: ascend_symmetric(a, x, along)),
            ):
                found = times(run, few)
                streams = count / (1e-3 * float(np.median(found))) / RATE
                yield row(f"batch of {count}, {name}, {way}", found, streams_of_30_hz=streams)


def there_and_back(images):
    """Frames without end: the breath goes on, and nothing jumps."""
    last = len(images) - 1
    for number in itertools.count():
        yield Frame(0, number, number / RATE, 0.0, images[last - abs(last - number % (2 * last))])


def whole_frames(device, runs, size):
    """The live path of each target, from a frame to its magnified picture."""
    width, height = size
    portrait = Portrait((width, height))
    images = [portrait.frame(i / RATE) for i in range(round(SECONDS * RATE))]
    for target in ("pulse", "respiration", "both"):
        settings = Settings(roi="full", target=target, lag=DEFAULT_LAG[target])
        networks = open_networks(settings, "torch", str(device))
        for name, pictures, ahead in (
            ("device", networks.pictures(), False),
            ("device, the next one waiting", networks.pictures(), True),
            ("host", HostPictures(), False),
        ):
            slots = [pictures.memory(image.shape) for image in images]  # as the ring's are
            for slot, image in zip(slots, images, strict=True):
                slot[...] = image
            magnifier, _ = open_magnifier(
                "deepmag",
                networks.pulse,
                target=target,
                respiration=networks.respiration,
                clock=time.monotonic,
                nominal_rate=lambda: RATE,
                lag=settings.lag,
                pictures=pictures,
            )
            frames = there_and_back(slots)
            waiting = [next(frames)] if ahead else []

            def push(magnifier=magnifier, settings=settings, frames=frames, waiting=waiting):
                waiting.append(next(frames))
                for frame in waiting:
                    magnifier.expect(frame)
                magnifier.push(waiting.pop(0), settings)

            for _ in range(round(SETTLE * RATE)):
                push()
            found = times(push, max(30, runs))
            yield row(
                f"{target}: frame of {width}x{height}, pictures on the {name}",
                found,
                frames_a_second=1e3 / float(np.mean(found)),
            )


def line(found):
    """A row for a reader."""
    text = f"{found['name']:45} p50 {found['p50_ms']:8.2f} ms  p99 {found['p99_ms']:8.2f} ms"
    for name in ("relative_l2", "streams_of_30_hz", "frames_a_second"):
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
        whole_frames(device, args.runs, (width, height)),
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
