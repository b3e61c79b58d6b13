"""Is there a pulse, and at which rate? The last seconds of all traces, weighed against what else looks so.

A peak in one spectrum proves nothing: talking gives one as high as clip_a's pulse does. What tells them
apart is that a pulse is the same, at the same time, in regions of the face that do not move together, and is
neither in the light, nor in the background, nor in hair and clothes, nor so small beside the face's shift that
the shift explains it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from deepmag.stream.vitals_disturbances import CLEAR, Disturbances
from deepmag.stream.vitals_regions import BACKGROUND, GROUPS, REGIONS, SIDES
from deepmag.stream.vitals_spectrum import (
    CLOCK,
    SEARCH,
    at,
    band,
    counted,
    distance,
    peak,
    ratio,
    shared_ratio,
    spectra,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from deepmag.stream.vitals_spectrum import Spectrum

# Mean signal-to-noise ratio of the three groups of regions, dB: none of it counts, all of it counts. At its
# best moment talking_head_1 has 2.8; clip_a has 4.0 to 5.3, evm_face 11 to 14.
STRENGTH = (1.0, 8.0)
# Share of the regions' power that is in phase. talking_head_1 0.89 at its best, clip_a 0.93, evm_face 0.99.
COHERENCE = (0.6, 0.95)
# Distance of the groups' own peaks from the common one, beats per minute: all right, impossible.
SPREAD = (4.0, 12.0)
AMPLITUDE = (0.3e-3, 25e-3)  # relative; weaker cannot be measured, stronger is no pulse
STILL = 1e-14  # variance of a region's trace below which there is not even noise: a frozen picture
# Where compression or darkness leaves less than STRENGTH asks for, the rate has to be the network's, too, and no light
# that could explain it may be seen, clearly or not, and all that for longer: chance and talking look like a pulse for
# 10 s, hardly for 20. s of traces; mean signal-to-noise ratio of the groups, and of the network's output, dB;
# coherence; distance of the groups' own peaks, and of the network's, beats per minute.
# FAINT_SHARED: how far the pulse stands out in what the groups have in common, dB. Of a faint one little else is there,
# and it has 4 to 15; of one whose intervals vary by a quarter, as in atrial fibrillation, up to 1.
FAINT_SECONDS = 19.5
FAINT_STRENGTH = -2.0
FAINT_SHARED = 3.0
FAINT_NETWORK = 0.0
FAINT_COHERENCE = 0.65
FAINT_SPREAD = 2.0
MAX_PHASE = 60.0  # degrees between network and regions. clip_a 5, evm_face 12, a photo that is moved 120
# Over the last RECENT s the wave has to be there still, at this share of its size over all of the window and
# with this share of the trace's power: the window alone would show a covered face's rate for 5 s more. clip_a
# has 0.76 and 0.43 at its worst, a face covered 2 s ago 0.4 and 0.3.
RECENT = 3.0  # s
RECENT_SIZE = 0.55
RECENT_POWER = 0.25
# Hz, in which a pulse of 28 to 39 a minute is looked for; Hz to either side of half the rate; and its size there per
# that at the rate. 1.9 of such pulses, 0.1 of healthy ones, up to 0.7 on clip_a.
SLOW_BANDPASS = (0.35, 4.0)
SLOW_REACH = 0.05
SLOW_RATIO = 1.2
SEEN = 0.9  # share of the frames in which a region has to be inside the picture


@dataclass(frozen=True, slots=True)
class Traces:
    """What was collected, oldest first; regions of the face, of the background, and of what is around.

    times: (n,) s. blood, light, tint: (n, regions), relative change since the frame before. shift: (n, regions, 2),
    cells. network: (n,) the network's output, NaN without one; it is that of ``late`` s before.
    """

    times: NDArray[np.float64]
    blood: NDArray[np.float64]
    light: NDArray[np.float64]
    tint: NDArray[np.float64]
    shift: NDArray[np.float64]
    network: NDArray[np.float64]
    late: float = 0.0


@dataclass(frozen=True, slots=True)
class Evidence:
    """What the traces say.

    peak: of the spectrum, beats per minute. rate: mean over the traces, beats per minute. strength: mean
    signal-to-noise ratio of the independent estimates, dB. coherence: share in phase over the face, in [0, 1].
    spread: largest distance of an estimate's own peak, beats per minute. quality: in [0, 1]. objection: what
    speaks against a pulse, in words, or "". agreement: how far the network's output stands out at the peak, dB, where
    it agrees with a faint pulse over long enough and no light could be it; else -inf.
    """

    peak: float
    rate: float
    strength: float
    coherence: float
    spread: float
    quality: float
    objection: str
    agreement: float = -np.inf


NOTHING = Evidence(0.0, 0.0, -np.inf, 0.0, np.inf, 0.0, "signal too weak")
FACE_HIDDEN = Evidence(0.0, 0.0, -np.inf, 0.0, np.inf, 0.0, "face too small or cut off")


def weigh(traces: Traces) -> Evidence:
    """Weigh the evidence for a pulse in some 8 to 10 s of traces, or in 20 where it is faint."""
    blood = band(traces.times, traces.blood)
    power = blood.var(axis=0)
    seen = np.isfinite(traces.blood).mean(axis=0) > SEEN
    face = np.flatnonzero(seen[: len(REGIONS)])
    if not all(np.isin(group, face).any() for group in GROUPS):
        return FACE_HIDDEN
    if power[face].min() < STILL:
        return NOTHING
    share = np.where(seen, 1 / np.maximum(power, STILL), 0.0)  # quiet regions count more
    pulse = _common(blood, face, share)
    if pulse is None:
        return NOTHING
    beside = _disturbances(traces, blood, seen, share, pulse)
    network = _seen_by_network(traces, pulse)
    objection = _objection(traces, face, pulse, beside, network)
    agreement = -np.inf
    if network is not None and not objection and _is_faint(traces, pulse, beside, network):
        agreement = network.strength
    quality = 0.0
    if not objection:
        quality = (
            _ramp(pulse.strength, STRENGTH)
            * _ramp(pulse.coherence, COHERENCE)
            * (1 - _ramp(pulse.spread, SPREAD))
        )
        if pulse.spread > SPREAD[0]:
            objection = "estimates disagree"
    return Evidence(
        60 * pulse.frequency,
        60 * counted(pulse.trace, pulse.frequency),
        pulse.strength,
        pulse.coherence,
        pulse.spread,
        quality,
        objection,
        agreement,
    )


@dataclass(frozen=True, slots=True)
class _Pulse:
    """What seems to be one: the peak that the parts of the face have in common.

    frequency: Hz. trace: (m,) of the face, on the uniform clock. spectrum: of that. value: what it has there. groups:
    spectra of the three groups of regions, each of the same power, (BINS / 2 + 1, 3). The others are Evidence's.
    """

    frequency: float
    value: complex
    trace: NDArray[np.float64]
    spectrum: Spectrum
    groups: Spectrum
    strength: float
    coherence: float
    spread: float


def _common(blood: NDArray[np.float64], face: NDArray[np.intp], share: NDArray[np.float64]) -> _Pulse | None:
    """Find the peak that the parts of the face have in common; None where there is none.

    blood: (m, regions) on the uniform clock. face: those that are seen. share: (regions,), how much each counts.
    """
    groups = [blood[:, group] @ limited_weights(share[list(group)]) for group in GROUPS]
    everywhere = blood[:, face] @ limited_weights(share[face])
    whole, *parts = spectra(np.stack([everywhere, *groups], axis=1)).T
    frequency = peak(whole)
    if frequency is None:
        return None
    in_phase = spectra(blood[:, face] / blood[:, face].std(axis=0))[at(frequency)]
    return _Pulse(
        frequency,
        complex(whole[at(frequency)]),
        everywhere,
        whole,
        np.stack(parts, axis=1) / np.std(groups, axis=1),
        strength=float(np.mean([ratio(part, frequency) for part in parts])),
        coherence=float(abs(in_phase.sum()) ** 2 / (in_phase.size * (abs(in_phase) ** 2).sum())),
        spread=max(distance(part, frequency) for part in parts),
    )


def _disturbances(
    traces: Traces,
    blood: NDArray[np.float64],
    seen: NDArray[np.bool_],
    share: NDArray[np.float64],
    pulse: _Pulse,
) -> Disturbances:
    """Collect what might explain it. blood: (m, regions) on the uniform clock."""
    light = band(traces.times, traces.light)
    face = np.flatnonzero(seen[: len(REGIONS)])
    edge = len(REGIONS) + len(BACKGROUND)
    background, halves = np.zeros((2, len(share)))
    background[len(REGIONS) : edge] = share[len(REGIONS) : edge]
    for side in SIDES:
        places = np.array(side) + len(REGIONS)
        halves[places] = share[places] / max(share[places].sum(), STILL)
    around = np.flatnonzero(seen[edge:]) + edge
    behind, sides = (
        spectra(np.stack([blood @ weights, light @ weights], axis=1) / weights.sum())
        if weights.any()
        else None
        for weights in (background, halves)
    )
    together = None
    if around.size:
        together = spectra((blood[:, around] @ limited_weights(share[around]))[:, np.newaxis])[:, 0]
    tinted = band(traces.times, traces.tint[:, face]) @ limited_weights(share[face])
    plain, tint = spectra(np.stack([light[:, face].mean(axis=1), tinted], axis=1)).T
    return Disturbances(
        pulse.frequency,
        pulse.value,
        face=pulse.spectrum,
        light=plain,
        tint=tint,
        shift=spectra(band(traces.times, traces.shift[:, face].mean(axis=1))),
        behind=behind,
        sides=sides,
        around=spectra(blood[:, around]),
        together=together,
    )


def _objection(
    traces: Traces, face: NDArray[np.intp], pulse: _Pulse, beside: Disturbances, network: _Network | None
) -> str:
    """What speaks against it, in words, or ""."""
    # 4: one-sided, and the mean of a Hann window is a half
    amplitude = 4 * abs(pulse.value) / len(pulse.trace)
    if amplitude < AMPLITUDE[0]:
        return "signal too weak"
    if amplitude > AMPLITUDE[1] or beside.shift_suffices():
        return "too much motion"
    if beside.light_suffices():
        return "the light flickers"
    if _has_ended(pulse.trace, pulse.frequency):
        return "signal too weak"
    if pulse.frequency < 2 * SEARCH[0] and _is_harmonic(traces, face, pulse.frequency):
        return "slower than can be told"
    if network is not None and _contradicts(network, pulse.frequency):
        return "estimates disagree"
    return ""


def _is_faint(traces: Traces, pulse: _Pulse, beside: Disturbances, network: _Network) -> bool:
    """Whether it is one though it is faint: forehead, cheeks and the network agree, and no light could be it."""
    return (
        traces.times[-1] - traces.times[0] > FAINT_SECONDS
        and pulse.strength >= FAINT_STRENGTH
        and shared_ratio(pulse.groups, pulse.frequency) >= FAINT_SHARED
        and pulse.coherence >= FAINT_COHERENCE
        and pulse.spread <= FAINT_SPREAD
        and _agrees(network, pulse.frequency)
        and not beside.light_suffices(-np.inf)
    )


def limited_weights(share: NDArray[np.float64]) -> NDArray[np.float64]:
    """Weights that sum to 1, none of several above a half: one quiet region is not a face."""
    largest = share.argmax()
    others = share.sum() - share[largest]
    weights = share.copy()
    if others > 0.0:
        weights[largest] = min(weights[largest], others)
    return np.asarray(weights / weights.sum())


def _has_ended(trace: NDArray[np.float64], frequency: float) -> bool:
    """Whether a wave of this frequency, Hz, no longer fills the end of a trace (m,) on the uniform clock."""
    size, _ = _fit(trace, frequency)
    last, share = _fit(trace[-round(RECENT * CLOCK) :], frequency)
    return last < RECENT_SIZE * size or share < RECENT_POWER


def _is_harmonic(traces: Traces, face: NDArray[np.intp], frequency: float) -> bool:
    """Whether a wave of a frequency, Hz, is the second harmonic of a pulse below the band, which is not looked for.

    Then the face swings at half of it at least as far, and at nothing near it.
    """
    wide = band(traces.times, traces.blood[:, face], SLOW_BANDPASS).mean(axis=1)
    size = abs(spectra(wide[:, np.newaxis])[:, 0])
    near = size[at(SLOW_BANDPASS[0]) : at(SEARCH[0]) + 1]
    half = at(frequency / 2) - at(SLOW_BANDPASS[0])
    reach = at(SLOW_REACH)
    around = near[max(half - reach, 0) : half + reach + 1]
    return bool(
        around.size and around.max() == near.max() and around.max() > SLOW_RATIO * size[at(frequency)]
    )


def _fit(trace: NDArray[np.float64], frequency: float) -> tuple[float, float]:
    """Fit a wave of a frequency, Hz. Returns its amplitude, and its share of the trace's power."""
    phase = 2 * np.pi * frequency / CLOCK * np.arange(len(trace))
    waves = np.stack([np.sin(phase), np.cos(phase)], axis=1)
    weights = np.linalg.lstsq(waves, trace, rcond=None)[0]
    left = trace - waves @ weights
    return float(np.hypot(*weights)), float(1 - (left @ left) / max(trace @ trace, STILL))


