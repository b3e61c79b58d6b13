"""The part of the report that is of respiration, from its part of evaluate.json alone."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from deepmag.stream.evaluation.cells import (
    DIGITS,
    HEADINGS,
    cell_text,
    falls_grid,
    grid,
    number,
    people_text,
    table2_grid,
)
from deepmag.stream.evaluation.figures import GAMMA_SIGN
from deepmag.stream.evaluation.plan import TASKS
from deepmag.stream.evaluation.respiration.plan import LARGE

Table = dict[str, Any]

KEYS = ("psnr", "ssim", "psnr_true", "ssim_true", "gain", "coherence", "leak", "residual")
PAPER_TABLE2 = {"0.5": (42.0, 0.982), "1": (41.4, 0.979), "2": (40.6, 0.974), "4": (39.6, 0.965)}


def parts(numbers: Table) -> list[str]:
    """Paragraphs and tables. numbers: the part "respiration" of evaluate.json."""
    setup = numbers["setup"]
    width, height = setup["size"]
    return [
        "# Respiration",
        f"{people_text(len(setup['subjects']))} per task, {setup['seconds']:g} s each at {width}x{height}, "
        f"{setup['rate']:g} frames/s. The first 5 s, in which no live method can know a breath, and the last "
        "second are not judged. Gain: growth of the chest's motion, in 0.16 to 0.5 Hz, in step with the true "
        "one, which the renderer knows. Coherence: correlation of what was added to it with the true motion, "
        "without any lag. Leak: motion added to the head / to the chest. Residual: distance of what was added "
        "to chest and head to what should have been, over that: 0 is perfect, 1 as good as nothing. `phase` "
        "(Wadhwa 2013), `phase-vam` (Zhang 2017), `learned` (Oh 2018) and `steady` run live with a lag of 2 "
        "s; `paper`, Eq. 4 and 19-22, runs on the whole clip.",
        _truth(numbers["truth"]),
        "## Table 1, respiration: equal visible magnification",
        f"The chest's gain of `paper` at its own step ({GAMMA_SIGN} = 3.6e-3, N = {setup['iterations']}) on "
        f"task A is {number(setup['matched_gain'], 2)} times; the others are set to the same: "
        f"{_strengths(setup, 'matched')}. PSNR and SSIM are against the original, as in the paper.",
        _methods(numbers["table1"], setup["strengths"]["matched"]),
        "What a person's clip loses from task A to task D, the same person's A minus D:",
        falls_grid(numbers["falls"]),
        "## At five times",
        f"Strengths for a gain of {LARGE:g} on task A: {_strengths(setup, 'large')}. The true video has its "
        "breath five times larger; `unmagnified` is the clip as it is. A real breath moves the head a little, "
        "and so does the true video; `steady` leaves the head alone, which costs it residual.",
        _methods(numbers["large"], setup["strengths"]["large"]),
        "## Table 2, respiration: `paper` at several steps, task C",
        table2_grid(numbers["table2"], PAPER_TABLE2, ("gain", "coherence", "leak")),
        "## Real clips, respiration",
        *_real(numbers["real"]),
    ]


def _truth(table: Table) -> str:
    rows = [
        (
            task,
            cell_text(row["breaths"], "breaths"),
            cell_text(row["amplitude"], "amplitude"),
            cell_text(row["head"], "head"),
            number(100 * row["shown"]["mean"], 0),
            cell_text(row["error"], "error"),
        )
        for task, row in table.items()
    ]
    heads = (
        "task",
        "breaths per minute",
        "chest moves, px RMS",
        "head, px RMS",
        "rate shown, % of the time",
        "its error",
    )
    return grid(heads, rows)


def _strengths(setup: Table, which: str) -> str:
    given: Mapping[str, float | None] = setup["strengths"][which]
    words = []
    for method, value in given.items():
        if value is None:
            words.append(f"{method} does not magnify")
        elif method == "paper":
            words.append(f"paper {value:.1f} {GAMMA_SIGN}")
        else:
            words.append(f"{method} {value:.1f}")
    return ", ".join(words) or "not found"


def _methods(table: Table, strengths: Mapping[str, float | None]) -> str:
    cells = [cell for tasks in table.values() for cell in tasks.values()]
    keys = [key for key in KEYS if any(key in cell for cell in cells)]
    rows: list[tuple[str, ...]] = []
    for task in TASKS:
        seen = {method: tasks[task] for method, tasks in table.items() if task in tasks}
        rows += [
            (task, method, *(cell_text(cell.get(key), key) for key in keys))
            for method, cell in sorted(seen.items())
        ]
        if seen:
            none = [method for method, strength in strengths.items() if strength is None]
            rows += [(task, method, "does not magnify", *("-" for _ in keys[1:])) for method in none]
    return grid(("task", "method", *(HEADINGS[key] for key in keys)), rows)


def _real(table: Table) -> Iterable[str]:
    if not table:
        yield "Not run: no folder of real clips with a true rate of breath was given (`--data`)."
        return
    rows = []
    for clip, entry in table.items():
        if "not_measured" in entry:
            rows.append((clip, number(entry["breaths"], 1), f"not measured: {entry['not_measured']}"))
            continue
        low, high = entry["shown"] or (math.nan, math.nan)
        rows.append((clip, number(entry["breaths"], 1), f"{number(low, 1)} to {number(high, 1)}"))
    yield grid(("clip", "true, per minute", "shown by `steady`"), rows)
    keys = ("gain", "coherence", "leak", "rough", "psnr", "ssim")
    scores = [
        (clip, method, *(number(found.get(key), DIGITS.get(key, 2)) for key in keys))
        for clip, entry in table.items()
        for method, found in entry.get("scores", {}).items()
    ]
    if scores:
        yield (
            "The live methods at gain 10, `paper` at the step 1e-2; in 0.16 to 0.8 Hz. On a real clip the "
            "breath alone is not known: gain is that of everything that moves the chest in the band. Rough: "
            "what is added above the band / in it."
        )
        yield grid(("clip", "method", *(HEADINGS.get(key, key) for key in keys)), scores)
