"""The figures of the report, numbered as in the paper, with matplotlib, from the arrays that the jobs kept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from deepmag.stream.evaluation.plan import EDGE, RATE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from matplotlib.figure import Figure as Canvas
    from numpy.typing import NDArray

Arrays = dict[str, Any]

DPI = 120
SCAN_ORDER = ("original", "evm", "vam", "paper", "steady", "ideal")
COLOURS = ("tab:red", "tab:green", "tab:blue")
CHANNELS = ("red", "green", "blue")
BINS = 30
GREY = "0.55"
GAMMA_SIGN = "\N{GREEK SMALL LETTER GAMMA}"


@dataclass(frozen=True, slots=True)
class Caption:
    """file: name of the PNG. title: what it is. text: what it shows, and what the paper found."""

    file: str
    title: str
    text: str


def scan_lines(arrays: Arrays, strengths: Mapping[str, float | None], path: Path) -> Caption:
    """Fig. 5: one row of a task D video over time, by method. strengths: that the methods were set to."""
    names = [name for name in SCAN_ORDER if f"scan {name}" in arrays]
    canvas = canvas_of(2.1 * (len(names) + 1), 4.4)
    axes = canvas.subplots(1, len(names) + 1)
    row = int(arrays["row"][0])
    axes[0].imshow(arrays["frame"])
    axes[0].axhline(row, color="yellow", linewidth=1.5)
    axes[0].set(title="one frame", xlabel="x, px", ylabel="y, px")
    for axis, name in zip(axes[1:], names, strict=True):
        scan: NDArray[np.uint8] = arrays[f"scan {name}"]
        seconds = len(scan) / RATE
        start = int(arrays["left"][0])
        axis.imshow(
            scan, aspect="auto", extent=(start, start + scan.shape[1], seconds, 0), interpolation="nearest"
        )
        strength = strengths.get(name)
        setting = "\n" if strength is None else f"\nset to {strength:.1f}"
        axis.set(title=name + setting, xlabel="x, px")
    axes[1].set_ylabel("time, s")
    return save(
        canvas,
        path / "figure5_scan_lines.png",
        "Figure 5: scan lines, task D",
        "The yellow line of the frame, over time (downward). The methods are set to magnify a still person's "
        f"pulse ten times, as far as their strength goes. In this video the pulse grew {_reached(arrays, names)}. "
        "`ideal` is the same scene rendered with its pulse ten times larger. In the paper the linear methods bury the "
        "pulse under the artefacts of the turning head, and DeepMag shows the head unharmed with the pulse on it.",
    )


def pixel_traces(arrays: Arrays, path: Path) -> Caption:
    """Fig. 7: a pixel's three colours over time on task B, at several steps."""
    gammas = sorted(
        float(key.removeprefix("trace ")) for key in arrays if key.startswith("trace ") and "o" not in key
    )
    canvas = canvas_of(10.0, 7.0)
    axes = canvas.subplots(3, 1, sharex=True)
    original: NDArray[np.float32] = arrays["trace original"]
    time = np.arange(len(original)) / RATE
    off = arrays["on skin"] < 0.5
    shades = np.linspace(0.85, 0.2, max(len(gammas), 1))
    for c, axis in enumerate(axes):
        for gamma, shade in zip(gammas, shades, strict=True):
            axis.plot(
                time, arrays[f"trace {gamma:g}"][:, c], color=COLOURS[c], alpha=1.0 - 0.8 * shade, linewidth=1.2,
                label=f"{gamma:g} {GAMMA_SIGN}",
            )  # fmt: skip
        axis.plot(time, original[:, c], color="black", linewidth=1.0, label="original")
        low, high = np.percentile(original[~off, c], (1, 99)) if not off.all() else (0.0, 255.0)
        room = max(6.0, high - low)
        axis.set_ylim(low - room, high + room)
        axis.fill_between(time, 0, 1, where=off, color=GREY, alpha=0.3, transform=axis.get_xaxis_transform())
        axis.set_ylabel(f"{CHANNELS[c]}, grey levels")
        axis.legend(ncols=5, fontsize=7, loc="upper right")
    axes[-1].set_xlabel("time, s")
    x, y = (int(value) for value in arrays["pixel"])
    return save(
        canvas,
        path / "figure7_pixel_traces.png",
        "Figure 7: traces of a pixel, task B",
        f"Mean of 5 x 5 px around ({x}, {y}) in `paper` mode at several multiples of its step; grey: not "
        "on skin. The paper found the pulse magnified on skin only, most in green (R : G : B about 0.33 : "
        "0.77 : 0.53), and more with a larger step. Here, RMS of what is added in band, R : G : B in grey "
        "levels, while on skin and, in brackets, while off it: "
        + "; ".join(
            f"{step} {GAMMA_SIGN} {_colours(rms['on skin'])} ({_colours(rms['off skin'])})"
            for step, rms in trace_amplitudes(arrays).items()
        )
        + ". What is added off the skin is no pulse.",
    )


