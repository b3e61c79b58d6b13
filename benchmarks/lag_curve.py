"""What the lag buys: the live log factor against the offline one, on noisy synthetic ascent steps.

    python benchmarks/lag_curve.py [--figure docs/lag_curve.png]

Per lag, pulse rate and kernel (designed, or the zero-phase kernel plainly cut):
  r         correlation of the live log factor with the offline zero-phase one of the same steps
  amplitude standard deviation of the live one, band-passed, over the offline one's
  off_band  what the live one holds outside the band, over what it holds inside
Then what `steady` keeps of pulses of some rates, live at some lags and in a whole clip, where no rate is sure, and the
time that the parts take here.
"""

from __future__ import annotations

import argparse
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from scipy.signal import butter, sosfilt

from deepmag.models.magnify import BANDS
from deepmag.models.reconstruction import magnify_frame, warm_up
from deepmag.models.running_difference import delay, mean_response
from deepmag.models.temporal import PULSE_BAND, band_at, log_factor, zero_phase, zero_phase_response
from deepmag.models.window import WINDOW, SlidingWindow, cut_kernel, step_response, window_kernel

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

RATE = 30.0  # Hz
RATES = (50, 72, 120)  # beats per minute
PULSE_RATES = (42, 50, 60, 70, 90, 120, 150, 175)  # the same, where only the filter counts
LAGS = (0.0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.35, 0.5, 0.75, 1.0, 1.5, 2.0)  # s
SECONDS = 300.0
EDGE = 8.0  # s left out at both ends: the window fills, the offline filter has no future


def steps(bpm: float, random: np.random.Generator) -> Floats:
    """Half the differences of a pulse whose rate wanders by 3 %, plus white, blue and slow noise. (T,).

    Each noise has half the standard deviation of the pulse's own steps.
    """
    t = np.arange(round(SECONDS * RATE) + 1) / RATE
    rate = bpm / 60 * (1 + 0.03 * np.sin(2 * np.pi * 0.1 * t) + 0.02 * np.sin(2 * np.pi * 0.25 * t))
    phase = 2 * np.pi * np.cumsum(rate) / RATE
    pulse = np.diff(np.sin(phase) + 0.3 * np.sin(2 * phase + 0.5)) / 2
    slow = sosfilt(butter(1, 0.1, fs=RATE, output="sos"), random.standard_normal(pulse.size))
    blue = np.diff(random.standard_normal(pulse.size + 1)) / np.sqrt(2.0)
    noise = random.standard_normal(pulse.size) + blue + slow / slow.std()
    total: Floats = 1e-3 * (pulse + 0.5 * pulse.std() * noise)
    return total


def compare(x: Floats, kernel: Floats, lag: float) -> tuple[float, float, float]:
    """r, amplitude and off_band of ``kernel`` (oldest first) on steps x, (T,)."""
    ahead, edge = round(lag * RATE), round(EDGE * RATE)
    shown = np.convolve(x, kernel[::-1])[ahead : ahead + x.size]
    offline = log_factor(x[:, None], PULSE_BAND, RATE)[1:, 0]
    inside = zero_phase(shown, PULSE_BAND, RATE)
    cut = slice(edge, -edge)
    r = float(np.corrcoef(shown[cut], offline[cut])[0, 1])
    within = inside[cut].std()
    return (
        r,
        float(within / zero_phase(offline, PULSE_BAND, RATE)[cut].std()),
        float((shown - inside)[cut].std() / within),
    )


def milliseconds(function: Callable[[], object], runs: int = 50) -> float:
    """Median time of one call, ms."""
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return 1e3 * float(np.median(times))


def kept() -> None:
    """Print how much of a log factor the filter of `steady` keeps: 1 is all of it."""
    frequency = np.array(PULSE_RATES) / 60
    band, mean = band_at(BANDS["steady"], RATE), mean_response(RATE, frequency)
    print("\nkept of a pulse, beats a minute" + "".join(f"{bpm:6g}" for bpm in PULSE_RATES))
    for lag in (0.0, 0.25, 1.0):
        kernel = window_kernel(band, RATE, WINDOW, lag, delay(RATE))
        found = mean * [step_response(kernel, RATE, one) for one in frequency]
        print(f"{f'lag {lag:g} s':31}" + "".join(f"{one:6.2f}" for one in found))
    found = mean * zero_phase_response(band, RATE, frequency)
    print(f"{'whole clip':31}" + "".join(f"{one:6.2f}" for one in found))


def costs() -> None:
    """Print what one frame costs after the ascent, and what a change of lag or rate costs."""
    random = np.random.default_rng(0)
    step = random.normal(0, 1e-3, (3, 36, 36)).astype(np.float32)
    window = SlidingWindow((3, 36, 36), RATE)
    window.push(step, 180)
    small = random.uniform(0, 255, (3, 36, 36)).astype(np.float32)
    warm_up()

    def report(what: str, function: Callable[[], object]) -> None:
        print(f"{what:28} {milliseconds(function):7.2f} ms")

    print()
    report("push, 30 fps", lambda: window.push(step))
    report("log_factor, 30 fps", window.log_factor)
    for rate in (30.0, 60.0, 120.0):
        report(f"kernel design, {rate:g} fps", partial(window_kernel, PULSE_BAND, rate, WINDOW, 0.25))
    for width, height in ((640, 480), (1280, 720), (1920, 1080)):
        image = random.integers(0, 256, (height, width, 3), dtype=np.uint8)
        out = np.empty_like(image)
        whole = (0, 0, width, height)
        report(f"magnify_frame, {width}x{height}", partial(magnify_frame, image, small, step, whole, out))


def draw(path: Path, table: dict[tuple[str, int], list[tuple[float, float, float]]]) -> None:
    """Draw r against the lag, one line for each rate and kernel."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, 3, figsize=(9, 3), dpi=70, layout="constrained")
    for column, name in enumerate(("r", "amplitude", "off_band")):
        for (kind, bpm), rows in table.items():
            color = f"C{RATES.index(bpm)}"
            style = "-" if kind == "designed" else ":"
            label = f"{bpm} bpm, {kind}"
            axes[column].plot(LAGS, [row[column] for row in rows], style, color=color, label=label)
        axes[column].set(xlabel="lag, s", title=name, xlim=(0, 1.0))
        axes[column].grid(alpha=0.3)
    axes[0].legend(fontsize=7)
    figure.savefig(path)


def main() -> None:
    """Print the tables; draw them where asked."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n", maxsplit=1)[0])
    parser.add_argument("--figure", type=Path, help="PNG to write")
    arguments = parser.parse_args()

    table: dict[tuple[str, int], list[tuple[float, float, float]]] = {}
    print(f"{'':6}" + "".join(f"{bpm:>15} bpm {kind:8}" for kind in ("designed", "cut") for bpm in RATES))
    print(f"{'lag, s':6}" + "       r  ampl.  off_band   " * 2 * len(RATES))
    for lag in LAGS:
        line = f"{lag:<6g}"
        for kind, design in (("designed", window_kernel), ("cut", cut_kernel)):
            kernel = design(PULSE_BAND, RATE, WINDOW, lag)
            for bpm in RATES:
                result = compare(steps(bpm, np.random.default_rng(bpm)), kernel, lag)
                table.setdefault((kind, bpm), []).append(result)
                line += f"  {result[0]:6.3f} {result[1]:6.2f}    {result[2]:6.2f}   "
        print(line.rstrip())
    kept()
    costs()
    if arguments.figure:
        draw(arguments.figure, table)


if __name__ == "__main__":
    main()
