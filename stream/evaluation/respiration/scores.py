"""One clip with its motion magnified, judged against the true motion, which the renderer knows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from deepmag.models.metrics.motion import added_displacement
from deepmag.models.metrics.picture import luma, psnr, ssim
from deepmag.models.metrics.pulse import rms
from deepmag.models.temporal import RESPIRATION_BAND, zero_phase
from deepmag.stream.evaluation.respiration.plan import END, START
from deepmag.stream.evaluation.workers import tick

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from deepmag.models.synthetic.clip import SyntheticClip
    from deepmag.stream.evaluation.scores import Scores

# Parts of the picture as `make_clip` frames people: x, y, width, height.
CHEST = (0.28, 0.75, 0.44, 0.25)
HEAD = (0.38, 0.2, 0.24, 0.45)
Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class MotionTruth:
    """A clip as far as it is judged, every so many frames, with its truth; see `truth_of`.

    before, ideal: (T, H, W, 3), as it is and with its breath ``factor`` times larger. rate: of these, Hz. chest, head:
    what breathing moves, in band, (T', 2) px down and right.
    """

    before: NDArray[np.uint8]
    ideal: NDArray[np.uint8]
    factor: float
    rate: float
    chest: NDArray[np.float64]
    head: NDArray[np.float64]

    @property
    def amplitude(self) -> float:
        """RMS of the chest's motion, px."""
        return rms(self.chest)


def truth_of(clip: SyntheticClip, every: int) -> MotionTruth:
    """Prepare a clip's truth. Raises ValueError for a clip without an ideal whose breath is larger.

    The ideal differs from the clip by its breath alone, so their difference is the breath, however the head turns.
    """
    if clip.ideal is None or clip.breath_factor == 1:
        raise ValueError("without its ideal the true motion in a clip's picture is not known")
    before, ideal, rate = clip.video[::every], clip.ideal[::every], clip.rate / every
    share = 1.0 / (clip.breath_factor - 1.0)
    chest, head = (share * added(before, ideal, part, rate) for part in (CHEST, HEAD))
    return MotionTruth(before, ideal, clip.breath_factor, rate, chest, head)


def added(before: NDArray[np.uint8], after: NDArray[np.uint8], part: Box, rate: float) -> NDArray[np.float64]:
    """How much further a part of the picture is in ``after`` than in ``before``, in band, (T', 2) px."""
    height, width = before.shape[1:3]
    x, y, w, h = (
        round(share * side) for share, side in zip(part, (width, height, width, height), strict=True)
    )
    rows = slice(y, min(y + h, height))
    original, moved = ([luma(image[rows, x : x + w]) for image in video] for video in (before, after))
    tick()
    path = zero_phase(
        added_displacement(original, moved, (0, 0, w, rows.stop - rows.start)), RESPIRATION_BAND, rate
    )
    return path[round(START * rate) : len(path) - round(END * rate)]


def score_motion(truth: MotionTruth, magnified: NDArray[np.uint8], factor: float) -> Scores:
    """Gain, coherence, leak and residual of a magnified clip, (T, H, W, 3) as ``truth.before``.

    factor: how far breath should have grown. gain: growth of the chest's motion in step with the true one. coherence:
    correlation of what was added to it with the true one, along its axis, without any lag. leak: RMS of what was added
    to the head's motion over what was added to the chest's. residual: distance of what was added to both to what
    should have been, over that: 0 is perfect, 1 as good as nothing.
    """
    chest, head = (added(truth.before, magnified, part, truth.rate) for part in (CHEST, HEAD))
    axis = np.linalg.svd(truth.chest - truth.chest.mean(0), full_matrices=False)[2][0]
    along, true = chest @ axis, truth.chest @ axis
    wanted = np.stack([truth.chest, truth.head]) * (factor - 1.0)
    size = float(np.std(along) * np.std(true))
    return {
        "gain": 1.0 + float(along @ true / (true @ true)),
        "coherence": float(np.mean((along - along.mean()) * (true - true.mean()))) / size if size else 0.0,
        "leak": rms(head) / max(rms(chest), 1e-9),
        "residual": rms(np.stack([chest, head]) - wanted) / max(rms(wanted), 1e-9),
    }


def score_picture(truth: MotionTruth, magnified: NDArray[np.uint8], *, to_true: bool) -> Scores:
    """PSNR and SSIM against the original and, where asked, ``_true``, against the clip's ideal; means over frames."""
    inner = range(round(START * truth.rate), len(magnified) - round(END * truth.rate))
    against = {"": truth.before} | ({"_true": truth.ideal} if to_true else {})
    found: Scores = {}
    for name, video in against.items():
        found[f"psnr{name}"] = float(np.mean([psnr(magnified[i], video[i]) for i in inner]))
        tick()
        found[f"ssim{name}"] = float(np.mean([ssim(luma(magnified[i]), luma(video[i])) for i in inner]))
        tick()
    return found
