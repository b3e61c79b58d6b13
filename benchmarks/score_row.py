"""A line of scores, in which * marks a missed target."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

Target = tuple[float | None, float | None]  # low, high


def row(
    title: str, scores: Mapping[str, float], columns: Sequence[str], targets: Mapping[str, Target]
) -> str:
    """One line of a table."""
    cells = []
    for column in columns:
        low, high = targets.get(column, (None, None))
        value = scores[column]
        missed = (low is not None and value < low) or (high is not None and value > high)
        cells.append(f"{value:>9.3f}{'*' if missed else ' '}")
    return f"{title:18}" + "".join(cells)
