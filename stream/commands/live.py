"""``deepmag live``: magnify a camera, a stream, a file or the demo while it plays."""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from deepmag.stream.cli import fail, set_up_logging
from deepmag.stream.commands.network_options import CodecsOption, DeviceOption, RuntimeOption, ThreadsOption
from deepmag.stream.commands.run_options import (
    HostOption,
    LogLevelOption,
    PortOption,
    TokenOption,
    check_duration,
    refuse_bad_token,
    say_where,
)  # fmt: skip
from deepmag.stream.describe import describe
from deepmag.stream.render.endless_recorder import HOURS
from deepmag.stream.settings import DEFAULT_LAG, Method, Settings, Target, default_lag, parse_region
from deepmag.stream.stop_signals import Stop, stop_on_signals
from deepmag.stream.watchdog import Watchdog

if TYPE_CHECKING:
    from deepmag.export.runtime import Runtime
    from deepmag.stream.capture.address import Address
    from deepmag.stream.pipeline import Pipeline


class Show(StrEnum):
    """Where a person watches."""

    PAGE = "page"
    WINDOW = "window"
    NONE = "none"


STATUS_PERIOD = 1.0  # s between two lines of status on a terminal
LOG_PERIOD = 30.0  # s between two in a log

log = logging.getLogger("deepmag.live")


@dataclass(frozen=True, slots=True)
class Outputs:
    """Where the pictures go."""

    show: tuple[Show, ...]
    record: Path | None
    split: float
    lossless: bool
    beside: bool
    vitals: Path | None
    push: str | None
    host: str
    port: int
    token: str | None
    browser: bool


# each a paragraph: some versions of Typer join the lines of one
EXAMPLES = """
deepmag live demo: a synthetic person, where there is no camera

deepmag live 2 --target both: the camera /dev/video2, pulse and breathing

deepmag live rtsp://USER:PASSWORD@HOST/PATH --host 0.0.0.0: a camera, on a page for the network

deepmag live 0 --record out.mkv --vitals out.csv --show none: nothing on the screen

deepmag live clip.mp4 --pace max --record clip.mkv: a file, as fast as it goes
"""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("live", epilog=EXAMPLES.strip())(live)


