"""``deepmag train``: train a network again from nothing, on synthetic people or pictures that move, made here."""

from __future__ import annotations

import math
import time
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from deepmag.stream.cli import fail
from deepmag.stream.exhausted import what_ran_out
from deepmag.stream.stop_signals import Stop, stop_on_ctrl_c


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("train")(train)


def _positive(rate: float) -> float:
    if not 0 < rate < math.inf:
        raise typer.BadParameter(f"{rate:g} is no learning rate; it must be above 0")
    return rate


def train(
    target: Annotated[
        Literal["pulse", "respiration", "learned"],
        typer.Argument(help="Which network; learned is that of the method learned."),
    ] = "pulse",
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            help="Folder for checkpoint and weights. A checkpoint that is there is gone on from. Default: runs/TARGET.",
        ),
    ] = None,
    steps: Annotated[int, typer.Option(help="Optimiser steps.", min=1)] = 4000,
    batch: Annotated[
        int,
        typer.Option(
            help="Sequences in each step, of 64 frame pairs each (respiration: 40; learned: 1).", min=2
        ),
    ] = 4,
    fresh: Annotated[
        int | None,
        typer.Option(
            help="How many of these are newly made; the others were seen before. Default: all (respiration: half; "
            "learned: a quarter).",
            min=1,
        ),
    ] = None,
    rate: Annotated[float, typer.Option(help="Learning rate at its peak.", callback=_positive)] = 1e-3,
    start: Annotated[
        Path | None, typer.Option("--from", help="Weights to start from, instead of random ones.")
    ] = None,
    seed: Annotated[
        int,
        typer.Option(help="Of all that is random; the same one gives the same people.", min=0, max=2**32 - 1),
    ] = 1,
    assets: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Folder of recordings, meshes and pictures, to make some people or motion from; not needed.",
        ),
    ] = None,
    device: Annotated[Literal["auto", "cpu", "cuda"], typer.Option(help="Where to train.")] = "auto",
    workers: Annotated[
        int,
        typer.Option(help="Processes that make the sequences; 0: they are made between the steps.", min=0),
    ] = 0,
    store: Annotated[int, typer.Option(help="How many sequences are kept to be seen again.", min=1)] = 1500,
) -> None:
    """Train on synthetic people, or pictures that move.

    Ctrl-C keeps a checkpoint; the same command, without --from, goes on from it.
    """
    import torch
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
    from safetensors import SafetensorError

    from deepmag.models.training import learned, loop, pulse, respiration

    lessons: dict[str, loop.Lesson[Any]] = {"pulse": pulse.LESSON, "respiration": respiration.LESSON}
    train_target = partial(loop.train, lesson=lessons[target]) if target in lessons else learned.train_learned
    score = "error" if target == "learned" else "r"
    out = out or Path("runs") / target
    if out.exists() and not out.is_dir():
        fail(f"--out {out} is a file; name a folder", 2)
    if fresh is not None and fresh > batch:
        fail(f"--fresh {fresh} is more than the --batch of {batch} that it is a part of", 2)
    fresh = fresh or max(1, batch // {"pulse": 1, "respiration": 2, "learned": 4}[target])
    if device == "cuda" and not torch.cuda.is_available():
        fail("torch sees no CUDA GPU here; use --device cpu")
    where = ("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device
    # Weights and moments shrink towards zero; numbers too small for a normal float cost a CPU up to tenfold.
    torch.set_flush_denormal(True)
    stop = Stop()
    stop_on_ctrl_c(stop)
    columns = (
        TextColumn("training {task.fields[net]}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
    )
    began = time.monotonic()
    cut = False  # of a stop that comes after the last step nobody asks
    with Progress(*columns, console=Console(stderr=True)) as progress:
        bar = progress.add_task("", total=steps, net=target, note=f"on {where}")

        def report(step: int, loss: float, r: float, speed: float) -> None:
            judged = "" if math.isnan(r) else f"held-out {score} {r:.3f}, "
            note = f"loss {loss:.3f}, {judged}{speed:.1f} sequences/s"
            progress.update(bar, completed=step, note=note)
            if not progress.console.is_terminal:  # a log has no bar to look at
                typer.echo(f"{step} of {steps}: {note}", err=True)

        def keep_going() -> bool:
            nonlocal cut
            cut = stop.is_set()
            return not cut

        try:
            weights = train_target(
                out,
                recipe=loop.Recipe(steps, batch, fresh, store, rate, seed, start, assets, workers),
                device=where,
                report=report,
                keep_going=keep_going,
            )
        except (OSError, RuntimeError, ValueError, SafetensorError) as error:
            fail(f"training stopped: {what_ran_out(error) or error}")
    took = f"after {time.monotonic() - began:.0f} s"
    if cut:
        fail(f"stopped early {took}; {weights} is as far as it came, and the same command goes on", 130)
    typer.echo(f"{weights} {took}")
