"""`deepmag serve --ray local`: how long the feeds of a killed worker are away, and what the others notice of it.

    python benchmarks/ward_ray.py [--feeds 4] [--kills 3]

The feeds are test patterns of GStreamer's RTSP servers, in two workers. One worker is killed again and again. away:
from the kill until all its feeds are live in a new process. others: states that the feeds of the other worker were in
meanwhile, and the longest time in which one of them brought no new picture.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

from live_command import live_command
from ward import metrics

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
from rtsp_server import rtsp_server

START = 90.0  # s for all to be live
POLL = 0.1  # s


def health(url: str) -> dict[str, object]:
    """What the gateway says of all groups."""
    try:
        with urllib.request.urlopen(f"{url}healthz", timeout=10) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return json.load(error)


def wait(url: str, true, seconds: float = START) -> dict[str, object]:
    """Ask until ``true`` of the answer."""
    end = time.monotonic() + seconds
    while not true(told := health(url)):
        if time.monotonic() > end:
            raise RuntimeError(f"not in {seconds:g} s: {told}")
        time.sleep(POLL)
    return told


def main() -> None:
    """Print one line for each kill."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--feeds", type=int, default=4)
    parser.add_argument("--kills", type=int, default=3)
    args = parser.parse_args()
    with contextlib.ExitStack() as stack:
        servers = [stack.enter_context(rtsp_server(size=(640, 480), fps=5)) for _ in range(args.feeds)]
        file = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "FEEDS.toml"
        file.write_text(
            "".join(
                f'[[feed]]\nname = "feed {i}"\nsource = "{server.url()}"\nroi = "full"\n'
                for i, server in enumerate(servers)
            )
        )
        command = stack.enter_context(live_command(str(file), "--ray", "local", command="serve"))
        url = command.url
        wait(url, lambda told: set(told["feeds"].values()) == {"live"})
        for _ in range(args.kills):
            victim, other = health(url)["groups"]
            slugs = list(other["feeds"])
            os.kill(victim["pid"], signal.SIGKILL)
            killed = time.monotonic()
            seen = {slug: (metrics(url, slug)["deepmag_frames_total"], killed) for slug in slugs}
            states: set[str] = set()
            longest = 0.0
            while True:
                told = health(url)
                states |= {told["feeds"][slug] for slug in slugs}
                now = time.monotonic()
                for slug in slugs:
                    frames = metrics(url, slug)["deepmag_frames_total"]
                    if frames > seen[slug][0]:
                        longest = max(longest, now - seen[slug][1])
                        seen[slug] = (frames, now)
                back = told["groups"][0]
                if back["pid"] not in (victim["pid"], None) and set(back["feeds"].values()) == {"live"}:
                    break
                if now - killed > START:
                    raise RuntimeError(f"not back in {START:g} s: {told}")
                time.sleep(POLL)
            print(
                f"away {now - killed:.1f} s; others {', '.join(sorted(states))}, longest gap {longest:.2f} s",
                flush=True,
            )


if __name__ == "__main__":
    main()
