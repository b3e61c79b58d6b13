"""How much of a frequency the linear methods add, live at a lag against offline, and how late, at 30 frames/s.

    python benchmarks/baseline_response.py [--methods evm vam phase phase-vam] [--lags 0.25 1 2]

1 is as much as was asked for. After the comma: the phase in degrees by which what is added runs ahead of the signal in
the very picture that it is added to. Offline it has none.
"""

from __future__ import annotations

import argparse

import numpy as np

from deepmag.models.baselines.linear import LinearMethod
from deepmag.models.baselines.methods import METHODS
from deepmag.stream.linear_magnifier import PERIODS, live_kernel

RATE = 30.0  # Hz
FREQUENCIES = {  # Hz, by the lower corner of a method's band
    0.7: (0.85, 1.0, 1.2, 1.32, 1.6, 2.0, 4.0, 8.0),
    0.16: (0.16, 0.25, 0.36, 0.52, 0.7, 1.2, 2.0),
}
OFFLINE = 120.0  # s of a wave that is filtered; what its middle has become counts


def live(method: LinearMethod, frequency: float, lag: float) -> complex:
    """What is added to a picture, over the wave in that picture."""
    kernel = live_kernel(method, RATE, PERIODS / method.band[0], lag)
    wave = np.exp(2j * np.pi * frequency / RATE * np.arange(-kernel.size, 1))  # the newest picture is at 0
    return complex(kernel @ np.diff(wave) / wave[-1 - round(lag * RATE)])


def offline(method: LinearMethod, frequency: float) -> float:
    """How large a wave in the middle of a whole clip becomes."""
    phase = 2 * np.pi * frequency * np.arange(round(OFFLINE * RATE)) / RATE
    waves = method.filter_clip(np.stack([np.cos(phase), np.sin(phase)], axis=1), RATE)
    return float(np.hypot(*waves[len(waves) // 2]))


def main() -> None:
    """Print a table for each method."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--methods", nargs="+", default=["evm", "vam", "phase", "phase-vam"], choices=list(METHODS)
    )
    parser.add_argument("--lags", nargs="+", type=float, default=[0.25, 1.0, 2.0], help="s")
    options = parser.parse_args()
    for name in options.methods:
        method = METHODS[name]
        frequencies = FREQUENCIES[method.band[0]]
        print(f"{name:10}" + "".join(f"{frequency:>11g}" for frequency in frequencies) + "  Hz")
        print(f"{'offline':10}" + "".join(f"{offline(method, frequency):11.2f}" for frequency in frequencies))
        for lag in options.lags:
            found = [live(method, frequency, lag) for frequency in frequencies]
            cells = (f"{abs(x):.2f}, {np.angle(x, deg=True):.0f}" for x in found)
            print(f"{f'{lag:g} s':10}" + "".join(f"{cell:>11}" for cell in cells))
        print()


if __name__ == "__main__":
    main()
