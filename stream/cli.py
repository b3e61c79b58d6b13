"""The command line: ``deepmag live``, ``serve``, ``magnify``, ``train``, ``evaluate`` and the others."""

from __future__ import annotations

import io
import logging
import os
import signal
import sys
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperGroup

# Before numpy is imported. Its products are small and many; on several threads they wait for each other, awake, and
# take the cores of capture, network and encoder: 25 frames a second in place of 30 with --target both on two cores.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


class _Commands(TyperGroup):
    """Says what is wrong with an option or an argument without the password that it holds."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except Exception as error:
            said = getattr(error, "message", None)  # of wrong use; its class moves between versions of Typer
            if isinstance(said, str):
                from deepmag.stream.capture.redact import plain, redact

                error.message = plain(redact(said), lines=True)  # type: ignore[attr-defined]
            raise


_log = logging.getLogger("deepmag")

app = typer.Typer(
    name="deepmag",
    cls=_Commands,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Make a person's pulse or breathing visible in live video. Not a medical device.",
    epilog="Begin with `deepmag live`, or, without a camera, `deepmag live demo`. COMMAND --help has all options.",
)


def fail(message: str, code: int = 1) -> NoReturn:
    """Print one clear line and leave with a non-zero status."""
    from deepmag.stream.capture.redact import plain, redact

    _say(f"deepmag: {plain(redact(message))}")
    raise typer.Exit(code)


def _say(line: str) -> None:
    """Write one line to standard error, after the log's, which goes there, too: neither waits for who does not read."""
    from deepmag.stream.patient_log import PatientLog

    log = next((handler for handler in logging.root.handlers if isinstance(handler, PatientLog)), None)
    if log is None:  # before a command has begun
        typer.echo(line, err=True)
    else:
        log.say(line)


def set_up_logging(level: str) -> None:
    """Log to standard error; no record leaves with a password in it."""
    from deepmag.stream.capture.redact import RedactingFilter
    from deepmag.stream.patient_log import PatientLog

    handler = PatientLog(sys.stderr)
    handler.addFilter(RedactingFilter())
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s", "%Y-%m-%d %H:%M:%S"))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    for noisy in ("numba", "libav", "uvicorn", "websockets", "asyncio"):
        logging.getLogger(noisy).setLevel(max(logging.WARNING, logging.getLevelName(level.upper())))


def register_commands() -> None:
    """Add all commands to ``app``."""
    from deepmag.stream.commands import bench, doctor, evaluate, export, live, magnify, serve, train

    for module in (live, serve, magnify, train, evaluate, export, doctor, bench):
        module.register(app)


@app.callback(invoke_without_command=True)
def root(
    version: Annotated[bool, typer.Option("--version", help="Print the version and leave.")] = False,
) -> None:
    """Make a person's pulse or breathing visible in live video. Not a medical device."""
    if version:
        from importlib.metadata import version as installed

        typer.echo(f"deepmag {installed('deepmag')}")
        raise typer.Exit


def main() -> None:
    """Run the command line."""
    _open_standard_streams()
    if os.path.expanduser("~") == "~":
        # Neither a HOME nor a user of this number, as with a container's `--user 1234`: Numba kept what it compiled in
        # a folder named ~ where the command was started, and loaded it from there. Nowhere is nowhere, and is said.
        os.environ.setdefault("XDG_CACHE_HOME", os.devnull)
    if os.getpid() == 1:
        # The first process of a container is sent no signal that it has not asked for: where one came before a command
        # had, as in its first second, it was lost.
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        register_commands()
        app()
    except KeyboardInterrupt:  # before a command has begun; later ones are its own
        sys.exit(130)
    except (OSError, RuntimeError, ImportError, MemoryError) as error:
        # large, and without a GPU not needed by what runs live: some machines do without
        if isinstance(error, ModuleNotFoundError) and (error.name or "").partition(".")[0] == "torch":
            from deepmag.stream.doctor import wanted

            _say(f"deepmag: this needs torch, which is not installed: run `pip install {wanted('torch')}`")
            sys.exit(1)
        from deepmag.stream.exhausted import what_ran_out

        why = what_ran_out(error)
        if why is None:
            raise
        _log.debug("what ran out", exc_info=error)
        _say(f"deepmag: {why}")
        sys.exit(1)


def _open_standard_streams() -> None:
    """Put nothing in the place of those that are closed: the first file opened would be one of them.

    A recording was standard error where that was closed, and took what libraries say there. Of a terminal that does not
    know a letter, the others are written.
    """
    number = os.open(os.devnull, os.O_RDWR)
    while number <= 2:
        os.set_inheritable(number, True)  # else they are closed in the processes that this one starts
        number = os.dup(number)
    os.close(number)
    if sys.stderr is None:  # it was closed
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115 - for as long as the process lasts
    if isinstance(sys.stdout, io.TextIOWrapper):  # None where it was closed
        sys.stdout.reconfigure(errors="replace")


if __name__ == "__main__":
    main()
