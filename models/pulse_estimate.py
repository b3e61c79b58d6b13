"""How far the pulse went in one frame pair: what the network says of it, and the skin's own colour, made one.

Both see the same pulse, and each has errors of its own: the network is disturbed by noise and by heads that jerk, the
skin's mean colour by each change of light and pose. Much of either is told by what no pulse makes: how the skin's
other two colours change, and how the picture shifts. A regression on these over some seconds takes it out of both
(adaptive noise cancelling, Widrow et al. 1975). Of what is left, the mean that varies least is the pulse: without one
the skin's colour varies more than the network, which knows a pulse from a change of light, and the network is followed.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter1d
from scipy.signal import sosfilt

from deepmag.models.amplitude import band_pass, independent
from deepmag.models.blood import BLOOD
from deepmag.models.pulse_signature import (
    COMES,
    NETWORK,
    PERIODS,
    SKIN,
    PulseSignature,
    network_power,
    shifted_products,
    signature,
    weights_of,
)
from deepmag.models.representation import DARK
from deepmag.models.running_limit import RunningLimit

MEMORY = 10.0  # s, time constant of the live regressions; to either side, of the offline ones
# How large a disturbance must be, in units of the pulse, to be taken out by half. Less would take the pulse with it,
# whose colour is not quite that of `BLOOD`, and which has a little of a shift.
ACROSS = 0.8  # of the skin's other colours
SHIFT = 40.0  # reduced pixels for each unit of X
KNOWN = 0.03  # of either, where a regression has the network's output beside it, and takes nothing of it
MOST = 0.5  # share of the skin's colour in the mean
START = 3.0  # s of nothing but a pulse that count as seen before the first pair
LEAST = 1e-4  # of the skin's difference, for its limit; the still person of the demo has ten times that

Floats = NDArray[np.float32]
Values = NDArray[np.float64]

ROUNDING = 1e-13  # of the largest product
BLOCK = 4096  # pairs worked on at once: 1 MB for their products
BESIDE = 5
COUNT = 1 + BESIDE
DISTURBANCES = slice(2, COUNT)
OTHERS = np.linalg.svd(BLOOD[None].astype(np.float64))[2][1:]  # the colours that blood does not change


def seen_beside(x: Floats, picture: Floats, direction: Floats) -> tuple[Values, float] | None:
    """What a pair shows beside the network's output, (5,), and what one unit of that is in the first of it.

    x: (3, L, L), the difference. picture: (3, L, L), grey levels. direction: (3, L, L), that of the ascent, which is
    where the skin is. The five: change of the skin's blood, in units of `BLOOD`; of its other two colours, in units of
    X; and the picture's shift to the right and downwards, in reduced pixels. None where there is no skin.
    """
    weight = np.abs(direction[1])
    total = float(weight.sum())
    if total == 0.0:
        return None
    skin = np.tensordot(x, weight, 2).astype(np.float64) / total
    light, change = picture.mean(0) + np.float32(DARK), x.mean(0)
    shift = [_shift(np.gradient(light, axis=axis) / light, change) for axis in (1, 0)]
    seen = np.concatenate([[-skin @ BLOOD / (BLOOD @ BLOOD)], OTHERS @ skin, shift])
    return seen, float((weight**2).sum()) / total / float(BLOOD[1])


def _shift(slope: Floats, change: Floats) -> float:
    """By how far a picture moved along its relative slope, px, by least squares; X is half the relative change."""
    return -2.0 * float((slope * change).sum()) / max(float((slope**2).sum()), 1e-9)


class RunningEstimate:
    """Causal: what is longer ago than `MEMORY` seconds counts less and less."""

    def __init__(self) -> None:
        self._signature = PulseSignature()
        self.reset()

    @property
    def sure(self) -> float:
        """0 to 1, how far the signature of a sure pulse counts; see `PulseSignature`."""
        return self._signature.sure

    def reset(self) -> None:
        """Forget everything."""
        self._limit = RunningLimit(LEAST)
        self._rate = self._seconds = 0.0
        self._filtered: Values | None = None
        self._products = np.zeros((COUNT, COUNT))
        self._signature.reset()

    def update(
        self, y: float, seen: Values, unit: float, ticks: int, rate: float, pulse_rate: float | None = None
    ) -> float:
        """The pulse of a pair, in units of y.

        y: the network's output, per tick. seen, unit: of `seen_beside`. ticks: that the pair spans. rate: ticks per
        second. pulse_rate: beats a minute where a pulse is sure. Raises ValueError for a rate too low.
        """
        if rate != self._rate:
            self._rate, self._sections, self._filtered = rate, band_pass(rate), None
        seconds = ticks / rate
        size = float(colour_change(seen))
        values = in_pulses(y * unit, seen * (self._limit.hold(size, seconds) / size if size else 1.0))
        if self._filtered is None:
            self._filtered = np.zeros((len(self._sections), 2, COUNT))
        passed, self._filtered = sosfilt(
            self._sections, np.broadcast_to(values, (ticks, COUNT)), axis=0, zi=self._filtered
        )
        if not self._limit.settled:
            return y
        self._seconds += seconds
        share = max(seconds / self._seconds, 1.0 - float(np.exp(-seconds / MEMORY)))
        self._products += share * (np.outer(passed[-1], passed[-1]) - self._products)
        # an exponential average holds as much as a plain one over twice its time constant
        seen_for = min(self._seconds, 2.0 * MEMORY)
        weights = estimator(self._products, np.asarray(seen_for))
        self._signature.update(passed, self._products, seen_for, rate, pulse_rate)
        known = self._signature.weights(self._products, seen_for)
        if known is not None:
            weights += self.sure * (known - weights)
        return float(weights @ values / unit)


def centred_estimate(
    y: Floats,
    seen: Values,
    unit: Floats,
    spans: NDArray[np.int64],
    rate: float,
    pulse_rates: Values | None = None,
) -> Values:
    """Offline: the pulse of each pair, (P,), in units of y, by regressions over `MEMORY` seconds to either side.

    y: (P,), per tick. seen: (P, 5), with what is sudden held. unit: (P,), 0 where there is no skin: y is followed
    there. spans: (P,) ticks of each; one of 0 does not count. rate: ticks per second. pulse_rates: (P,), beats a minute
    where a pulse is sure, else 0. Raises ValueError for a rate too low.
    """
    values = in_pulses((y * unit).astype(np.float64), seen)
    ends = np.cumsum(spans)
    if not ends.any():
        return np.asarray(y, np.float64)
    passed = sosfilt(band_pass(rate), np.repeat(values, spans, axis=0), axis=0)
    reach = round(MEMORY * rate)
    known = np.zeros(0) if pulse_rates is None else np.repeat(pulse_rates, spans)
    if known.any():
        again, pairs_again = shifted_products(passed, 60.0 * rate / np.where(known > 0.0, known, np.inf))
        sure = centred_sure(known, rate)
    found = np.empty(len(y))
    for first in range(0, len(y), BLOCK):
        pairs = slice(first, first + BLOCK)
        last = np.maximum(ends[pairs] - 1, 0)  # tick of each
        begin = max(0, int(last[0]) - reach)
        around, places = slice(begin, int(last[-1]) + reach + 1), last - begin
        products, share = _centred_products(passed[around], reach, places)
        seconds = share * (2 * reach + 1) / rate
        weights = estimator(products, seconds)
        if known.any():
            counted = _centred_mean(pairs_again[around], reach, places)
            mean = _centred_mean(again[around], reach, places) / np.maximum(counted, 1e-9)[:, np.newaxis]
            count = counted / len(PERIODS) * (2 * reach + 1) / rate * independent(rate)
            of_pulse = weights_of(signature(mean, products, count), products, seconds)
            weights += sure[last, np.newaxis] * (of_pulse - weights)
        found[pairs] = (weights * values[pairs]).sum(1)
    return np.where(unit > 0.0, found / np.where(unit > 0.0, unit, 1.0), y)


def _centred_products(passed: Values, reach: int, places: NDArray[np.int64]) -> tuple[Values, Values]:
    """Mean products over ``reach`` ticks to either side of some, (P, 6, 6), and what share of these there is, (P,)."""
    share = _centred_mean(np.ones(len(passed)), reach, places)
    products = np.empty((len(places), COUNT, COUNT))
    for row in range(COUNT):
        for column in range(row + 1):
            products[:, row, column] = products[:, column, row] = (
                _centred_mean(passed[:, row] * passed[:, column], reach, places) / share
            )
    # the means are running sums: of what was large before all stood still, rounding is left, of any sign
    products += ROUNDING * float((passed**2).max()) * np.eye(COUNT)
    return products, share


def _centred_mean(of: Values, reach: int, places: NDArray[np.int64]) -> Values:
    """Over ``reach`` ticks to either side; what lies before the first and after the last is nothing."""
    mean: Values = uniform_filter1d(of, 2 * reach + 1, axis=0, mode="constant")[places]
    return mean


def centred_sure(known: Values, rate: float) -> Values:
    """How far a sure pulse counts at each tick, 0 to 1: it comes and goes in some seconds. known: (T,), 0 elsewhere."""
    sure: Values = uniform_filter1d(
        (known > 0.0).astype(np.float64), 2 * round(COMES * rate) + 1, mode="nearest"
    )
    return sure


def in_pulses(y: Values | float, seen: Values) -> Values:
    """The network's output and what is seen beside it, (..., 6), the disturbances in units of what a pulse may hide."""
    values = np.concatenate([np.asarray(y, np.float64)[..., None], seen], axis=-1)
    values[..., 2:4] /= ACROSS
    values[..., 4:] /= SHIFT
    return values


