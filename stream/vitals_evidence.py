"""Is there a pulse, and at which rate? The last seconds of all traces, weighed against what else could look so.

A peak in one spectrum proves nothing: talking gives one as high as clip_a's pulse does. What tells them apart is
that a pulse is the same, at the same time, in regions of the face that do not move together, and is neither in the
light, nor in the background, nor as large as the shift of the face at that rate would explain.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import signal

from deepmag.stream.vitals_regions import GROUPS, REGIONS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Spectrum = NDArray[np.complex128]

CLOCK = 30.0  # Hz, of the uniform clock that the traces are put on
BANDPASS = (0.6, 4.0)  # Hz: the search band and its second harmonics
SEARCH = (0.67, 3.0)  # Hz: 40 to 180 beats per minute
NOISE_BAND = (0.7, 4.0)  # Hz in which a peak has to stand out
PEAK = 0.15  # Hz on each side of a rate that belong to it: a Hann window of 8 to 10 s
BINS = 4096  # of the zero-padded transform: 0.4 beats per minute, before interpolation

# Mean signal-to-noise ratio of the three groups of regions, dB: none of it counts, all of it counts. At its best
# moment talking_head_1 has 2.8, clip_a 4.2 to 5.3, evm_face 11 to 14.
STRENGTH = (1.0, 8.0)
# Share of the regions' power that is in phase. talking_head_1 0.88 at its best, clip_a 0.93, evm_face 0.99.
COHERENCE = (0.6, 0.95)
# Distance of the groups' own peaks from the common one, beats per minute: all right, impossible.
SPREAD = (4.0, 12.0)
AMPLITUDE = (0.3e-3, 25e-3)  # relative; weaker cannot be measured, stronger is no pulse
CLEAR = 3.0  # dB by which a disturbance's peak stands out when it is one
LIGHT_RATIO = 1.5  # the face's change common to all colours, per pulse. evm_face 0.3, flicker 6
SHIFT_RATIO = 25.0  # cells per pulse. evm_face 2, clip_a 16 (not a peak), a photo moved to and fro 150 to 600
BACKGROUND_RATIO = 0.3  # the background's "pulse", in phase, per the face's


@dataclass(frozen=True, slots=True)
class Traces:
    """What was collected, oldest first.

    times: (n,) s. blood, light: (n, regions + background) relative change since the frame before. shift: (n,
    regions + background, 2), cells. network: (n,) the network's output, the pulse's change in the pair; NaN without one.
    """

    times: NDArray[np.float64]
    blood: NDArray[np.float64]
    light: NDArray[np.float64]
    shift: NDArray[np.float64]
    network: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Evidence:
    """What the traces say.

    rate: beats per minute. strength: mean signal-to-noise ratio of the independent estimates, dB. coherence: share
    in phase over the face, in [0, 1]. spread: largest distance of an estimate's own rate, beats per minute.
    quality: in [0, 1]. objection: what speaks against a pulse, in words, or "".
    """

    rate: float
    strength: float
    coherence: float
    spread: float
    quality: float
    objection: str


NOTHING = Evidence(0.0, -np.inf, 0.0, np.inf, 0.0, "signal too weak")
FACE_HIDDEN = Evidence(0.0, -np.inf, 0.0, np.inf, 0.0, "face too small or cut off")


def weigh(traces: Traces) -> Evidence:
    """Weigh the evidence for a pulse in some 8 to 10 s of traces."""
    blood = _band(traces.times, traces.blood)
    seen = np.isfinite(traces.blood).mean(axis=0) > 0.9
    face, background = seen[: len(REGIONS)], seen[len(REGIONS) :]
    if not all(face[list(group)].any() for group in GROUPS):
        return FACE_HIDDEN
    power = blood.var(axis=0)
    if power[: len(REGIONS)][face].min() < 1e-14:
        return NOTHING  # a still picture: not even noise
    share = np.where(seen, 1 / np.maximum(power, 1e-14), 0.0)
    everywhere = blood[:, : len(REGIONS)] @ _limited(share[: len(REGIONS)])
    groups = [blood[:, group] @ _limited(share[list(group)]) for group in GROUPS]
    estimates = _spectra(np.stack([everywhere, *groups], axis=1))
    common = _peak(estimates[:, 0])
    if common is None:
        return NOTHING
    ratios = [_ratio(estimates[:, i], common) for i in range(1, estimates.shape[1])]
    spread = max(_distance(estimates[:, i], common) for i in range(1, estimates.shape[1]))
    k = int(np.argmin(abs(FREQUENCIES - common)))
    in_phase = _spectra(blood[:, : len(REGIONS)][:, face] / np.sqrt(power[: len(REGIONS)][face]))[k]
    coherence = float(abs(in_phase.sum()) ** 2 / (in_phase.size * (abs(in_phase) ** 2).sum()))
    strength = float(np.mean(ratios))
    pulse = estimates[k, 0]
    amplitude = 4 * abs(pulse) / len(blood)  # 4: one-sided, and the mean of a Hann window is a half
    light = _band(traces.times, traces.light)
    objection = ""
    if amplitude < AMPLITUDE[0]:
        objection = "signal too weak"
    elif amplitude > AMPLITUDE[1]:
        objection = "too much motion"
    elif any(
        _is_disturbed(shift, common, pulse, SHIFT_RATIO)
        for shift in _band(traces.times, traces.shift)[:, : len(REGIONS)][:, face].mean(axis=1).T
    ):
        objection = "too much motion"
    elif _is_disturbed(light[:, : len(REGIONS)][:, face].mean(axis=1), common, pulse, LIGHT_RATIO):
        objection = "the light flickers"
    elif background.any():
        weights = share[len(REGIONS) :] / share[len(REGIONS) :].sum()
        behind = np.stack([blood[:, len(REGIONS) :] @ weights, light[:, len(REGIONS) :] @ weights], axis=1)
        spectra = _spectra(behind)
        if _ratio(spectra[:, 0], common) > CLEAR and (spectra[k, 0] / pulse).real > BACKGROUND_RATIO:
            objection = "the light flickers"
        elif _ratio(spectra[:, 1], common) > 2 * CLEAR and abs(spectra[k, 1]) > abs(pulse):
            objection = "the light flickers"
    if not objection and _contradicts(traces, common):
        objection = "estimates disagree"
    quality = _ramp(strength, STRENGTH) * _ramp(coherence, COHERENCE) * (1 - _ramp(spread, SPREAD))
    if objection:
        quality = 0.0
    elif spread > SPREAD[0]:
        objection = "estimates disagree"
    return Evidence(60 * common, strength, coherence, spread, quality, objection)


FREQUENCIES: NDArray[np.float64] = np.fft.rfftfreq(BINS, 1 / CLOCK)
_SEARCHED = (FREQUENCIES >= SEARCH[0]) & (FREQUENCIES <= SEARCH[1])
_NOISE = (FREQUENCIES >= NOISE_BAND[0]) & (FREQUENCIES <= NOISE_BAND[1])
_SOS = signal.butter(3, BANDPASS, "bandpass", fs=CLOCK, output="sos")


def _band(times: NDArray[np.float64], increments: NDArray[np.float64]) -> NDArray[np.float64]:
    """Increments at any times to band-passed values on the uniform clock. (n, ...) to (m, ...)."""
    flat = np.nan_to_num(increments).reshape(len(times), -1)
    values = np.cumsum(flat, axis=0)
    clock = np.arange(times[0], times[-1] + 1e-9, 1 / CLOCK)
    uniform = np.stack([np.interp(clock, times, column) for column in values.T], axis=1)
    # The straight line between the ends goes first: it holds most of a drifting trace's power, and the filter
    # would ring on it.
    line = np.linspace(0, 1, len(clock))[:, np.newaxis]
    uniform -= uniform[:1] + line * (uniform[-1:] - uniform[:1])
    result: NDArray[np.float64] = signal.sosfiltfilt(_SOS, uniform, axis=0)
    return result.reshape(len(clock), *increments.shape[1:])


def _spectra(values: NDArray[np.float64]) -> Spectrum:
    """(m, k) to (BINS / 2 + 1, k)."""
    return np.asarray(np.fft.rfft(values * np.hanning(len(values))[:, np.newaxis], BINS, axis=0))


def _limited(share: NDArray[np.float64]) -> NDArray[np.float64]:
    """Weights that sum to 1, none of several much above a half: one quiet region is not a face."""
    weights = np.minimum(share / share.sum(), 0.5)
    return weights / weights.sum()


def _peak(spectrum: Spectrum) -> float | None:
    """Frequency, Hz, of the strongest peak, its harmonic counted with it; None where there is no peak inside."""
    power = abs(spectrum) ** 2
    doubled = np.zeros_like(power)
    doubled[: (len(power) + 1) // 2] = power[::2]
    # A pulse whose second harmonic is the larger one is still found at its fundamental.
    score = np.where(_SEARCHED, power + 0.5 * doubled, 0.0)
    k = int(np.argmax(score))
    if not score[k - 1] < score[k] >= score[k + 1] or not _SEARCHED[k - 1] or not _SEARCHED[k + 1]:
        return None
    left, middle, right = (float(np.log(power[i] + 1e-300)) for i in (k - 1, k, k + 1))
    bend = left - 2 * middle + right
    offset = 0.5 * (left - right) / bend if bend < 0 else 0.0
    return float(FREQUENCIES[k] + np.clip(offset, -0.5, 0.5) * FREQUENCIES[1])


def _ratio(spectrum: Spectrum, frequency: float) -> float:
    """Power at a frequency and its double over the rest of the band, dB."""
    power = abs(spectrum) ** 2
    near = (abs(FREQUENCIES - frequency) < PEAK) | (abs(FREQUENCIES - 2 * frequency) < PEAK)
    peak, rest = power[_NOISE & near].sum(), power[_NOISE & ~near].sum()
    return float(10 * np.log10((peak + 1e-30) / (rest + 1e-30)))


def _distance(spectrum: Spectrum, frequency: float) -> float:
    """How far a spectrum's own peak is from a frequency, beats per minute."""
    own = _peak(spectrum)
    return np.inf if own is None else 60 * abs(own - frequency)


def _is_disturbed(trace: NDArray[np.float64], frequency: float, pulse: complex, limit: float) -> bool:
    """Whether a disturbance has a clear peak at the rate, and is too large beside the pulse to be its effect."""
    spectrum = _spectra(trace[:, np.newaxis])[:, 0]
    k = int(np.argmin(abs(FREQUENCIES - frequency)))
    return _ratio(spectrum, frequency) > CLEAR and abs(spectrum[k]) > limit * abs(pulse)


def _contradicts(traces: Traces, common: float) -> bool:
    """Whether the network sees a clear pulse at another rate. What it does not see clearly counts neither way."""
    if not np.isfinite(traces.network).all():
        return False
    spectrum = _spectra(_band(traces.times, traces.network[:, np.newaxis]))[:, 0]
    own = _peak(spectrum)
    if own is None or _ratio(spectrum, own) < CLEAR:
        return False
    return 60 * min(abs(own - common), abs(own - 2 * common)) > SPREAD[1]


def _ramp(value: float, ends: tuple[float, float]) -> float:
    """0 at the first end, 1 at the second, straight between."""
    return float(np.clip((value - ends[0]) / (ends[1] - ends[0]), 0, 1))
