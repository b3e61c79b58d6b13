"""Real clips with a known pulse rate, by the definitions of an independent ruler for magnified files.

On a real clip the pulse alone is not known, so gain is that of the in-band RMS, motion and noise included, and the
reference is a contact sensor's wave, or, where there is none, the original's own green.
"""

from __future__ import annotations

import csv
import json
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from deepmag.models.metrics import pulse
from deepmag.models.metrics.picture import luma, psnr, ssim
from deepmag.models.metrics.traces import SkinBlocks, block_means, box_blocks
from deepmag.stream.evaluation.measurement import measure, reduce_clip
from deepmag.stream.evaluation.methods import METHODS, magnify_clip
from deepmag.stream.evaluation.remembered import RememberingAscender
from deepmag.stream.evaluation.workers import tick
from deepmag.stream.roi import SIDE

if TYPE_CHECKING:
    from numpy.typing import NDArray

Box = tuple[int, int, int, int]

CLIPS = "clips.json"
STRENGTH = 10.0  # gain of all methods
MAX_LAG = 0.4  # s: a finger's pulse arrives later than a face's
SSIM_EVERY = 10  # frames
GREEN = 1
RUN = 2.0  # units of work of one method
PAPER_RUN = 4.0


@dataclass(frozen=True)
class RealClip:
    """One entry of clips.json. box: of skin, (x, y, w, h) px. bpm: the true rate. face: whether the box is a face."""

    name: str
    file: Path
    box: Box
    bpm: float
    face: bool
    ppg: Path | None


def read_clips(folder: Path) -> list[RealClip]:
    """Clips of ``folder`` that have a rate and a box of skin. Raises ValueError, in words, where it cannot be read."""
    try:
        listed: dict[str, dict[str, Any]] = json.loads((folder / CLIPS).read_text())
    except (OSError, ValueError) as error:
        raise ValueError(f"cannot read {folder / CLIPS}: {error}") from None
    found = []
    for name, entry in listed.items():
        box = entry.get("face") or entry.get("skin")
        if not entry.get("bpm") or not box:
            continue
        file = folder / entry["file"]
        if not file.is_file():
            raise ValueError(f"{folder / CLIPS} names {file}, which is not there")
        ppg = folder / entry["ppg"] if "ppg" in entry else None
        x, y, w, h = (int(value) for value in box)
        found.append(RealClip(name, file, (x, y, w, h), float(entry["bpm"]), "face" in entry, ppg))
    return found


@dataclass(frozen=True)
class RealJob:
    """Rates on one real clip by each method, and, for a face, every magnifier at gain 10."""

    clip: RealClip
    weights: Path

    @property
    def cost(self) -> float:
        """Work in all."""
        return 3.0 + (RUN * len(METHODS) + PAPER_RUN if self.clip.face else 0.0)

    def run(self) -> dict[str, Any]:
        """Numbers by name: bpm, reference, measurement, and scores by method."""
        from deepmag.export.runtime import open_ascender

        ascender = open_ascender(self.weights, device="cpu", threads=1)
        video, rate = decode(self.clip.file)
        region = (
            square_around(self.clip.box, (video.shape[2], video.shape[1]))
            if self.clip.face
            else self.clip.box
        )
        x, y, w, h = self.clip.box
        colour = video[:, y : y + h, x : x + w].mean(axis=(1, 2), dtype=np.float64)
        small = reduce_clip(video, region)
        tick(3.0)
        result: dict[str, Any] = {
            "bpm": self.clip.bpm,
            "rate": rate,
            "frames": len(video),
            "reference": "own green" if self.clip.ppg is None else "contact PPG",
            "measurement": measure(ascender, small, colour, rate, self.clip.bpm),
        }
        if not self.clip.face:
            return result
        where = box_blocks((video.shape[2], video.shape[1]), self.clip.box)
        green = block_means(video[..., GREEN])
        reference = -read_ppg(self.clip.ppg) if self.clip.ppg else green[:, where.inside].mean(axis=1)
        remembered = RememberingAscender(ascender)
        result["scores"] = {}
        for method in METHODS:
            cost = RUN + (PAPER_RUN if method == "paper" else 0.0)
            magnified = magnify_clip(
                method, video, rate, region, STRENGTH, ascender=remembered, progress=lambda _share: tick()
            )
            scores = score(green, block_means(magnified[..., GREEN]), where, reference, rate)
            result["scores"][method] = scores | _likeness(video, magnified)
            tick(cost)
        return result


