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
# Of the network's power, so that what was seen by chance is not taken for certain. More of the picture's shift, which
# may be a hundred times as large in the next second: with as little of it as of the colours, who had sat still and
# began to talk had a coherence of 0.78 in the first seconds, not 0.89, and of who swayed 1.2 times as much was made up.
LOADING = np.array([0.03, 0.03, 0.03, 0.03, 1.0, 1.0])
START = 3.0  # s by which what was seen seems shorter
# s, time constants with which a signature is taken on, and left once no pulse is sure any more
COMES, GOES = 2.0, 10.0

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

    def update(
        self, passed: Values, products: Values, seconds: float, rate: float, pulse_rate: float | None
    ) -> None:
        """Take what is seen at each of a pair's ticks, (n, 6), in band: `pulse_estimate.in_pulses`.

        products: (6, 6), means of the products of any two. seconds: of these means. rate: ticks per second. pulse_rate:
        beats a minute where a pulse is sure.
        """
        if rate != self._rate:
            self._rate = rate
            self._forget_past()
        span, kept = len(passed) / rate, round(REMEMBERED * MEMORY * rate)
        period = 60.0 / pulse_rate * rate if pulse_rate else 0.0
        self._past = np.concatenate([self._past, passed])[-kept:]
        self._periods = np.concatenate([self._periods, np.full(len(passed), period)])[-kept:]
        self._since += span
        if pulse_rate and self._since >= EVERY and len(self._past) >= LEAST * rate:
            self._since = 0.0
            self._signature = self._look(products, seconds * independent(rate))
        counts = pulse_rate is not None and self._signature is not None
        share = 1.0 - float(np.exp(-span / (COMES if counts else GOES)))
        self.sure += share * (float(counts) - self.sure)

    def _look(self, products: Values, count: float) -> Values:
        ticks = len(self._past)
        # where no period was known that known next counts
        known = np.where(self._periods > 0.0, np.arange(ticks), ticks - 1)
        again, pairs = shifted_products(self._past, self._periods[np.minimum.accumulate(known[::-1])[::-1]])
        weight = np.exp((np.arange(ticks) - ticks + 1) / (MEMORY * self._rate))
        return signature(weight @ again / max(float(weight @ pairs), 1e-30), products, np.asarray(count))

    def weights(self, products: Values, seconds: float) -> Values | None:
        """What to multiply the six by, whose sum is then the skin's blood with the pulse, (6,); None if none is known.

        products, seconds: as in `update`.
        """
        if self._signature is None:
            return None
        return weights_of(self._signature, products, np.asarray(seconds))


def shifted_products(seen: Values, periods: Values) -> tuple[Values, Values]:
    """What goes with the network's output of a few periods before, or after.

    seen: (T, 6), in band. periods: (T,) ticks at each, infinite where it is not known. Returns at each tick the sum
    over `PERIODS` of the products with the shifted output, (T, 6), and how many these are, (T,).
    """
    ticks = len(seen)
    total, pairs = np.zeros(seen.shape), np.zeros(ticks)
    for shift in PERIODS:
        place = np.arange(ticks) - shift * periods
        here = place >= 0.0
        whole = place[here].astype(np.int64)
        part = (place[here] - whole)[:, np.newaxis]
        now, before = seen[here], seen[whole] * (1.0 - part) + seen[np.minimum(whole + 1, ticks - 1)] * part
        # one of the two has the output of before, the other that of after
        total[here] += 0.5 * (now * before[:, NETWORK, np.newaxis] + before * now[:, NETWORK, np.newaxis])
        pairs += here
    return total, pairs


def signature(again: Values, products: Values, count: Values) -> Values:
    """Of the pulse, (..., 6), in units of the skin's blood: drawn towards what is expected where it is uncertain.

    again: (..., 6), means of `shifted_products`. products: (..., 6, 6), means of the products of any two, unshifted.
    count: (...), independent values in these means.
    """
    skin = again[..., SKIN, np.newaxis]
    ratio = again / np.where(skin > 0.0, skin, 1.0)
    own: Values = np.diagonal(products, axis1=-2, axis2=-1)
    beside = products[..., SKIN]
    left = np.maximum(own - 2.0 * ratio * beside + ratio**2 * own[..., SKIN, np.newaxis], 0.0)
    power = own[..., NETWORK, np.newaxis] / (len(PERIODS) * np.maximum(count - 2.0, 0.5)[..., np.newaxis])
    spread = SPREAD**2 * skin**2
    certain = np.where(skin > 0.0, spread / np.maximum(spread + left * power, 1e-300), 0.0)
    found: Values = EXPECTED + certain * (ratio - EXPECTED)
    found[..., NETWORK] = np.clip(found[..., NETWORK], FAINTEST, STRONGEST)
    return found


def weights_of(known: Values, products: Values, seconds: Values) -> Values:
    """What passes a signature, (..., 6), as it is, and of all else as little as possible, (..., 6).

    products: as in `signature`. seconds: (...), of these means.
    """
    little = (1.0 + START / np.maximum(seconds, 1e-9)) * network_power(products)
    loaded = products + little[..., np.newaxis, np.newaxis] * np.diag(LOADING)
    solved = np.linalg.solve(loaded, known[..., np.newaxis])[..., 0]
    passing: Values = solved / (known * solved).sum(axis=-1, keepdims=True)
    return passing


def network_power(products: Values) -> Values:
    """Mean square of the network's output, (...), or what it takes to have a solution where that says nothing at all.

    products: as in `signature`.
    """
    least = 1e-9 * np.trace(products, axis1=-2, axis2=-1) + 1e-30
    power: Values = np.maximum(products[..., NETWORK, NETWORK], least)
    return power
