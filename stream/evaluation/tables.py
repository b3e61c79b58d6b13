"""From the clips' numbers to the tables: plain dictionaries, as evaluate.json has them, of whatever is there."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from deepmag.stream.evaluation.plan import FAIR_METHOD, GAMMAS, TASKS, TONES
from deepmag.stream.evaluation.scores import PICTURE_SCORES

if TYPE_CHECKING:
    from deepmag.models.synthetic.motion import Task
    from deepmag.stream.evaluation.clip_jobs import ClipResult
    from deepmag.stream.evaluation.plan import Subject
    from deepmag.stream.evaluation.scores import Scores

Table = dict[str, Any]

WORST_TO_BEST = 1.5  # what the worst class of skin may be, times worse than the best
FAIR_ERROR = 1.0  # beats per minute: mean errors below it count as alike
FALLS = ("psnr", "psnr_region", "ssim", "ssim_region")  # whose loss from task A to D is told


class Scored(Protocol):
    """A clip of either signal."""

    @property
    def task(self) -> Task:
        """What the person does."""
        ...

    @property
    def subject(self) -> Subject:
        """Who it is."""
        ...

    @property
    def scores(self) -> dict[str, dict[str, Scores]]:
        """By comparison and method."""
        ...


def summary(values: Iterable[float]) -> Table:
    """Mean, standard deviation over people (n - 1) and number of what is a number; NaN stands for "not measurable"."""
    known = np.array([value for value in values if np.isfinite(value)])
    if known.size == 0:
        return {"mean": float("nan"), "sd": float("nan"), "n": 0}
    return {
        "mean": float(known.mean()),
        "sd": float(known.std(ddof=1)) if known.size > 1 else float("nan"),
        "n": int(known.size),
    }


def method_table(clips: Sequence[Scored], comparison: str) -> Table:
    """{method: {task: {metric: mean, sd, n}}} of one comparison ("matched", "large")."""
    table: Table = {}
    for task in TASKS:
        mine = [clip.scores[comparison] for clip in clips if clip.task == task and comparison in clip.scores]
        for method in dict.fromkeys(name for scores in mine for name in scores):
            table.setdefault(method, {})[task] = _summaries(
                scores[method] for scores in mine if method in scores
            )
    return table


def gamma_table(clips: Sequence[Scored]) -> Table:
    """{multiple of gamma: {metric: mean, sd, n}} on task C, the paper's Table 2."""
    mine = [clip.scores.get("gamma", {}) for clip in clips]
    keys = [f"{times:g}" for times in GAMMAS]
    groups = {key: [scores[key] for scores in mine if key in scores] for key in keys}
    return {key: _summaries(group) for key, group in groups.items() if group}


def fall_table(clips: Sequence[Scored], comparison: str = "matched") -> Table:
    """{method: {metric: mean, sd, n}} of what each person loses from task A to D: the same person's A minus D.

    The difference of two means would have the spread between people in it, which is no part of the loss.
    """
    seen = {(c.task, c.subject.seed): c.scores[comparison] for c in clips if comparison in c.scores}
    pairs = [(seen["A", who], seen["D", who]) for task, who in seen if task == "A" and ("D", who) in seen]
    methods = dict.fromkeys(name for still, _ in pairs for name in still)
    table: Table = {}
    for method in methods:
        both = [
            (still[method], moving[method]) for still, moving in pairs if method in still and method in moving
        ]
        table[method] = {
            key: summary(still[key] - moving[key] for still, moving in both if key in still and key in moving)
            for key in FALLS
        }
    return table


def region_share(clips: Sequence[ClipResult]) -> float:
    """Mean share of the picture that the region takes."""
    return float(summary(clip.region_share for clip in clips)["mean"])


def measurement_table(clips: Sequence[ClipResult]) -> Table:
    """Rate error and SNR by method: {"task": {task: {method: ...}}, "tone": {tone: {method: ...}}}.

    Over people: what a person gave in several clips is averaged first, since clips of one person are no further people.
    """
    measured = [clip for clip in clips if clip.measurement]
    by_task = {task: [c for c in measured if c.task == task] for task in TASKS}
    by_tone = {tone: [c for c in measured if c.subject.tone == tone] for tone in TONES}
    return {
        "task": {key: _measured(group) for key, group in by_task.items() if group},
        "tone": {key: _measured(group) for key, group in by_tone.items() if group},
    }


