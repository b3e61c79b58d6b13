"""How well the pulse network's output follows the contact PPG of clip_a, which it never saw in training.

The output is summed over time, band-passed 0.7 to 2.5 Hz, and compared with the PPG, band-passed too, within +-0.15 s.
The face is framed as the live view does, and also shifted and scaled, since a detector is never exact. Needs the real
clips; prints a table, or JSON.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
import torch

from deepmag.models.networks import PulseNet
from deepmag.models.representation import INPUT_SCALE, normalized_difference, reduce_frame
from deepmag.models.running_difference import centred_difference
from deepmag.models.temporal import PULSE_BAND, zero_phase
from deepmag.models.weights import PULSE

PPG_CLIP = "clip_a"
MAX_LAG = 0.15  # s
FRAMINGS = {  # side of the square per height of the face; shift of its centre, sides
    "as live": (1.5, 0.0, 0.0),
    "wider": (1.8, 0.0, 0.0),
    "closer": (1.25, 0.0, 0.0),
    "lower": (1.5, 0.0, 0.06),
    "to the right": (1.5, 0.08, 0.0),
}


def square(
    box: list[int], size: tuple[int, int], framing: tuple[float, float, float]
) -> tuple[int, int, int]:
    """x, y and side of the square around a face box, shifted into the picture. size: (width, height), px."""
    x, y, w, h = box
    side = int(min(framing[0] * h, *size))
    left = int(np.clip(x + w / 2 + framing[1] * side - side / 2, 0, size[0] - side))
    top = int(np.clip(y + h / 2 + framing[2] * side - side / 2, 0, size[1] - side))
    return left, top, side


@dataclass(frozen=True)
class PpgClip:
    """small: (T, 3, L, L) reduced frames, by framing. reference: (T,) contact PPG, band-passed. rate: Hz."""

    small: dict[str, np.ndarray]
    reference: np.ndarray
    rate: float


def read_ppg_clip(data: Path) -> PpgClip:
    """The clip with a contact PPG, in each framing. data: folder of the real clips, with clips.json."""
    clip = json.loads((data / "clips.json").read_text())[PPG_CLIP]
    with (data / clip["ppg"]).open(newline="") as file:
        ppg = np.array([float(row["ppg"]) for row in csv.DictReader(file)])
    small: dict[str, list[np.ndarray]] = {name: [] for name in FRAMINGS}
    with av.open(str(data / clip["file"])) as container:
        rate = float(container.streams.video[0].average_rate or 30)
        for frame in container.decode(video=0):
            image = frame.to_ndarray(format="rgb24")
            for name, framing in FRAMINGS.items():
                x, y, side = square(clip["face"], (image.shape[1], image.shape[0]), framing)
                small[name].append(reduce_frame(image[y : y + side, x : x + side]))
    stacks = {name: np.stack(frames) for name, frames in small.items()}
    return PpgClip(stacks, zero_phase(ppg, PULSE_BAND, rate), rate)


def ppg_correlation(y: np.ndarray, clip: PpgClip) -> tuple[float, float]:
    """Pearson r of a network's output (T-1,), summed over time and band-passed, with the PPG, and the lag, s."""
    pulse = zero_phase(np.concatenate([[0.0], np.cumsum(y)]), PULSE_BAND, clip.rate)
    return best_correlation(pulse, clip.reference, clip.rate)


def best_correlation(a: np.ndarray, b: np.ndarray, rate: float) -> tuple[float, float]:
    """Largest Pearson r within MAX_LAG, a second at each end left out, and its lag, s."""
    n, edge = min(len(a), len(b)), round(rate)
    shifts = range(-round(MAX_LAG * rate), round(MAX_LAG * rate) + 1)
    return max(
        (float(np.corrcoef(a[edge : n - edge], np.roll(b[:n], k)[edge : n - edge])[0, 1]), k / rate)
        for k in shifts
    )


def main() -> None:
    """Print r and lag for each framing."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    default = Path(__file__).resolve().parents[1].parent / "shared" / "data"
    parser.add_argument(
        "--data", type=Path, default=default, help="folder of the real clips, with clips.json"
    )
    parser.add_argument("--weights", type=Path, default=PULSE)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    if not args.data.is_dir():
        sys.exit(f"the real clips are not in {args.data}; name their folder with --data")

    from safetensors.torch import load_file

    net = PulseNet.from_weights(load_file(str(args.weights)))
    clip = read_ppg_clip(args.data)
    result = {}
    for name, frames in clip.small.items():
        video = torch.from_numpy(frames)
        x = normalized_difference(video[:-1], video[1:]) / INPUT_SCALE
        mirror = x.flip(-1)
        odd, mirrored = (net(x) - net(-x)) / 2, (net(mirror) - net(-mirror)) / 2
        outputs = {"y(X)": net(x), "odd part": odd, "symmetric part": (odd + mirrored) / 2}
        ticks = np.ones(len(x), np.int64)
        x = torch.from_numpy(centred_difference(x.numpy(), ticks, slice(0, len(x)), clip.rate))
        mirror = x.flip(-1)
        outputs["symmetric, over the span"] = (net(x) - net(-x) + net(mirror) - net(-mirror)) / 4
        for kind, y in outputs.items():
            r, lag = ppg_correlation(y.numpy(), clip)
            result[f"{name}, {kind}"] = {"r": round(r, 3), "lag_s": round(lag, 3)}
    if args.json:
        print(json.dumps(result))
    else:
        print(f"{'framing':32s} {'r':>6s} {'lag s':>7s}   (wanted: r >= 0.70)")
        for name, value in result.items():
            print(f"{name:32s} {value['r']:6.3f} {value['lag_s']:7.3f}")


if __name__ == "__main__":
    main()
