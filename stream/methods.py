"""Which live magnifier a method's name stands for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deepmag.stream.magnifier import PulseMagnifier
from deepmag.stream.roi import RoiTracker
from deepmag.stream.vitals import PulseRate

if TYPE_CHECKING:
    from collections.abc import Callable

    from deepmag.export.runtime import Ascender
    from deepmag.stream.magnifier import Magnifier
    from deepmag.stream.settings import Method


def open_magnifier(
    method: Method,
    ascender: Ascender | None,
    *,
    clock: Callable[[], float],
    nominal_rate: Callable[[], float | None],
    lag: float,
) -> tuple[Magnifier, str]:
    """The magnifier of a method, and what runs it, in words.

    ascender: None where the method is a linear one, which needs no network. clock, nominal_rate, lag: as for
    ``PulseMagnifier``. Raises ValueError where the network is missing.
    """
    tracker, meter = RoiTracker(), PulseRate()
    if method == "deepmag":
        if ascender is None:
            raise ValueError("the method deepmag needs a network")
        magnifier = PulseMagnifier(ascender, tracker, meter, clock=clock, nominal_rate=nominal_rate, lag=lag)
        return magnifier, ascender.description
    # only here: the network's start need not wait for them
    from deepmag.models.baselines.methods import METHODS
    from deepmag.stream.linear_magnifier import LinearMagnifier

    linear = LinearMagnifier(METHODS[method], tracker, meter, clock=clock, nominal_rate=nominal_rate, lag=lag)
    return linear, f"{method} on the CPU"
