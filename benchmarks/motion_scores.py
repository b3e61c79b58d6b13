"""`deepmag live CLIP --target respiration --pace max --record OUT --lossless`, scored by a ruler that is not ours.

    python benchmarks/motion_scores.py [CLIP ...] [--shared ../shared] [--live --method riesz ...] [--json]

The ruler is tools/score_motion.py beside the real clips, with their boxes of a chest and of something still. Targets
are those of --target respiration; * marks a miss. ground: RMS of what is added to the still box's motion, px.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from live_command import COMMAND

COLUMNS = ("before", "gain", "coherence", "leak", "rough", "ssim", "ground")
BANDS = {"clip_a": "0.1,0.5"}
BAND = "0.16,0.8"
TARGETS: dict[str, dict[str, tuple[float | None, float | None]]] = {
    "evm_baby": {
        "gain": (5.0, None), "coherence": (0.95, None), "leak": (None, 0.08), "rough": (None, 0.2),
        "ssim": (0.97, None),
    },
    "clip_a": {"gain": (3.0, None), "leak": (None, 0.3)},
    "baby_monitor": {"gain": (5.0, None), "coherence": (0.8, None)},
    "camera_bob": {"ground": (None, 0.3)},
}  # fmt: skip


def score(shared: Path, name: str, clip: dict[str, Any], live: list[str]) -> dict[str, float]:
    """Magnify one clip as a user would, and score it."""
    original = shared / "data" / clip["file"]
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / f"{name}.mkv"
        subprocess.run(
            [*COMMAND, "live", str(original), "--pace", "max", "--record", str(out), "--lossless",
             "--log-level", "warning", *live],
            check=True,
        )  # fmt: skip
        command = [
            sys.executable,
            str(shared / "tools" / "score_motion.py"),
            str(original),
            str(out),
            "--json",
        ]
        command += ["--band", BANDS.get(name, BAND)]
        for option, box in (("--roi", "chest"), ("--still", "still")):
            command += [option, ",".join(map(str, clip[box]))]
        relative = ["--relative"] if name == "clip_a" else []
        done = subprocess.run(command + relative, check=True, capture_output=True, text=True)
        result: dict[str, float] = json.loads(done.stdout)
        # the ruler gives a ratio; what was added to the chest is after - before along one and the same axis
        result["ground"] = result["leak"] * abs(result["after"] - result["before"])
    return result


def row(title: str, scores: dict[str, float], targets: dict[str, tuple[float | None, float | None]]) -> str:
    """One line of the table."""
    cells = []
    for column in COLUMNS:
        low, high = targets.get(column, (None, None))
        value = scores[column]
        missed = (low is not None and value < low) or (high is not None and value > high)
        cells.append(f"{value:>9.3f}{'*' if missed else ' '}")
    return f"{title:18}" + "".join(cells)


def main() -> None:
    """Score each clip."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("clips", nargs="*", default=list(TARGETS), metavar="CLIP")
    parser.add_argument("--shared", type=Path, default=Path(__file__).resolve().parents[2] / "shared")
    parser.add_argument("--json", action="store_true")
    parser.add_argument(
        "--live",
        nargs=argparse.REMAINDER,
        default=["--target", "respiration"],
        help="options for deepmag live in place of --target respiration",
    )
    options = parser.parse_args()
    known = json.loads((options.shared / "data" / "clips.json").read_text())
    results: dict[str, dict[str, float]] = {}
    if not options.json:
        print(f"{'':18}" + "".join(f"{column:>9} " for column in COLUMNS))
    for name in options.clips:
        results[name] = score(options.shared, name, known[name], options.live)
        if not options.json:
            print(row(name, results[name], TARGETS.get(name, {})), flush=True)
    if options.json:
        print(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
