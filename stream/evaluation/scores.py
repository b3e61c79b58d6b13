"""One magnified clip, judged: against the original as the paper does, and against the true magnified video."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from deepmag.models.metrics import pulse
from deepmag.models.metrics.picture import luma, psnr, ssim
from deepmag.models.metrics.traces import SkinBlocks, block_means, skin_blocks, skin_means
from deepmag.stream.evaluation.plan import EDGE

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from deepmag.models.synthetic.clip import SyntheticClip

GREEN = 1
Scores = dict[str, float]
PICTURE_SCORES = ("psnr", "ssim", "psnr_true", "ssim_true")


@dataclass(frozen=True)
class Truth:
    """What is known of a synthetic clip, in the form that scores need; see `truth_of`.

    pulse: (T',) the true pulse in the skin's mean green, grey levels, in band. blood: (T',) minus the true blood
    volume, in band: like green it falls when the pulse rises. green: (T, rows, columns) block means of the original;
    more: (T', rows, columns) of what the pulse, once more, adds to them, in band.
    colour: (T, 3) mean colour of the skin. where: the blocks. amplitude: RMS of ``pulse``, grey levels; relative: the
    same as a share of the skin's green.
    """

    pulse: NDArray[np.float64]
    blood: NDArray[np.float64]
    green: NDArray[np.float32]
    more: NDArray[np.float64]
    colour: NDArray[np.float64]
    where: SkinBlocks
    amplitude: float
    relative: float


def truth_of(clip: SyntheticClip) -> Truth:
    """Prepare a clip's truth. Raises ValueError for a clip without its ideal, or in which a frame has no skin."""
    if clip.ideal is None:
        raise ValueError("without its ideal the true pulse in a clip's picture is not known")
    colour = skin_means(clip.video, clip.skin)
    # The ideal differs from the clip by its pulse alone, so the difference is the pulse, however the head moves.
    difference = skin_means(clip.ideal, clip.skin)[:, GREEN] - colour[:, GREEN]
    true = pulse.in_band(difference / (clip.factor - 1.0), clip.rate, EDGE)
    size = pulse.rms(true)
    green = block_means(clip.video[..., GREEN])
    more = (block_means(clip.ideal[..., GREEN]) - green) / (clip.factor - 1.0)
    return Truth(
        pulse=true,
        blood=pulse.in_band(-clip.blood, clip.rate, EDGE),
        green=green,
        more=pulse.in_band(more, clip.rate, EDGE),
        colour=colour,
        where=skin_blocks(clip.skin),
        amplitude=size,
        relative=size / float(colour[:, GREEN].mean()),
    )


def score_pulse(clip: SyntheticClip, truth: Truth, magnified: NDArray[np.uint8], factor: float) -> Scores:
    """Gain, coherence, blocks, leak and residual of a magnified clip (T, H, W, 3); see ``models.metrics.pulse``.

    factor: how many times the pulse should have grown; only the residual depends on it.
    """
    added = skin_means(magnified, clip.skin)[:, GREEN] - truth.colour[:, GREEN]
    added_band = pulse.in_band(added, clip.rate, EDGE)
    grid = pulse.in_band(block_means(magnified[..., GREEN]) - truth.green, clip.rate, EDGE)
    return {
        "gain": pulse.added_gain(added_band, truth.pulse),
        "coherence": pulse.coherence(added_band, truth.blood),
        "blocks": pulse.blocks(grid, truth.blood, truth.where),
        "leak": pulse.leak(grid, truth.where),
        "residual": pulse.residual(grid, np.zeros_like(grid), (factor - 1.0) * truth.more),
    }


def score_picture(
    clip: SyntheticClip,
    magnified: NDArray[np.uint8],
    factor: float,
    ssim_every: int,
    check: Callable[[], None] = lambda: None,
) -> Scores:
    """PSNR and SSIM against the original and, ``_true``, against the clip with its pulse ``factor`` times larger.

    Means over frames; SSIM on luma of every ``ssim_every``-th. check: called for each frame, to be able to stop.
    """
    edge = round(EDGE * clip.rate)
    sums = dict.fromkeys(PICTURE_SCORES, 0.0)
    inner = range(edge, len(clip.video) - edge)
    counted = 0
    for i in inner:
        check()
        true = true_frame(clip, i, factor)
        sums["psnr"] += psnr(magnified[i], clip.video[i])
        sums["psnr_true"] += psnr(magnified[i], true)
        if (i - edge) % ssim_every == 0:
            counted += 1
            grey = luma(magnified[i])
            sums["ssim"] += ssim(grey, luma(clip.video[i]))
            sums["ssim_true"] += ssim(grey, luma(true))
    return {
        name: value / (counted if name.startswith("ssim") else len(inner)) for name, value in sums.items()
    }


def true_frame(clip: SyntheticClip, index: int, factor: float) -> NDArray[np.uint8]:
    """One frame of the clip with its pulse ``factor`` times larger, (H, W, 3).

    Between the clip and its ideal by interpolation: both have the same noise, and a pulse of 1 % is small enough for
    the curve of the camera's grey levels to be straight. One rendering so serves all factors.
    """
    if clip.ideal is None:
        raise ValueError("the clip has no ideal")
    if factor == clip.factor:
        exact: NDArray[np.uint8] = clip.ideal[index]
        return exact
    before = clip.video[index].astype(np.float32)
    share = np.float32((factor - 1.0) / (clip.factor - 1.0))
    wanted = before + share * (clip.ideal[index].astype(np.float32) - before)
    return np.asarray(np.clip(np.rint(wanted), 0, 255), np.uint8)
