"""The networks that a run needs, opened; and nothing imported for those that it does not need."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from deepmag.export.device import devices_to_try
from deepmag.export.runtime import AscenderUnavailableError, open_ascender
from deepmag.models.weights import PULSE, RESPIRATION
from deepmag.stream.pictures import HostPictures

if TYPE_CHECKING:
    from collections.abc import Callable

    from deepmag.export.respiration import GradientAscender
    from deepmag.export.runtime import Ascender, DeviceName, Runtime
    from deepmag.stream.pictures import Pictures
    from deepmag.stream.settings import Settings

log = logging.getLogger("deepmag.stream.networks")


@dataclass(frozen=True, slots=True)
class Networks:
    """None where a run does not need it. pictures: makes what passes over one stream's pictures, see ``Pictures``."""

    pulse: Ascender | None
    respiration: GradientAscender | None
    pictures: Callable[[], Pictures] = HostPictures


def open_networks(
    settings: Settings,
    runtime: Runtime = "auto",
    device: DeviceName = "auto",
    threads: int | None = None,
    *,
    at_once: bool = False,
) -> Networks:
    """Open what the settings' method and target ask for.

    runtime: of the pulse's network; of respiration's see `open_respiration_ascender`. device, threads: of both.
    at_once: as `open_ascender` has it. Raises AscenderUnavailableError where one cannot run.
    """
    signals = settings.signals if settings.method == "deepmag" else ()
    # first: where torch runs the pulse's network too, its number of threads is to hold
    respiration = open_respiration(device, threads, runtime) if "respiration" in signals else None
    pulse = None
    if "pulse" in signals:
        pulse = open_ascender(PULSE, runtime, device, threads, at_once=at_once)
    return Networks(pulse, respiration, _pictures(device) if signals else HostPictures)


def _pictures(device: DeviceName) -> Callable[[], Pictures]:
    """On a GPU where torch can use it: ONNX Runtime, which may run the network there, has no pictures."""
    for candidate in devices_to_try(device, []):
        if candidate.is_gpu:
            try:
                from deepmag.export.torch_device import open_torch_device
                from deepmag.stream.device_pictures import DevicePictures, warm_up

                opened = open_torch_device(candidate)
                warm_up(opened)
                return partial(DevicePictures, opened)
            except (ImportError, AscenderUnavailableError) as error:
                log.info("pictures stay on the CPU: %s", error)
    return HostPictures


def open_respiration(
    device: DeviceName = "auto", threads: int | None = None, runtime: Runtime = "auto"
) -> GradientAscender:
    """Respiration's network, warm. Raises AscenderUnavailableError where it cannot run."""
    # only here: the pulse needs none of it
    from deepmag.export.respiration import open_respiration_ascender
    from deepmag.models.phase import SIDE
    from deepmag.models.pyramid_filters import ORIENTATIONS

    # One by default: it runs five times a second, and threads that wait for each other take the time of capture,
    # encoder and page. On two cores with other work, a tick took 50 ms with one and 300 ms with two (p95).
    ascender = open_respiration_ascender(RESPIRATION, device, runtime=runtime, threads=threads or 1)
    # a network's first call takes longer, in torch a second: better now than in front of a camera
    nothing = np.zeros((1, ORIENTATIONS, SIDE, SIDE), np.float32)
    ascender.gradient(nothing, nothing)
    try:
        from deepmag.models import remap

        remap.warm_up()
    except Exception as error:  # Numba's and LLVM's have no base of their own
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise AscenderUnavailableError(f"numba cannot compile what moves pictures: {reason}") from error
    return ascender
