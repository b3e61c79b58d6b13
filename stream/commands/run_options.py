"""Options and checks of the commands that run until somebody ends them, `live` and `serve`."""

from __future__ import annotations

import logging
import sys
from typing import Annotated, Literal

import typer

from deepmag.stream.cli import fail
from deepmag.stream.patient_writer import PatientWriter

log = logging.getLogger("deepmag.page")

HostOption = Annotated[
    str, typer.Option(help="Address of the page. 0.0.0.0: the network can open it, with the token.")
]
PortOption = Annotated[int, typer.Option(help="Port of the page; 0 takes a free one.", min=0, max=65_535)]
TokenOption = Annotated[
    str | None,
    typer.Option(
        envvar="DEEPMAG_TOKEN",
        help="What a browser has to know to open the page. Default: made up where others can reach it. Better in "
        "the environment: everybody on this machine can read the command line.",
    ),
]
LogLevelOption = Annotated[
    Literal["debug", "info", "warning", "error"], typer.Option(help="What is logged, to standard error.")
]


def check_duration(duration: float | None) -> None:
    """Refuse what is no length of time."""
    if duration is not None and not duration > 0:
        fail(f"--duration must be a number of seconds above 0, not {duration:g}", 2)


def say_where(url: str) -> None:
    """Print the page's address; where nobody takes it, all else goes on."""
    if sys.stdout is None:  # it was closed
        return
    writer = PatientWriter(sys.stdout, lambda _lines: "")
    writer.put(f"Open {url}")
    if writer.error is not None:  # a pipe whose reader is gone, a full disk
        log.warning(
            "the page's address could not be printed: %s", getattr(writer.error, "strerror", writer.error)
        )
    writer.close()


def refuse_bad_token(token: str | None) -> None:
    """End with one line where the page could not be opened with it."""
    if not token:
        return  # without the page nothing of it is loaded
    from deepmag.stream.page.access import check_token

    try:
        check_token(token)
    except ValueError as error:
        fail(str(error), 2)
