"""How fast synthetic people are made: takes to train on, frames a second with labels, and clips that are judged.

    python benchmarks/generator.py [--seconds 10] [--threads N] [--device cpu]

A take to train on is a new person, 65 frames of 72 x 72 rays averaged to 36 x 36, with its target.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import torch

from deepmag.models.synthetic.clip import make_clip
from deepmag.models.training.sequences import FRAMES, random_take


def main() -> None:
    """Print frames a second of both."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=10.0, help="how long to make takes")
    parser.add_argument("--threads", type=int, default=0, help="torch's threads; 0 is its own choice")
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    rng = np.random.default_rng(0)
    random_take(rng)
    count, start = 0, time.perf_counter()
    while time.perf_counter() - start < options.seconds:
        random_take(rng)
        count += 1
    spent = time.perf_counter() - start
    speed, threads = count * FRAMES / spent, torch.get_num_threads()
    print(f"training takes: {speed:.0f} frames/s with labels ({count} people, {threads} threads)")
    for size in ((320, 240), (640, 480)):
        for factor in (None, 10.0):
            start = time.perf_counter()
            clip = make_clip("C", seed=1, seconds=2.0, size=size, factor=factor, device=options.device)
            spent = time.perf_counter() - start
            kind = "" if factor is None else " with the ideal"
            print(f"clip {size[0]}x{size[1]}{kind}: {len(clip.video) / spent:.1f} frames/s")


if __name__ == "__main__":
    main()