def colour_change(seen: Values) -> Values:
    """Of the skin, (...), whatever it comes from. seen: (..., 5), of `seen_beside`."""
    change: Values = np.sqrt((seen[..., :3] ** 2).sum(-1))
    return change


def cleaned(products: Values, seconds: NDArray[np.float64]) -> Values:
    """What to multiply the six of `in_pulses` by, to have network and skin without the disturbances, (..., 2, 6).

    products: (..., 6, 6), means of the products of any two of them, in band. seconds: (...) of these means.
    """
    power = network_power(products)[..., None, None]
    clean = np.zeros((*products.shape[:-2], 2, COUNT))
    clean[..., NETWORK, NETWORK] = clean[..., SKIN, SKIN] = 1.0
    little = _little(seconds)[..., None, None]
    disturbed = products[..., DISTURBANCES, DISTURBANCES] + little * power * np.eye(COUNT - 2)
    of_network = np.linalg.solve(disturbed, products[..., DISTURBANCES, NETWORK, None])
    clean[..., NETWORK, DISTURBANCES] = -of_network[..., 0]
    # with the network's output beside them, so that they take nothing of a pulse that goes with them by chance
    beside = [NETWORK, *range(COUNT)[DISTURBANCES]]
    known = products[..., beside, :][..., beside] + KNOWN**2 * power * np.eye(COUNT - 1)
    clean[..., SKIN, DISTURBANCES] = -np.linalg.solve(known, products[..., beside, SKIN, None])[..., 1:, 0]
    return clean


def estimator(products: Values, seconds: NDArray[np.float64]) -> Values:
    """What to multiply the six of `in_pulses` by, whose sum is then the pulse, (..., 6).

    products, seconds: as in `cleaned`.
    """
    clean = cleaned(products, seconds)
    left = clean @ products @ np.swapaxes(clean, -1, -2)
    network, both = left[..., 0, 0], np.maximum(left[..., 0, 1], 0.0)
    # unbiased, and of the least variance, where both are of the pulse's size
    apart = network + left[..., 1, 1] - 2.0 * both
    share = np.clip((network - both) / np.where(apart > 0.0, apart, 1.0), 0.0, MOST) / _little(seconds)
    weights: Values = clean[..., 0, :] + share[..., None] * (clean[..., 1, :] - clean[..., 0, :])
    return weights


def _little(seconds: NDArray[np.float64]) -> NDArray[np.float64]:
    """From infinity to 1 as more is seen."""
    return 1.0 + START / np.maximum(seconds, 1e-9)
