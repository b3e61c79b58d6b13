"""The report in Markdown, from the numbers of evaluate.json alone."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from deepmag.stream.evaluation.cells import (
    DIGITS,
    HEADINGS,
    cell_text,
    falls_grid,
    grid,
    missing,
    number,
    people_text,
    table2_grid,
)
from deepmag.stream.evaluation.figures import GAMMA_SIGN
from deepmag.stream.evaluation.plan import TASKS
from deepmag.stream.evaluation.respiration import report as respiration_report
from deepmag.stream.evaluation.scores import PICTURE_SCORES
from deepmag.stream.settings import GAIN_RANGE

if TYPE_CHECKING:
    from deepmag.stream.evaluation.figures import Caption
    from deepmag.stream.evaluation.verdict import Finding

Table = dict[str, Any]

PULSE_METRICS = ("gain", "coherence", "blocks", "leak", "residual")
# the comparison that a task's fairness is judged by, in words
FAIR_SETTINGS = {"reference": "at gain 10", "large": "set for ten times"}
PAPER_TABLE2 = {"0.5": (43.2, 0.987), "1": (42.6, 0.987), "2": (41.6, 0.986), "4": (39.9, 0.986)}


def markdown(numbers: Table, findings: Sequence[Finding], captions: Sequence[Caption]) -> str:
    """The whole report. numbers: as in evaluate.json."""
    breath = numbers.get("respiration")
    parts = [
        "# Does it magnify what it claims to?",
        f"`{_command(numbers)}` makes synthetic people whose pulse and breath are known, magnifies them with "
        "each method, and judges the result. A: still, B: turning 10 degrees/s, C: 30 degrees/s, D: another "
        "way each second. Figures are means over people, with their standard deviation.",
        "## Verdict",
        grid(("expected", "", "found"), [(f.expectation, _met(f.met), f.figures) for f in findings]),
        *(_pulse(numbers) if "table1" in numbers else ()),
        *(respiration_report.parts(breath) if breath else ()),
        "## Figures",
        *(f"### {c.title}\n\n![{c.title}]({c.file})\n\n{c.text}" for c in captions),
        "## How this was made",
        _setup(numbers["setup"], breath),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _pulse(numbers: Table) -> list[str]:
    setup = numbers["setup"]
    width, height = setup["size"]
    judged = len({who["seed"] for who in setup["subjects"] if who["tasks"] == "ABCD"})
    return [
        "# Pulse",
        f"{people_text(judged)} per task, {setup['seconds']:g} s each at {width}x{height}, 30 frames/s, with sensor "
        "noise; the first and the last second of a clip are not judged.",
        "## Table 1: equal visible magnification",
        _table1_text(numbers),
        *_methods(numbers["table1"], _given(numbers, "matched")),
        "What a person's clip loses from task A to task D, the same person's A minus D:",
        falls_grid(numbers.get("falls", {})),
        "## At ten times",
        f"Strengths for a coherent gain of 10 on task A: {_strengths(numbers, 'large')}; the gain that each really "
        "reached is in the table. The true video "
        "here has its pulse ten times larger; `unmagnified` is the clip as it is, the floor that a "
        "magnifier has to beat. Where the pulse is a tenth of a grey level, the rounding to bytes outweighs "
        "it in every pixel, and PSNR to true cannot tell who is nearer; the residual can.",
        *_methods(numbers["large"], _given(numbers, "large")),
        "## Table 2: `paper` at several steps, task C",
        "The ascent itself at each multiple of the step. Beside it the paper's own figures, from its Table 2, on its "
        "own data: other people, another camera, another share of the picture that the network looks at. A comparison "
        "of the columns is one of the slopes, not of the levels.",
        table2_grid(numbers["table2"], PAPER_TABLE2, ("psnr_region", "ssim_region", "gain", "coherence")),
        "## Measurement",
        "Error of the pulse rate (mean absolute) and signal-to-noise ratio, taken at the true rate. The "
        "network sees the region reduced to 36 x 36; the classical methods are given the true mean colour "
        "of the skin in each frame, which no camera gives them. A person's clips are averaged first; the spread and n "
        "are of people.",
        *_measurement(numbers["measurement"]),
        "## Fairness",
        *_fairness(numbers["fairness"]),
        "## Real clips",
        *_real(numbers["real"]),
    ]


def _command(numbers: Table) -> str:
    halves = [
        name for name, there in (("pulse", "table1"), ("respiration", "respiration")) if there in numbers
    ]
    setup = numbers["setup"] if "table1" in numbers else numbers["respiration"]["setup"]
    target = "" if len(halves) == 2 else f" --target {halves[0]}"
    return f"deepmag evaluate{' --quick' if setup['quick'] else ''}{target} --seed {setup['seed']}"


def _table1_text(numbers: Table) -> str:
    factor = numbers["setup"].get("matched_gain")
    return (
        "As in the paper, every method is set so that it magnifies a still person (task A) alike; here "
        f"that is measured: the mean coherent gain of `paper` at its own step ({GAMMA_SIGN} = 6e-5, N = "
        f"20) is {number(factor, 2)} times, and the others are set to the same: "
        f"{_strengths(numbers, 'matched')}. PSNR and SSIM are against the original, as in the paper; *to "
        "true* is against the same scene rendered with its pulse that many times larger, not rounded to bytes. "
        "`evm` and `vam` work on the whole picture, `paper` and `steady` on the square around the head "
        f"({number(100 * numbers.get('region_share', math.nan), 0)} % of the picture), and leave the rest as it is, "
        "which alone raises PSNR and SSIM; *in region* is judged inside that square for all methods, as are blocks, "
        "leak and residual. Gain: growth of "
        "the skin's green in step with the true pulse. Coherence: correlation of what was added to it "
        "with the true blood volume; blocks: the median of that over blocks of 8 x 8 px. Leak: in-band "
        "change off the skin / on it. Residual: distance to the true video in the band, block by "
        "block, as a share of the unmagnified one's: 0 is perfect, 1 as good as nothing. The paper's "
        "Table 1 is a picture without numbers in its text; of its own method it states 42.6 dB and 0.987 "
        "for task C."
    )


def _given(numbers: Table, which: str) -> Mapping[str, float | None]:
    found: Mapping[str, float | None] = numbers["setup"].get("strengths", {}).get(which, {})
    return found


def _strengths(numbers: Table, which: str) -> str:
    return ", ".join(_strength(*given) for given in _given(numbers, which).items()) or "not found"


def _strength(method: str, value: float | None) -> str:
    if value is None:
        return f"{method} does not magnify"
    return f"{method} {value:.1f}{' (the largest there is)' if value >= GAIN_RANGE[1] else ''}"


def _methods(table: Table, strengths: Mapping[str, float | None]) -> Iterable[str]:
    """A table of the picture and one of the pulse. strengths: None for a method that has no numbers, but a row."""
    none = [method for method, strength in strengths.items() if strength is None]
    cells = [cell for tasks in table.values() for cell in tasks.values()]
    tasks_seen = [task for task in TASKS if any(task in tasks for tasks in table.values())]
    for metrics in (PICTURE_SCORES, PULSE_METRICS):
        keys = [key for key in metrics if any(key in cell for cell in cells)]
        rows = []
        for task in tasks_seen:
            rows += [
                (task, method, *(cell_text(tasks[task].get(key), key) for key in keys))
                for method, tasks in table.items()
                if task in tasks
            ]
            rows += [(task, method, "does not magnify", *("-" for _ in keys[1:])) for method in none]
        yield grid(("task", "method", *(HEADINGS[key] for key in keys)), rows)


def _measurement(table: Table) -> Iterable[str]:
    for kind, title in (("task", "task"), ("tone", "skin type")):
        groups = table.get(kind, {})
        names = list(dict.fromkeys(name for group in groups.values() for name in group))
        rows = [
            (
                name,
                *(
                    f"{cell_text(g[name]['mae'], 'mae')}; {cell_text(g[name]['snr'], 'snr')}"
                    if name in g
                    else "-"
                    for g in groups.values()
                ),
            )
            for name in names
        ]
        people = {key: max(method["mae"]["n"] for method in group.values()) for key, group in groups.items()}
        yield grid(
            (f"MAE, bpm; SNR, dB, by {title}", *(f"{key} (n = {n})" for key, n in people.items())), rows
        )


def _fairness(table: Table) -> Iterable[str]:
    yield (
        "`steady` by class of skin (Fitzpatrick). The limit: the worst class no worse than 1.5 times the best; rate "
        "errors below 1 beat per minute count as alike. The spread of a ratio is its standard error, from the spread "
        "between people; where a class has one person, or the limit is within that error, a ratio below the limit is "
        "left undecided. The worst of three classes is chosen after the fact, which makes ratios of few people large."
    )
    keys = ("gain", "coherence", "rate_error", "amplitude", "relative")
    for task, classes in table.get("classes", {}).items():
        rows = [
            (tone, row["gain"]["n"], *(cell_text(_percent(row[key], key), key) for key in keys))
            for tone, row in classes.items()
        ]
        setting = FAIR_SETTINGS[table["comparison"][task]]
        yield grid((f"task {task}, {setting}: skin type", "people", *(HEADINGS[key] for key in keys)), rows)
        for name, ratio in table["ratios"][task].items():
            spread = "" if missing(ratio["sd"]) else f" \N{PLUS-MINUS SIGN} {ratio['sd']:.2f}"
            line = f"Task {task}, {name.replace('_', ' ')}: worst / best {ratio['ratio']:.2f}{spread}, "
            if ratio["within"] is None:
                yield line + "not decided: too few people."
            elif ratio["within"]:
                yield line + "within 1.5."
            else:
                best, worst = (classes[ratio[which]]["amplitude"] for which in ("best", "worst"))
                darker = worst["mean"] < best["mean"]
                yield (
                    f"{line}**beyond 1.5**. The pulse of {ratio['worst']} is {cell_text(worst, 'amplitude')} grey "
                    f"levels, that of {ratio['best']} {cell_text(best, 'amplitude')}"
                    + (
                        ": melanin absorbs the light before blood can, and the sensor's noise stays."
                        if darker
                        else "."
                    )
                )


def _real(table: Table) -> Iterable[str]:
    if not table:
        yield "Not run: no folder of real clips with a true rate was given (`--data`)."
        return
    measured = {clip: entry for clip, entry in table.items() if "measurement" in entry}
    names = list(dict.fromkeys(name for entry in measured.values() for name in entry["measurement"]))
    rows = [
        (
            clip,
            f"{entry['bpm']:.1f}",
            *(
                f"{number(m['bpm'], 1)} ({number(m['error'], 1)})"
                for m in (entry["measurement"][n] for n in names)
            ),
        )
        for clip, entry in measured.items()
    ]
    rows += [
        (
            clip,
            number(entry.get("bpm"), 1),
            f"not measured: {entry['not_measured']}",
            *("-" for _ in names[1:]),
        )
        for clip, entry in table.items()
        if "not_measured" in entry
    ]
    if rows:
        yield (
            "Rate by each method and, in brackets, its error; the classical methods see the mean colour of the "
            "whole box."
        )
        yield grid(("clip", "true, bpm", *(names or ("rate",))), rows)
    keys = ("gain", "coherence", "blocks", "leak", "lag", "psnr", "ssim")
    scores = [
        (clip, method, *(number(s.get(key), DIGITS.get(key, 2)) for key in keys))
        for clip, entry in measured.items()
        for method, s in entry.get("scores", {}).items()
    ]
    if scores:
        yield (
            "All at gain 10. On a real clip the pulse alone is not known: gain is that of everything in "
            "the band, motion and noise included; the reference is the contact sensor's wave, or the "
            "original's own green. Coherence is the best within 0.4 s of lag either way, which makes it larger than "
            "one at a known lag; the lag is how much later the added signal is than the reference."
        )
        yield grid(("clip", "method", *(HEADINGS[key] for key in keys)), scores)
    left_out = [f"{clip}: {entry['left_out']}" for clip, entry in table.items() if "left_out" in entry]
    if left_out:
        yield f"Left out: {'; '.join(left_out)}."


def _setup(setup: Table, breath: Table | None) -> str:
    versions = ", ".join(f"{name} {value}" for name, value in setup["versions"].items() if value)
    durations = setup.get("durations", {})
    stages = ", ".join(f"{name} {seconds:.0f} s" for name, seconds in durations.get("work", {}).items())
    judged = [half["weights"] for half in (setup, breath["setup"] if breath else {}) if "weights" in half]
    weights = "; ".join(f"{one['file']}, SHA-256 `{one['sha256']}`" for one in judged)
    return (
        f"Weights {weights}. {versions}. "
        f"{setup['machine']}, {setup['cpus']} cores, {setup['jobs']} processes; "
        f"{durations.get('total', math.nan):.0f} s in all. Processor time of the synthetic clips by stage, "
        f"summed over processes: {stages}."
    )


def _percent(summary: Mapping[str, float], key: str) -> Mapping[str, float]:
    if key != "relative":
        return summary
    return {name: value if name == "n" else 100 * value for name, value in summary.items()}


def _met(met: bool | None) -> str:
    return "-" if met is None else ("yes" if met else "**no**")
