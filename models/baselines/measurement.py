"""Classical measurement of the pulse from a face's mean colour over time: green, CHROM, PBV and POS.

Each takes a trace (T, 3), mean R, G, B of the skin in grey levels, and its rate in Hz, and returns the pulse (T,),
without unit and without filter, that rises with blood volume. More blood is less light, so green is turned upside down.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from scipy.signal import sosfiltfilt

from deepmag.models.blood import BLOOD
from deepmag.models.temporal import Band, butterworth

Floats = NDArray[np.float64]

SECONDS = 1.6  # of a window, about one slow beat (de Haan & Jeanne 2013; Wang et al. 2016)
BAND: Band = (40.0 / 60.0, 4.0)  # Hz, within which CHROM and PBV weigh their colours (de Haan & Jeanne 2013)


def green(trace: NDArray[np.floating], rate: float) -> Floats:
    """Relative fall of green below its mean (Verkruysse et al. 2008). ``rate`` does not matter."""
    return -_normalised(_checked(trace))[:, 1]


def chrom(trace: NDArray[np.floating], rate: float) -> Floats:
    """Chrominance: two colour differences free of specular light, one tuned against the other (de Haan & Jeanne 2013).

    Windows of 1.6 s, by half, under a Hann window. Raises ValueError for a rate too low or an empty trace.
    """
    colours = _checked(trace)
    length = _window(len(colours), rate)
    sos = _band_pass(rate)

    def pulse(normalised: Floats) -> Floats:
        x = 3.0 * normalised[:, 0] - 2.0 * normalised[:, 1]
        y = 1.5 * normalised[:, 0] + normalised[:, 1] - 1.5 * normalised[:, 2]
        within = sosfiltfilt(sos, np.stack([x, y]), axis=1, padtype="even", padlen=len(x) - 1)
        spread = within.std(axis=1)
        return np.asarray(within[0] - within[1] * (spread[0] / max(spread[1], 1e-12)), np.float64)

    step = length // 2
    hann = np.hanning(2 * step + 2)[1:-1]
    # beyond both ends by one window, so that every sample has its whole weight
    padded = np.pad(
        colours, ((2 * step, 2 * step), (0, 0)), mode="reflect" if len(colours) > 2 * step else "edge"
    )
    total = np.zeros(len(padded))
    for start in range(0, len(padded) - 2 * step + 1, step):
        window = padded[start : start + 2 * step]
        total[start : start + 2 * step] += hann * pulse(_normalised(window))
    return total[2 * step : 2 * step + len(colours)]


def pbv(trace: NDArray[np.floating], rate: float) -> Floats:
    """Blood-volume signature: the colours combined to be least where they are not blood (de Haan & van Leest 2014).

    The weights solve Q w = signature, Q being the covariance of the normalised, band-passed colours over the whole
    trace. Raises ValueError for a rate too low or an empty trace.
    """
    colours = _checked(trace)
    normalised = _normalised(colours)
    within = sosfiltfilt(
        _band_pass(rate),
        normalised,
        axis=0,
        padtype="even",
        padlen=min(len(colours) - 1, round(2.0 * rate / BAND[0])),
    )
    covariance = within.T @ within
    # colours that are exactly in proportion have no inverse; this is far below any camera's noise
    covariance += np.eye(3) * (1e-9 * np.trace(covariance) + 1e-30)
    signature = BLOOD / np.linalg.norm(BLOOD)
    weights = np.linalg.solve(covariance, signature)
    return np.asarray(-normalised @ (weights / (weights @ signature)), np.float64)


def pos(trace: NDArray[np.floating], rate: float) -> Floats:
    """Plane orthogonal to skin: two projections free of brightness, one tuned against the other (Wang et al. 2016).

    Every window of 1.6 s, added where they overlap (their Algorithm 1). Raises ValueError for an empty trace.
    """
    colours = _checked(trace)
    length = _window(len(colours), rate)
    windows = sliding_window_view(colours, length, axis=0)  # (starts, 3, length)
    normalised = windows / np.maximum(windows.mean(axis=2, keepdims=True), 1e-6)
    first = normalised[:, 1] - normalised[:, 2]
    second = normalised[:, 1] + normalised[:, 2] - 2.0 * normalised[:, 0]
    tuned = first + second * (first.std(axis=1) / np.maximum(second.std(axis=1), 1e-12))[:, None]
    tuned -= tuned.mean(axis=1, keepdims=True)
    total = np.zeros(len(colours))
    for offset in range(length):
        total[offset : offset + len(tuned)] += tuned[:, offset]
    # the paper's sum has fewer windows at the ends; the mean has the same scale everywhere
    count = np.minimum(np.minimum(np.arange(1, len(colours) + 1), np.arange(len(colours), 0, -1)), length)
    return np.asarray(-total / np.minimum(count, len(tuned)), np.float64)


MEASUREMENTS: dict[str, Callable[[NDArray[np.floating], float], Floats]] = {
    "green": green,
    "chrom": chrom,
    "pbv": pbv,
    "pos": pos,
}


def _checked(trace: NDArray[np.floating]) -> Floats:
    """The trace in double precision. Raises ValueError for another shape, or fewer than two samples."""
    if trace.ndim != 2 or trace.shape[1] != 3 or len(trace) < 2:
        raise ValueError(f"a colour trace is (T, 3) with at least two samples, not {trace.shape}")
    return np.asarray(trace, np.float64)


def _normalised(colours: Floats) -> Floats:
    """Each colour's relative deviation from its mean, (T, 3); of black, none."""
    mean = colours.mean(axis=0)
    return np.asarray((colours - mean) / np.maximum(mean, 1e-6), np.float64)


def _window(samples: int, rate: float) -> int:
    """Samples of one window, an even number; the whole trace where it is shorter."""
    return max(2, min(round(SECONDS * rate), samples) // 2 * 2)


def _band_pass(rate: float) -> Floats:
    """`BAND`, or what a slow camera has of it."""
    return butterworth((BAND[0], min(BAND[1], rate / 2.2)), rate)
