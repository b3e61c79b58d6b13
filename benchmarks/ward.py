"""A ward: `deepmag serve` on RTSP feeds for minutes, one of them cut and restored, one stalled.

    python benchmarks/ward.py [--feeds 8] [--fps 5] [--minutes 10] [--size 640x480] [--target pulse] [--undisturbed]

Each feed comes from a GStreamer RTSP server of its own, in a process of its own. After a quarter of the time the server
of the second feed is ended, and started again 20 s later; at half of it that of the third stands still for 20 s. For
each feed: the share of the pictures sent that was magnified, what the engine dropped, the latency beyond the lag (less
than nothing, too: at 5 frames/s a lag of 0.25 s is one frame, 0.2 s), and the longest time without a new picture.
Memory is that of `deepmag serve`, after the first minute, at each tenth of the time and at the end; whether it grows
for ever, `--minutes 60` tells.
"""

from __future__ import annotations

import argparse
import contextlib
import signal
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

import psutil
from live_command import live_command

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
from rtsp_server import rtsp_server

PERIOD = 1.0  # s between two samples
OUTAGE = 20.0  # s
SETTLE = 15.0  # s before anything counts
MEBI = 2**20
CUT, STALLED = 1, 2  # numbers of the feeds that are disturbed


def metrics(url: str, slug: str) -> dict[str, float]:
    """Of one feed, now."""
    with urllib.request.urlopen(f"{url}feeds/{slug}/metrics", timeout=10) as answer:
        lines = answer.read().decode().splitlines()
    found = {}
    for line in lines:
        if not line.startswith("#"):
            name, _, value = line.rpartition(" ")
            found[name] = float(value)
    return found


def main() -> None:
    """Print one line for each feed, then those of the process."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--feeds", type=int, default=8)
    parser.add_argument("--fps", type=int, default=5)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--size", default="640x480")
    parser.add_argument("--target", default="pulse")
    parser.add_argument("--undisturbed", action="store_true")
    args = parser.parse_args()
    width, height = (int(side) for side in args.size.split("x"))
    seconds = 60.0 * args.minutes
    with contextlib.ExitStack() as stack:

        def start(port=0):
            return rtsp_server(size=(width, height), fps=args.fps, port=port)

        servers = [
            stack.enter_context(start()) for number in range(args.feeds) if number != CUT or args.undisturbed
        ]
        cut = None
        if not args.undisturbed:
            cut = start()
            servers.insert(CUT, cut.__enter__())
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        file = folder / "FEEDS.toml"
        file.write_text(
            "".join(
                f'[[feed]]\nname = "feed {i}"\nsource = "{server.url()}"\nroi = "full"\ntarget = "{args.target}"\n'
                for i, server in enumerate(servers)
            )
        )
        command = stack.enter_context(live_command(str(file), command="serve"))
        process = psutil.Process(command.process.pid)
        slugs = [f"feed-{i}" for i in range(args.feeds)]
        time.sleep(SETTLE)
        first = {slug: metrics(command.url, slug) for slug in slugs}
        began = time.monotonic()
        seen = {slug: (first[slug]["deepmag_frames_total"], began) for slug in slugs}
        gaps = dict.fromkeys(slugs, 0.0)
        memory = []
        p95 = {slug: [] for slug in slugs}
        stage = 0
        while (now := time.monotonic()) - began < seconds:
            passed = now - began
            if cut is not None:
                if stage == 0 and passed > seconds / 4:
                    port = servers[CUT].port
                    cut.__exit__(None, None, None)
                    stage = 1
                elif stage == 1 and passed > seconds / 4 + OUTAGE:
                    stack.enter_context(start(port))
                    stage = 2
                elif stage == 2 and passed > seconds / 2:
                    servers[STALLED].process.send_signal(signal.SIGSTOP)
                    stage = 3
                elif stage == 3 and passed > seconds / 2 + OUTAGE:
                    servers[STALLED].process.send_signal(signal.SIGCONT)
                    stage = 4
            for slug in slugs:
                values = metrics(command.url, slug)
                count = values["deepmag_frames_total"]
                if count > seen[slug][0]:
                    gaps[slug] = max(gaps[slug], now - seen[slug][1])
                    seen[slug] = (count, now)
                latency = values.get('deepmag_latency_seconds{quantile="0.95"}')
                if latency is not None:
                    p95[slug].append(latency - values["deepmag_lag_seconds"])
            memory.append((passed, process.memory_info().rss / MEBI))
            time.sleep(max(0.0, PERIOD - (time.monotonic() - now)))
        passed = time.monotonic() - began
        print(f"{'feed':8} {'share':>6} {'dropped':>7} {'p95, ms':>8} {'longest gap, s':>14}")
        for i, slug in enumerate(slugs):
            last = metrics(command.url, slug)
            frames = last["deepmag_frames_total"] - first[slug]["deepmag_frames_total"]
            dropped = sum(
                last[name] - first[slug].get(name, 0.0)
                for name in last
                if name.startswith("deepmag_dropped") and "engine" in name
            )
            name = {CUT: " cut", STALLED: " stalled"}.get(i, "") if cut is not None else ""
            median = 1e3 * sorted(p95[slug])[len(p95[slug]) // 2] if p95[slug] else float("nan")
            print(
                f"{slug:8} {frames / (args.fps * passed):6.3f} {dropped:7.0f} {median:8.0f} {gaps[slug]:14.1f}{name}"
            )
        early = [rss for at, rss in memory if at <= 60.0] or [memory[0][1]]
        print(f"memory after the first minute {early[-1]:.1f} MiB, at the end {memory[-1][1]:.1f} MiB")
        tenths = [memory[min(i * len(memory) // 10, len(memory) - 1)][1] for i in range(1, 11)]
        print(f"at each tenth of the time: {', '.join(f'{rss:.0f}' for rss in tenths)} MiB")
        print(
            f"processor time {process.cpu_times().user + process.cpu_times().system:.0f} s of {passed:.0f} s"
        )


if __name__ == "__main__":
    main()
