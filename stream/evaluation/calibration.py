"""Strengths at which all methods magnify alike: what they add is proportional to gain - 1, so one run of each tells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from deepmag.stream.evaluation.methods import PAPER_STRENGTH
from deepmag.stream.evaluation.plan import LARGE
from deepmag.stream.settings import GAIN_RANGE


def mean_gains(gains: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Mean over people of each method's coherent gain. gains: one mapping from method to gain for each person."""
    return {method: float(np.mean([person[method] for person in gains])) for method in gains[0]}


def strength_for(target: float, seen: float, strength: float) -> float | None:
    """The strength for a coherent gain of ``target``, where ``strength`` gave ``seen``; held to what a person may set.

    Linear in gain - 1: Table 1's "equal visible magnification". None where the method did not magnify: no strength
    then gives the target.
    """
    if not seen > 1.0:
        return None
    wanted = 1.0 + (target - 1.0) * (strength - 1.0) / (seen - 1.0)
    return float(np.clip(wanted, *GAIN_RANGE))


def matched_gain(seen: Mapping[str, float]) -> float:
    """The coherent gain of `paper` at the paper's own step, at which all methods are compared.

    seen: gains at gain 10. Where `paper` does not magnify, the least gain of those that do stands in for it.
    """
    if seen["paper"] > 1.0:
        return seen["paper"]
    return min((gain for gain in seen.values() if gain > 1.0), default=LARGE)


def matched_strengths(seen: Mapping[str, float], strength: float) -> dict[str, float | None]:
    """Strengths that all give `matched_gain`; None for a method that does not magnify. seen: gains at ``strength``."""
    found = equal_strengths(matched_gain(seen), seen, strength)
    if found["paper"] is not None:
        found["paper"] = PAPER_STRENGTH  # its own step, to the last digit
    return found


def equal_strengths(target: float, seen: Mapping[str, float], strength: float) -> dict[str, float | None]:
    """Strengths that all give a coherent gain of ``target``; None for a method that does not magnify."""
    return {method: strength_for(target, gain, strength) for method, gain in seen.items()}
