"""The zero-phase Butterworth stage for a whole clip (Eq. 15), and its sum in logarithms (Eq. 16)."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.signal import butter, sosfiltfilt, sosfreqz

Band = tuple[float, float]
"""Lower and upper corner, Hz."""

PULSE_BAND: Band = (0.7, 2.5)  # Hz, 42 to 150 beats per minute (section 3.3)
RESPIRATION_BAND: Band = (0.16, 0.5)  # Hz, 10 to 30 breaths a minute (section 3.3)
ORDER = 3  # per corner: SciPy's band-pass then has six poles, the paper's "sixth order"
RATE_MARGIN = 2.1  # lowest usable rate, in upper corners: at 2.0 the corner sits on Nyquist
COLUMN_BYTES = 1 << 25  # of float64 that is filtered at once


def check_band(band: Band, rate: float) -> None:
    """Raise ValueError, in words, where a band (low, high), Hz, is empty or ``rate`` too low for it."""
    low, high = band
    if not 0.0 < low < high:
        raise ValueError(f"a band-pass needs 0 < low < high, not {low:g} to {high:g} Hz")
    if not rate > RATE_MARGIN * high:
        raise ValueError(
            f"{rate:g} frames per second are too few to see {high:g} Hz: "
            f"use a source with more than {RATE_MARGIN * high:g}, or a lower band"
        )


def band_at(band: Band, rate: float) -> Band:
    """As much of a band as a rate can show: its upper corner is held below the rate's limit.

    A camera of 5 frames/s shows a pulse up to 142 beats per minute, and that is better than nothing. band: (low,
    high), Hz. Raises ValueError, in words, where less than an octave would be left.
    """
    low, high = band
    held = min(high, 0.999 * rate / RATE_MARGIN)
    if held < high:
        check_band((low, min(high, 2.0 * low)), rate)
    return low, held


def butterworth(band: Band, rate: float) -> NDArray[np.float64]:
    """Second-order sections of the sixth-order Butterworth band-pass.

    band: (low, high), Hz. rate: ticks per second. Returns (3, 6), SciPy's ``sos`` layout.
    Raises ValueError where the band is empty or the rate too low for it.
    """
    check_band(band, rate)
    return _sections(band, rate).copy()


def zero_phase(x: NDArray[Any], band: Band, rate: float, axis: int = 0) -> NDArray[np.float64]:
    """Band-pass without delay: the Butterworth forward and backward (Eq. 15).

    x: any shape, time along ``axis``, ``rate`` samples per second. Returns the same shape.
    The ends are mirrored over up to two periods of the lower corner, or the whole clip where it is
    shorter: SciPy's default of some 20 samples is a fraction of one period here and lets the start of
    the filter ring into the clip.
    Raises ValueError as `butterworth` does, and where there is no sample.
    """
    sos = butterworth(band, rate)
    length = x.shape[axis]
    if length == 0:
        raise ValueError("there is nothing to filter: the clip has fewer than two frames")
    padding = min(length - 1, round(2.0 * rate / band[0]))
    filtered: NDArray[np.float64] = sosfiltfilt(sos, x, axis=axis, padtype="even", padlen=padding)
    return filtered


def zero_phase_response(band: Band, rate: float, frequency: NDArray[np.float64]) -> NDArray[np.float64]:
    """How much `zero_phase` keeps of what changes at some frequencies, Hz. Raises ValueError as `butterworth` does."""
    _, response = sosfreqz(butterworth(band, rate), frequency, fs=rate)
    kept: NDArray[np.float64] = np.abs(response) ** 2
    return kept


def log_factor(steps: NDArray[Any], band: Band, rate: float) -> NDArray[np.float64]:
    """Log of the factor by which each frame of a clip is magnified: log C~(t) = log C(t) + S(t) (Eq. 16).

    steps: (T-1, ...) what the ascent added to each frame pair's normalized difference, X_N - X_1,
    unitless. Returns S, (T, ...), with S(0) = 0 for the first frame.

    Eq. 16 multiplies by (1 + X) / (1 - X) = exp(2 atanh X) from frame to frame; steps are below 1e-2, where
    atanh X = X to 3e-5, so the product is the exponential of a sum, which does not drift.
    """
    filtered = zero_phase(steps, band, rate)
    total = np.zeros((steps.shape[0] + 1, *steps.shape[1:]))
    np.cumsum(2.0 * filtered, axis=0, out=total[1:])
    return total


def filter_on_clock(
    values: NDArray[np.float32],
    place: NDArray[np.int64],
    filtered: Callable[[NDArray[np.float64]], NDArray[np.float64]],
    out: NDArray[np.float32],
) -> None:
    """Filter what was not sampled evenly: between two samples further apart than one tick it is interpolated.

    values: (T, ...), T at least 2. place: (T,) of each on a uniform clock, not falling. filtered: filters
    (ticks, columns), without delay. out: like ``values``; it may be the same array, and both may lie in a file.
    """
    clock = np.arange(place[0], place[-1] + 1)
    after = np.clip(np.searchsorted(place, clock), 1, len(place) - 1)
    span = np.maximum(place[after] - place[after - 1], 1)
    share = ((clock - place[after - 1]) / span)[:, None]
    source, target = values.reshape(len(values), -1), out.reshape(len(values), -1)
    width = max(1, COLUMN_BYTES // (8 * len(clock)))
    for start in range(0, source.shape[1], width):
        columns = slice(start, start + width)
        block = source[:, columns].astype(np.float64)
        uniform = (1.0 - share) * block[after - 1] + share * block[after]
        target[:, columns] = filtered(uniform)[place - place[0]]


@lru_cache(maxsize=64)
def _sections(band: Band, rate: float) -> NDArray[np.float64]:
    """Designing a filter takes a millisecond, and the live path asks for the same ones again and again."""
    sos: NDArray[np.float64] = butter(ORDER, band, "bandpass", fs=rate, output="sos")
    return sos
