"""How far each reduced pixel pulses: a regression of its own difference on the network's output over some seconds.

The network's gradient says where it looks, not how far the skin pulses there: less behind glasses, more on a forehead,
not at all on the wall beside a cheek. A pixel's own difference says that, but for its noise, which is several times the
pulse. So the regression counts as far as it is certain; where noise or motion hides the pulse, the gradient is
followed.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter1d
from scipy.signal import butter, sosfilt

from deepmag.models.blood import BLOOD
from deepmag.models.reconstruction import FloatRoi
from deepmag.models.representation import regrid
from deepmag.models.running_limit import RunningLimit
from deepmag.models.temporal import PULSE_BAND, band_at

MEMORY = 5.0  # s, time constant of the live regression; to either side, of the offline one
SPREAD = 1.0  # reduced pixels over which differences are averaged: blood is no finer, noise is
EXPECTED = 0.35  # standard deviation that the skin's amplitudes are expected to have, of their mean
MOST = 2.0  # times the mean
LEAST_DIFFERENCE = 1e-4  # RMS over the picture, for its limit: the still person of the demo has twice that

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Amplitudes:
    """A regression of each reduced pixel's difference d, along the colour of blood, on y, both in the pulse's band.

    both, square: (L, L), means of d y and d^2. power: mean of y^2. count: independent values in these means.
    """

    both: Floats
    square: Floats
    power: float
    count: float

    def relative(self, strength: Floats) -> Floats:
        """Each pixel's amplitude, as a multiple of their mean over ``strength`` (L, L), which is 0 or more.

        From 0 to `MOST`. Drawn towards 1 by as much as it is uncertain: the mean of what is expected of skin and of
        what was measured, by their variances. All 1 where d does not follow y, and where hardly anything was seen.
        """
        followed = float((self.both * strength).sum())
        if followed <= 0.0 or self.power <= 0.0 or self.count <= 2.0:
            return np.ones_like(strength)
        mean = followed / self.power / float(strength.sum())
        amplitude = self.both / np.float32(self.power)
        variance = (self.square / np.float32(self.power) - amplitude**2) / np.float32(self.count * mean**2)
        # few values scatter less about their own regression than they should
        certain = (1.0 - 2.0 / self.count) * EXPECTED**2 / (EXPECTED**2 + np.maximum(variance, 0.0))
        relative: Floats = np.clip(1.0 + certain * (amplitude / np.float32(mean) - 1.0), 0.0, MOST)
        return relative


class RunningAmplitudes:
    """Causal: what is longer ago than `MEMORY` seconds counts less and less."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget everything."""
        self._limit = RunningLimit(LEAST_DIFFERENCE)
        self._rate = 0.0
        self._filtered: NDArray[np.float64] | None = None
        self._means: NDArray[np.float32] | None = None
        self._power = self._weight = 0.0

    def update(self, x: Floats, y: float, ticks: int, rate: float) -> None:
        """Take X (3, L, L) and the network's output of a pair, both per tick, and the ticks that it spans.

        rate: ticks per second; when it is another, the band-pass begins anew. Raises ValueError for a rate too low.
        """
        if rate != self._rate:
            self._rate, self._sections, self._filtered = rate, band_pass(rate), None
        own = along_blood(x)
        size = rms(own)
        held = self._limit.hold(size, ticks / rate)
        if not self._limit.settled:
            return
        # both by the same factor: one change of light is larger than all pulses that are remembered
        values = np.append(own, np.float32(y)) * np.float32(held / size if size else 1.0)
        if self._filtered is None:
            self._filtered = np.zeros((len(self._sections), 2, values.size))
        passed, self._filtered = sosfilt(
            self._sections, np.broadcast_to(values, (ticks, values.size)), axis=0, zi=self._filtered
        )
        difference, output = passed[-1, :-1].reshape(own.shape).astype(np.float32), float(passed[-1, -1])
        if self._means is None:
            self._means = np.zeros((2, *own.shape), np.float32)
        share = 1.0 - float(np.exp(-ticks / rate / MEMORY))
        self._means += share * (np.stack([difference * output, difference**2]) - self._means)
        self._power += share * (output**2 - self._power)
        self._weight += share * (1.0 - self._weight)

    def current(self) -> Amplitudes | None:
        """The regression as of now; None where nothing has been seen."""
        if self._means is None:
            return None
        both, square = self._means.copy()
        # an exponential average holds as many values as a plain one over twice its time constant, once it is filled
        seconds = 2.0 * MEMORY * self._weight / (2.0 - self._weight)
        return Amplitudes(both, square, self._power, seconds * independent(self._rate))

    def move(self, before: FloatRoi, after: FloatRoi) -> None:
        """Go on in another square of the picture; see `representation.regrid`."""
        self._filtered = None
        if self._means is not None:
            self._means = regrid(self._means, before, after)


def centred_amplitudes(
    own: Floats, y: Floats, spans: NDArray[np.int64], pairs: slice, rate: float
) -> list[Amplitudes]:
    """Offline: one regression for each of some pairs, over `MEMORY` seconds to either side of it.

    own: (P, L, L), of `along_blood`, and y: (P,), both per tick, of all pairs that count for these. spans: (P,) ticks
    of each; one of 0 does not count. pairs: which of them, from start to stop. rate: ticks per second. Raises
    ValueError for one too low.
    """
    ends = np.cumsum(spans)
    if not ends[-1]:
        nothing = np.zeros(own.shape[1:], np.float32)
        return [Amplitudes(nothing, nothing, 0.0, 0.0)] * (pairs.stop - pairs.start)
    values = np.column_stack([own.reshape(len(own), -1), y])
    passed = sosfilt(band_pass(rate), np.repeat(values, spans, axis=0), axis=0).astype(np.float32)
    difference, output = passed[:, :-1], passed[:, -1:]
    reach = 2 * round(MEMORY * rate) + 1

    def mean(of: Floats) -> Floats:
        # what lies before the first pair and after the last is nothing, and `share` says how much of it there is
        total: Floats = uniform_filter1d(of, reach, axis=0, mode="constant")[np.maximum(ends[pairs] - 1, 0)]
        return total

    share = mean(np.ones_like(output))
    both, square = mean(difference * output) / share, mean(difference**2) / share
    power = mean(output**2) / share
    return [
        Amplitudes(
            both[i].reshape(own.shape[1:]),
            square[i].reshape(own.shape[1:]),
            float(power[i, 0]),
            float(share[i, 0]) * reach / rate * independent(rate),
        )
        for i in range(len(both))
    ]


def along_blood(x: Floats) -> Floats:
    """The difference X (3, L, L) along the colour of blood, positive for more of it; (L, L)."""
    more: Floats = np.tensordot(-BLOOD / (BLOOD @ BLOOD), x, 1)
    return np.asarray(cv2.GaussianBlur(more, (0, 0), SPREAD), np.float32)


def rms(own: Floats) -> float:
    """Root of the mean square."""
    return float(np.sqrt(np.mean(own**2)))


def independent(rate: float) -> float:
    """Values a second in what the band-pass lets through, twice its width. rate: ticks per second."""
    low, high = band_at(PULSE_BAND, rate)
    return 2.0 * (high - low)


def band_pass(rate: float) -> NDArray[np.float64]:
    """Sections of the pulse's band, of first order: what it does to time is the same for all that is compared.

    rate: ticks per second. Raises ValueError for one too low.
    """
    sections: NDArray[np.float64] = butter(1, band_at(PULSE_BAND, rate), "bandpass", fs=rate, output="sos")
    return sections
