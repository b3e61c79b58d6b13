"""What the live path costs on this machine: the real pipeline on the demo, its stages one by one, and the ascent.

The stages are timed on the demo's own frames in a loop, because a probe inside the engine would cost what it
measures; the whole per frame, the latencies and the drops come from the pipeline as it runs.
"""

from __future__ import annotations

import gc
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import psutil

from deepmag.stream.latency import LatencyMeter

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import torch

    from deepmag.export.runtime import Ascender
    from deepmag.export.speed import Row
    from deepmag.stream.pipeline import Pipeline
    from deepmag.stream.settings import Mode

ROUNDS = 100  # of each stage
SETTLE = 2.0  # s after the first picture: caches fill and pools reach their size
PICTURE_TIMEOUT = 30.0  # s
MEBI = 2**20


@dataclass(frozen=True, slots=True)
class Quantiles:
    """Of durations, ms; None where there were none."""

    p50: float | None
    p95: float | None
    p99: float | None

    @classmethod
    def of(cls, seconds: Sequence[float], minus: float = 0.0) -> Quantiles:
        """Quantiles of durations in s, ``minus`` s taken off each."""
        if not len(seconds):
            return cls(None, None, None)
        p50, p95, p99 = np.percentile(1e3 * (np.asarray(seconds) - minus), (50, 95, 99))
        return cls(float(p50), float(p95), float(p99))


@dataclass(frozen=True, slots=True)
class Live:
    """A run at real pace.

    engine: its whole work per frame. latency: arrival to ready, lag included; beyond_lag: without it. sent: arrival
    to the picture's being packed for a viewer, lag included. rss: MiB, settled and at the end. rate: last bpm.
    """

    seconds: float
    frames: int
    fps: float
    dropped: dict[str, int]
    lag_ms: float
    engine: Quantiles
    latency: Quantiles
    beyond_lag: Quantiles
    sent: Quantiles
    sent_beyond_lag: Quantiles
    rss_start: float
    rss_end: float
    rate: float | None

    @property
    def rss_growth(self) -> float:
        """MiB."""
        return self.rss_end - self.rss_start


