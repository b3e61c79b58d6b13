"""``deepmag bench``: what the live path costs on this machine."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from deepmag.stream.cli import fail, set_up_logging
from deepmag.stream.commands.network_options import DeviceOption, RuntimeOption, ThreadsOption
from deepmag.stream.settings import DEFAULT_LAG, Settings, Target

if TYPE_CHECKING:
    import torch

    from deepmag.export.runtime import Runtime
    from deepmag.export.speed import Row
    from deepmag.stream.bench import Live, Quantiles

SIZE_RANGE = ((64, 4096), (64, 2304))  # px, width and height


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("bench")(bench)


@dataclass(frozen=True, slots=True)
class Report:
    """All that the command prints. live: of the first stream. streams: of all."""

    version: str
    cores: int
    backend: str
    size: tuple[int, int]
    mode: str
    target: str
    page: bool
    live: Live
    streams: list[Live]
    stages: dict[str, Quantiles]
    ascents: list[Row]


def parse_size(text: str) -> tuple[int, int]:
    """``WIDTHxHEIGHT``, px. Raises ValueError in words."""
    try:
        width, height = (int(part) for part in text.lower().split("x"))
    except ValueError:
        raise ValueError(f"--size must be WIDTHxHEIGHT in pixels, such as 640x480, not {text}") from None
    for name, value, (low, high) in zip(("width", "height"), (width, height), SIZE_RANGE, strict=True):
        if not low <= value <= high:
            raise ValueError(f"--size: the {name} must be between {low} and {high} pixels, not {value}")
    return width, height


def bench(
    seconds: Annotated[float, typer.Option(help="Length of the live run, s.", min=2, max=86_400)] = 20.0,
    size: Annotated[
        str, typer.Option(help="Size of the demo's picture, WIDTHxHEIGHT in pixels.")
    ] = "640x480",
    fps: Annotated[float, typer.Option(help="Frames a second of the demo.", min=5, max=120)] = 30.0,
    mode: Annotated[Literal["steady", "paper"], typer.Option(help="As of `deepmag live`.")] = "steady",
    target: Annotated[
        Target, typer.Option(help="As of `deepmag live`. Stages and ascents are timed of the pulse only.")
    ] = "pulse",
    streams: Annotated[
        int,
        typer.Option(
            help="How many demos run at once, their networks shared as in `deepmag serve`.", min=1, max=64
        ),
    ] = 1,
    page: Annotated[bool, typer.Option("--page/--no-page", help="Serve the page to one viewer.")] = True,
    runtime: RuntimeOption = "auto",
    device: DeviceOption = "auto",
    threads: ThreadsOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Measure latency, frame rate, drops, memory and the ascent's speed on the demo, at real pace."""
    set_up_logging("warning")
    try:
        picture = parse_size(size)
        settings = Settings(mode=mode, target=target, lag=DEFAULT_LAG[target])
    except ValueError as error:
        fail(str(error), 2)
    report = _measure(seconds, picture, fps, settings, streams, page, runtime, device, threads)
    if as_json:
        typer.echo(json.dumps(to_json(report), indent=2))
    else:
        _print(report)


