"""``deepmag serve``: many feeds at once, from a file, on one page."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deepmag.stream.cli import fail, set_up_logging
from deepmag.stream.commands.network_options import DeviceOption, RuntimeOption, ThreadsOption
from deepmag.stream.commands.run_options import (
    HostOption,
    LogLevelOption,
    PortOption,
    TokenOption,
    check_duration,
    refuse_bad_token,
    say_where,
)  # fmt: skip
from deepmag.stream.stop_signals import Stop, stop_on_signals
from deepmag.stream.watchdog import Watchdog

if TYPE_CHECKING:
    from deepmag.export.runtime import Runtime
    from deepmag.stream.ward.feeds_file import FeedSpec
    from deepmag.stream.ward.ward import Ward

PERIOD = 1.0  # s between two looks at the feeds
LOG_PERIOD = 30.0  # s between two lines of a feed in the log
BUDGET_RANGE = (0.0, 100.0)  # ms
GROUPS = 2  # processes

log = logging.getLogger("deepmag.serve")

# no line is broken within a paragraph: some versions of Typer would keep the break
EXAMPLE = (
    r'A feeds file, in TOML (more in docs/ward.md): [\[feed]] begins each feed, then name = "bed 1" and source = '
    r'"rtsp://viewer:${BED1_PASSWORD}@10.0.0.11/stream" on lines of their own; ${NAME} is taken from the environment.'
    "\n\n"
    "A feed may also say target, gain, lag, mode, method, roi, transport, timestamps, loop, codecs and split, with the "
    "values of the options of deepmag live, and record, vitals and push, each to a file or address of its own."
)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("serve", epilog=EXAMPLE)(serve)


def serve(
    feeds: Annotated[
        Path, typer.Argument(metavar="FEEDS.toml", help=r"The feeds, each begun by \[\[feed]].")
    ],
    host: HostOption = "127.0.0.1",
    port: PortOption = 8765,
    token: TokenOption = None,
    page: Annotated[bool, typer.Option("--page/--no-page", help="Serve the page with all feeds.")] = True,
    budget: Annotated[
        float,
        typer.Option(help="Milliseconds that a frame pair may wait for those of other feeds, 0 to 100."),
    ] = 5.0,
    runtime: RuntimeOption = "auto",
    device: DeviceOption = "auto",
    threads: ThreadsOption = None,
    ray: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS",
            help="Run the feeds on a Ray cluster, e.g. 10.0.0.5:6379 or auto; local starts one on this machine.",
        ),
    ] = None,
    groups: Annotated[
        int, typer.Option(help="With --ray: how many processes share the feeds.", min=1)
    ] = GROUPS,
    gpus: Annotated[
        float, typer.Option(help="With --ray: the share of a GPU for each of them.", min=0)
    ] = 0.0,
    check: Annotated[
        bool,
        typer.Option("--check", help="Only say what is wrong with the file: exit status 2 if anything is."),
    ] = False,
    duration: Annotated[
        float | None, typer.Option(help="End after so many seconds; else at the end of all files or Ctrl-C.")
    ] = None,
    log_level: LogLevelOption = "info",
) -> None:
    """Magnify many feeds at once. One page shows them all; a click opens one.

    A feed that is wrong in the file is named, with its line, and left out; one that is lost is waited for. The others
    go on. Ctrl-C ends it; recordings are complete.
    """
    set_up_logging(log_level)
    from deepmag.stream.capture.redact import plain, redact
    from deepmag.stream.ward.feeds_file import read_feeds

    check_duration(duration)
    refuse_bad_token(token)
    if not BUDGET_RANGE[0] <= budget <= BUDGET_RANGE[1]:
        fail(f"--budget must be from {BUDGET_RANGE[0]:g} to {BUDGET_RANGE[1]:g} ms, not {budget:g}", 2)
    if ray is None and (groups != GROUPS or gpus):
        fail("--groups and --gpus are for --ray", 2)
    try:
        listed = read_feeds(feeds)
    except ValueError as error:
        fail(str(error), 2)
    for problem in listed.problems:  # which quote what the file says, a password in the wrong place, too
        typer.echo(plain(redact(problem)), err=True)
    if not listed.good:
        fail(f"no feed of {feeds} can run", 2)
    if check:
        typer.echo(f"{len(listed.good)} of {listed.listed} feeds are fine")
        raise typer.Exit(2 if listed.problems else 0)

    stop = Stop()
    stop_on_signals(stop)
    if ray is not None:
        options = Options(groups, gpus, runtime, device, threads, budget / 1e3)
        _serve_on_ray(listed.good, ray, options, (host, port, token) if page else None, stop, duration)
        return

    from deepmag.export.runtime import AscenderUnavailableError
    from deepmag.models.reconstruction import warm_up
    from deepmag.stream.render.renderer import RendererError
    from deepmag.stream.ward.page import WardPage
    from deepmag.stream.ward.ward import Ward

    try:
        ward = Ward(listed.good, runtime=runtime, device=device, threads=threads, budget=budget / 1e3)
    except AscenderUnavailableError as error:
        fail(str(error))
    warm_up()
    if stop.is_set():  # while networks were loaded: no page is to be opened any more, nor a file begun
        ward.stop()
        return
    shown = WardPage(ward.feeds, host=host, port=port, token=token) if page else None
    try:
        if shown is not None:
            shown.open()
            say_where(shown.url)
        ward.start(shown.pages if shown is not None else None)
        _watch(ward, stop, duration)
    except RendererError as error:
        fail(str(error))
    finally:
        ward.stop()
        if shown is not None:
            shown.close()
    if ward.troubles:
        fail("; ".join(ward.troubles))


@dataclass(frozen=True, slots=True)
class Options:
    """How groups run: see `RayWard`."""

    groups: int
    gpus: float
    runtime: Runtime
    device: str
    threads: int | None
    budget: float


def _serve_on_ray(
    specs: tuple[FeedSpec, ...],
    address: str,
    options: Options,
    served: tuple[str, int, str | None] | None,
    stop: Stop,
    duration: float | None,
) -> None:
    """Run the feeds elsewhere; ends as `_watch` does. served: where the page is, None for no page."""
    from deepmag.stream.render.renderer import RendererError
    from deepmag.stream.ward.gateway import Gateway
    from deepmag.stream.ward.remote import RayUnavailableError, RayWard

    try:
        ward = RayWard(
            specs, address, groups=options.groups, gpus=options.gpus, runtime=options.runtime,
            device=options.device, threads=options.threads or 1, budget=options.budget,
        )  # fmt: skip
    except RayUnavailableError as error:
        fail(str(error))
    stop_on_signals(stop)  # once more: Ray puts an exit of its own in the place of what SIGTERM is to do
    gateway = None
    try:
        if served is not None:
            host, port, token = served
            gateway = Gateway(ward, host=host, port=port, token=token)
            gateway.open()
            say_where(gateway.url)
        began = said = time.monotonic()
        with Watchdog() as watchdog:
            while not stop.wait(PERIOD):
                now = time.monotonic()
                watchdog.beat(works=True)  # a group that hangs ends by itself
                if ward.over or (duration is not None and now - began >= duration):
                    break
                if now - said >= LOG_PERIOD:
                    said = now
                    for group in ward.groups():
                        log.info("group %s: %s", group["pid"], group["feeds"])
    except RendererError as error:
        fail(str(error))
    finally:
        ward.stop()
        if gateway is not None:
            gateway.close()
    if ward.troubles:
        fail("; ".join(ward.troubles))


def _watch(ward: Ward, stop: Stop, duration: float | None) -> None:
    """Look after the feeds until a signal, the end of all files, or of the time."""
    began = said = time.monotonic()
    with Watchdog() as watchdog:
        while not stop.wait(PERIOD):
            now = time.monotonic()
            watchdog.beat(works=not ward.hangs)
            ward.watch()
            if ward.over or (duration is not None and now - began >= duration):
                return
            if now - said >= LOG_PERIOD:
                said = now
                for line in ward.describe():
                    log.info("%s", line)
