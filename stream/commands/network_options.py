"""``--runtime``, ``--device``, ``--threads`` and ``--codecs``, as the commands that run a network live have them."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from deepmag.export.device import parse_device


def _checked(name: str) -> str:
    try:
        parse_device(name)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    return name


RuntimeOption = Annotated[
    Literal["auto", "numba", "ort", "tensorrt", "torch"],
    typer.Option(
        help="What runs the pulse's network. auto: the fastest, on the CPU numba, on a GPU torch. numba and tensorrt "
        "compile for some time at their first start; a live stream with auto does not wait for it. Respiration's "
        "network runs in torch on a GPU, and on the CPU in ort, unless torch is asked for."
    ),
]
DeviceOption = Annotated[
    str,
    typer.Option(
        metavar="DEVICE",
        help="Where the networks run: auto, cpu, cuda or cuda:N. A GPU that fails is replaced by the CPU.",
        callback=_checked,
    ),
]
ThreadsOption = Annotated[
    int | None,
    typer.Option(
        help="CPU threads for each network. Default: for the pulse's as many as there are cores, 4 at most (with "
        "--ray 1); for respiration's 1.",
        min=1,
    ),
]
CodecsOption = Annotated[
    Literal["cpu", "gpu"],
    typer.Option(
        help="What decodes the source and encodes --record and --push. gpu: NVDEC and NVENC of the GPU of --device, "
        "where it has them; what it has not, the CPU does, and the log says so."
    ),
]
