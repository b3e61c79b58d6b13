"""What is lost where the pulse's network multiplies with ten bits, as TF32 and fp16 do: in the ascent, and to the eye.

    python benchmarks/precision.py [--people 2] [--seconds 5]

Both factors of each product are rounded, sums are float32, as our kernels have it (`export.pulse_kernels`); how much
faster that is, benchmarks/gpu.py says. dx: how far what the ascent adds to a pair is from that of float32, relative,
the median over pairs. Scores are of synthetic people (task A), magnified live, against their true pulse.
"""

from __future__ import annotations

import argparse

import numpy as np
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from deepmag.export.device import CPU
from deepmag.export.runtime import load_weights
from deepmag.export.torch_ascender import PlainPulse, TorchAscender
from deepmag.models.representation import normalized_difference
from deepmag.models.steady import ascend_symmetric
from deepmag.models.step_size import GAMMA, PAPER_ITERATIONS, STEADY_ITERATIONS
from deepmag.models.synthetic.clip import make_clip
from deepmag.models.weights import PULSE
from deepmag.stream.evaluation.measurement import reduce_clip
from deepmag.stream.evaluation.methods import PAPER_STRENGTH, magnify_clip
from deepmag.stream.evaluation.scores import score_pulse, truth_of

PRODUCTS = {
    torch.ops.aten.convolution.default: 2,
    torch.ops.aten.mm.default: 2,
    torch.ops.aten.addmm.default: 3,  # whose first argument is added
}
SCORES = ("gain", "coherence", "blocks", "leak")
MODES = ("paper", "steady")


def tf32(x):
    """To ten bits of mantissa, to nearest; the exponent keeps its eight bits."""
    bits = x.contiguous().view(torch.int32)
    return ((bits + 0x1000) & ~0x1FFF).view(torch.float32)


def fp16(x):
    """To half precision, whose exponent has five bits."""
    return x.half().float()


class Rounded(TorchDispatchMode):
    """Within it the factors of all products are rounded."""

    def __init__(self, to):
        super().__init__()
        self._to = to

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        last = PRODUCTS.get(func, 0)
        if last:
            factors = [self._to(one) for one in args[last - 2 : last]]
            args = (*args[: last - 2], *factors, *args[last:])
        return func(*args, **(kwargs or {}))


class RoundedPulse(PlainPulse):
    """Implements ``torch_ascender.Pulse`` with rounded factors. to: rounds a tensor."""

    def __init__(self, net, to):
        super().__init__(net)
        self._to = to

    def ascend_paper(self, *arguments, **options):
        """See ``Pulse``."""
        with Rounded(self._to):
            return super().ascend_paper(*arguments, **options)

    def ascend_steady(self, *arguments, **options):
        """See ``Pulse``."""
        with Rounded(self._to):
            return super().ascend_steady(*arguments, **options)


def added(ascender, mode, x):
    """What an ascender adds to pairs."""
    if mode == "paper":
        return ascender.paper(x, GAMMA)[0]
    return ascend_symmetric(ascender, x, np.full_like(x, 1e-3))[0]


def main():
    """Print a line for each mode and precision."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--people", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=5.0)
    args = parser.parse_args()
    weights = load_weights(PULSE)
    ways = {"float32": PlainPulse} | {
        to.__name__: lambda net, to=to: RoundedPulse(net, to) for to in (tf32, fp16)
    }
    ascenders = {
        name: TorchAscender(weights, CPU, 2, PAPER_ITERATIONS, STEADY_ITERATIONS, makers=(make,))
        for name, make in ways.items()
    }
    clips = [
        make_clip("A", seed=seed, seconds=args.seconds, size=(160, 120), factor=10.0)
        for seed in range(1, args.people + 1)
    ]
    print(f"{'':17}{'dx':>10}" + "".join(f"{name:>11}" for name in SCORES))
    for mode in MODES:
        exact = {}
        for name, ascender in ascenders.items():
            errors, scores = [], []
            for i, clip in enumerate(clips):
                small = reduce_clip(clip.video, clip.region)
                x = normalized_difference(small[:-1], small[1:])[::8]
                dx = added(ascender, mode, x)
                reference = exact.setdefault(i, dx)
                sizes = np.linalg.norm(reference.reshape(len(x), -1), axis=1)
                errors.append(np.linalg.norm((dx - reference).reshape(len(x), -1), axis=1) / sizes)
                shown = magnify_clip(
                    mode, clip.video, clip.rate, clip.region, PAPER_STRENGTH, ascender=ascender
                )
                score = score_pulse(clip, truth_of(clip), shown, PAPER_STRENGTH)
                scores.append([score[one] for one in SCORES])
            text = "".join(f"{value:11.4f}" for value in np.mean(scores, axis=0))
            print(f"{mode + ', ' + name:17}{np.median(np.concatenate(errors)):10.1e}{text}", flush=True)


if __name__ == "__main__":
    main()
