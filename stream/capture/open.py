"""From an address to the source behind it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Literal, get_args

from deepmag.stream.capture.options import Transport

if TYPE_CHECKING:
    from deepmag.stream.capture.address import Address
    from deepmag.stream.capture.limits import Limits
    from deepmag.stream.capture.source import Source

Pace = Literal["file", "max"]
Timestamps = Literal["stream", "arrival"]


def open_source(
    address: Address,
    *,
    transport: Transport = "tcp",
    timestamps: Timestamps = "stream",
    pace: Pace = "file",
    loop: bool = False,
    patient: bool = False,
    limits: Limits | None = None,
    stall: float | None = None,
    gpu: int | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Source:
    """Make the source at ``address``. It opens nothing before its frames are asked for.

    transport: of RTSP. timestamps: of a live source: its own, or when pictures arrive, but in segments. pace: files
    play at their own rate, or as fast as they are taken. loop: files start again at their end. patient: a list of
    segments that is finished is no clip, but waited for to go on, unless it is to loop. limits: on the picture's size.
    stall: s of silence that end a live connection. gpu: number of the GPU that is to decode, where it can. Raises
    ValueError for another transport, timestamps or pace.
    """
    for name, value, choice in (
        ("transport", transport, Transport), ("timestamps", timestamps, Timestamps), ("pace", pace, Pace),
    ):  # fmt: skip
        if value not in get_args(choice):
            raise ValueError(f"{name} must be {' or '.join(get_args(choice))}, not {value}")
    if address.kind == "demo":
        from deepmag.stream.capture.demo import DemoSource

        return DemoSource(clock=clock, pace=pace)
    from deepmag.stream.capture.video import VideoSource

    return VideoSource(
        address,
        transport=transport,
        timestamps=timestamps,
        pace=pace,
        loop=loop,
        patient=patient,
        limits=limits,
        stall=stall,
        gpu=gpu,
        clock=clock,
    )