def _reached(arrays: Arrays, names: Sequence[str]) -> str:
    gains = {name: float(arrays[f"gain {name}"][0]) for name in names if f"gain {name}" in arrays}
    return ", ".join(f"{gain:.1f} times by {name}" for name, gain in gains.items()) or "by no method"


def _colours(values: Sequence[float]) -> str:
    return " : ".join(f"{value:.2f}" for value in values) or "never"


def learning_curves(curves: Arrays, path: Path) -> Caption:
    """Fig. 9: the loss |y| against N, and against N times gamma."""
    canvas = canvas_of(10.0, 4.0)
    left, right = canvas.subplots(1, 2)
    for name, losses in curves.items():
        n = np.arange(1, len(losses) + 1)
        line = "--" if "," in name else "-"
        left.plot(n, losses, line, label=_label(name))
        right.plot(n * float(name.split(",", maxsplit=1)[0]), losses, line, label=_label(name))
    left.set(xlabel="iterations N", ylabel="loss |y|, network's units", title="(a)")
    right.set(xlabel=f"N x step / {GAMMA_SIGN}", ylabel="loss |y|, network's units", title="(b)")
    for axis in (left, right):
        axis.set_yscale("log")  # without the sign correction it grows many times more
        axis.legend()
    return save(
        canvas,
        path / "figure9_learning_curves.png",
        f"Figure 9: loss against N and {GAMMA_SIGN}",
        "Mean |y| over frame pairs of a still person during the ascent of Eq. 4. The paper found it to "
        "grow with both, nearly linearly in N, and small steps with many iterations to be more efficient "
        "than the reverse. Here, from N = 1 to the last, "
        + "; ".join(f"{_label(name)}: times {losses[-1] / losses[0]:.2f}" for name, losses in curves.items())
        + ". Where it falls with the sign correction and grows without, the signs of X are mostly those of noise.",
    )


def l1_norms(norms: Arrays, path: Path) -> Caption:
    """Fig. 10: L1 norms of X and of the gradient, over time and as histograms."""
    canvas = canvas_of(10.0, 5.0)
    axes = canvas.subplots(2, 2, width_ratios=(2, 1))
    for row, (key, label) in zip(
        axes, (("X", "mean |X|, unitless"), ("gradient", "mean |d|y|/dX|")), strict=True
    ):
        series: NDArray[np.float64] = norms[key]
        row[0].plot(np.arange(len(series)) / RATE, series, linewidth=0.8)
        row[0].set(xlabel="time, s", ylabel=label)
        row[1].hist(series, bins=BINS)
        row[1].set(xlabel=label, ylabel="frame pairs")
    return save(
        canvas,
        path / "figure10_l1_norms.png",
        "Figure 10: L1 norms",
        f"Of the representation X (top; skewness {skewness(norms['X']):.2f}) and of the gradient (bottom; "
        f"skewness {skewness(norms['gradient']):.2f}), as means over the elements, for each frame pair of "
        "a still person. The paper found the first Gaussian and the second highly skewed, and normalises "
        "the gradient for that reason.",
    )