def fairness_table(clips: Sequence[ClipResult]) -> Table:
    """Gain, coherence and rate error of `steady` by class of skin, with the ratio of worst to best.

    {"classes": {task: {tone: {...}}}, "ratios": {task: {measure: see `_ratio`}}, "comparison": {task: name}}.
    comparison: "reference", at gain 10, where there are clips of it, which then are of more people; else "large", at
    the strength for ten times on task A. amplitude: of the pulse that is there to see, grey levels RMS; relative: as a
    share of the skin's green.
    """
    classes: Table = {}
    ratios: Table = {}
    comparisons: Table = {}
    for task in TASKS:
        here = [c for c in clips if c.task == task]
        asked = any(FAIR_METHOD in c.scores.get("reference", {}) for c in here)
        comparison = "reference" if asked else "large"
        judged = [c for c in here if FAIR_METHOD in c.scores.get(comparison, {})]
        rows = {
            tone: _fair_row([c for c in judged if c.subject.tone == tone], comparison)
            for tone in TONES
            if any(c.subject.tone == tone for c in judged)
        }
        if len(rows) > 1:
            classes[task], comparisons[task] = rows, comparison
            ratios[task] = {
                measure: ratio
                for measure in ("gain", "coherence", "rate_error")
                if (ratio := _ratio({tone: row[measure] for tone, row in rows.items()}, measure)) is not None
            }
    return {"classes": classes, "ratios": ratios, "comparison": comparisons}


def _fair_row(clips: Sequence[ClipResult], comparison: str) -> Table:
    scores = [c.scores[comparison][FAIR_METHOD] for c in clips]
    return {
        "gain": summary(s["gain"] for s in scores),
        "coherence": summary(s["coherence"] for s in scores),
        "rate_error": summary(c.measurement["network"]["error"] for c in clips if c.measurement),
        "amplitude": summary(c.amplitude for c in clips),
        "relative": summary(c.relative for c in clips),
    }


def _ratio(classes: dict[str, Table], measure: str) -> Table | None:
    """How many times worse the worst class is than the best; None where fewer than two classes were measured.

    sd: standard error of the ratio, from the spread between people, NaN for a class of one. within: whether the ratio
    is within the limit; None, undecided, where it is but a class has one person only, or the limit is within one sd.
    """
    known = {tone: row for tone, row in classes.items() if row["n"] > 0}
    if len(known) < 2:
        return None
    errors = measure == "rate_error"
    # Errors near zero have wild ratios that mean nothing: what is below FAIR_ERROR is alike.
    values = {tone: max(row["mean"], FAIR_ERROR) if errors else row["mean"] for tone, row in known.items()}
    order = sorted(known, key=lambda tone: known[tone]["mean"], reverse=not errors)
    best, worst = order[0], order[-1]
    above, below = (worst, best) if errors else (best, worst)
    ratio = values[above] / values[below] if values[below] > 0 else float("inf")
    relative = [_standard_error(known[tone]) / abs(values[tone]) for tone in (above, below) if values[tone]]
    spread = ratio * float(np.hypot(*relative)) if len(relative) > 1 else float("nan")
    within: bool | None = None
    if ratio > WORST_TO_BEST:
        within = False
    elif min(row["n"] for row in known.values()) > 1 and ratio + spread <= WORST_TO_BEST:
        within = True
    return {
        "ratio": ratio,
        "sd": spread,
        "n": {tone: row["n"] for tone, row in known.items()},
        "best": best,
        "worst": worst,
        "within": within,
    }


def _standard_error(row: Table) -> float:
    """Of a class's mean; NaN for one person."""
    return float(row["sd"] / np.sqrt(row["n"]))


def _measured(clips: Sequence[ClipResult]) -> Table:
    names = dict.fromkeys(name for clip in clips for name in clip.measurement)
    return {
        name: {
            "mae": summary(_by_person(clips, name, "error")),
            "snr": summary(_by_person(clips, name, "snr")),
        }
        for name in names
    }


def _by_person(clips: Sequence[ClipResult], method: str, measure: str) -> list[float]:
    people: dict[int, list[float]] = {}
    for clip in clips:
        if method in clip.measurement:
            people.setdefault(clip.subject.seed, []).append(clip.measurement[method][measure])
    return [summary(values)["mean"] for values in people.values()]


def _summaries(scores: Iterable[dict[str, float]]) -> Table:
    rows = list(scores)
    keys = dict.fromkeys(key for row in rows for key in (*PICTURE_SCORES, *row) if key in row)
    return {key: summary(row[key] for row in rows) for key in keys}
