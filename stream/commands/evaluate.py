"""``deepmag evaluate``: the paper's evaluation, on people whose pulse and breath are known, as a report."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from deepmag.stream.cli import fail, set_up_logging
from deepmag.stream.exhausted import what_ran_out
from deepmag.stream.stop_signals import Stop, stop_on_ctrl_c


class Signals(StrEnum):
    """What to evaluate."""

    pulse = "pulse"
    respiration = "respiration"
    both = "both"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("evaluate")(evaluate)


def evaluate(
    quick: Annotated[
        bool,
        typer.Option("--quick", help="Fewer, shorter and smaller clips: within 10 minutes on two cores."),
    ] = False,
    out: Annotated[
        Path,
        typer.Option("--out", "-o", metavar="DIR", help="Folder for report.md, figures and evaluate.json."),
    ] = Path("evaluation"),
    target: Annotated[
        Signals, typer.Option(help="Which half to run: pulse (colour), respiration (motion), or both.")
    ] = Signals.both,
    seed: Annotated[int, typer.Option(help="Of the synthetic people: another one, other people.", min=0)] = 1,
    data: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Folder of real clips, with a clips.json; else they are left out."),
    ] = None,
    weights: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="The pulse's weights to judge, .safetensors; else those that ship."
        ),
    ] = None,
    respiration_weights: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Respiration's weights to judge; else those that ship."),
    ] = None,
    jobs: Annotated[
        int | None,
        typer.Option(
            help="Processes, one thread each. Default: one a core, fewer where memory is short.", min=1
        ),
    ] = None,
) -> None:
    """Judge the magnifiers on synthetic people whose pulse and breath are known.

    Ctrl-C keeps the numbers of the finished clips.
    """
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    from deepmag.models.weights import PULSE, RESPIRATION
    from deepmag.stream.evaluation import plan as pulse_plans
    from deepmag.stream.evaluation.respiration import plan as breath_plans

    set_up_logging("warning")
    try:
        import matplotlib  # noqa: F401 - only to know whether the figures can be drawn
    except ImportError:
        fail("the figures need matplotlib: pip install matplotlib")
    from deepmag.stream.capture.source import SourceError
    from deepmag.stream.evaluation.real import read_clips
    from deepmag.stream.evaluation.run import evaluate as run
    from deepmag.stream.evaluation.setup import default_jobs

    if weights is not None and target is Signals.respiration:
        fail(
            "--weights are of the pulse, which --target respiration leaves out; see --respiration-weights", 2
        )
    if respiration_weights is not None and target is Signals.pulse:
        fail("--respiration-weights are of what --target pulse leaves out; see --weights", 2)
    stop = Stop()
    stop_on_ctrl_c(stop)
    plan = breath = None
    if target in (Signals.pulse, Signals.both):
        plan = pulse_plans.quick_plan(seed) if quick else pulse_plans.full_plan(seed)
    if target in (Signals.respiration, Signals.both):
        breath = breath_plans.quick_plan(seed) if quick else breath_plans.full_plan(seed)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[jobs]}"),
        TimeRemainingColumn(),
    )
    try:
        real = read_clips(data) if data is not None else None
        with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
            bar = progress.add_task("starting", total=1.0, jobs="")

            said = 0

            def report(stage: str, done: int, of: int, share: float) -> None:
                nonlocal said
                progress.update(bar, description=stage, completed=share, jobs=f"{done} of {of}")
                if done != said and not progress.console.is_terminal:  # a log has no bar to look at
                    said = done
                    typer.echo(f"{stage}: {done} of {of}, {100 * share:.0f} % of the work", err=True)

            outcome = run(
                plan,
                out,
                weights or PULSE,
                breath=breath,
                breath_weights=respiration_weights or RESPIRATION,
                jobs=jobs or default_jobs(*(one for one in (plan, breath) if one is not None)),
                real=real,
                progress=report,
                stop=stop.is_set,
            )
    except (ValueError, SourceError, OSError, RuntimeError, MemoryError) as error:
        why = what_ran_out(error) or str(error) or type(error).__name__
        # a note says where the numbers of the clips are that were finished before
        fail("; ".join((why, *getattr(error, "__notes__", ()))))
    if not outcome.complete:
        fail(
            f"stopped after {outcome.clips} of {outcome.of} clips; their numbers are in {outcome.files[0]}",
            130,
        )
    typer.echo(f"{out / 'report.md'}: {outcome.clips} clips; every number is in {out / 'evaluate.json'}")