def _measure(
    seconds: float,
    size: tuple[int, int],
    fps: float,
    settings: Settings,
    streams: int,
    page: bool,
    runtime: Runtime,
    device: str,
    threads: int | None,
) -> Report:
    from importlib.metadata import version

    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

    from deepmag.export.runtime import AscenderUnavailableError, default_threads
    from deepmag.models.reconstruction import warm_up
    from deepmag.stream.bench import run_live, time_ascents, time_stages
    from deepmag.stream.capture.demo import DemoSource
    from deepmag.stream.face import load_face_detector
    from deepmag.stream.networks import open_networks
    from deepmag.stream.pipeline import Pipeline
    from deepmag.stream.render.renderer import RendererError
    from deepmag.stream.ward.batched_ascender import Shared

    if "pulse" in settings.signals and find_spec("torch") is None:
        # whose matrix product the ascent is held to, at the end: with all else measured there was no figure
        raise ModuleNotFoundError("No module named 'torch'", name="torch")
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn())
    try:
        networks = open_networks(settings, runtime, device, threads)
        warm_up()
        ascender = networks.pulse
        detector = load_face_detector() if "pulse" in settings.signals else None
        shared = Shared(networks, lambda _signal: streams) if streams > 1 else networks
        pipelines = [
            Pipeline(
                DemoSource(size=size, rate=fps),
                shared.pulse,
                detector,
                settings,
                respiration=shared.respiration,
                pictures=networks.pictures(),
            )
            for _ in range(streams)
        ]
        backend = pipelines[0].status().backend
        with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
            bar = progress.add_task("starting", total=1.0)
            lives = run_live(
                pipelines, seconds, page=page,
                report=lambda stage, share: progress.update(bar, description=stage, completed=share),
            )  # fmt: skip
            if isinstance(shared, Shared):
                shared.close()
            stages: dict[str, Quantiles] = {}
            ascents: list[Row] = []
            if ascender is not None:
                progress.update(bar, description="stages", completed=1.0)
                stages = time_stages(ascender, size, settings.mode)
                progress.update(bar, description="ascent")
                cpu = "CPU" in ascender.description
                rounds = round(min(40, max(10, 2 * seconds)))
                ascents = time_ascents(
                    ascender,
                    (threads or default_threads()) if cpu else 0,
                    rounds,
                    None if cpu else _torch_gpu(device),
                )
    except (AscenderUnavailableError, RendererError, RuntimeError) as error:
        fail(str(error))
    cores = default_threads()
    return Report(
        version("deepmag"), cores, backend, size, settings.mode, settings.target, page, lives[0], lives, stages,
        ascents,
    )  # fmt: skip


def _torch_gpu(name: str) -> torch.device | None:
    """The GPU of a device's name, None where this torch cannot use it. name: see ``parse_device``."""
    from deepmag.export.device import Device, parse_device
    from deepmag.export.runtime import AscenderUnavailableError
    from deepmag.export.torch_device import open_torch_device

    try:
        return open_torch_device(parse_device(name) or Device(0))
    except AscenderUnavailableError:
        return None


def to_json(report: Report) -> dict[str, Any]:
    """Everything, times in ms, memory in MiB, speeds in GFLOP/s."""
    result = asdict(report)
    result["live"]["rss_growth"] = report.live.rss_growth
    return result


def _print(report: Report) -> None:
    from rich.console import Console
    from rich.table import Table

    live = report.live
    viewer = "page open to one viewer" if report.page else "no page"
    console = Console()
    table = Table(
        title=f"deepmag {report.version}, {report.target}: {report.backend}, {report.mode}, {viewer}",
        title_justify="left",
    )
    table.add_column("ms")
    for name in ("p50", "p95", "p99"):
        table.add_column(name, justify="right")
    latencies = {
        f"arrival to ready, lag of {live.lag_ms:.0f} ms included": live.latency,
        "arrival to ready, beyond the lag": live.beyond_lag,
    }
    if report.page:
        latencies["arrival to sent, lag included"] = live.sent
        latencies["arrival to sent, beyond the lag"] = live.sent_beyond_lag
    stages = {f"  {name}": quantiles for name, quantiles in report.stages.items()}
    for name, quantiles in ({"engine, whole frame": live.engine} | stages | latencies).items():
        table.add_row(name, *(_number(value) for value in (quantiles.p50, quantiles.p95, quantiles.p99)))
    console.print(table)
    width, height = report.size
    drops = ", ".join(f"{stage} {count}" for stage, count in live.dropped.items())
    console.print(
        f"{width}x{height}: {live.frames} frames in {live.seconds:.1f} s, {live.fps:.2f} frames/s; dropped: {drops}"
    )
    for number, stream in enumerate(report.streams[1:], start=2):
        dropped = ", ".join(f"{stage} {count}" for stage, count in stream.dropped.items())
        p95 = _number(stream.beyond_lag.p95)
        console.print(
            f"stream {number}: {stream.fps:.2f} frames/s; dropped: {dropped}; p95 beyond the lag {p95} ms"
        )
    console.print(
        f"memory: {live.rss_start:.0f} MiB, at the end {live.rss_end:.0f} MiB ({live.rss_growth:+.1f})"
    )
    for row in report.ascents:
        ratio = (
            ""
            if row.ratio is None
            else f", {100 * row.ratio:.0f} % of sgemm's {row.sgemm_gflops:.0f} GFLOP/s"
        )
        speed = (
            f"{row.p50_ms:.1f} ms for {row.mflop:.0f} MFLOP and {row.mbyte:.0f} MB, {row.gflops:.0f} GFLOP/s"
        )
        console.print(f"ascent, {row.mode}: {speed}{ratio}")


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"
