"""The figures of respiration, numbered as in the paper, from the arrays that the jobs kept."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from deepmag.models.phase import SIDE
from deepmag.models.respiration import ASCENT_RATE
from deepmag.stream.evaluation.figures import GAMMA_SIGN, Caption, canvas_of, save
from deepmag.stream.evaluation.respiration.exhibits import ABOVE, SHOULDER
from deepmag.stream.evaluation.respiration.methods import METHODS

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

Arrays = dict[str, Any]

SCAN_ORDER = ("original", *METHODS, "ideal")
ANGLES = ("0", "45", "90", "135")


def shoulder_scans(arrays: Arrays, seconds: float, settings: Mapping[str, str], path: Path) -> Caption:
    """Fig. 6: a column on the shoulder over time, by method, task B. settings: what to say below a method's name."""
    names = [name for name in SCAN_ORDER if f"scan {name}" in arrays]
    canvas = canvas_of(2.1 * (len(names) + 1), 3.2)
    axes = canvas.subplots(1, len(names) + 1)
    frame: NDArray[np.uint8] = arrays["frame"]
    height, width = frame.shape[:2]
    axes[0].imshow(frame)
    column, top = round(SHOULDER * width), round(ABOVE * height)
    axes[0].plot([column, column], [top, height - 1], color="yellow", linewidth=1.5)
    axes[0].set(title="one frame", xlabel="x, px", ylabel="y, px")
    for axis, name in zip(axes[1:], names, strict=True):
        axis.imshow(
            arrays[f"scan {name}"], aspect="auto", extent=(0, seconds, height, top), interpolation="nearest"
        )
        axis.set(title=f"{name}\n{settings.get(name, '')}", xlabel="time, s")
    return save(
        canvas,
        path / "figure6_shoulder_scan_lines.png",
        "Figure 6: scan lines, task B, respiration",
        "The yellow line on the shoulder, over time (to the right), while the head turns at 10 degrees/s. The "
        "live methods are set for a still person's breath five times as large; `paper` takes its own step. "
        "`ideal` is the same scene rendered with its breath five times larger. In the paper the baselines "
        "magnify the turning head too, and blur it.",
    )


def phase_traces(arrays: Arrays, path: Path) -> Caption:
    """Fig. 8: one cell's phase in four orientations on task C, original and magnified at several steps."""
    steps = sorted(
        float(name.removeprefix("phase ")) for name in arrays if name.startswith("phase ") and "o" not in name
    )
    original: NDArray[np.float64] = arrays["phase original"]
    canvas = canvas_of(10.0, 8.0)
    axes = canvas.subplots(len(ANGLES), 1, sharex=True, sharey=True)
    time = (np.arange(len(original)) + 1) / ASCENT_RATE
    shades = np.linspace(0.35, 1.0, max(len(steps), 1))
    for o, (axis, angle) in enumerate(zip(axes, ANGLES, strict=True)):
        for step, shade in zip(steps, shades, strict=True):
            axis.plot(
                time,
                arrays[f"phase {step:g}"][:, o],
                color="tab:blue",
                alpha=shade,
                label=f"{step:g} {GAMMA_SIGN}",
            )
        axis.plot(time, original[:, o], color="black", linewidth=1.0, label="original")
        axis.set_ylabel(f"{angle}\N{DEGREE SIGN}, rad")
    axes[0].legend(ncols=5, fontsize=7, loc="upper right")
    axes[-1].set_xlabel("time, s")
    row, column = (int(value) for value in arrays["cell"])
    sizes = trace_sizes(arrays)
    return save(
        canvas,
        path / "figure8_phase_traces.png",
        "Figure 8: traces of a phase, task C",
        f"Phase of the cell ({column}, {row}) of {SIDE} x {SIDE}, on the chest, in 0.16 to 0.5 Hz, by orientation, in "
        "`paper` mode at several multiples of its step. The paper found the largest amplitude at 90 degrees, the "
        "direction in which breath moves a shoulder, and more of it with a larger step. Here, RMS in rad at 0, 45, 90, "
        "135 degrees: "
        + "; ".join(f"{name} {' : '.join(f'{v:.2f}' for v in values)}" for name, values in sizes.items()),
    )


def trace_sizes(arrays: Arrays) -> dict[str, list[float]]:
    """RMS of a cell's phase, rad, by what was done to it and by orientation."""
    names = [name for name in arrays if name.startswith("phase ")]
    return {
        name.removeprefix("phase "): [float(v) for v in np.sqrt(np.mean(arrays[name] ** 2, axis=0))]
        for name in sorted(names, key=lambda name: ("o" not in name, name))
    }


def correlation_maps(maps: Arrays, faint: NDArray[np.bool_], path: Path) -> Caption:
    """Fig. 11: correlation of the input's and the magnified representation, with and without sign correction."""
    canvas = canvas_of(10.0, 3.6)
    axes = canvas.subplots(1, 3)
    masked = np.where(faint, np.nan, maps["corrected"])
    images = []
    shown = (
        ("without sign correction", maps["uncorrected"]),
        ("with sign correction", maps["corrected"]),
        ("with, faint cells masked", masked),
    )
    for axis, (title, values) in zip(axes, shown, strict=True):
        images.append(axis.imshow(values, vmin=-1, vmax=1, cmap="RdBu_r"))
        axis.set(title=title, xlabel="x, cells", ylabel="y, cells")
    canvas.colorbar(images[0], ax=list(axes), label="correlation", shrink=0.8)
    negative = {kind: 100 * float((maps[kind][~faint] < 0).mean()) for kind in ("uncorrected", "corrected")}
    return save(
        canvas,
        path / "figure11_respiration.png",
        "Figure 11: sign correction, respiration",
        "Correlation over time of each cell's vertical phase difference in X_1 and in X_N, both 0.16 to 0.5 Hz, of a "
        f"still person. Negative, of the cells with a pattern: {negative['uncorrected']:.1f} % without, "
        f"{negative['corrected']:.1f} % with the correction of Eq. 3. The paper found negative values without it and "
        "none with it.",
    )


def real_scans(clips: Mapping[str, Arrays], path: Path) -> Caption:
    """Fig. 12: scan lines of real clips. clips: exhibits by name."""
    columns = 1 + max(sum(f"scan {key}" in arrays for key in SCAN_ORDER) for arrays in clips.values())
    canvas = canvas_of(2.2 * columns, 2.6 * len(clips))
    grid = canvas.subplots(len(clips), columns, squeeze=False)
    for axes, (name, arrays) in zip(grid, clips.items(), strict=True):
        axes[0].imshow(arrays["frame"])
        axes[0].axvline(arrays["column"], color="yellow", linewidth=1.2)
        axes[0].set(title=name)
        scans = [key for key in SCAN_ORDER if f"scan {key}" in arrays]
        for axis, key in zip(axes[1:], scans, strict=False):
            axis.imshow(arrays[f"scan {key}"], aspect="auto", interpolation="nearest")
            axis.set(title=key)
        for axis in axes:
            axis.set(xticks=[], yticks=[])
        for axis in axes[1 + len(scans) :]:
            axis.set_axis_off()
    return save(
        canvas,
        path / "figure12_real_breathing.png",
        "Figure 12: scan lines of real people who breathe",
        "The yellow line over time (to the right): the live methods at gain 10, `paper` at the step that the "
        "paper took for this figure, 1e-2.",
    )
