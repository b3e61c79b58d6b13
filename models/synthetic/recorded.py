"""Rhythms and head motion that were recorded from real people, in place of made ones."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy import signal

if TYPE_CHECKING:
    from deepmag.models.synthetic.motion import Motion

Signal = NDArray[np.float64]

PULSE_BAND, BREATH_BAND = (0.6, 6.0), (0.05, 0.7)  # Hz, of what is taken from a recording
MAX_RATE = 3.5  # Hz, of a heart
HALF_HEIGHT_PER_SPREAD = 1.9  # half a head's height / RMS distance of its face points from their middle


@dataclass(frozen=True, eq=False)
class RecordedRhythm:
    """Pulse and breath of a real person, read at any time and rate by interpolation; past its end it runs backward.

    pulse, respiration: (N,), any unit, rising with blood volume and with the chest. rate: Hz. start: s into the
    recording that is time 0.
    """

    pulse: Signal
    respiration: Signal
    rate: float
    start: float = 0.0

    @property
    def bpm(self) -> float:
        """Mean pulse rate of the recording, beats per minute."""
        return float(len(self._beats) - 1) / float(self._beats[-1] - self._beats[0]) * 60

    @property
    def breaths(self) -> float:
        """Breathing rate, per minute: the peak of the recording's spectrum."""
        power = np.abs(np.fft.rfft(self._chest * np.hanning(len(self._chest)), 1 << 15)) ** 2
        return float(np.fft.rfftfreq(1 << 15, 1 / self.rate)[int(power.argmax())] * 60)

    @cached_property
    def _blood(self) -> Signal:
        band = signal.butter(2, PULSE_BAND, "bandpass", fs=self.rate, output="sos")
        wave = signal.sosfiltfilt(band, self.pulse)
        # beat by beat the strength of a recording from video is not to be trusted: its envelope is evened out
        envelope = np.sqrt(signal.savgol_filter(wave**2, 2 * round(2.5 * self.rate) + 1, 1).clip(1e-9))
        even = wave / np.maximum(envelope, 0.3 * np.median(envelope))
        low, high = np.percentile(even, [3, 97])
        return np.asarray(even / (high - low))

    @cached_property
    def _chest(self) -> Signal:
        band = signal.butter(2, BREATH_BAND, "bandpass", fs=self.rate, output="sos")
        wave = signal.sosfiltfilt(band, self.respiration)
        return np.asarray(np.clip(wave / np.percentile(np.abs(wave), 95), -1, 1))

    @cached_property
    def _beats(self) -> Signal:
        power = np.abs(np.fft.rfft(self._blood * np.hanning(len(self._blood)), 1 << 15)) ** 2
        frequency = np.fft.rfftfreq(1 << 15, 1 / self.rate)
        mean = float(frequency[int(np.where(frequency < MAX_RATE, power, 0).argmax())])
        # no second beat within two thirds of the mean interval: that would be the dicrotic wave
        peaks, _ = signal.find_peaks(self._blood, distance=0.65 * self.rate / mean, prominence=0.2)
        return np.asarray(peaks / self.rate)

    def _inside(self, t: Signal) -> Signal:
        """Times within the recording: there and back again."""
        length = (len(self.pulse) - 1) / self.rate
        return np.asarray(length - np.abs(length - (t + self.start) % (2 * length)))

    def _at(self, wave: Signal, t: Signal) -> Signal:
        return np.interp(self._inside(t), np.arange(len(wave)) / self.rate, wave)

    def blood_volume(self, t: Signal) -> Signal:
        """As `waveforms.blood_volume`."""
        return self._at(self._blood, t)

    def breath(self, t: Signal) -> Signal:
        """As `waveforms.breath`."""
        return self._at(self._chest, t)

    def beat_phase(self, t: Signal) -> Signal:
        """As `waveforms.beat_phase`. Beats after the recording's end count on as it runs backward."""
        length = (len(self.pulse) - 1) / self.rate
        beats = np.concatenate([[0.0], self._beats, [length]])
        # the ends are part of a beat long
        mean = np.diff(self._beats).mean()
        counts = np.arange(len(self._beats)) + beats[1] / mean
        phase = np.concatenate([[0.0], counts, [counts[-1] + (length - beats[-2]) / mean]])
        turns, rest = np.divmod(np.asarray(t) + self.start, length)
        forward = np.interp(rest, beats, phase)
        backward = phase[-1] - np.interp(length - rest, beats, phase)
        return np.asarray(turns * phase[-1] + np.where(turns % 2 == 0, forward, backward))


@dataclass(frozen=True, eq=False)
class HeadTrack:
    """How a real head moved: shift and size relative to half its height, and roll, rad; each (N,) at ``rate`` Hz."""

    x: Signal
    y: Signal
    scale: Signal
    roll: Signal
    rate: float

    @classmethod
    def from_points(cls, x: NDArray[np.floating], y: NDArray[np.floating], rate: float) -> HeadTrack:
        """From tracked points of a face: x to the right and y down, px, each (points, N). Lost points are left out."""
        whole = np.isfinite(x).all(1) & np.isfinite(y).all(1)
        place = np.asarray(x[whole], np.float64) - 1j * np.asarray(y[whole], np.float64)
        middle = place.mean(0)
        shape = place - middle
        mean = shape[:, : max(1, round(rate))].mean(1)
        # the turn and growth that fit the first second's shape best, as one complex number
        fit = (np.conj(mean)[:, None] * shape).sum(0) / (np.abs(mean) ** 2).sum()
        unit = HALF_HEIGHT_PER_SPREAD * np.sqrt((np.abs(mean) ** 2).mean())
        shift = (middle - middle.mean()) / unit
        return cls(shift.real, shift.imag, np.abs(fit), np.unwrap(np.angle(fit)), rate)

    def applied(self, motion: Motion, t: Signal, start: float = 0.0) -> Motion:
        """A motion with this head's shift, size and roll in place of its own, from ``start`` s on; it ends in rest."""

        def at(track: Signal) -> Signal:
            return np.interp(t + start, np.arange(len(track)) / self.rate, track)

        return replace(motion, x=at(self.x), y=at(self.y), scale=at(self.scale), roll=at(self.roll))