def live(
    source: Annotated[
        str | None,
        typer.Argument(
            help="0, /dev/video0, rtsp://USER:PASSWORD@HOST/PATH, a FILE, any URL that FFmpeg opens, or demo "
            "(a synthetic person). Default: the first webcam, else the demo."
        ),
    ] = None,
    gain: Annotated[
        float,
        typer.Option(
            help="How many times larger the pulse or the breathing becomes, 1 to 100; on the page by a slider."
        ),
    ] = Settings().gain,
    target: Annotated[
        Target,
        typer.Option(
            help="What is magnified and measured. pulse: the colour of the skin. respiration: the movement of the "
            "chest, asleep or at a desk. both: the two in one picture."
        ),
    ] = "pulse",
    mode: Annotated[
        Literal["steady", "paper"],
        typer.Option(
            help="steady: along a smoothed direction, clean. paper: Eq. 4 of the paper to the letter, for the pulse."
        ),
    ] = "steady",
    method: Annotated[
        Method,
        typer.Option(
            help="deepmag: the networks, which follow what --target names. Others, to compare, magnify all that "
            "changes in a band: evm and vam colour; evm-motion, phase, riesz, phase-vam and learned, which has a "
            "network of its own, motion. --mode and --target are for deepmag only."
        ),
    ] = "deepmag",
    lag: Annotated[
        float | None,
        typer.Option(
            help="Seconds by which picture and magnification are late together, 0 to 2; with less it is less exact. "
            f"Default: {DEFAULT_LAG['pulse']:g} for the pulse, {DEFAULT_LAG['respiration']:g} where respiration is "
            "magnified, since a breath is slow.",
            show_default=False,
        ),
    ] = None,
    roi: Annotated[
        str,
        typer.Option(
            help="Where to look. auto: for the pulse a face, which is followed; for respiration the whole picture. "
            "full: the whole picture. X,Y,W,H: a box in pixels."
        ),
    ] = "auto",
    show: Annotated[
        list[Show] | None,
        typer.Option(
            help="page (the default, but for --pace max): in a browser. window: on this screen. none. May be given "
            "twice."
        ),
    ] = None,
    record: Annotated[
        Path | None,
        typer.Option(
            help="Record the magnified video to a .mkv, .mp4 or .mov file. From a camera, or from the demo in real "
            "time, no file is replaced: the recording takes the next free name, OUT-2 and so on."
        ),
    ] = None,
    split: Annotated[
        float, typer.Option(min=0.01, help="Hours after which a camera's recording goes on in a new file.")
    ] = HOURS,
    lossless: Annotated[bool, typer.Option("--lossless", help="Record each pixel exactly (large).")] = False,
    beside: Annotated[
        bool, typer.Option("--beside", help="Record the original beside the magnified picture.")
    ] = False,
    vitals: Annotated[
        Path | None,
        typer.Option(
            help="Write one row a second to a CSV file: time, rates (empty where they cannot be trusted), their "
            "quality, the reason. From a camera, or from the demo in real time, rows are added to a file that is there."
        ),
    ] = None,
    push: Annotated[
        str | None,
        typer.Option(help="Send the magnified video to an RTSP server, rtsp://[USER:PASSWORD@]HOST/PATH."),
    ] = None,
    pace: Annotated[
        Literal["file", "max"],
        typer.Option(
            help="How fast a file is played. file: as it was recorded. max: as fast as possible, no frame dropped."
        ),
    ] = "file",
    loop: Annotated[bool, typer.Option("--loop", help="Start a file again at its end.")] = False,
    duration: Annotated[
        float | None, typer.Option(help="End after so many seconds; else at the source's end or Ctrl-C.")
    ] = None,
    transport: Annotated[
        Literal["tcp", "udp"], typer.Option(help="How an RTSP source sends its video.")
    ] = "tcp",
    timestamps: Annotated[
        Literal["stream", "arrival"],
        typer.Option(
            help="What counts as the time of a camera's picture. stream: what the camera says. arrival: when it comes, "
            "for a camera whose clock is wrong; the log tells of one."
        ),
    ] = "stream",
    runtime: RuntimeOption = "auto",
    device: DeviceOption = "auto",
    threads: ThreadsOption = None,
    codecs: CodecsOption = "cpu",
    host: HostOption = "127.0.0.1",
    port: PortOption = 8765,
    token: TokenOption = None,
    browser: Annotated[
        bool, typer.Option("--browser/--no-browser", help="Open the page in the browser.")
    ] = True,
    log_level: LogLevelOption = "info",
) -> None:
    """Magnify while it plays. Ctrl-C ends it; recordings are complete.

    Without options: the first webcam, or the demo, on a page in the browser.
    """
    set_up_logging(log_level)
    if show and Show.WINDOW in show:
        # before PyAV, which brings X libraries of its own: with those OpenCV waits for ever for its window
        import cv2  # noqa: F401
    from deepmag.stream.capture.address import default_address, parse_address

    try:
        settings = Settings(
            gain=gain,
            mode=mode,
            lag=default_lag(method, target) if lag is None else lag,
            roi=parse_region(roi),
            method=method,
            target=target,
        )
        address = parse_address(source) if source is not None else default_address()
    except ValueError as error:
        fail(str(error), 2)
    if address.kind == "file":
        _refuse_what_is_no_file(address)  # before anything is loaded, or a page opened
    check_duration(duration)
    refuse_bad_token(token)
    if record is None and (lossless or beside or split != HOURS):
        fail("--lossless, --beside and --split are for --record", 2)
    if record is not None and vitals is not None and os.path.realpath(record) == os.path.realpath(vitals):
        fail(f"--record and --vitals would both write to {record}", 2)
    shown = tuple(show) if show else ((Show.NONE,) if pace == "max" else (Show.PAGE,))
    outputs = Outputs(
        tuple(item for item in shown if item is not Show.NONE),
        record,
        split,
        lossless,
        beside,
        vitals,
        push,
        host,
        port,
        token,
        browser,
    )
    if pace == "max" and record is None and vitals is None and push is None and not outputs.show:
        fail("--pace max without --record, --vitals, --push or --show would do work that nobody sees", 2)
    from deepmag.stream.gpu_codecs import codec_gpu
    from deepmag.stream.outputs import check_push, check_record
    from deepmag.stream.render.renderer import RendererError

    try:
        if record is not None:
            check_record(record)
        if push is not None:
            check_push(push)
    except RendererError as error:
        fail(str(error), 2)
    idle = {
        "--loop": loop and address.kind not in ("file", "url"),
        "--transport udp": transport == "udp" and address.kind != "rtsp",
        "--timestamps arrival": timestamps == "arrival" and address.kind in ("file", "demo"),
    }
    for option in (option for option, given in idle.items() if given):
        log.warning("%s does nothing for %s", option, address.name)
    if method != "deepmag" and (runtime != "auto" or threads is not None):
        log.warning("--runtime and --threads are of the method deepmag: %s has no use for them", method)
    gpu = codec_gpu(codecs, device)
    stop = Stop()
    stop_on_signals(stop)
    pipeline = _build(
        address,
        settings,
        pace=pace,
        loop=loop,
        transport=transport,
        timestamps=timestamps,
        runtime=runtime,
        device=device,
        threads=threads,
        gpu=gpu,
    )
    if stop.is_set():  # while networks were loaded: no page is to be opened any more, nor a file begun
        pipeline.stop()
        return
    try:
        _add_outputs(pipeline, outputs, address.text, stop, gpu)
        pipeline.start()
        _watch(pipeline, stop, duration)
        # of a source that was lost before, the last rate says nothing any more
        fresh = pipeline.status().state in ("live", "ended")
    except RendererError as error:
        fail(str(error))
    finally:  # whatever it is: what was begun is finished, and an empty file removed
        pipeline.stop()
    _say_how_it_ended(pipeline, fresh=fresh)


