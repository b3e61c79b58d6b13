"""`deepmag live` on a GPU, from a file's packets to the magnified picture: at the file's pace, and as fast as it goes.

    python benchmarks/gpu_live.py [--device cuda] [--size 1920x1080] [--fps 60] [--seconds 20]

The file is the demo's person, drawn and encoded first, which takes minutes at this size. Printed is what the command
says at its end. At the file's pace no frame may be dropped; as fast as it goes, the frames a second count.
"""

from __future__ import annotations

import argparse
import subprocess
import tempfile
from pathlib import Path

from live_command import COMMAND
from rich.progress import track

from deepmag.stream.capture.portrait import Portrait
from deepmag.stream.render.video_file import VideoFile

RUNS = (("both", "gpu", "file"), ("both", "cpu", "file"), ("both", "gpu", "max"), ("pulse", "gpu", "file"))


def draw(path: Path, size: tuple[int, int], rate: float, seconds: float) -> None:
    """Write the file. size: (width, height), px."""
    portrait = Portrait(size)
    file = VideoFile(path, (size[1], size[0], 3), rate=rate, lossless=False)
    for number in track(range(round(seconds * rate)), "drawing"):
        file.write(portrait.frame(number / rate), 0, number / rate)
    file.close()


def run(path: Path, device: str, target: str, codecs: str, pace: str) -> str:
    """Run the command on a file. Returns what it says at its end. Raises RuntimeError where it fails."""
    options = ["--device", device, "--target", target, "--codecs", codecs, "--pace", pace, "--show", "none"]
    vitals = str(path.with_suffix(".csv"))  # as fast as it goes must be to some end
    done = subprocess.run(
        [*COMMAND, "live", str(path), *options, "--vitals", vitals],
        capture_output=True,
        text=True,
        check=False,
    )
    lines = (done.stderr or done.stdout).strip().splitlines()
    if done.returncode:
        raise RuntimeError("\n".join(lines))
    return next(line for line in reversed(lines) if "frames magnified" in line)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--size", default="1920x1080")
    parser.add_argument("--fps", type=float, default=60.0)
    parser.add_argument("--seconds", type=float, default=20.0)
    args = parser.parse_args()
    width, height = (int(side) for side in args.size.split("x"))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "person.mp4"
        draw(path, (width, height), args.fps, args.seconds)
        for target, codecs, pace in RUNS:
            said = run(path, args.device, target, codecs, pace)
            print(f"--target {target} --codecs {codecs} --pace {pace}: {said}", flush=True)


if __name__ == "__main__":
    main()
