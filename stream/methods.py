"""Which live magnifier a method's and a target's name stand for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deepmag.stream.both import BothMagnifier, Plans
from deepmag.stream.magnifier import PulseMagnifier
from deepmag.stream.pictures import HostPictures
from deepmag.stream.roi import RoiTracker
from deepmag.stream.vitals import PulseRate

if TYPE_CHECKING:
    from collections.abc import Callable

    from deepmag.export.respiration import GradientAscender
    from deepmag.export.runtime import Ascender
    from deepmag.stream.magnifier import Magnifier
    from deepmag.stream.pictures import Pictures
    from deepmag.stream.settings import Method, Target


NEED_TORCH = ("phase", "phase-vam", "learned")


def require(method: Method) -> None:
    """Raise ModuleNotFoundError where what a method is computed with is not installed: better now than at a frame."""
    if method in NEED_TORCH:
        import torch  # noqa: F401


def open_magnifier(
    method: Method,
    ascender: Ascender | None,
    *,
    target: Target = "pulse",
    respiration: GradientAscender | None = None,
    clock: Callable[[], float],
    nominal_rate: Callable[[], float | None],
    lag: float,
    pictures: Pictures | None = None,
) -> tuple[Magnifier, Callable[[], str]]:
    """The magnifier of a method and a target, and what tells in words what runs it: a GPU may fail.

    ascender: the pulse's network, respiration: that of respiration; None where the run needs none. clock,
    nominal_rate, lag, pictures: as for ``PulseMagnifier``. Raises ValueError where a network is missing.
    """
    if method != "deepmag":
        # only here: the network's start need not wait for them
        from deepmag.models.baselines.methods import METHODS
        from deepmag.stream.linear_magnifier import LinearMagnifier

        linear = LinearMagnifier(
            METHODS[method], RoiTracker(), PulseRate(), clock=clock, nominal_rate=nominal_rate, lag=lag
        )
        return linear, lambda: f"{method} on the CPU"
    if target == "respiration":
        return _of_respiration(
            respiration, clock=clock, nominal_rate=nominal_rate, lag=lag, pictures=pictures
        )
    if ascender is None:
        raise ValueError("the method deepmag needs the pulse's network")
    plans = Plans(pictures or HostPictures()) if target == "both" else None
    pulse = PulseMagnifier(
        ascender,
        RoiTracker(),
        PulseRate(),
        clock=clock,
        nominal_rate=nominal_rate,
        lag=lag,
        pictures=plans or pictures,
    )
    if plans is None:
        return pulse, lambda: ascender.description
    breath, runs_breath = _of_respiration(
        respiration, clock=clock, nominal_rate=nominal_rate, lag=lag, pictures=plans
    )
    return (
        BothMagnifier(pulse, breath, plans, clock),
        lambda: f"pulse: {ascender.description}; respiration: {runs_breath()}",
    )


def _of_respiration(
    ascender: GradientAscender | None,
    *,
    clock: Callable[[], float],
    nominal_rate: Callable[[], float | None],
    lag: float,
    pictures: Pictures | None,
) -> tuple[Magnifier, Callable[[], str]]:
    if ascender is None:
        raise ValueError("the target respiration needs its network")
    # only here: the pulse needs nothing of it
    from deepmag.stream.respiration import RespirationMagnifier

    magnifier = RespirationMagnifier(
        ascender, clock=clock, nominal_rate=nominal_rate, lag=lag, pictures=pictures
    )
    return magnifier, lambda: ascender.description
