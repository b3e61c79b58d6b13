"""Real clips with a known pulse rate, by the definitions of an independent ruler for magnified files.

On a real clip the pulse alone is not known, so gain is that of the in-band RMS, motion and noise included, and the
reference is a contact sensor's wave, or, where there is none, the original's own green.
"""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from deepmag.models.metrics import pulse
from deepmag.models.metrics.picture import luma, psnr, ssim
from deepmag.models.metrics.traces import SkinBlocks, block_means, box_blocks, within
from deepmag.models.step_size import GAMMA
from deepmag.stream.capture.source import SourceError
from deepmag.stream.evaluation.measurement import measure, reduce_clip
from deepmag.stream.evaluation.methods import METHODS, MultipliedStep, magnify_clip
from deepmag.stream.evaluation.real_clip import Box, RealClip, RealClips, breathing_clip, clip_of
from deepmag.stream.evaluation.recording import decode, read_ppg
from deepmag.stream.evaluation.remembered import RememberingAscender
from deepmag.stream.evaluation.workers import tick
from deepmag.stream.roi import SIDE

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from deepmag.export.runtime import Ascender

CLIPS = "clips.json"
STRENGTH = 10.0  # gain of all methods
# s, either way: a sensor sits elsewhere on the body than the camera looks, and has a delay of its own
MAX_LAG = 0.4
SSIM_EVERY = 10  # frames
GREEN = 1
RUN = 2.0  # units of work of one method
PAPER_RUN = 4.0
FIGURE_STEP = 1e-3 / GAMMA  # times the paper's own step: that of its Fig. 12

log = logging.getLogger("deepmag.stream.evaluation")


def read_clips(folder: Path) -> RealClips:
    """Clips of ``folder`` that have a rate and a box of skin, or of a breathing chest, and which nearly do.

    Raises ValueError, with the clip and the field, where clips.json cannot be read or is wrong, or a file is missing.
    """
    file = folder / CLIPS
    try:
        listed = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ValueError(f"cannot read {file}: {reason}") from None
    if not isinstance(listed, dict):
        raise ValueError(f"cannot read {file}: it must be an object of clips by name")
    clips, left_out, breathing = [], {}, []
    for name, entry in listed.items():
        try:
            found = clip_of(folder, name, entry)
            breathes = breathing_clip(folder, name, entry)
        except ValueError as error:
            raise ValueError(f"{file}, clip {name}: {error}") from None
        if isinstance(found, RealClip):
            clips.append(found)
        elif found is not None:
            left_out[name] = found
        if breathes is not None:
            breathing.append(breathes)
    return RealClips(tuple(clips), left_out, tuple(breathing))


@dataclass(frozen=True)
class RealJob:
    """Rates on one real clip by each method, and, for a face, every magnifier at gain 10."""

    clip: RealClip
    weights: Path

    @property
    def cost(self) -> float:
        """Work in all."""
        return 3.0 + (RUN * len(METHODS) + 2 * PAPER_RUN if self.clip.face else 0.0)

    def run(self) -> dict[str, Any]:
        """Numbers by name: bpm, reference, measurement, and scores by method; or bpm, and not_measured: why.

        Of a face, under "exhibits", what Fig. 12 shows of it too.

        A clip that cannot be used is no reason to lose all others. Raises ValueError where the weights are none.
        """
        from deepmag.export.runtime import open_ascender

        ascender = open_ascender(self.weights, device="cpu", threads=1)
        try:
            return self._judged(ascender)
        except (SourceError, OSError, ValueError, IndexError, MemoryError) as error:
            # a report travels: where the clip lies on this machine is nobody's business
            reason = str(error).replace(str(self.clip.file), self.clip.file.name) or type(error).__name__
            log.warning("the clip %s is not measured: %s", self.clip.name, reason)
            return {"bpm": self.clip.bpm, "not_measured": reason}

    def _judged(self, ascender: Ascender) -> dict[str, Any]:
        video, rate = decode(self.clip.file)
        size = video.shape[2], video.shape[1]
        x, y, w, h = self.clip.box
        if x + w > size[0] or y + h > size[1]:
            raise ValueError(f"its box {[x, y, w, h]} reaches out of its picture of {size[0]}x{size[1]}")
        wave = None if self.clip.ppg is None else -read_ppg(self.clip.ppg, len(video), rate)
        region = square_around(self.clip.box, size) if self.clip.face else self.clip.box
        colour = video[:, y : y + h, x : x + w].mean(axis=(1, 2), dtype=np.float64)
        small = reduce_clip(video, region)
        tick(3.0)
        result: dict[str, Any] = {
            "bpm": self.clip.bpm,
            "rate": rate,
            "frames": len(video),
            "reference": "own green" if wave is None else "contact PPG",
            "measurement": measure(ascender, small, colour, rate, self.clip.bpm),
        }
        if not self.clip.face:
            return result
        # off the skin only inside the square, too: some methods touch nothing else
        skin = box_blocks(size, self.clip.box)
        where = SkinBlocks(skin.inside, skin.outside & within(size, region))
        green = block_means(video[..., GREEN])
        reference = green[:, where.inside].mean(axis=1) if wave is None else wave
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
        larger = magnify_clip(
            "paper", video, rate, region, STRENGTH,
            ascender=MultipliedStep(ascender, FIGURE_STEP), progress=lambda _share: tick(),
        )  # fmt: skip
        column = x + w // 2
        result["exhibits"] = {"frame": video[0], "column": column} | {
            f"scan {name}": np.ascontiguousarray(shown[:, y : y + h, column].transpose(1, 0, 2))
            for name, shown in (("original", video), ("paper", larger))
        }
        tick(PAPER_RUN)
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
    added is later than the reference, below 0 where it is earlier. coherence: the best within +-0.4 s of lag, which
    is kind to a method that adds noise: some shift always fits it best.
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
        "leak": pulse.leak(added[inner], where),
        "lag": lag / rate,
    }


def square_around(face: Box, size: tuple[int, int]) -> Box:
    """The square that the live view looks at, around a face box, inside a picture of ``size`` (width, height), px."""
    x, y, w, h = face
    side = min(round(SIDE * h), *size)
    left = int(np.clip(round(x + w / 2 - side / 2), 0, size[0] - side))
    top = int(np.clip(round(y + h / 2 - side / 2), 0, size[1] - side))
    return left, top, side, side


def _likeness(video: NDArray[np.uint8], magnified: NDArray[np.uint8]) -> dict[str, float]:
    """PSNR and SSIM against the original, means over frames."""
    pairs = list(zip(video, magnified, strict=True))
    return {
        "psnr": float(np.mean([psnr(a, b) for a, b in pairs])),
        "ssim": float(np.mean([ssim(luma(a), luma(b)) for a, b in pairs[::SSIM_EVERY]])),
    }
