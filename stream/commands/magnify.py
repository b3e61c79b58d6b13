"""``deepmag magnify``: a whole clip, its pulse by the paper's offline algorithm or its breathing, zero-phase."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Literal

import typer

from deepmag.stream.cli import fail, set_up_logging
from deepmag.stream.settings import Method, Settings, Target, offline_mode
from deepmag.stream.stop_signals import Stop, stop_on_signals

LOG_PERIOD = 10.0  # s between two lines in a log


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("magnify")(magnify)


def magnify(
    source: Annotated[str, typer.Argument(metavar="IN", help="A video file.")],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="A .mkv, .mp4 or .mov file.")],
    target: Annotated[
        Target,
        typer.Option(
            help="What is magnified. pulse: the colour of the skin. respiration: the movement of the chest, asleep or "
            "at a desk. both: the two in one picture."
        ),
    ] = "pulse",
    gain: Annotated[
        float, typer.Option(help="How many times larger the pulse or the breathing becomes, 1 to 100.")
    ] = 10.0,
    mode: Annotated[
        Literal["paper", "steady"] | None,
        typer.Option(
            help="paper: Algorithm 1 to the letter (gain 10 is its own step size), the default for the pulse. "
            "steady: smoothed direction, the default where respiration is magnified.",
            show_default=False,
        ),
    ] = None,
    method: Annotated[
        Method,
        typer.Option(
            help="deepmag: the networks, which follow what --target names. Others, to compare, magnify all that "
            "changes in a band: evm and vam colour; evm-motion, phase, riesz, phase-vam and learned, which has a "
            "network of its own, motion. --mode and --target are for deepmag only."
        ),
    ] = "deepmag",
    roi: Annotated[
        str,
        typer.Option(
            help="Where to look. auto: for the pulse the face, for respiration the whole picture. full: the whole "
            "picture. X,Y,W,H: a box in pixels."
        ),
    ] = "auto",
    lossless: Annotated[bool, typer.Option("--lossless", help="Write each pixel exactly (large).")] = False,
) -> None:
    """Magnify a clip offline, picture for picture. Ctrl-C leaves what is written so far playable.

    Respiration wants at least two breaths in the clip, better five. Sound is left out.
    """
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    from deepmag.export.runtime import AscenderUnavailableError
    from deepmag.stream.capture.address import parse_address
    from deepmag.stream.capture.options import check_file
    from deepmag.stream.capture.source import SourceError
    from deepmag.stream.offline import magnify_file
    from deepmag.stream.outputs import check_record
    from deepmag.stream.render.renderer import RendererError
    from deepmag.stream.settings import parse_region

    set_up_logging("warning")
    stop = Stop()
    stop_on_signals(stop)
    if mode is not None and method != "deepmag":
        fail(f"the method {method} has no mode; give one to the method deepmag only", 2)
    try:
        settings = Settings(
            gain=gain,
            mode=mode or offline_mode(method, target),
            roi=parse_region(roi),
            method=method,
            target=target,
            whole_clip=True,
        )
        address = parse_address(source)
    except ValueError as error:
        fail(str(error), 2)
    if address.kind != "file":
        fail(f"magnify needs a whole clip, in a file; {address.name} is none", 2)
    try:
        check_record(out)
    except RendererError as error:
        fail(str(error), 2)
    try:
        check_file(address)
    except SourceError as error:
        fail(str(error))
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,  # else it stands behind the line that says what went wrong
    ) as progress:
        bar = progress.add_task("reading", total=1.0)
        said = time.monotonic()

        def report(stage: str, share: float) -> None:
            nonlocal said
            progress.update(bar, description=stage, completed=share)
            now = time.monotonic()
            if now - said >= LOG_PERIOD and not progress.console.is_terminal:  # a log has no bar to look at
                said = now
                typer.echo(f"{stage}: {100 * share:.0f} %", err=True)

        try:
            done = magnify_file(
                Path(address.text),
                out,
                mode=settings.mode,
                method=settings.method,
                target=settings.target,
                gain=settings.gain,
                roi=settings.roi,
                lossless=lossless,
                progress=report,
                stop=stop.is_set,
            )
        except (ValueError, AscenderUnavailableError, SourceError, RendererError) as error:
            fail(str(error))
    typer.echo(f"{done}")
    if stop.is_set():
        fail(f"stopped; {out} plays up to that point" if done.frames else "stopped", 130)
