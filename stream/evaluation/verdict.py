"""Does it have the shape that the paper has? Each expectation with its figures, yes or no; nothing is rounded up."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

MANY_DB = 3.0  # dB from task A to D that the linear methods are expected to lose, at least
FEW_DB = 1.0  # dB from task A to D that `paper` and `steady` may lose, at most
PAPER_PSNR, PAPER_SSIM = 42.6, 0.987  # the paper's own on task C (its Table 2, gamma)
PAPER_SLOPE = 1.1  # dB of PSNR that the paper loses with each doubling of gamma (its Table 2, 0.5 to 4 gamma)

NOTHING = "unmagnified"  # the clip as it is, in the table of large magnifications

Table = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Finding:
    """One expectation. met: None where no numbers decide it. figures: what decides it, in words."""

    expectation: str
    met: bool | None
    figures: str


def findings(
    table1: Table,
    large: Table,
    table2: Table,
    fairness: Table,
    falls: Table | None = None,
    region_share: float = math.nan,
) -> list[Finding]:
    """Judge the tables of evaluate.json against the paper's claims and this project's own.

    falls: as `tables.fall_table` has them. region_share: of the picture that `paper` works on.
    """
    return [
        *(
            fall(
                table1,
                falls or {},
                method,
                f"{method} loses {MANY_DB:g} dB or more from task A to D",
                many=True,
            )
            for method in ("evm", "vam")
        ),
        *(
            fall(
                table1,
                falls or {},
                method,
                f"{method} loses no more than {FEW_DB:g} dB from task A to D",
                many=False,
            )
            for method in ("paper", "steady")
        ),
        _psnr_on_c(table2, region_share),
        _ssim_on_c(table2),
        *(
            _nearer(large, task, than_nothing=than_nothing)
            for than_nothing in (False, True)
            for task in large.get("steady", {})
        ),
        *(
            _fair(task, name, ratio)
            for task, ratios in fairness.get("ratios", {}).items()
            for name, ratio in ratios.items()
        ),
    ]


def _psnr_on_c(table2: Table, region_share: float) -> Finding:
    """The paper's own figure; what it takes to read the two side by side goes with it."""
    expectation = f"paper, at the paper's setting, on task C: PSNR of {PAPER_PSNR} dB or more"
    seen = mean_of(table2, "1", "psnr")
    if seen is None:
        return Finding(expectation, None, "not measured")
    notes = [f"{seen:.1f} dB"]
    region = mean_of(table2, "1", "psnr_region")
    if region is not None:
        notes.append(f"{region:.1f} dB inside the region")
    if region_share > 0:
        notes.append(
            f"the rest of the picture, {100 * (1 - region_share):.0f} %, is left as it is, which alone is worth "
            f"{-10 * math.log10(region_share):.1f} dB"
        )
    slope = slope_per_doubling(table2)
    if slope is not None:
        notes.append(
            f"each doubling of the step costs {slope:.1f} dB here and {PAPER_SLOPE:g} dB in the paper (6 where "
            "all that differs is what was added), so the two figures do not measure the same thing"
        )
    notes.append("other people, other cameras: a yes here is no proof of being better than the paper")
    return Finding(expectation, seen >= PAPER_PSNR, "; ".join(notes))


def _ssim_on_c(table2: Table) -> Finding:
    expectation = f"paper, at the paper's setting, on task C: SSIM of {PAPER_SSIM} or more"
    seen, region = (mean_of(table2, "1", name) for name in ("ssim", "ssim_region"))
    if seen is None:
        return Finding(expectation, None, "not measured")
    inside = "" if region is None else f"; {region:.4f} inside the region"
    return Finding(expectation, seen >= PAPER_SSIM, f"{seen:.4f}{inside}; on other data than the paper's")


def slope_per_doubling(table2: Table) -> float | None:
    """PSNR lost with each doubling of the paper's step, dB, from the smallest to the largest; None without two."""
    known = {float(key): value for key in table2 if (value := mean_of(table2, key, "psnr")) is not None}
    if len(known) < 2:
        return None
    low, high = min(known), max(known)
    return (known[low] - known[high]) / math.log2(high / low)


def _fair(task: str, name: str, ratio: Table) -> Finding:
    people = ", ".join(str(n) for n in ratio["n"].values())
    spread = "" if math.isnan(ratio["sd"]) else f" \N{PLUS-MINUS SIGN} {ratio['sd']:.2f}"
    why = "" if ratio["within"] is not None else "; too few people to say"
    return Finding(
        f"{name.replace('_', ' ')} of the worst class of skin within 1.5 times the best, task {task}",
        ratio["within"],
        f"{ratio['ratio']:.2f}{spread} times (best {ratio['best']}, worst {ratio['worst']}; people in each class: "
        f"{people}){why}",
    )


def fall(table1: Table, falls: Table, method: str, expectation: str, *, many: bool) -> Finding:
    """What a method loses from task A to D. many: whether at least MANY_DB is expected, or at most FEW_DB."""
    still, moving = (mean_of(table1.get(method, {}), task, "psnr") for task in ("A", "D"))
    lost = mean_of(falls, method, "psnr")
    if still is None or moving is None or lost is None:
        return Finding(expectation, None, "not measured")
    met = lost >= MANY_DB if many else lost <= FEW_DB
    row = falls[method]["psnr"]
    figures = f"{still:.1f} dB on A, {moving:.1f} dB on D: {_lost(lost, row['sd'])} (the same person, n = {row['n']})"
    region = mean_of(falls, method, "psnr_region")
    if region is not None:
        figures += f"; inside the region {_lost(region, falls[method]['psnr_region']['sd'])}"
    return Finding(expectation, met, figures)


def _lost(lost: float, spread: float) -> str:
    around = "" if math.isnan(spread) else f" \N{PLUS-MINUS SIGN} {spread:.1f}"
    return f"{'loses' if lost >= 0 else 'gains'} {abs(lost):.1f}{around} dB"


def _nearer(large: Table, task: str, *, than_nothing: bool) -> Finding:
    """Beyond the paper: set for ten times, `steady` against the others, or against doing nothing, by the true video."""
    seen = {method: mean_of(cells, task, "residual") for method, cells in large.items()}
    known = {method: value for method, value in seen.items() if value is not None}
    rivals = [
        value for method, value in known.items() if method != "steady" and (method == NOTHING) == than_nothing
    ]
    whom = "the unmagnified one" if than_nothing else "all other methods"
    words = []
    for method, value in known.items():
        gain = mean_of(large[method], task, "gain")
        words.append(f"{method} {value:.2f}" + ("" if gain is None else f" at gain {gain:.1f}"))
    return Finding(
        f"set for ten times, steady is nearer to the true video than {whom}, task {task}",
        known["steady"] < min(rivals) if "steady" in known and rivals else None,
        "residual " + ", ".join(words),
    )


def mean_of(table: Table, key: str, metric: str) -> float | None:
    """A table's mean; None where there is none."""
    try:
        value = float(table[key][metric]["mean"])
    except KeyError:
        return None
    return None if math.isnan(value) else value
