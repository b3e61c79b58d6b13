"""Rhythms of a synthetic person: heart beats with natural variability, their pressure wave, and breath."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from deepmag.models.synthetic.recorded import RecordedRhythm

Signal = NDArray[np.float64]

ORIGIN = -10.0  # s, of the first beat: takes begin at 0, and the blood of their late parts a little before

TRANSIT = 0.05  # s: the pulse reaches the latest parts of the face this much after the earliest


@dataclass(frozen=True, slots=True)
class Rhythm:
    """bpm: mean pulse rate, beats per minute. breaths: breaths per minute. variability: SD of the beat interval / mean.

    respiratory_share: part of the variability that follows the breath. notch: height of the dicrotic wave / systolic.
    rise: time to the systolic peak as part of a beat. seed: of the beat-to-beat jitter.
    """

    bpm: float = 72.0
    breaths: float = 15.0
    variability: float = 0.03
    respiratory_share: float = 0.6
    notch: float = 0.35
    rise: float = 0.18
    seed: int = 0

    @classmethod
    def random(cls, rng: np.random.Generator) -> Rhythm:
        """A person at rest or after stairs: 45 to 150 beats, 8 to 30 breaths a minute."""
        return cls(
            bpm=float(rng.uniform(45, 150) if rng.random() < 0.5 else np.clip(rng.normal(75, 12), 45, 150)),
            breaths=float(rng.uniform(8, 30)),
            variability=float(rng.uniform(0.0, 0.07)),
            respiratory_share=float(rng.uniform(0.2, 0.8)),
            notch=float(rng.uniform(0.05, 0.55)),
            rise=float(rng.uniform(0.13, 0.28)),
            seed=int(rng.integers(2**31)),
        )


AnyRhythm = Rhythm | RecordedRhythm


def breath(rhythm: AnyRhythm, t: Signal) -> Signal:
    """Chest expansion at times t, s. Returns values in [-1, 1]; the breath in is shorter than the breath out."""
    if isinstance(rhythm, RecordedRhythm):
        return rhythm.breath(t)
    phase = 2 * np.pi * rhythm.breaths / 60 * t
    return np.asarray(np.sin(phase + 0.35 * np.sin(phase)))


def beat_phase(rhythm: AnyRhythm, t: Signal) -> Signal:
    """Phase of the heart at times t, s, in beats: its integer part counts beats.

    Intervals vary with the breath (respiratory sinus arrhythmia), at 0.1 Hz (Mayer waves) and at random.
    """
    if isinstance(rhythm, RecordedRhythm):
        return rhythm.beat_phase(t)
    rng = np.random.default_rng(rhythm.seed)
    # from a fixed time on, so that a beat is at the same time whatever the times asked for
    start, end = min(ORIGIN, float(t.min()) - 2.0), float(t.max()) + 4.0
    count = int((end - start) * rhythm.bpm / 60 * 1.6) + 8
    mean = 60 / rhythm.bpm
    mayer = rng.uniform(0, 2 * np.pi)  # drawn first: how many beats follow depends on the times asked for
    jitter = rng.standard_normal(count) * np.sqrt(0.2)
    beats = np.empty(count)
    now = start
    share = rhythm.respiratory_share
    for i in range(count):
        beats[i] = now
        # np.sqrt(2): a sine of unit variance, so that `variability` is the standard deviation of the sum.
        slow = np.sqrt(2 * share) * float(breath(rhythm, np.array(now)))
        slow += np.sqrt(2 * max(0.8 - share, 0.0)) * np.sin(2 * np.pi * 0.1 * now + mayer)
        now += mean * max(0.5, 1 + rhythm.variability * (slow + jitter[i]))
    return np.interp(t, beats, np.arange(count))


def _raw_beat(phase: Signal, rhythm: Rhythm) -> Signal:
    x = phase % 1.0
    wave = np.zeros_like(x)
    for centre, width, height in (
        (rhythm.rise, 0.42 * rhythm.rise + 0.035, 1.0),
        (rhythm.rise + 0.27, 0.11, rhythm.notch),
        (rhythm.rise + 0.12, 0.16, 0.35),
    ):
        # the neighbouring beats' tails join on, so that the wave has no step where a beat starts
        for beat in (-1, 0, 1):
            wave += height * np.exp(-0.5 * ((x - centre - beat) / width) ** 2)
    return wave


def beat_shape(phase: Signal, rhythm: Rhythm) -> Signal:
    """Blood volume over one beat: a systolic and a dicrotic wave.

    phase: any shape, beats. Returns the same shape, peak-to-peak 1 and mean 0 over a beat.
    """
    reference = _raw_beat(np.linspace(0, 1, 200, endpoint=False), rhythm)
    return np.asarray((_raw_beat(phase, rhythm) - reference.mean()) / np.ptp(reference))


def blood_volume(rhythm: AnyRhythm, t: Signal) -> Signal:
    """Blood volume pulse at times t, s: mean about 0, peak-to-peak about 1, modulated a little by the breath."""
    if isinstance(rhythm, RecordedRhythm):
        return rhythm.blood_volume(t)
    wave = beat_shape(beat_phase(rhythm, t), rhythm)
    return np.asarray(wave * (1 + 0.1 * breath(rhythm, t)) + 0.05 * breath(rhythm, t))
