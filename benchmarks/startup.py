"""From the command to the first picture in a viewer, and from there to the first trusted pulse rate, at real pace.

    python benchmarks/startup.py [SOURCE ...] [--runs 1] [--first] [--data ../shared/data]

Sources are demo, names in clips.json, or anything that `deepmag live` takes. --first: as on a new machine, where
nothing has been compiled. Targets: 5 s and 10 s.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
from pathlib import Path

from live_command import live_command

from deepmag.stream.page_client import PageClient, SeenPicture

PICTURE_TARGET, RATE_TARGET = 5.0, 10.0  # s
PATIENCE = 45.0  # s for a rate
CLIPS = ("clip_a", "evm_face")


def measure(source: str) -> tuple[float | None, float | None, float | None]:
    """Seconds from command to picture, from picture to rate, and the rate; None for what never came."""
    with live_command(source, "--loop") as command:
        viewer = PageClient(command.url)
        viewer.start()
        viewer.wait(lambda: bool(viewer.pictures), PATIENCE)
        viewer.wait(lambda: viewer.pictures[-1].rate is not None if viewer.pictures else False, PATIENCE)
        seen = list(viewer.pictures)
        viewer.stop()
    if not seen:
        return None, None, None
    rated: SeenPicture | None = next((picture for picture in seen if picture.rate is not None), None)
    first = seen[0].at - command.began
    return (first, None, None) if rated is None else (first, rated.at - seen[0].at, rated.rate)


def main() -> None:
    """Measure each source and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "sources", nargs="*", metavar="SOURCE", help="demo and two real clips, where they are"
    )
    parser.add_argument("--runs", type=int, default=1)
    parser.add_argument("--first", action="store_true", help="nothing has been compiled")
    parser.add_argument("--data", type=Path, default=Path(__file__).resolve().parents[2] / "shared" / "data")
    options = parser.parse_args()
    clips = options.data / "clips.json"
    known = json.loads(clips.read_text()) if clips.is_file() else {}
    sources = options.sources or ["demo", *(name for name in CLIPS if name in known)]
    if not known and not options.sources:
        print(f"the real clips are not in {options.data}; name their folder with --data", file=sys.stderr)
    print(f"{'source':20} {'first picture, s':>16} {'first rate, s later':>20} {'bpm':>6} {'truth':>6}")
    for name in sources:
        source = str(options.data / known[name]["file"]) if name in known else name
        runs = []
        for _ in range(options.runs):
            with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as empty:
                if options.first:
                    os.environ["NUMBA_CACHE_DIR"] = empty
                runs.append(measure(source))
        columns = [[value for value in column if value is not None] for column in zip(*runs, strict=True)]
        first, rate, bpm = (statistics.median(column) if column else None for column in columns)
        truth = known.get(name, {}).get("bpm")
        if name == "demo":
            from deepmag.stream.capture.portrait import BPM

            truth = BPM
        print(f"{name:20} {_text(first):>16} {_text(rate):>20} {_text(bpm):>6} {_text(truth):>6}", flush=True)
    print(f"{'target':20} {PICTURE_TARGET:>16.1f} {RATE_TARGET:>20.1f}")


def _text(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"


if __name__ == "__main__":
    main()
