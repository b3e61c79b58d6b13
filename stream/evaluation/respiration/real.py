"""Real clips of somebody who breathes: where the chest is and what should keep still is known, the motion is not.

Gain is that of the chest's motion in band, whatever moves it, and coherence the best within 0.4 s; see
``models.metrics.motion``.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from deepmag.models.metrics.motion import MARGIN, added_displacement, displacement, motion_scores
from deepmag.models.metrics.picture import luma, psnr, ssim
from deepmag.models.step_size import PAPER_ITERATIONS, RESPIRATION_GAMMA
from deepmag.stream.capture.source import SourceError
from deepmag.stream.evaluation.recording import decode
from deepmag.stream.evaluation.respiration.jobs import opened
from deepmag.stream.evaluation.respiration.methods import METHODS, ascend, draw, magnify_live
from deepmag.stream.evaluation.workers import tick

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from deepmag.models.temporal import Band
    from deepmag.stream.evaluation.real_clip import BreathingClip
    from deepmag.stream.frames import MagnifiedFrame

STRENGTH = 10.0  # gain of the live methods
PAPER_STEP = 1e-2 / RESPIRATION_GAMMA  # times its own: the step that the paper took for its Fig. 12
SSIM_EVERY = 10  # frames
BAND: Band = (0.16, 0.8)  # Hz: an infant's breath is faster than the network's people
SMALLEST = 2 * MARGIN + 8  # px of a box: what is left of it inside the margin must show how it moves
RUN = 8.0  # units of work of one method
PAPER_RUN = 40.0

log = logging.getLogger("deepmag.stream.evaluation")


@dataclass(frozen=True)
class RealBreathJob:
    """Every magnifier of motion on one real clip."""

    clip: BreathingClip
    weights: Path
    methods: tuple[str, ...] = METHODS

    @property
    def cost(self) -> float:
        """Work in all."""
        return RUN * len(self.methods) + PAPER_RUN * ("paper" in self.methods)

    def run(self) -> dict[str, Any]:
        """Numbers by name, and what Fig. 12 shows under "exhibits"; or breaths, and not_measured: why."""
        try:
            return self._judged()
        except (SourceError, OSError, ValueError, IndexError, MemoryError, cv2.error) as error:
            # a report travels: where the clip lies on this machine is nobody's business
            reason = str(error).replace(str(self.clip.file), self.clip.file.name) or type(error).__name__
            log.warning("the clip %s is not measured: %s", self.clip.name, reason)
            return {"breaths": self.clip.breaths, "not_measured": reason}

    def _judged(self) -> dict[str, Any]:
        clip = self.clip
        video, rate = decode(clip.file)
        height, width = video.shape[1:3]
        for name, (x, y, w, h) in (("still", clip.still), ("chest", clip.chest)):
            if x + w > width or y + h > height:
                raise ValueError(
                    f"its box {name} {[x, y, w, h]} reaches out of its picture of {width}x{height}"
                )
            if min(w, h) < SMALLEST:
                raise ValueError(f"its box {name} {[x, y, w, h]} is less than {SMALLEST} pixels wide or high")
        ascender = opened(self.weights, PAPER_ITERATIONS)
        scan = np.s_[:, max(0, y - h // 2) : y + h + h // 2, x + w // 2]
        result: dict[str, Any] = {
            "breaths": clip.breaths,
            "rate": rate,
            "frames": len(video),
            "scores": {},
            "exhibits": {"frame": video[0], "column": x + w // 2, "scan original": _over_time(video[scan])},
        }
        before = [luma(image) for image in video]
        path = displacement(before, clip.chest)
        shown: list[float] = []

        def look(magnified: MagnifiedFrame) -> None:
            signal = magnified.respiration
            if signal is not None and signal.reading.rate is not None:
                shown.append(signal.reading.rate)

        for method in self.methods:
            if method == "paper":
                done = draw(video, rate, ascend(video, rate, PAPER_STEP, ascender=ascender))
                tick(PAPER_RUN)
            else:
                done = magnify_live(
                    method,
                    video,
                    rate,
                    STRENGTH,
                    ascender=ascender,
                    look=look,
                    progress=lambda _share: tick(),
                )
                tick(RUN)
            after = [luma(image) for image in done]
            scores = motion_scores(
                path,
                displacement(after, clip.chest),
                added_displacement(before, after, clip.still),
                BAND,
                rate,
            )
            likeness = [psnr(a, b) for a, b in zip(video, done, strict=True)]
            alike = [ssim(a, b) for a, b in list(zip(before, after, strict=True))[::SSIM_EVERY]]
            result["scores"][method] = {
                "gain": scores.gain,
                "coherence": scores.coherence,
                "leak": scores.leak,
                "rough": scores.rough,
                "psnr": float(np.mean(likeness)),
                "ssim": float(np.mean(alike)),
            }
            result["exhibits"][f"scan {method}"] = _over_time(done[scan])
        result["shown"] = [min(shown), max(shown)] if shown else None
        return result


def _over_time(scan: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A scan line of each frame, (T, H', 3), as a picture of them, (H', T, 3)."""
    return np.ascontiguousarray(scan.transpose(1, 0, 2))
