"""`deepmag live CLIP --pace max --record OUT --lossless`, scored by a ruler that is not ours.

    python benchmarks/scores.py [CLIP ...] [--modes steady paper] [--shared ../shared] [--json]

The ruler is tools/score_pulse.py beside the real clips. Targets are those of the default mode; * marks a miss.
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
from score_row import row

COLUMNS = ("gain", "coherence", "blocks", "lag_s", "leak", "off_band", "drift", "psnr", "ssim")
# (low, high): what the default mode must reach
TARGETS: dict[str, dict[str, tuple[float | None, float | None]]] = {
    "clip_a": {
        "gain": (8.0, None), "coherence": (0.80, None), "blocks": (0.70, None), "leak": (None, 0.12),
        "off_band": (None, 0.5), "ssim": (0.98, None),
    },
    "evm_face": {"coherence": (0.98, None), "blocks": (0.97, None), "lag_s": (-0.07, 0.07)},
}  # fmt: skip


def score(shared: Path, name: str, clip: dict[str, Any], mode: str, extra: list[str]) -> dict[str, float]:
    """Magnify one clip as a user would, and score it."""
    original = shared / "data" / clip["file"]
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / f"{name}.mkv"
        subprocess.run(
            [*COMMAND, "live", str(original), "--pace", "max", "--mode", mode, "--record", str(out), "--lossless",
             "--log-level", "warning", *extra],
            check=True,
        )  # fmt: skip
        box = clip.get("face") or clip["skin"]
        command = [
            sys.executable,
            str(shared / "tools" / "score_pulse.py"),
            str(original),
            str(out),
            "--json",
        ]
        command += ["--face", ",".join(map(str, box)), "--bpm", str(clip["bpm"])]
        if "ppg" in clip:
            command += ["--ppg", str(shared / "data" / clip["ppg"])]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
    result: dict[str, float] = json.loads(done.stdout)
    return result


def target_row(targets: dict[str, tuple[float | None, float | None]]) -> str:
    """The targets below their columns."""
    cells = []
    for column in COLUMNS:
        low, high = targets.get(column, (None, None))
        if low is not None and high is not None:
            text = f"+-{high:g}"
        elif low is not None:
            text = f">={low:g}"
        else:
            text = "" if high is None else f"<={high:g}"
        cells.append(f"{text:>9} ")
    return f"{'  target':18}" + "".join(cells)


def main() -> None:
    """Score each clip in each mode."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("clips", nargs="*", default=["clip_a", "evm_face"], metavar="CLIP")
    parser.add_argument("--modes", nargs="+", default=["steady", "paper"], choices=["steady", "paper"])
    parser.add_argument("--shared", type=Path, default=Path(__file__).resolve().parents[2] / "shared")
    parser.add_argument(
        "--live", nargs=argparse.REMAINDER, default=[], help="further options for deepmag live"
    )
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if not options.shared.is_dir():
        sys.exit(f"the real clips are not in {options.shared}; name the folder above theirs with --shared")
    known = json.loads((options.shared / "data" / "clips.json").read_text())
    results: dict[str, dict[str, dict[str, float]]] = {}
    if not options.json:
        print(f"{'':18}" + "".join(f"{column:>9} " for column in COLUMNS))
    for name in options.clips:
        for mode in options.modes:
            scores = score(options.shared, name, known[name], mode, options.live)
            results.setdefault(name, {})[mode] = scores
            if not options.json:
                print(
                    row(
                        f"{name}, {mode}", scores, COLUMNS, TARGETS.get(name, {}) if mode == "steady" else {}
                    ),
                    flush=True,
                )
        if not options.json and name in TARGETS:
            print(target_row(TARGETS[name]))
    if options.json:
        print(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
