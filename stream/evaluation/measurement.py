"""Pulse rate and its signal-to-noise ratio: the network's output against the classical measurements."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from deepmag.models.baselines.measurement import MEASUREMENTS
from deepmag.models.baselines.rate import pulse_rate, pulse_snr
from deepmag.models.representation import normalized_difference, reduce_frame
from deepmag.models.running_difference import centred_difference
from deepmag.models.steady import ascend_symmetric
from deepmag.models.temporal import PULSE_BAND, zero_phase
from deepmag.stream.roi import clamp_box

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from deepmag.models.steady import SteadyAscent

NETWORK = "network"
PAIRS = 32  # worked on at once
Measured = dict[str, dict[str, float]]


def reduce_clip(video: NDArray[np.uint8], region: tuple[int, int, int, int]) -> NDArray[np.float32]:
    """Reduce the region of each frame. video: (T, H, W, 3). Returns (T, 3, 36, 36)."""
    first = video[0]
    x, y, w, h = clamp_box(region, (first.shape[1], first.shape[0]))
    return np.stack([reduce_frame(image[y : y + h, x : x + w]) for image in video])


def network_pulse(ascent: SteadyAscent, small: NDArray[np.float32], rate: float) -> NDArray[np.float64]:
    """The pulse as `steady` has it of the network, summed over time and band-passed. Returns (T,)."""
    pairs = len(small) - 1
    x = normalized_difference(small[:-1], small[1:])
    x = centred_difference(x, np.ones(pairs, np.int64), slice(0, pairs), rate)
    outputs = [
        ascend_symmetric(ascent, part, np.zeros_like(part))[1]
        for part in (np.ascontiguousarray(x[a : a + PAIRS]) for a in range(0, len(x), PAIRS))
    ]
    change = np.concatenate([[0.0], *outputs])
    return zero_phase(np.cumsum(change - change.mean()), PULSE_BAND, rate)


def true_rate(blood: NDArray[np.floating], rate: float) -> float:
    """Beats per minute of the true wave (T,), read as those that are measured are.

    Not the mean of its beats: with a heart's own variability they differ by 1 a minute in 15 s, which would be counted
    as everybody's error.
    """
    return pulse_rate(zero_phase(blood, PULSE_BAND, rate), rate)


def measure(
    ascent: SteadyAscent,
    small: NDArray[np.float32],
    colour: NDArray[np.float64],
    rate: float,
    bpm: float,
) -> Measured:
    """Rate, its error and SNR by each method. small: (T, 3, 36, 36), for the network. colour: (T, 3), for the others.

    rate: Hz. bpm: the true rate. Returns, by method, bpm and error in beats per minute, and snr in dB, at the true
    rate. All go through the same band-pass first: a ratio of signal to noise would else compare filters.
    """
    pulses = {NETWORK: network_pulse(ascent, small, rate)}
    for name, method in MEASUREMENTS.items():
        pulses[name] = zero_phase(method(colour, rate), PULSE_BAND, rate)
    found: Measured = {}
    for name, signal in pulses.items():
        seen = pulse_rate(signal, rate)
        found[name] = {"bpm": seen, "error": abs(seen - bpm), "snr": pulse_snr(signal, rate, bpm)}
    return found
