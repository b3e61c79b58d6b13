"""A pulse's rate and its signal-to-noise ratio, from its periodogram, the same for every method that is compared."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.signal import detrend

SEARCH = (40.0, 180.0)  # beats per minute
RESOLUTION = 0.1  # beats per minute, to which the spectrum is interpolated by zeros
NOISE_BAND = (0.7, 4.0)  # Hz
NEAR = 0.1  # Hz to either side of the rate, and of its second harmonic, that counts as signal


def periodogram(signal: NDArray[np.floating], rate: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Power under a Hann window, without the linear trend. signal: (T,), ``rate`` Hz. Returns Hz, and power.

    Raises ValueError for fewer than four samples, samples that are not finite, or a rate at which no pulse can be seen.
    """
    if not rate > 2 * SEARCH[0] / 60.0:
        raise ValueError(f"{rate:g} Hz are too few to see {SEARCH[0]:g} beats a minute")
    if signal.ndim != 1 or signal.size < 4 or not np.isfinite(signal).all():
        raise ValueError(f"a pulse is (T,) with at least four finite samples, not {signal.shape}")
    size = max(signal.size, int(np.ceil(60.0 * rate / RESOLUTION)))
    windowed = detrend(np.asarray(signal, np.float64)) * np.hanning(signal.size)
    power = np.abs(np.fft.rfft(windowed, size)) ** 2
    return np.asarray(np.fft.rfftfreq(size, 1.0 / rate), np.float64), np.asarray(power, np.float64)


def pulse_rate(signal: NDArray[np.floating], rate: float) -> float:
    """The strongest frequency between 40 and 180 beats per minute. signal: (T,), ``rate`` Hz. Returns bpm.

    Raises ValueError as `periodogram` does.
    """
    frequency, power = periodogram(signal, rate)
    inside = (frequency >= SEARCH[0] / 60.0) & (frequency <= SEARCH[1] / 60.0)
    return float(60.0 * frequency[inside][np.argmax(power[inside])])


def pulse_snr(signal: NDArray[np.floating], rate: float, bpm: float) -> float:
    """Power at a rate and its second harmonic over all other from 0.7 to 4 Hz, dB (de Haan & Jeanne 2013).

    signal: (T,), ``rate`` Hz. bpm: the true rate. Raises ValueError as `periodogram` does.
    """
    frequency, power = periodogram(signal, rate)
    beat = bpm / 60.0
    near = (np.abs(frequency - beat) <= NEAR) | (np.abs(frequency - 2.0 * beat) <= NEAR)
    band = (frequency >= NOISE_BAND[0]) & (frequency <= NOISE_BAND[1])
    tiny = np.finfo(np.float64).tiny
    return float(10.0 * np.log10((power[near & band].sum() + tiny) / (power[band & ~near].sum() + tiny)))
