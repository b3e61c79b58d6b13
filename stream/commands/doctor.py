"""``deepmag doctor``: versions, devices, and what is missing and what to do."""

from __future__ import annotations

import json
from dataclasses import asdict
from itertools import groupby
from typing import TYPE_CHECKING, Annotated

import typer

from deepmag.stream.cli import set_up_logging

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deepmag.stream.doctor import Finding, Level

MARKS: dict[Level, tuple[str, str]] = {
    "ok": ("ok", "green"),
    "note": ("--", "yellow"),
    "problem": ("!!", "red"),
}


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("doctor")(doctor)


def doctor(as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """Say what this machine has, what is missing and what to do. Ends with 0 where `deepmag live demo` can run."""
    from deepmag.stream.doctor import examine

    set_up_logging("error")
    findings = examine()
    runs = not any(finding.level == "problem" for finding in findings)
    if as_json:
        typer.echo(
            json.dumps({"can_run": runs, "findings": [asdict(finding) for finding in findings]}, indent=2)
        )
    else:
        _print(findings, runs)
    raise typer.Exit(0 if runs else 1)


def _print(findings: Sequence[Finding], runs: bool) -> None:
    width = max(len(finding.name) for finding in findings)
    for topic, group in groupby(findings, key=lambda finding: finding.topic):
        typer.secho(topic, bold=True)
        for finding in group:
            mark, colour = MARKS[finding.level]
            typer.echo(f"  {typer.style(mark, fg=colour)} {finding.name:{width}}  {finding.value}")
            if finding.advice:
                typer.echo(f"     {'':{width}}  -> {finding.advice}")
    typer.echo("")
    if runs:
        typer.echo("`deepmag live demo` can run here.")
    else:
        typer.echo("`deepmag live demo` cannot run here: see the lines marked !!.")