def time_stages(
    ascender: Ascender, size: tuple[int, int], mode: Mode, rounds: int = ROUNDS
) -> dict[str, Quantiles]:
    """Time each stage on the demo's frames. size: (width, height), px. Returns ms by the stage's name."""
    from deepmag.models.amplitude import RunningAmplitudes
    from deepmag.models.direction import SmoothedDirection
    from deepmag.models.reconstruction import magnify_frame, warm_up
    from deepmag.models.representation import L, normalized_difference, reduce_frame
    from deepmag.models.steady import ascend_symmetric
    from deepmag.models.step_size import gamma_for_rate
    from deepmag.models.window import SlidingWindow
    from deepmag.stream.capture.demo import RATE
    from deepmag.stream.capture.portrait import Portrait

    warm_up()
    portrait = Portrait(size)
    width, height = size
    # a face fills about this much of the demo's picture; what is reduced may not be smaller than what it becomes
    w, h = max(L, width // 3), max(L, height // 2)
    x, y = min(width // 3, width - w), min(height // 5, height - h)
    window, direction, amplitudes = SlidingWindow((3, L, L), RATE), SmoothedDirection(), RunningAmplitudes()
    window.push(np.zeros((3, L, L), np.float32), round(6 * RATE))
    before = reduce_frame(portrait.frame(0.0)[y : y + h, x : x + w])
    times: dict[str, list[float]] = {
        "reduction": [], "ascent": [], "window": [], "reconstruction": [],
    }  # fmt: skip
    for index in range(1, rounds + 6):
        image = portrait.frame(index / RATE)
        marks = [time.perf_counter()]
        after = reduce_frame(image[y : y + h, x : x + w])
        pair = normalized_difference(before, after)[None]
        marks.append(time.perf_counter())
        if mode == "paper":
            dx, _ = ascender.paper(pair, gamma_for_rate(RATE))
        else:
            along = np.zeros_like(pair[0])
            if direction.ready:
                along = direction.direction(after, amplitudes.current())
            dx, output, gradient = ascend_symmetric(ascender, pair, along[None])
            direction.update(gradient[0], 1 / RATE)
            amplitudes.update(pair[0], float(output[0]), 1, RATE)
        marks.append(time.perf_counter())
        window.push(dx[0])
        factor = window.log_factor()
        marks.append(time.perf_counter())
        magnify_frame(image, after, factor, (x, y, w, h))
        marks.append(time.perf_counter())
        before = after
        if index > 5:  # the first ones find cold caches
            for name, duration in zip(times, np.diff(marks), strict=True):
                times[name].append(float(duration))
    return {name: Quantiles.of(values) for name, values in times.items()}


def time_ascents(
    ascender: Ascender, threads: int, rounds: int = 40, gpu: torch.device | None = None
) -> list[Row]:
    """The ascent of each mode against this machine's sgemm, in the same run.

    threads: of both, 0 on a GPU. gpu: where the sgemm runs then, None where torch cannot use it.
    """
    import torch

    from deepmag.export.runtime import load_weights
    from deepmag.export.speed import (
        Contender,
        forward_bytes,
        forward_flops,
        measure,
        paper_flops,
        steady_flops,
    )
    from deepmag.models.networks import PulseNet
    from deepmag.models.representation import INPUT_SCALE, L
    from deepmag.models.steady import GROWTH
    from deepmag.models.step_size import GAMMA
    from deepmag.models.weights import PULSE

    arrays = load_weights(PULSE)
    net = PulseNet.from_weights({name: torch.from_numpy(value) for name, value in arrays.items()})
    forward, traffic = forward_flops(net), forward_bytes(net)
    x = np.random.default_rng(0).normal(0, INPUT_SCALE, (1, 3, L, L)).astype(np.float32)

    along = x * np.float32(1e-3)
    name = ascender.description
    steady = Contender(
        name, "steady", threads, steady_flops(forward), lambda: ascender.steady(x, along, GROWTH),
        steady_flops(traffic), gpu,
    )  # fmt: skip
    paper = Contender(
        name, "paper", threads, paper_flops(forward), lambda: ascender.paper(x, GAMMA), paper_flops(traffic), gpu,
    )  # fmt: skip
    return measure([steady, paper], rounds)


def run_live(
    pipelines: Sequence[Pipeline],
    seconds: float,
    *,
    page: bool = True,
    settle: float = SETTLE,
    report: Callable[[str, float], None] = lambda _stage, _share: None,
) -> list[Live]:
    """Run pipelines side by side at real pace for ``seconds`` after they have settled, then stop them.

    page: serve the first one's page to one viewer, as in daily use. Returns one result for each; memory is the whole
    process's. Raises RuntimeError where no picture comes.
    """
    from deepmag.stream.page.renderer import PageRenderer
    from deepmag.stream.page_client import PageClient

    client: PageClient | None = None
    try:
        if page:
            server = PageRenderer(pipelines[0], port=0)
            pipelines[0].add(server)
            client = PageClient(server.url)
            client.start()
        for pipeline in pipelines:
            pipeline.start()
        began = time.monotonic()
        report("first picture", 0.0)
        for pipeline in pipelines:
            _await_picture(pipeline, began)
        pipelines[0].wait(settle)
        before = []
        for pipeline in pipelines:
            engine = pipeline.engine
            engine.latency, engine.work = LatencyMeter(seconds + 10), LatencyMeter(seconds + 10)
            before.append((engine.frames, pipeline.status().dropped))
        gc.collect()
        rss = _rss()
        first = client.pictures[-1].seq if client and client.pictures else -1
        began = time.monotonic()
        while (spent := time.monotonic() - began) < seconds and not pipelines[0].wait(
            min(0.25, seconds - spent)
        ):
            report("live", spent / seconds)
        spent = time.monotonic() - began
        sent = [seen.latency for seen in list(client.pictures) if seen.seq > first] if client else []
        return [
            _measured(pipeline, spent, *start, sent if pipeline is pipelines[0] else [], rss)
            for pipeline, start in zip(pipelines, before, strict=True)
        ]
    finally:
        if client is not None:
            client.stop()
        for pipeline in pipelines:
            pipeline.stop()


def _await_picture(pipeline: Pipeline, began: float) -> None:
    while pipeline.first_picture is None:
        if pipeline.wait(0.05) or time.monotonic() - began > PICTURE_TIMEOUT:
            raise RuntimeError(f"no picture came: {pipeline.failure or 'timeout'}")


def _measured(
    pipeline: Pipeline, spent: float, frames: int, dropped: dict[str, int], sent: list[float], rss: float
) -> Live:
    now = time.monotonic()
    status, lag = pipeline.status(), pipeline.settings.lag
    engine, latency = pipeline.engine.work.values(now), pipeline.engine.latency.values(now)
    taken = pipeline.engine.frames - frames
    pulse = (pipeline.readings or {}).get("pulse")
    return Live(
        seconds=spent,
        frames=taken,
        fps=taken / spent,
        dropped={stage: count - dropped.get(stage, 0) for stage, count in status.dropped.items()},
        lag_ms=1e3 * lag,
        engine=Quantiles.of(engine),
        latency=Quantiles.of(latency),
        beyond_lag=Quantiles.of(latency, lag),
        sent=Quantiles.of(sent),
        sent_beyond_lag=Quantiles.of(sent, lag),
        rss_start=rss,
        rss_end=_rss(),
        rate=pulse.rate if pulse else None,
    )


def _rss() -> float:
    """Resident memory of this process, MiB."""
    return float(psutil.Process().memory_info().rss / MEBI)
