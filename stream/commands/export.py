"""``deepmag export``: the ascent as an ONNX file, for other runtimes and other programs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from deepmag.stream.cli import fail, set_up_logging

if TYPE_CHECKING:
    import numpy as np
    import onnx
    from numpy.typing import NDArray

    from deepmag.export.ascent_loop import Batch
    from deepmag.stream.export_check import Check

Signal = Literal["pulse", "respiration"]
Precision = Literal["fp32", "fp16"]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("export")(export)


def export(
    target: Annotated[Signal, typer.Argument(help="Which network's ascent.")],
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", "-o", metavar="FILE.onnx", help="The file to write; one that is there is replaced."
        ),
    ] = None,
    batch: Annotated[
        str,
        typer.Option(metavar="N|dynamic", help="Frame pairs at once: a number, or dynamic for any number."),
    ] = "1",
    precision: Annotated[
        Precision,
        typer.Option(
            help="fp16 keeps and computes dense layers in half precision; inputs and outputs are fp32."
        ),
    ] = "fp32",
    weights: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Weights to export, .safetensors; else those that ship."),
    ] = None,
    check: Annotated[
        bool,
        typer.Option("--check", help="Compare with PyTorch; the exit status is 1 where a bound is broken."),
    ] = False,
    clip: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A video whose frame pairs --check uses, too.")
    ] = None,
) -> None:
    """Write the whole ascent, forward and backward and step, as one graph of standard ONNX operators.

    Both modes are in it, and the weights once. With --check and without -o nothing is written.
    """
    from deepmag.export.onnx_file import check_path, write_model

    set_up_logging("warning")
    if out is None and not check:
        fail(f"say where to write it, -o {target}.onnx, or only --check it", 2)
    if clip is not None and not check:
        fail("--clip is for --check", 2)
    try:
        pairs = parse_batch(batch)
        if out is not None:
            check_path(out)
        if clip is not None and not clip.is_file():
            raise ValueError(f"{clip}: no such file")
    except ValueError as error:
        fail(str(error), 2)
    try:
        arrays = _load(target, weights)
        model = _build(target, arrays, precision, pairs)
        if out is not None:
            write_model(model, out)
    except (ValueError, OSError) as error:
        fail(str(error))
    size = model.ByteSize()
    what = f"{target}, {precision}, batch {batch}, {size / 1e6:.1f} MB"
    typer.echo(f"{out}: {what}" if out is not None else f"{what}; not written")
    if check:
        _check(target, model, arrays, clip)


def parse_batch(text: str) -> Batch:
    """A positive number, or ``dynamic``. Raises ValueError in words."""
    if text == "dynamic":
        return "dynamic"
    if not text.isdecimal() or int(text) < 1:
        raise ValueError(f"--batch must be a number of frame pairs, 1 or more, or dynamic, not {text}")
    return int(text)


def _load(target: Signal, weights: Path | None) -> dict[str, NDArray[np.float32]]:
    from deepmag.export.runtime import load_weights
    from deepmag.models.weights import PULSE, RESPIRATION

    return load_weights(weights or (PULSE if target == "pulse" else RESPIRATION))


def _build(
    target: Signal, weights: dict[str, NDArray[np.float32]], precision: Precision, batch: Batch
) -> onnx.ModelProto:
    if target == "pulse":
        from deepmag.export.pulse_model import pulse_model

        return pulse_model(weights, precision, batch)
    from deepmag.export.respiration_model import respiration_model

    return respiration_model(weights, precision, batch)


def _check(
    target: Signal, model: onnx.ModelProto, weights: dict[str, NDArray[np.float32]], clip: Path | None
) -> None:
    """Compare, print, and fail where a bound is broken."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

    from deepmag.export.runtime import AscenderUnavailableError
    from deepmag.stream.capture.source import SourceError
    from deepmag.stream.export_check import check_pulse, check_respiration
    from deepmag.stream.render.renderer import RendererError

    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        bar = progress.add_task("starting", total=1.0)
        try:
            found = (check_pulse if target == "pulse" else check_respiration)(
                model,
                weights,
                clip,
                lambda stage, share: progress.update(bar, description=stage, completed=share),
            )
        except (
            ValueError,
            OSError,
            RuntimeError,
            AscenderUnavailableError,
            SourceError,
            RendererError,
        ) as error:
            fail(f"the check could not be done: {error}")
    _print(found)
    if not found.passed:
        fail("the exported model differs from PyTorch by more than the bounds allow")


def _print(check: Check) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console()
    for pairs, parities in check.parities.items():
        # a table each: with the pairs' name in a column there is no room for the numbers in 80 letters, as in a pipe
        table = Table(title=f"against PyTorch, pairs: {pairs}; relative L2 error", title_justify="left")
        table.add_column("output")
        for name in ("all", "worst", "same sides*", "bound"):
            table.add_column(name, justify="right")
        table.add_column("units on the other side*", justify="right", min_width=len("99,999,999"))
        table.add_column("", justify="right")
        for parity in parities:
            table.add_row(
                parity.name,
                *(f"{value:.1e}" for value in (parity.error, parity.worst, parity.alike, parity.bound)),
                f"{parity.flipped} of {parity.units:,}",
                "ok" if parity.agrees else "BROKEN",
            )
        console.print(table)
    console.print(
        "* Where rounding decides on which side of zero a ReLU or SELU is, PyTorch may take the other one than the\n"
        "model. The bound is of the error with PyTorch held to the model's sides."
    )
    table = Table(title="a synthetic clip, magnified: scores", title_justify="left")
    for name in ("score", "PyTorch", "exported", ""):
        table.add_column(name, justify="left" if name == "score" else "right")
    for score in check.scores:
        verdict = "ok" if score.unchanged else "CHANGED"
        table.add_row(score.name, f"{score.torch:.4f}", f"{score.exported:.4f}", verdict)
    console.print(table)