def score(
    before: NDArray[np.float32],
    after: NDArray[np.float32],
    where: SkinBlocks,
    reference: NDArray[Any],
    rate: float,
) -> dict[str, float]:
    """Gain, coherence, blocks, leak and lag of a magnified clip from its block means of green.

    before, after: (T, rows, columns). reference: (T',), of green's sign, T' about T. lag: s by which what was
    added is later than the reference, within +-0.4 s, at the best coherence.
    """
    n = min(len(before), len(reference))
    added = pulse.in_band(after[:n] - before[:n], rate, 0.0)
    truth = pulse.in_band(np.asarray(reference[:n], np.float64), rate, 0.0)
    skin = added[:, where.inside].mean(axis=1)
    edge = round(rate)
    inner = slice(edge, n - edge)
    # a roll wraps around by less than the edge that is left out
    lags = range(-round(MAX_LAG * rate), round(MAX_LAG * rate) + 1)
    lag = max(lags, key=lambda shift: pulse.coherence(skin[inner], np.roll(truth, shift)[inner]))
    truth = np.roll(truth, lag)[inner]
    shown, original = (
        pulse.rms(pulse.in_band(grid[:, where.inside].mean(axis=1), rate, 0.0)) for grid in (after, before)
    )
    return {
        "gain": shown / original if original > 0 else float("nan"),
        "coherence": pulse.coherence(skin[inner], truth),
        "blocks": pulse.blocks(added[inner], truth, where),
        "leak": pulse.leak(added, where),
        "lag": lag / rate,
    }


def square_around(face: Box, size: tuple[int, int]) -> Box:
    """The square that the live view looks at, around a face box, inside a picture of ``size`` (width, height), px."""
    x, y, w, h = face
    side = min(round(SIDE * h), *size)
    left = int(np.clip(round(x + w / 2 - side / 2), 0, size[0] - side))
    top = int(np.clip(round(y + h / 2 - side / 2), 0, size[1] - side))
    return left, top, side, side


def decode(file: Path) -> tuple[NDArray[np.uint8], float]:
    """All pictures of a file (T, H, W, 3) RGB, and its rate in Hz. Raises SourceError where it cannot be read."""
    from deepmag.stream.capture.address import Address
    from deepmag.stream.capture.video import VideoSource

    source = VideoSource(Address("file", str(file)), pace="max")
    frames = list(source.frames(threading.Event()))
    span = frames[-1].pts - frames[0].pts
    rate = source.nominal_rate or (len(frames) - 1) / span
    return np.stack([frame.image for frame in frames]), rate


def read_ppg(file: Path) -> NDArray[np.float64]:
    """The column "ppg" of a CSV with one row for each frame. Raises ValueError where there is none."""
    with file.open(newline="") as rows:
        try:
            return np.array([float(row["ppg"]) for row in csv.DictReader(rows)])
        except KeyError:
            raise ValueError(f"{file} has no column ppg") from None


def _likeness(video: NDArray[np.uint8], magnified: NDArray[np.uint8]) -> dict[str, float]:
    """PSNR and SSIM against the original, means over frames."""
    pairs = list(zip(video, magnified, strict=True))
    return {
        "psnr": float(np.mean([psnr(a, b) for a, b in pairs])),
        "ssim": float(np.mean([ssim(luma(a), luma(b)) for a, b in pairs[::SSIM_EVERY]])),
    }
