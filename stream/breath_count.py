"""Breaths counted one by one: how many a minute, and how even they are.

An autocorrelation asks whether a wave repeats itself. Real breaths do not, quite: one that is half as long again puts
all that follow out of step with those before, and what is alike by chance wins. But their periods and depths still
differ by less than those of noise in the same band do.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.signal import find_peaks

from deepmag.models.respiration import ASCENT_RATE

if TYPE_CHECKING:
    from numpy.typing import NDArray

DEEP = 0.5  # of the wave's RMS: what rises and falls by less is no breath
WHOLE = 0.6  # of the wave that the breaths have to fill, from the first turn to the last
# SD of the periods, and of the rises and falls, of their means, that are too uneven if there is nothing of the other.
# Of two people's breaths, at 15 to 36 a minute, 0.05 to 0.2 and 0.04 to 0.2, of a third's 0.25 and 0.4; of noise in the
# band mostly 0.3 and 0.4: both together are below this, with PERIODS or more, for 0.1 to 0.2 % of the time, as an
# autocorrelation is above what a rate takes for up to 1 %.
UNEVEN_PERIODS, UNEVEN_DEPTHS = 0.25, 0.35
# Half breaths that an open end of the wave is at most: a turn too near to the end is not seen. What is longer is part
# of a pause.
OPEN = 1.3
NONE = np.inf


@dataclass(frozen=True, slots=True)
class Count:
    """Breaths of a wave. rate: per minute. periods: whole ones. uneven: 0 of a sine, 1 of what may be noise."""

    rate: float
    periods: float
    uneven: float


def count_breaths(wave: NDArray[np.float64]) -> Count:
    """Count the breaths of a wave, (n,), one by one. Their rate is 0 where there are no two whole ones."""
    size = float(wave.std())
    if size <= 0.0:
        return Count(0.0, 0.0, NONE)
    x = wave / size
    tops, bottoms = _tops(x), _tops(-x)
    if len(tops) < 3 or len(bottoms) < 3:
        return Count(0.0, 0.0, NONE)
    turns = np.sort(np.concatenate([tops, bottoms]))
    half = (turns[-1] - turns[0]) / (len(turns) - 1)
    ends = np.array([turns[0], len(x) - 1 - turns[-1]]) / half
    # from top to top and from bottom to bottom: one of the two is often blunt
    full, empty = np.diff(tops), np.diff(bottoms)
    periods = np.concatenate([full / full.mean(), empty / empty.mean(), ends[ends > OPEN]])
    depths = np.abs(np.diff(np.interp(turns, np.arange(len(x)), x)))
    uneven = np.hypot(periods.std() / UNEVEN_PERIODS, depths.std() / depths.mean() / UNEVEN_DEPTHS)
    # over all of the wave, not from its first turn to its last: breaths that begin and end there may be the long ones
    rate = 60 * ASCENT_RATE * 0.5 * (len(turns) - 1 + np.minimum(ends, OPEN).sum()) / (len(x) - 1)
    filled = turns[-1] - turns[0] >= WHOLE * len(x)
    return Count(float(rate), 0.5 * (len(full) + len(empty)), float(uneven) if filled else NONE)


def _tops(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Where the parabola through each top and its neighbours is highest, samples."""
    at = find_peaks(x, prominence=DEEP)[0]
    left, middle, right = x[at - 1], x[at], x[at + 1]
    return np.asarray(at + 0.5 * (left - right) / np.minimum(left - 2 * middle + right, -1e-9))
