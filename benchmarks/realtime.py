"""Real time for minutes, with the page open in Chromium: `deepmag live` as it is used.

    python benchmarks/realtime.py [--minutes 10] [--source demo] [--target pulse] [--chromium PROGRAM] [--json]

The browser draws; a second, invisible client hears the state twice a second and costs the server no picture.
Targets on two cores, 640x480: >= 30 frames/s, no drop, p95 of arrival to sent picture <= 60 ms beyond the lag,
memory growth below 20 MB from the first minute to the end. The page's memory is what its script holds after
everything that can be freed was; a display runs for days, and `--minutes 60` shows whether it would.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import urllib.request
from dataclasses import dataclass, field

import numpy as np
import psutil
from live_command import LiveCommand, live_command
from playwright.sync_api import Page, sync_playwright

from deepmag.stream.page_client import PageClient

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--no-first-run",
]
PERIOD = 5.0  # s between two samples
SETTLE = 10.0  # s before anything counts
MEBI = 2**20


@dataclass
class Samples:
    """One entry each PERIOD. Latencies: p50, p95 of the 10 s before, s; rss: MiB; at: s since the first."""

    at: list[float] = field(default_factory=list)
    fps: list[float] = field(default_factory=list)
    ready: list[tuple[float, float]] = field(default_factory=list)
    sent: list[tuple[float, float]] = field(default_factory=list)
    rss: list[float] = field(default_factory=list)
    rates: dict[str, float | None] = field(default_factory=dict)


def counters(url: str) -> dict[str, float]:
    """Frames and pictures so far, from the metrics."""
    with urllib.request.urlopen(url.split("#", maxsplit=1)[0] + "metrics", timeout=10) as answer:
        lines = answer.read().decode().splitlines()
    wanted = ("deepmag_frames_total", "deepmag_page_pictures_total")
    return {line.split()[0]: float(line.split()[1]) for line in lines if line.startswith(wanted)}


def page_memory(tab: Page) -> dict[str, float]:
    """What a page holds: its script's heap in MiB, nodes and event listeners, after a collection."""
    session = tab.context.new_cdp_session(tab)
    session.send("Performance.enable")
    session.send("HeapProfiler.collectGarbage")
    found = {metric["name"]: metric["value"] for metric in session.send("Performance.getMetrics")["metrics"]}
    session.detach()
    return {
        "heap_mib": found["JSHeapUsedSize"] / MEBI,
        "nodes": found["Nodes"],
        "listeners": found["JSEventListeners"],
    }


def watch(command: LiveCommand, seconds: float, chromium: str, progress: bool) -> dict[str, object]:
    """Sample a running command with a browser on it. Returns the figures."""
    process = psutil.Process(command.process.pid)
    samples = Samples()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        tab = browser.new_page(viewport={"width": 1280, "height": 800})
        tab.goto(command.url)
        listener = PageClient(command.url, visible=False)
        listener.start()
        listener.wait(lambda: (listener.state or {}).get("state") == "live", 30.0)
        tab.wait_for_timeout(1e3 * SETTLE)
        page_early: dict[str, float] | None = None
        begin, began = counters(command.url), time.monotonic()
        state = listener.state or {}
        dropped = dict(state.get("dropped", {}))
        while (now := time.monotonic() - began) < seconds and command.process.poll() is None:
            tab.wait_for_timeout(1e3 * min(PERIOD, seconds - now))
            state = listener.state or {}
            samples.at.append(time.monotonic() - began)
            samples.fps.append(state["fps"])
            samples.rss.append(process.memory_info().rss / MEBI)
            samples.rates = {name: signal["rate"] for name, signal in state["signals"].items() if signal}
            if state["latency_p50"] is not None:
                samples.ready.append((state["latency_p50"], state["latency_p95"]))
            if state["sent"]:
                samples.sent.append(tuple(state["sent"]))
            if page_early is None and samples.at[-1] >= min(60.0, seconds / 2):
                page_early = page_memory(tab)
            if progress:
                print(
                    f"\r{samples.at[-1]:6.0f} s of {seconds:.0f}  {state['fps']:.1f} frames/s",
                    end="",
                    file=sys.stderr,
                )
        spent = time.monotonic() - began
        end = counters(command.url)
        listener.stop()
        page_end = page_memory(tab)
        browser.close()
    if progress:
        print(file=sys.stderr)
    frames, pictures = (
        end[name] - begin[name] for name in ("deepmag_frames_total", "deepmag_page_pictures_total")
    )
    lag = state["lag"]
    minute = next((i for i, at in enumerate(samples.at) if at >= 60.0), 0)
    return {
        "seconds": spent,
        "fps": frames / spent,
        "pictures_per_second": pictures / spent,
        "dropped": {stage: count - dropped.get(stage, 0) for stage, count in state["dropped"].items()},
        "lag_ms": 1e3 * lag,
        "ready_beyond_lag_ms": _summary(samples.ready, lag),
        "sent_beyond_lag_ms": _summary(samples.sent, lag),
        "rss_mib": {"after_1_min": samples.rss[minute], "end": samples.rss[-1]},
        "rss_growth_mib": samples.rss[-1] - samples.rss[minute],
        "page_after_1_min": page_early,
        "page_end": page_end,
        "rates": samples.rates,
        "backend": state["backend"],
    }


def _summary(pairs: list[tuple[float, float]], lag: float) -> dict[str, float]:
    """Of the 10 s windows: the median p50, the median p95, the worst p95; ms beyond the lag."""
    if not pairs:
        return {"p50": float("nan"), "p95": float("nan"), "worst_p95": float("nan")}
    p50, p95 = 1e3 * (np.array(pairs).T - lag)
    return {"p50": float(np.median(p50)), "p95": float(np.median(p95)), "worst_p95": float(p95.max())}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--source", default="demo", help="demo, or a file that is played again and again")
    parser.add_argument("--mode", default="steady", choices=["steady", "paper"])
    parser.add_argument("--target", default="pulse", choices=["pulse", "respiration", "both"])
    parser.add_argument("--chromium", default="/usr/bin/chromium")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    chosen = ["--loop", "--mode", options.mode, "--target", options.target]
    with live_command(options.source, *chosen) as command:
        figures = watch(command, 60 * options.minutes, options.chromium, not options.json)
    if options.json:
        print(json.dumps(figures, indent=2))
        return
    for name, value in figures.items():
        if isinstance(value, dict):
            text = ", ".join(
                f"{key} {'--' if number is None else format(number, '.1f')}" for key, number in value.items()
            )
        else:
            text = f"{value:.2f}" if isinstance(value, float) else str(value)
        print(f"{name:22} {text}")


if __name__ == "__main__":
    main()
