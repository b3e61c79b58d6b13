"""Does it have the shape that the paper has? Each expectation with its figures, yes or no; nothing is rounded up."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

MANY_DB = 3.0  # dB from task A to D that the linear methods are expected to lose, at least
FEW_DB = 1.0  # dB from task A to D that `paper` and `steady` may lose, at most
PAPER_PSNR, PAPER_SSIM = 42.6, 0.987  # the paper's own on task C (its Table 2, gamma)

NOTHING = "unmagnified"  # the clip as it is, in the table of large magnifications

Table = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Finding:
    """One expectation. met: None where the numbers for it are missing. figures: what decides it, in words."""

    expectation: str
    met: bool | None
    figures: str


def findings(table1: Table, large: Table, table2: Table, fairness: Table) -> list[Finding]:
    """Judge the tables of evaluate.json against the paper's claims and this project's own."""
    found = [
        *(
            _fall(table1, method, f"{method} loses {MANY_DB:g} dB or more from task A to D", many=True)
            for method in ("evm", "vam")
        ),
        *(
            _fall(table1, method, f"{method} loses no more than {FEW_DB:g} dB from task A to D", many=False)
            for method in ("paper", "steady")
        ),
    ]
    for name in ("psnr", "ssim"):
        wanted = PAPER_PSNR if name == "psnr" else PAPER_SSIM
        unit = " dB" if name == "psnr" else ""
        seen = _mean(table2, "1", name)
        shown = "not measured" if seen is None else f"{seen:.{1 if unit else 3}f}{unit}"
        found.append(
            Finding(
                f"paper, at the paper's setting, on task C: {name.upper()} of {wanted}{unit} or more",
                None if seen is None else seen >= wanted,
                shown,
            )
        )
    found += [
        _nearer(large, task, than_nothing=than_nothing)
        for than_nothing in (False, True)
        for task in large.get("steady", {})
    ]
    for task, ratios in fairness.get("ratios", {}).items():
        for name, ratio in ratios.items():
            found.append(
                Finding(
                    f"{name.replace('_', ' ')} of the worst class of skin within 1.5 times the best, task {task}",
                    bool(ratio["within"]),
                    f"{ratio['ratio']:.2f} times (best {ratio['best']}, worst {ratio['worst']})",
                )
            )
    return found


def _fall(table1: Table, method: str, expectation: str, *, many: bool) -> Finding:
    still, moving = (_mean(table1.get(method, {}), task, "psnr") for task in ("A", "D"))
    if still is None or moving is None:
        return Finding(expectation, None, "not measured")
    lost = still - moving
    met = lost >= MANY_DB if many else lost <= FEW_DB
    word = "loses" if lost >= 0 else "gains"
    return Finding(expectation, met, f"{still:.1f} dB on A, {moving:.1f} dB on D: {word} {abs(lost):.1f} dB")


def _nearer(large: Table, task: str, *, than_nothing: bool) -> Finding:
    """Beyond the paper: at ten times, `steady` against the others, or against doing nothing, by the true video."""
    seen = {method: _mean(cells, task, "residual") for method, cells in large.items()}
    known = {method: value for method, value in seen.items() if value is not None}
    rivals = [
        value for method, value in known.items() if method != "steady" and (method == NOTHING) == than_nothing
    ]
    whom = "the unmagnified one" if than_nothing else "all other methods"
    return Finding(
        f"at ten times, steady is nearer to the true video than {whom}, task {task}",
        known["steady"] < min(rivals) if "steady" in known and rivals else None,
        "residual " + ", ".join(f"{method} {value:.2f}" for method, value in known.items()),
    )


def _mean(table: Table, key: str, metric: str) -> float | None:
    try:
        value = float(table[key][metric]["mean"])
    except KeyError:
        return None
    return None if math.isnan(value) else value
