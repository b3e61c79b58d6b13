"""`deepmag live CLIP --target respiration --pace max --record OUT --lossless`, scored by a ruler that is not ours.

    python benchmarks/motion_scores.py [CLIP ...] [--shared ../shared] [--offline] [--live --method riesz ...] [--json]

The ruler is tools/score_motion.py beside the real clips, with their boxes of a chest and of something still. Targets
are those of --target respiration; * marks a miss. ground: RMS of
what is added to the still box's motion in the band, px, by deepmag.models.metrics.motion. --offline: `deepmag magnify`.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import av
import numpy as np
from live_command import COMMAND
from numpy.typing import NDArray
from score_row import row

from deepmag.models.metrics.motion import added_displacement
from deepmag.models.metrics.picture import luma
from deepmag.models.temporal import zero_phase

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


def lumas(path: Path) -> tuple[list[NDArray[np.float32]], float]:
    """A video's pictures in grey, and their rate, Hz."""
    with av.open(str(path)) as container:
        rate = float(container.streams.video[0].average_rate)
        return [luma(frame.to_ndarray(format="rgb24")) for frame in container.decode(video=0)], rate


def ground(original: Path, out: Path, box: list[int], band: str) -> float:
    """RMS of the motion added to a box, px."""
    before, rate = lumas(original)
    low, high = (float(edge) for edge in band.split(","))
    added = zero_phase(added_displacement(before, lumas(out)[0], tuple(box)), (low, high), rate)
    return float(np.sqrt(np.mean((added**2).sum(1))))


def score(
    shared: Path, name: str, clip: dict[str, Any], live: list[str], *, offline: bool = False
) -> dict[str, float]:
    """Magnify one clip as a user would, and score it."""
    original = shared / "data" / clip["file"]
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / f"{name}.mkv"
        if offline:
            run = ["magnify", str(original), str(out), "--gain", "15", "--lossless", *live]
        else:
            run = ["live", str(original), "--pace", "max", "--record", str(out), "--lossless",
                   "--log-level", "warning", *live]  # fmt: skip
        subprocess.run([*COMMAND, *run], check=True)
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
        result["ground"] = ground(original, out, clip["still"], BANDS.get(name, BAND))
    return result


def main() -> None:
    """Score each clip."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("clips", nargs="*", default=list(TARGETS), metavar="CLIP")
    parser.add_argument("--shared", type=Path, default=Path(__file__).resolve().parents[2] / "shared")
    parser.add_argument("--json", action="store_true")
    parser.add_argument(
        "--offline", action="store_true", help="by deepmag magnify, with the whole clip known"
    )
    parser.add_argument(
        "--live",
        nargs=argparse.REMAINDER,
        default=["--target", "respiration"],
        help="options for deepmag live in place of --target respiration",
    )
    options = parser.parse_args()
    if not options.shared.is_dir():
        sys.exit(f"the real clips are not in {options.shared}; name the folder above theirs with --shared")
    known = json.loads((options.shared / "data" / "clips.json").read_text())
    results: dict[str, dict[str, float]] = {}
    if not options.json:
        print(f"{'':18}" + "".join(f"{column:>9} " for column in COLUMNS))
    for name in options.clips:
        results[name] = score(options.shared, name, known[name], options.live, offline=options.offline)
        if not options.json:
            print(row(name, results[name], COLUMNS, TARGETS.get(name, {})), flush=True)
    if options.json:
        print(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
