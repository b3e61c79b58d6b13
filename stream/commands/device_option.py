"""``--device``, as all commands that run a network have it."""

from __future__ import annotations

from typing import Annotated

import typer

from deepmag.export.device import parse_device


def _checked(name: str) -> str:
    try:
        parse_device(name)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    return name


DeviceOption = Annotated[
    str,
    typer.Option(
        metavar="DEVICE",
        help="Where the networks run: auto, cpu, cuda or cuda:N. A GPU that fails is replaced by the CPU.",
        callback=_checked,
    ),
]