def _refuse_what_is_no_file(address: Address) -> None:
    from deepmag.stream.capture.options import check_file
    from deepmag.stream.capture.source import SourceError

    try:
        check_file(address)
    except SourceError as error:
        fail(str(error))


def _build(
    address: Address,
    settings: Settings,
    *,
    pace: Literal["file", "max"],
    loop: bool,
    transport: Literal["tcp", "udp"],
    timestamps: Literal["stream", "arrival"],
    runtime: Runtime,
    device: str,
    threads: int | None,
    gpu: int | None,
) -> Pipeline:
    from deepmag.export.runtime import AscenderUnavailableError
    from deepmag.models.reconstruction import warm_up
    from deepmag.stream.capture.open import open_source
    from deepmag.stream.face import load_face_detector
    from deepmag.stream.methods import require
    from deepmag.stream.networks import open_networks
    from deepmag.stream.pipeline import Pipeline

    require(settings.method)
    opened = open_source(address, transport=transport, timestamps=timestamps, pace=pace, loop=loop, gpu=gpu)
    try:
        networks = open_networks(settings, runtime, device, threads, at_once=pace == "file")
    except (ValueError, AscenderUnavailableError) as error:
        fail(str(error))
    log.info("source: %s", address.name)
    needs_face = "pulse" in settings.signals
    detector = load_face_detector() if needs_face else None
    warm_up()
    return Pipeline(
        opened,
        networks.pulse,
        detector,
        settings,
        respiration=networks.respiration,
        pictures=networks.pictures(),
        pace=pace,
    )


def _add_outputs(pipeline: Pipeline, outputs: Outputs, source: str, stop: Stop, gpu: int | None) -> None:
    """Add what is to be seen, written and sent. source: what is opened. gpu: number of the GPU that encodes."""
    from deepmag.stream.outputs import push, recorder, vitals

    if outputs.record is not None:
        pipeline.add(
            recorder(
                pipeline,
                outputs.record,
                endless=pipeline.live,
                hours=outputs.split,
                lossless=outputs.lossless,
                original_beside=outputs.beside,
                source=source,
                gpu=gpu,
            ),
            "every",
        )
    if outputs.vitals is not None:
        pipeline.add(vitals(pipeline, outputs.vitals, endless=pipeline.live), "every")
    if outputs.push is not None:
        pipeline.add(push(pipeline, outputs.push, gpu))
    if Show.PAGE in outputs.show:
        from deepmag.stream.page.renderer import PageRenderer

        page = PageRenderer(pipeline, host=outputs.host, port=outputs.port, token=outputs.token)
        pipeline.add(page)
        say_where(page.url)
        if outputs.browser:
            _open_browser(page.url)
    if Show.WINDOW in outputs.show:
        from deepmag.stream.render.window import Window

        pipeline.add(Window(pipeline, on_quit=stop.set))


def _open_browser(url: str) -> None:
    """Open the page where there is a screen; on a server this does nothing."""
    import webbrowser

    if sys.platform == "linux" and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        return
    threading.Thread(target=webbrowser.open, args=(url,), daemon=True).start()


def _watch(pipeline: Pipeline, stop: Stop, duration: float | None) -> None:
    """Wait for the end, a signal, or a failed renderer that was all there was to see."""
    from rich.console import Console

    from deepmag.stream.capture.redact import plain
    from deepmag.stream.status_line import StatusLine

    on_terminal = Console(stderr=True).is_terminal
    began = said = time.monotonic()
    with Watchdog() as watchdog, StatusLine("connecting", sys.stderr) if on_terminal else _Quiet() as line:
        while not stop.is_set() and not pipeline.wait(0.05):
            now = time.monotonic()
            watchdog.beat(works=not pipeline.hangs)
            if duration is not None and now - began >= duration:
                return
            if pipeline.renderers and all(thread.error for thread in pipeline.renderers):
                return
            if now - said >= (STATUS_PERIOD if on_terminal else LOG_PERIOD):
                said = now
                if on_terminal:
                    line.update(plain(describe(pipeline, pipeline.readings)))
                else:
                    log.info("%s", describe(pipeline, pipeline.readings))


class _Quiet:
    """Stands in for a status line where nobody watches a terminal."""

    def __enter__(self) -> _Quiet:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def update(self, _text: str) -> None:
        """Say nothing."""


def _say_how_it_ended(pipeline: Pipeline, *, fresh: bool) -> None:
    if pipeline.failure is not None:
        fail(pipeline.failure)
    errors = [error for error in pipeline.errors if error]
    if errors:
        fail("; ".join(errors))
    log.info(
        "%d frames magnified; %s",
        pipeline.engine.frames, describe(pipeline, pipeline.readings if fresh else None, ended=fresh),
    )  # fmt: skip
