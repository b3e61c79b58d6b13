"""How a pulse that is sure shows in all that is seen of a pair, and how to read it with the least of anything else.

A pulse comes again after each of its periods; what disturbs it does not. So whatever goes with the network's output of
a period or two before or after is the pulse's (periodic component analysis, Sameni et al. 2008; the shifted output is
an instrumental variable: noise in it makes nothing smaller). How much of it the skin's blood shows, and the network,
the skin's other colours and the picture's shift, is the pulse's signature. Compressed video changes it: an encoder
drops much of a pulse's colour, so that the network sees half of it, and the other colours some. Of all weighted sums
that give a known signature as it is, one has the least of what else there is (Capon 1969).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from deepmag.models.amplitude import independent

PERIODS = (1, 2)  # by how many it is shifted
MEMORY = 10.0  # s, time constant of the means
REMEMBERED = 3.0  # time constants that are kept
LEAST = 6.0  # s, of which something is known
EVERY = 0.2  # s, from one look to the next
# What is expected, in units of the skin's blood, and its standard deviation: of the network's output, the skin's blood,
# its other two colours, and the picture's shift. Synthetic people have the first; compressed, 0.4 of the network's.
EXPECTED = np.array([1.0, 1.0, -0.05, 0.05, 0.0, 0.0])
SPREAD = np.array([0.35, 0.0, 0.2, 0.2, 0.1, 0.1])
NETWORK, SKIN = 0, 1
# of the network's output: of 320x240 in H.264 of 0.5 Mb/s it is a fifth to a third; a pulse of 150 a minute has 1.4
FAINTEST, STRONGEST = 0.25, 2.0
LOADING = 0.03  # of the network's power, so that what was seen by chance is not taken for certain
START = 3.0  # s by which what was seen seems shorter
# s, time constants with which a signature is taken on, and left once no pulse is sure any more
COMES, GOES = 2.0, 20.0

Values = NDArray[np.float64]


class PulseSignature:
    """Causal. sure: 0 to 1, how far the signature counts; 0 at first."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget everything."""
        self.sure = 0.0
        self._rate = 0.0
        self._signature: Values | None = None
        self._forget_past()

    def _forget_past(self) -> None:
        self._past = np.zeros((0, len(EXPECTED)))
        self._periods = np.zeros(0)  # ticks at each; 0 where none was known
        self._since = 0.0

    def update(self, passed: Values, rate: float, pulse_rate: float | None) -> None:
        """Take what is seen at each of a pair's ticks, (n, 6), in band: `pulse_estimate.in_pulses`.

        rate: ticks per second. pulse_rate: beats a minute where a pulse is sure.
        """
        if rate != self._rate:
            self._rate = rate
            self._forget_past()
        seconds, kept = len(passed) / rate, round(REMEMBERED * MEMORY * rate)
        period = 60.0 / pulse_rate * rate if pulse_rate else 0.0
        self._past = np.concatenate([self._past, passed])[-kept:]
        self._periods = np.concatenate([self._periods, np.full(len(passed), period)])[-kept:]
        self._since += seconds
        if pulse_rate and self._since >= EVERY and len(self._past) >= LEAST * rate:
            self._since = 0.0
            self._signature = signature(self._past, self._periods, rate)
        counts = pulse_rate is not None and self._signature is not None
        share = 1.0 - float(np.exp(-seconds / (COMES if counts else GOES)))
        self.sure += share * (float(counts) - self.sure)

    def weights(self, products: Values, seconds: float) -> Values | None:
        """What to multiply the six by, whose sum is then the skin's blood with the pulse, (6,); None if none is known.

        products: (6, 6), means of the products of any two, in band. seconds: of these means.
        """
        if self._signature is None:
            return None
        little = LOADING * (1.0 + START / seconds) * products[NETWORK, NETWORK]
        solved: Values = np.linalg.solve(products + little * np.eye(len(products)), self._signature)
        return solved / (self._signature @ solved)


def signature(past: Values, periods: Values, rate: float) -> Values:
    """Of the pulse, (6,), in units of the skin's blood: drawn towards what is expected by as much as it is uncertain.

    past: (T, 6), oldest first. periods: (T,), ticks, 0 where it was not known: that known next counts. The last must
    be known. rate: ticks per second.
    """
    count = len(past)
    known = np.where(periods > 0.0, np.arange(count), count - 1)
    periods = periods[np.minimum.accumulate(known[::-1])[::-1]]
    weight = np.exp((np.arange(count) - count + 1) / (MEMORY * rate))
    own = weight @ past**2 / weight.sum()
    product = np.zeros((past.shape[1], past.shape[1]))
    total = 0.0
    for shift in PERIODS:
        place = np.arange(count) - shift * periods
        here = place >= 0.0
        whole = place[here].astype(np.int64)
        part = (place[here] - whole)[:, np.newaxis]
        before = past[whole] * (1.0 - part) + past[whole + 1] * part
        product += (past[here] * weight[here, np.newaxis]).T @ before
        total += float(weight[here].sum())
    found = EXPECTED.copy()
    # of the network shifted by as much to the past as to the future
    again = (product[:, NETWORK] + product[NETWORK]) / (2.0 * max(total, 1e-30))
    if again[SKIN] <= 0.0:
        return found
    ratio = again / again[SKIN]
    skin = (weight @ (past * past[:, SKIN, np.newaxis])) / weight.sum()
    left = np.maximum(own - 2.0 * ratio * skin + ratio**2 * own[SKIN], 0.0)
    values = float(weight.sum() ** 2 / (weight**2).sum()) / rate * independent(rate)
    variance = left * own[NETWORK] / (len(PERIODS) * max(values - 2.0, 0.5) * again[SKIN] ** 2)
    certain = SPREAD**2 / np.maximum(SPREAD**2 + variance, 1e-30)
    found += certain * (ratio - found)
    found[NETWORK] = min(max(found[NETWORK], FAINTEST), STRONGEST)
    return found
