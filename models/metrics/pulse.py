"""Faithfulness of a magnified pulse: gain, coherence, blocks, leak and residual, of green traces in the pulse's band.

"added" is magnified minus original. A trace of green falls when the pulse rises. All traces are band-passed 0.7 to
2.5 Hz without delay before they are compared, and `inner` leaves out what the filter makes of the ends.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepmag.models.metrics.traces import SkinBlocks
from deepmag.models.temporal import PULSE_BAND, zero_phase

Trace = NDArray[np.float64]


def in_band(x: NDArray[Any], rate: float, edge: float = 1.0) -> Trace:
    """Band-pass traces along the first axis, ``edge`` seconds at each end left out. x: (T, ...). rate: Hz.

    Raises ValueError where nothing is left.
    """
    cut = round(edge * rate)
    if len(x) <= 2 * cut:
        raise ValueError(f"{len(x)} frames at {rate:g} Hz are too few to leave out {edge:g} s at each end")
    return zero_phase(np.asarray(x, np.float64), PULSE_BAND, rate)[cut : len(x) - cut]


def correlation(a: Trace, b: Trace) -> Trace:
    """Pearson's r along the first axis. a: (T, ...). b: as a, or (T,). Where either is constant it is 0."""
    a = a - a.mean(axis=0)
    b = b - b.mean(axis=0)
    b = b.reshape(b.shape + (1,) * (a.ndim - b.ndim))
    size = np.sqrt((a**2).sum(axis=0) * (b**2).sum(axis=0))
    product = (a * b).sum(axis=0)
    return np.asarray(np.divide(product, size, out=np.zeros_like(product), where=size > 0))


def gain(magnified: Trace, original: Trace, truth: Trace) -> float:
    """Times that the part in step with the truth grew: the projection of the one on it / that of the other.

    All (T,), in band. RMS in place of projections would also count noise and motion in the band as pulse.
    Raises ValueError where the original has no part in step with the truth.
    """
    before = float(np.dot(original - original.mean(), truth - truth.mean()))
    if before == 0:
        raise ValueError("the original has no pulse in step with the truth")
    return float(np.dot(magnified - magnified.mean(), truth - truth.mean())) / before


def added_gain(added: Trace, pulse: Trace) -> float:
    """`gain`, where the original's pulse is known exactly: 1 + the projection of what was added on it, in its units.

    added, pulse: (T,), in band, the same units; pulse: the true pulse as it is in the original, without anything else.
    """
    return 1.0 + gain(added, pulse, pulse)


def coherence(added: Trace, truth: Trace) -> float:
    """Correlation of the added green with the true pulse. added, truth: (T,), in band, of the same sign."""
    return float(correlation(added, truth))


def blocks(added: Trace, truth: Trace, where: SkinBlocks) -> float:
    """Median over the skin's blocks of the correlation of their added green with the true pulse.

    added: (T, rows, columns), in band. truth: (T,). NaN where no block is skin for long enough.
    """
    if not where.inside.any():
        return float("nan")
    return float(np.median(correlation(added[:, where.inside], truth)))


def leak(added: Trace, where: SkinBlocks) -> float:
    """RMS of what was added outside the skin / inside it. added: (T, rows, columns), in band.

    NaN where there is no block of either kind, or nothing was added inside.
    """
    if not (where.inside.any() and where.outside.any()):
        return float("nan")
    inside = rms(added[:, where.inside])
    return rms(added[:, where.outside]) / inside if inside > 0 else float("nan")


def residual(magnified: Trace, original: Trace, true: Trace) -> float:
    """How far from the true magnified video, against not magnifying at all: 0 is perfect, 1 is as good as nothing.

    All (T, rows, columns), block means of whole pictures, in band: RMS of magnified - true / RMS of original - true.
    Block by block, since in single pixels the rounding to bytes outweighs a pulse. NaN where the true video is the
    original.
    """
    nothing = rms(original - true)
    return rms(magnified - true) / nothing if nothing > 0 else float("nan")


def rms(x: NDArray[Any]) -> float:
    """Root of the mean square."""
    return float(np.sqrt(np.mean(np.square(x))))