def correlation_maps(maps: Arrays, dark: NDArray[np.bool_], path: Path) -> Caption:
    """Fig. 11: correlation of the input's and the magnified representation, with and without sign correction."""
    canvas = canvas_of(10.0, 3.6)
    axes = canvas.subplots(1, 3)
    masked = np.where(dark, np.nan, maps["corrected"])
    shown = (
        ("without sign correction", maps["uncorrected"]),
        ("with sign correction", maps["corrected"]),
        ("with, black pixels masked", masked),
    )
    images = []
    for axis, (title, values) in zip(axes, shown, strict=True):
        images.append(axis.imshow(values, vmin=-1, vmax=1, cmap="RdBu_r"))
        axis.set(title=title, xlabel="x, reduced px", ylabel="y, reduced px")
    canvas.colorbar(images[0], ax=list(axes), label="correlation", shrink=0.8)
    negative = {kind: 100 * float((maps[kind] < 0).mean()) for kind in ("uncorrected", "corrected")}
    return save(
        canvas,
        path / "figure11_sign_correction.png",
        "Figure 11: sign correction",
        "Correlation over time of each reduced pixel's green in X_1 and in X_N, both 0.7 to 2.5 Hz, of a "
        f"still person's pulse. Negative: {negative['uncorrected']:.1f} % of the pixels without, "
        f"{negative['corrected']:.1f} % with the correction of Eq. 3. The paper, for respiration, found "
        "negative values without it and none with it.",
    )


def real_faces(clips: Mapping[str, Arrays], path: Path) -> Caption:
    """Fig. 12 (c) and (d): scan lines of real faces. clips: exhibits by name."""
    canvas = canvas_of(9.0, 2.6 * len(clips))
    for axes, (name, arrays) in zip(
        canvas.subplots(len(clips), 3, squeeze=False), clips.items(), strict=True
    ):
        axes[0].imshow(arrays["frame"])
        axes[0].axvline(arrays["column"], color="yellow", linewidth=1.2)
        axes[0].set(title=name)
        for axis, scan in zip(axes[1:], ("original", "paper"), strict=True):
            axis.imshow(arrays[f"scan {scan}"], aspect="auto", interpolation="nearest")
            axis.set(title=scan)
        for axis in axes:
            axis.set(xticks=[], yticks=[])
    return save(
        canvas,
        path / "figure12_real_faces.png",
        "Figure 12: scan lines of real faces",
        "The yellow line over time (to the right), as it is and in `paper` mode at the step that the paper "
        "took for this figure, 1e-3.",
    )


def _label(curve: str) -> str:
    times, *note = curve.split(",")
    return ",".join([f"{times} {GAMMA_SIGN}", *note])


def skewness(series: NDArray[np.float64]) -> float:
    """Third standardised moment; 0 for a constant."""
    spread = float(series.std())
    return float(np.mean((series - series.mean()) ** 3)) / spread**3 if spread > 0 else 0.0


def trace_amplitudes(arrays: Arrays) -> dict[str, dict[str, list[float]]]:
    """RMS of what is added to the pixel in band, by step, "on skin" and "off skin", by colour, grey levels.

    An empty list where the pixel is never on, or never off, the skin.
    """
    from deepmag.models.metrics.pulse import in_band

    on = arrays["on skin"] >= 0.5
    cut = round(EDGE * RATE)
    inner = on[cut : len(on) - cut]
    found = {}
    for key, trace in arrays.items():
        if key.startswith("trace ") and key != "trace original":
            added = in_band(np.asarray(trace, np.float64) - arrays["trace original"], RATE, EDGE)
            found[key.removeprefix("trace ")] = {
                "on skin": _rms_by_colour(added[inner]),
                "off skin": _rms_by_colour(added[~inner]),
            }
    return found


def _rms_by_colour(values: NDArray[np.float64]) -> list[float]:
    return [float(value) for value in np.sqrt(np.mean(values**2, axis=0))] if len(values) else []


def canvas_of(width: float, height: float) -> Canvas:
    """A figure without a window. width, height: inches."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    canvas = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(canvas)
    return canvas


def save(canvas: Canvas, path: Path, title: str, text: str) -> Caption:
    """Write a figure as PNG. Returns its caption."""
    canvas.savefig(path, dpi=DPI)
    return Caption(path.name, title, text)
