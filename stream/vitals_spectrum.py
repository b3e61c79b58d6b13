"""Traces at irregular times to spectra in the pulse's band: peaks, and how far they stand out."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from scipy import signal

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Spectrum = NDArray[np.complex128]

CLOCK = 30.0  # Hz, of the uniform clock that the traces are put on
BANDPASS = (0.6, 4.0)  # Hz: the search band and its second harmonics
SEARCH = (0.67, 3.0)  # Hz: 40 to 180 beats per minute
NOISE_BAND = (0.7, 4.0)  # Hz in which a peak has to stand out
PEAK = 0.15  # Hz on each side of a rate that belong to it: a Hann window of 8 to 10 s
BINS = 4096  # of the zero-padded transform: 0.4 beats per minute, before interpolation
SILENCE = 1e-30  # power that counts as none; keeps a quotient of two silent bands finite

_FREQUENCIES = np.arange(BINS // 2 + 1) * (CLOCK / BINS)
_SEARCHED = (SEARCH[0] <= _FREQUENCIES) & (SEARCH[1] >= _FREQUENCIES)
_COMPARED = (NOISE_BAND[0] <= _FREQUENCIES) & (NOISE_BAND[1] >= _FREQUENCIES)


def band(
    times: NDArray[np.float64], increments: NDArray[np.float64], passed: tuple[float, float] = BANDPASS
) -> NDArray[np.float64]:
    """Sum increments at any times to band-passed values on the uniform clock.

    times: (n,) s. increments: (n, ...), since the time before; NaN counts as none. passed: Hz. Returns (m, ...).
    """
    flat = np.nan_to_num(increments).reshape(len(times), -1)
    values = np.cumsum(flat, axis=0)
    clock = np.arange(times[0], times[-1] + 1e-9, 1 / CLOCK)
    uniform = np.stack([np.interp(clock, times, column) for column in values.T], axis=1)
    # The straight line between the ends goes first: it holds most of a drifting trace's power, and the filter
    # would ring on it.
    line = np.linspace(0, 1, len(clock))[:, np.newaxis]
    uniform -= uniform[:1] + line * (uniform[-1:] - uniform[:1])
    filtered = np.asarray(signal.sosfiltfilt(_sos(passed), uniform, axis=0), np.float64)
    return filtered.reshape(len(clock), *increments.shape[1:])


@lru_cache(maxsize=2)
def _sos(passed: tuple[float, float]) -> NDArray[np.float64]:
    return np.asarray(signal.butter(3, passed, "bandpass", fs=CLOCK, output="sos"))


def spectra(values: NDArray[np.float64]) -> Spectrum:
    """Hann-windowed spectra of the columns. (m, k) on the uniform clock to (BINS / 2 + 1, k)."""
    return np.asarray(np.fft.rfft(values * np.hanning(len(values))[:, np.newaxis], BINS, axis=0))


def at(frequency: float) -> int:
    """Index of the bin at a frequency, Hz."""
    return round(frequency * BINS / CLOCK)


def peak(spectrum: Spectrum) -> float | None:
    """Frequency, Hz, of the strongest peak, its harmonic counted in; None where none is inside the band."""
    power = abs(spectrum) ** 2
    doubled = np.zeros_like(power)
    doubled[: (len(power) + 1) // 2] = power[::2]
    # A pulse whose second harmonic is the larger one is still found at its fundamental.
    score = np.where(_SEARCHED, power + 0.5 * doubled, 0.0)
    k = int(np.argmax(score))
    if not score[k - 1] < score[k] >= score[k + 1] or not _SEARCHED[k - 1] or not _SEARCHED[k + 1]:
        return None
    left, middle, right = (float(np.log(power[i] + SILENCE)) for i in (k - 1, k, k + 1))
    bend = left - 2 * middle + right
    offset = 0.5 * (left - right) / bend if bend < 0 else 0.0
    return float((k + np.clip(offset, -0.5, 0.5)) * CLOCK / BINS)


def counted(trace: NDArray[np.float64], frequency: float) -> float:
    """Mean frequency, Hz, over a trace (m,) on the uniform clock, of the wave whose spectrum has a peak at one, Hz.

    Intervals between beats vary with the breath, and then the peak is at what most of them have, and leaps: of somebody
    who takes four breaths a minute it was 8 beats a minute from their mean. So the wave's phase is followed, and a line
    laid through it.
    """
    turning = np.exp(2j * np.pi * frequency / CLOCK * np.arange(len(trace)))
    # the sine that fits best around each sample, over a period to each side; unlike a filter's output it is so at the
    # ends, too
    near = np.hanning(2 * round(CLOCK / frequency) + 3)
    found = np.convolve(trace / turning, near, "same")
    twice = np.convolve(turning**2, near, "same")
    phase = np.angle(np.convolve(np.ones(len(trace)), near, "same") * found - np.conj(twice * found))
    slope = np.polyfit(np.arange(len(trace)), np.unwrap(phase), 1)[0]
    return frequency + float(slope) * CLOCK / (2 * np.pi)


def ratio(spectrum: Spectrum, frequency: float) -> float:
    """Power at a frequency, Hz, and at its double over that of the rest of the band, dB."""
    return _over_the_rest(np.asarray(abs(spectrum) ** 2, np.float64), frequency)


def shared_ratio(estimates: Spectrum, frequency: float) -> float:
    """The same of what all of several estimates, (BINS / 2 + 1, k), have in common: noise of their own is left out."""
    power = abs(estimates.sum(axis=1)) ** 2 - (abs(estimates) ** 2).sum(axis=1)
    return _over_the_rest(np.asarray(power, np.float64), frequency)


def followed(spectrum: Spectrum, leader: Spectrum, frequency: float) -> tuple[complex, float]:
    """How one follows another at a frequency, Hz, and its multiples: so many times the other, of which phase.

    And how far that stands out from the rest of its own band, dB.
    """
    lines = np.any([abs(_FREQUENCIES - k * frequency) < PEAK for k in (1, 2, 3)], axis=0)
    leading = leader[_COMPARED & lines]
    power = float((abs(leading) ** 2).sum())
    times = complex(np.vdot(leading, spectrum[_COMPARED & lines])) / (power + SILENCE)
    rest = float((abs(spectrum[_COMPARED & ~lines]) ** 2).sum())
    return times, float(10 * np.log10((abs(times) ** 2 * power + SILENCE) / (rest + SILENCE)))


def _over_the_rest(power: NDArray[np.float64], frequency: float) -> float:
    near = (abs(_FREQUENCIES - frequency) < PEAK) | (abs(_FREQUENCIES - 2 * frequency) < PEAK)
    inside, outside = power[_COMPARED & near].sum(), power[_COMPARED & ~near].sum()
    return float(10 * np.log10((max(inside, 0.0) + SILENCE) / (max(outside, 0.0) + SILENCE)))


def distance(spectrum: Spectrum, frequency: float) -> float:
    """How far a spectrum's own peak is from a frequency, Hz; in beats per minute."""
    own = peak(spectrum)
    return np.inf if own is None else 60 * abs(own - frequency)
