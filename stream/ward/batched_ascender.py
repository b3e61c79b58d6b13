"""The two networks, shared by many feeds: their frame pairs go through them together."""

from __future__ import annotations

from functools import partial
from itertools import groupby
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from deepmag.export.pairs import per_pair
from deepmag.models.steady import ascend_symmetric
from deepmag.stream.ward.batching import BUDGET, Batcher

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from deepmag.export.respiration import GradientAscender
    from deepmag.export.runtime import Ascender
    from deepmag.stream.frames import SignalName
    from deepmag.stream.networks import Networks

Floats = NDArray[np.float32]
Two = tuple[Floats, Floats]
Three = tuple[Floats, Floats, Floats]


class BatchedAscender:
    """Implements ``export.runtime.Ascender`` for many threads. members, budget: as for `Batcher`."""

    def __init__(self, ascender: Ascender, members: Callable[[], int], budget: float = BUDGET) -> None:
        self._ascender = ascender
        self._paper: Batcher[tuple[Floats, float], Two] = Batcher(
            self._run_paper, members=members, budget=budget
        )
        self._steady: Batcher[Three, Three] = Batcher(self._run_steady, members=members, budget=budget)
        self._symmetric: Batcher[Three, Three] = Batcher(self._run_symmetric, members=members, budget=budget)
        self._batchers = (self._paper, self._steady, self._symmetric)

    @property
    def description(self) -> str:
        """What runs."""
        return f"{self._ascender.description}, shared"

    @property
    def mean_batch(self) -> float:
        """Pairs that went through together, on average; 0 before the first."""
        batches = sum(batcher.batches for batcher in self._batchers)
        return sum(batcher.requests for batcher in self._batchers) / batches if batches else 0.0

    def paper(self, x: Floats, gamma: float) -> Two:
        """See ``Ascender``."""
        return self._paper.submit((x, gamma))

    def steady(self, x: Floats, direction: Floats, growth: float | Floats) -> Three:
        """See ``Ascender``."""
        return self._steady.submit((x, direction, per_pair(growth, len(x))))

    def symmetric(self, x: Floats, direction: Floats, growth: float | Floats) -> Three:
        """See ``models.steady.WholeAscent``."""
        return self._symmetric.submit((x, direction, per_pair(growth, len(x))))

    def close(self) -> None:
        """End its threads."""
        for batcher in self._batchers:
            batcher.close()

    def _run_paper(self, requests: Sequence[tuple[Floats, float]]) -> list[Two]:
        results: list[Two | None] = [None] * len(requests)
        # cameras of one rate share their step; those of another run after them
        order = sorted(range(len(requests)), key=lambda i: requests[i][1])
        for gamma, group in groupby(order, key=lambda i: requests[i][1]):
            numbers = list(group)
            pairs = [requests[i][0] for i in numbers]
            added, y = self._ascender.paper(_joined(pairs), gamma)
            for i, part in zip(numbers, _parts(pairs), strict=True):
                results[i] = (added[part], y[part])
        return [result for result in results if result is not None]

    def _run_steady(self, requests: Sequence[Three]) -> list[Three]:
        return _together(self._ascender.steady, requests)

    def _run_symmetric(self, requests: Sequence[Three]) -> list[Three]:
        return _together(partial(ascend_symmetric, self._ascender), requests)


class BatchedRespiration:
    """Implements ``GradientAscender`` for many threads; see `BatchedAscender`."""

    def __init__(
        self, ascender: GradientAscender, members: Callable[[], int], budget: float = BUDGET
    ) -> None:
        self._ascender = ascender
        self._gradient: Batcher[Two, Two] = Batcher(self._run, members=members, budget=budget)

    @property
    def description(self) -> str:
        """What runs."""
        return f"{self._ascender.description}, shared"

    def gradient(self, x: Floats, weight: Floats) -> Two:
        """See ``GradientAscender``."""
        return self._gradient.submit((x, weight))

    def paper(self, x: Floats, weight: Floats, gamma: float) -> Two:
        """See ``GradientAscender``; not shared, since no live feed asks for it."""
        return self._ascender.paper(x, weight, gamma)

    def close(self) -> None:
        """End its thread."""
        self._gradient.close()

    def _run(self, requests: Sequence[Two]) -> list[Two]:
        pairs, weights = (list(arrays) for arrays in zip(*requests, strict=True))
        y, gradient = self._ascender.gradient(_joined(pairs), _joined(weights))
        return [(y[part], gradient[part]) for part in _parts(pairs)]


class Shared:
    """The networks that feeds need, shared. members: of each signal's feeds, how many there are; see `Batcher`."""

    def __init__(
        self, networks: Networks, members: Callable[[SignalName], int], budget: float = BUDGET
    ) -> None:
        pulse, breath = networks.pulse, networks.respiration
        self.pulse = None if pulse is None else BatchedAscender(pulse, lambda: members("pulse"), budget)
        self.respiration = (
            None if breath is None else BatchedRespiration(breath, lambda: members("respiration"), budget)
        )

    def close(self) -> None:
        """End their threads."""
        for network in (self.pulse, self.respiration):
            if network is not None:
                network.close()


def _together(ascend: Callable[[Floats, Floats, Floats], Three], requests: Sequence[Three]) -> list[Three]:
    pairs, directions, growths = (list(arrays) for arrays in zip(*requests, strict=True))
    added, y, gradient = ascend(_joined(pairs), _joined(directions), _joined(growths))
    return [(added[part], y[part], gradient[part]) for part in _parts(pairs)]


def _joined(arrays: Sequence[Floats]) -> Floats:
    return arrays[0] if len(arrays) == 1 else np.concatenate(arrays)


def _parts(arrays: Sequence[Floats]) -> list[slice]:
    """Where each of the arrays lies in all of them joined."""
    ends = np.cumsum([len(array) for array in arrays])
    return [slice(int(end) - len(array), int(end)) for array, end in zip(arrays, ends, strict=True)]
