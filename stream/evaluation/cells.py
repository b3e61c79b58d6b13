"""Numbers as cells of Markdown tables: digits, headings, and the tables that both signals have."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from deepmag.stream.evaluation.figures import GAMMA_SIGN
from deepmag.stream.evaluation.plan import GAMMAS

Table = dict[str, Any]

HEADINGS = {
    "psnr": "PSNR, dB",
    "ssim": "SSIM",
    "psnr_region": "PSNR in region, dB",
    "ssim_region": "SSIM in region",
    "psnr_true": "PSNR to true, dB",
    "ssim_true": "SSIM to true",
    "psnr_true_region": "PSNR to true in region, dB",
    "ssim_true_region": "SSIM to true in region",
    "gain": "gain",
    "coherence": "coherence",
    "blocks": "blocks",
    "leak": "leak",
    "residual": "residual",
    "lag": "lag, s",
    "mae": "MAE, bpm",
    "snr": "SNR, dB",
    "rate_error": "rate error, bpm",
    "amplitude": "pulse, grey levels RMS",
    "relative": "pulse, % of green",
}
DIGITS = {
    "psnr": 1,
    "psnr_region": 1,
    "psnr_true": 1,
    "psnr_true_region": 1,
    "ssim": 4,
    "ssim_region": 4,
    "ssim_true": 4,
    "ssim_true_region": 4,
    "mae": 1,
    "snr": 1,
    "rate_error": 1,
    "relative": 3,
}


def falls_grid(table: Table) -> str:
    """What each method loses, as `tables.fall_table` has it."""
    keys = list(dict.fromkeys(key for falls in table.values() for key in falls))
    rows = [
        (method, falls[keys[0]]["n"], *(cell_text(falls[key], key) for key in keys))
        for method, falls in table.items()
    ]
    return grid(("method", "people", *(HEADINGS[key] for key in keys)), rows) if rows else "Not measured."


def table2_grid(table: Table, theirs: Mapping[str, tuple[float, float]], keys: Sequence[str]) -> str:
    """Table 2: PSNR and SSIM by multiple of the step, the paper's own beside them, and further metrics ``keys``."""
    rows = []
    for times in GAMMAS:
        key = f"{times:g}"
        if key in table:
            ours = (cell_text(table[key].get(name), name) for name in ("psnr", "ssim"))
            rest = (cell_text(table[key].get(name), name) for name in keys)
            rows.append(
                (f"{key} {GAMMA_SIGN}", *ours, f"{theirs[key][0]:.1f}", f"{theirs[key][1]:.3f}", *rest)
            )
    heads = ("step", "PSNR, dB", "SSIM", "paper's PSNR, dB", "paper's SSIM")
    return grid((*heads, *(HEADINGS[key] for key in keys)), rows)


def people_text(count: int) -> str:
    """So many people, in words."""
    return f"{count} person" if count == 1 else f"{count} people"


def cell_text(summary: Mapping[str, float] | None, key: str) -> str:
    """Mean and spread of a metric, in its digits."""
    if summary is None:
        return "-"
    digits = DIGITS.get(key, 2)
    mean = number(summary["mean"], digits)
    spread = summary["sd"]
    return mean if mean == "-" or missing(spread) else f"{mean} ± {spread:.{digits}f}"


def number(value: float | None, digits: int) -> str:
    """A number, or "-" where there is none."""
    return "-" if missing(value) else f"{value:.{digits}f}"


def missing(value: float | None) -> bool:
    """Whether there is no number."""
    return value is None or not math.isfinite(value)


def grid(heads: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A table in Markdown."""
    lines = [" | ".join(heads), " | ".join("---" for _ in heads)]
    lines += [" | ".join(str(cell) for cell in row) for row in rows]
    return "\n".join(f"| {line} |" for line in lines)
