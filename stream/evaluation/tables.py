"""From the clips' numbers to the tables: plain dictionaries, as evaluate.json has them, of whatever is there."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from deepmag.stream.evaluation.plan import FAIR_METHOD, GAMMAS, TASKS, TONES
from deepmag.stream.evaluation.scores import PICTURE_SCORES

if TYPE_CHECKING:
    from deepmag.stream.evaluation.clip_jobs import ClipResult

Table = dict[str, Any]

WORST_TO_BEST = 1.5  # what the worst class of skin may be, times worse than the best
FAIR_ERROR = 1.0  # beats per minute: mean errors below it count as alike


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


def method_table(clips: Sequence[ClipResult], comparison: str) -> Table:
    """{method: {task: {metric: mean, sd, n}}} of one comparison ("matched", "large")."""
    table: Table = {}
    for task in TASKS:
        mine = [clip.scores[comparison] for clip in clips if clip.task == task and comparison in clip.scores]
        for method in dict.fromkeys(name for scores in mine for name in scores):
            table.setdefault(method, {})[task] = _summaries(
                scores[method] for scores in mine if method in scores
            )
    return table


def gamma_table(clips: Sequence[ClipResult]) -> Table:
    """{multiple of gamma: {metric: mean, sd, n}} on task C, the paper's Table 2."""
    mine = [clip.scores.get("gamma", {}) for clip in clips]
    keys = [f"{times:g}" for times in GAMMAS]
    groups = {key: [scores[key] for scores in mine if key in scores] for key in keys}
    return {key: _summaries(group) for key, group in groups.items() if group}


def measurement_table(clips: Sequence[ClipResult]) -> Table:
    """Rate error and SNR by method: {"task": {task: {method: ...}}, "tone": {tone: {method: ...}}}."""
    measured = [clip for clip in clips if clip.measurement]
    by_task = {task: [c for c in measured if c.task == task] for task in TASKS}
    by_tone = {tone: [c for c in measured if c.subject.tone == tone] for tone in TONES}
    return {
        "task": {key: _measured(group) for key, group in by_task.items() if group},
        "tone": {key: _measured(group) for key, group in by_tone.items() if group},
    }


def fairness_table(clips: Sequence[ClipResult]) -> Table:
    """Gain, coherence and rate error of `steady` at gain 10 by class of skin, with the ratio of worst to best.

    {"classes": {task: {tone: {...}}}, "ratios": {task: {measure: {ratio, worst, within}}}}. amplitude: of the pulse
    that is there to see, grey levels RMS; relative: as a share of the skin's green.
    """
    classes: Table = {}
    ratios: Table = {}
    for task in TASKS:
        rows: Table = {}
        for tone in TONES:
            mine = [
                c
                for c in clips
                if c.task == task and c.subject.tone == tone and FAIR_METHOD in c.scores.get("reference", {})
            ]
            if not mine:
                continue
            scores = [c.scores["reference"][FAIR_METHOD] for c in mine]
            rows[tone] = {
                "gain": summary(s["gain"] for s in scores),
                "coherence": summary(s["coherence"] for s in scores),
                "rate_error": summary(c.measurement["network"]["error"] for c in mine if c.measurement),
                "amplitude": summary(c.amplitude for c in mine),
                "relative": summary(c.relative for c in mine),
            }
        if len(rows) > 1:
            classes[task] = rows
            ratios[task] = {
                "gain": _ratio(
                    {tone: row["gain"]["mean"] for tone, row in rows.items()}, larger_is_better=True
                ),
                "coherence": _ratio(
                    {tone: row["coherence"]["mean"] for tone, row in rows.items()}, larger_is_better=True
                ),
                "rate_error": _ratio(
                    {tone: row["rate_error"]["mean"] for tone, row in rows.items()}, larger_is_better=False
                ),
            }
    return {"classes": classes, "ratios": ratios}


def _ratio(means: dict[str, float], *, larger_is_better: bool) -> Table:
    """How many times worse the worst class is than the best, and whether that is within the limit."""
    order = sorted(means, key=lambda tone: means[tone], reverse=larger_is_better)
    best, worst = order[0], order[-1]
    if larger_is_better:
        ratio = means[best] / means[worst] if means[worst] > 0 else float("inf")
        return {"ratio": ratio, "best": best, "worst": worst, "within": ratio <= WORST_TO_BEST}
    # Errors near zero have wild ratios that mean nothing: what is below FAIR_ERROR is alike.
    ratio = max(means[worst], FAIR_ERROR) / max(means[best], FAIR_ERROR)
    return {"ratio": ratio, "best": best, "worst": worst, "within": ratio <= WORST_TO_BEST}


def _measured(clips: Sequence[ClipResult]) -> Table:
    names = dict.fromkeys(name for clip in clips for name in clip.measurement)
    return {
        name: {
            "mae": summary(clip.measurement[name]["error"] for clip in clips),
            "snr": summary(clip.measurement[name]["snr"] for clip in clips),
        }
        for name in names
    }


def _summaries(scores: Iterable[dict[str, float]]) -> Table:
    rows = list(scores)
    keys = dict.fromkeys(key for row in rows for key in (*PICTURE_SCORES, *row) if key in row)
    return {key: summary(row[key] for row in rows) for key in keys}