@dataclass(frozen=True, slots=True)
class _Network:
    """What its output shows. strength: how far it stands out at the rate, dB. phase: from the pulse there, degrees."""

    spectrum: Spectrum
    strength: float
    phase: float


def _seen_by_network(traces: Traces, pulse: _Pulse) -> _Network | None:
    """What the network sees at the same rate; None where there is none."""
    if not np.isfinite(traces.network).all():
        return None
    spectrum = spectra(band(traces.times, traces.network[:, np.newaxis]))[:, 0]
    # More blood is less light, so the network's pulse runs against the colour's.
    blood = -spectrum[at(pulse.frequency)] * np.exp(2j * np.pi * pulse.frequency * traces.late)
    return _Network(
        spectrum, ratio(spectrum, pulse.frequency), float(abs(np.angle(blood / pulse.value, deg=True)))
    )


def _contradicts(network: _Network, frequency: float) -> bool:
    """Whether the network clearly sees another pulse. What it does not see clearly counts neither way.

    At talking_head_1's worst moment it stands out by 4 dB, on clip_a by 2.
    """
    own = peak(network.spectrum)
    if own is not None and ratio(network.spectrum, own) > CLEAR:
        away = 60 * min(abs(own - frequency), abs(own - 2 * frequency))
        if away > SPREAD[1]:
            return True
    return network.strength > CLEAR and network.phase > MAX_PHASE


def _agrees(network: _Network, frequency: float) -> bool:
    """Whether the network's own peak is at a frequency, Hz, and in phase with the pulse."""
    return (
        network.strength >= FAINT_NETWORK
        and network.phase <= MAX_PHASE
        and distance(network.spectrum, frequency) <= FAINT_SPREAD
    )


def _ramp(value: float, ends: tuple[float, float]) -> float:
    """0 at the first end, 1 at the second, straight between."""
    return float(np.clip((value - ends[0]) / (ends[1] - ends[0]), 0, 1))
