"""How fast the complex steerable pyramid is, and how exact, beside pyrtools' in the same run.

    python benchmarks/pyramid.py [--sizes 480x480 640x480] [--repeats 10] [--threads 1] [--bandwidth octave]

Both take a luma of noise apart into the same octave bands, four orientations, and put it together again. What a
stream pays once, making the filters, is not counted in ours; pyrtools makes them with each picture. Ours works in
float32, pyrtools in float64. Half-octave bands are only in ours.
"""

from __future__ import annotations

import argparse
import math
import time
import warnings
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray

from deepmag.models.pyramid import SteerablePyramid


def milliseconds(work: Callable[[], object], repeats: int, device: str) -> float:
    """Median time of one call, ms, after one that does not count."""
    spent = []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        work()
        if device == "cuda":
            torch.cuda.synchronize()
        spent.append(1e3 * (time.perf_counter() - start))
    return float(np.median(spent[1:]))


def psnr(picture: NDArray[np.float32], shown: NDArray[np.floating]) -> float:
    """Of what came back, dB, for a peak of 255."""
    return 10.0 * math.log10(255.0**2 / float(np.mean((picture.astype(np.float64) - shown) ** 2)))


def measure_pyrtools(picture: NDArray[np.float32], levels: int, repeats: int) -> tuple[float, float, float]:
    """Milliseconds to analyse and to invert, and dB."""
    from pyrtools.pyramids import SteerablePyramidFreq

    def build() -> SteerablePyramidFreq:
        return SteerablePyramidFreq(picture, height=levels, order=3, is_complex=True, twidth=1)

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Reconstruction will not be perfect with odd-sized")
        made = build()
        there = milliseconds(build, repeats, "cpu")
        back = milliseconds(made.recon_pyr, repeats, "cpu")
        return there, back, psnr(picture, made.recon_pyr())


def main() -> None:
    """Print a table of both."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sizes", nargs="+", default=["480x480", "640x480"], metavar="WxH")
    parser.add_argument("--repeats", type=int, default=10)
    parser.add_argument("--threads", type=int, default=0, help="torch's threads; 0 is its own choice")
    parser.add_argument("--bandwidth", choices=["octave", "half-octave"], default="octave")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu", help="of ours")
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    print(f"ours: torch {torch.__version__}, {options.device}, {torch.get_num_threads()} threads")
    print(
        f"{'size':>10} {'':>9} {'levels':>6} {'analyse ms':>11} {'invert ms':>10} {'both':>8} {'PSNR dB':>8}"
    )
    for text in options.sizes:
        width, height = (int(side) for side in text.split("x"))
        picture = np.random.default_rng(0).uniform(0, 255, (height, width)).astype(np.float32)
        pyramid = SteerablePyramid((height, width), bandwidth=options.bandwidth, device=options.device)
        tensor = torch.from_numpy(picture).to(options.device)
        made = pyramid.analyse(tensor)
        shown = pyramid.synthesise(made).cpu().numpy()
        rows = {
            "ours": (
                milliseconds(lambda p=pyramid, t=tensor: p.analyse(t), options.repeats, options.device),
                milliseconds(lambda p=pyramid, m=made: p.synthesise(m), options.repeats, options.device),
                psnr(picture, shown),
            )
        }
        if options.bandwidth == "octave":
            rows["pyrtools"] = measure_pyrtools(picture, pyramid.levels, options.repeats)
        for name, (there, back, quality) in rows.items():
            print(
                f"{text:>10} {name:>9} {pyramid.levels:>6} {there:>11.1f} {back:>10.1f} {there + back:>8.1f} "
                f"{quality:>8.1f}"
            )
        if len(rows) == 2:
            ours, theirs = (sum(rows[name][:2]) for name in ("ours", "pyrtools"))
            print(f"{'':>10} ours takes 1/{theirs / ours:.1f} of the time of pyrtools")


if __name__ == "__main__":
    main()
