"""Strengths at which all methods magnify alike: what they add is proportional to gain - 1, so one run of each tells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from deepmag.stream.evaluation.methods import PAPER_STRENGTH
from deepmag.stream.settings import GAIN_RANGE


def mean_gains(gains: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Mean over people of each method's coherent gain. gains: one mapping from method to gain for each person."""
    return {method: float(np.mean([person[method] for person in gains])) for method in gains[0]}


def strength_for(target: float, seen: float, strength: float) -> float:
    """The strength for a coherent gain of ``target``, where ``strength`` gave ``seen``; held to what a person may set.

    Linear in gain - 1: Table 1's "equal visible magnification". Raises ValueError where the method did not magnify.
    """
    if seen <= 1.0:
        raise ValueError(
            f"a strength of {strength:g} magnified {seen:.3g} times: no strength gives {target:.3g} times"
        )
    wanted = 1.0 + (target - 1.0) * (strength - 1.0) / (seen - 1.0)
    return float(np.clip(wanted, *GAIN_RANGE))


def matched_strengths(seen: Mapping[str, float], strength: float) -> dict[str, float]:
    """Strengths that all give the coherent gain of `paper` at the paper's own step. seen: gains at ``strength``."""
    return {
        method: PAPER_STRENGTH if method == "paper" else strength_for(seen["paper"], gain, strength)
        for method, gain in seen.items()
    }


def equal_strengths(target: float, seen: Mapping[str, float], strength: float) -> dict[str, float]:
    """Strengths that all give a coherent gain of ``target``."""
    return {method: strength_for(target, gain, strength) for method, gain in seen.items()}
