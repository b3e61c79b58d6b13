"""Whether motion magnification has the shape that the paper has, and keeps what this project asks of itself."""

from __future__ import annotations

from typing import Any

from deepmag.stream.evaluation.verdict import FEW_DB, Finding, fall, mean_of

Table = dict[str, Any]

PAPER_PSNR, PAPER_SSIM = 41.4, 0.979  # the paper's own on task C (its Table 2, gamma)
LEAST_SSIM = 0.975
GAIN_WITHIN = 0.2  # of what was asked
HEAD = 0.1  # of the chest's added motion that the head's may be


def findings(table1: Table, large: Table, table2: Table, falls: Table) -> list[Finding]:
    """Judge the tables of respiration."""
    return [
        *(
            fall(
                table1, falls, method, f"respiration: {method} loses no more than {FEW_DB:g} dB from task A to D",
                many=False,
            )
            for method in ("paper", "steady")
        ),
        _at_least(table2, "psnr", PAPER_PSNR, "PSNR", "dB"),
        _at_least(table2, "ssim", PAPER_SSIM, "SSIM", ""),
        _least_ssim(table1),
        *(_gain(large, task) for task in large.get("steady", {})),
        *(_head(large, task) for task in ("B", "C") if task in large.get("steady", {})),
        *(_nearer(large, task) for task in large.get("steady", {})),
    ]  # fmt: skip


def _at_least(table2: Table, metric: str, least: float, name: str, unit: str) -> Finding:
    expectation = (
        f"respiration: paper, at the paper's setting, on task C: {name} of {least} {unit}".rstrip()
        + " or more"
    )
    seen = mean_of(table2, "1", metric)
    if seen is None:
        return Finding(expectation, None, "not measured")
    return Finding(
        expectation, seen >= least, f"{seen:.4g} {unit}".rstrip() + "; on other data than the paper's"
    )


def _least_ssim(table1: Table) -> Finding:
    seen = {
        task: value
        for task in table1.get("steady", {})
        if (value := mean_of(table1["steady"], task, "ssim")) is not None
    }
    text = ", ".join(f"{task} {value:.4f}" for task, value in seen.items()) or "not measured"
    met = min(seen.values()) >= LEAST_SSIM if seen else None
    return Finding(
        f"respiration: SSIM of steady, as much as the paper magnifies, {LEAST_SSIM} or more", met, text
    )


def _gain(large: Table, task: str) -> Finding:
    seen = mean_of(large["steady"], task, "gain")
    expectation = f"respiration: steady set for five times moves the chest so far within 20 %, task {task}"
    if seen is None:
        return Finding(expectation, None, "not measured")
    return Finding(expectation, abs(seen - 5.0) <= GAIN_WITHIN * 5.0, f"{seen:.2f} times")


def _head(large: Table, task: str) -> Finding:
    seen = {method: mean_of(cells, task, "leak") for method, cells in large.items()}
    known = {method: value for method, value in seen.items() if value is not None}
    text = ", ".join(f"{method} {value:.2f}" for method, value in known.items())
    expectation = (
        f"respiration: to the turning head steady adds at most {HEAD:g} of what it adds to the chest, and phase more, "
        f"task {task}"
    )
    if "steady" not in known or "phase" not in known:
        return Finding(expectation, None, "not measured")
    return Finding(expectation, known["steady"] <= HEAD < known["phase"], text)


def _nearer(large: Table, task: str) -> Finding:
    seen = {method: mean_of(cells, task, "residual") for method, cells in large.items()}
    known = {method: value for method, value in seen.items() if value is not None}
    text = "residual " + ", ".join(f"{method} {value:.2f}" for method, value in known.items())
    expectation = f"respiration: set for five times, steady is nearest to the true motion, task {task}"
    rivals = [value for method, value in known.items() if method != "steady"]
    met = known["steady"] < min(rivals) if "steady" in known and rivals else None
    return Finding(expectation, met, text)
