"""One magnified clip, judged: against the original as the paper does, and against the true magnified video."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from deepmag.models.metrics import pulse
from deepmag.models.metrics.picture import RADIUS, luma, psnr, ssim_map
from deepmag.models.metrics.traces import SkinBlocks, block_means, skin_blocks, skin_means, within
from deepmag.stream.evaluation.plan import EDGE
from deepmag.stream.roi import clamp_box

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from deepmag.models.synthetic.clip import SyntheticClip

GREEN = 1
Scores = dict[str, float]
PICTURE_SCORES = (
    "psnr", "ssim", "psnr_region", "ssim_region",
    "psnr_true", "ssim_true", "psnr_true_region", "ssim_true_region",
)  # fmt: skip


@dataclass(frozen=True)
class Truth:
    """What is known of a synthetic clip, in the form that scores need; see `truth_of`.

    pulse: (T',) the true pulse in the skin's mean green, grey levels, in band. blood: (T',) minus the true blood
    volume, in band: like green it falls when the pulse rises. green: (T, rows, columns) block means of the original;
    more: (T', rows, columns) of what the pulse, once more, adds to them, in band.
    colour: (T, 3) mean colour of the skin. where: the blocks of skin and of none inside ``region``; region: (rows,
    columns) the blocks inside the square that the network looks at: beyond it some methods do nothing by design, and
    would seem the cleaner for it. amplitude: RMS of ``pulse``, grey levels; relative: the same as a share of the
    skin's green.
    """

    pulse: NDArray[np.float64]
    blood: NDArray[np.float64]
    green: NDArray[np.float32]
    more: NDArray[np.float64]
    colour: NDArray[np.float64]
    where: SkinBlocks
    region: NDArray[np.bool_]
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
    size_px = (clip.video.shape[2], clip.video.shape[1])
    region = within(size_px, clamp_box(clip.region, size_px))
    blocks = skin_blocks(clip.skin)
    more = (block_means(clip.ideal[..., GREEN]) - green) / (clip.factor - 1.0)
    return Truth(
        pulse=true,
        blood=pulse.in_band(-clip.blood, clip.rate, EDGE),
        green=green,
        more=pulse.in_band(more, clip.rate, EDGE),
        colour=colour,
        where=SkinBlocks(blocks.inside & region, blocks.outside & region),
        region=region,
        amplitude=size,
        relative=size / float(colour[:, GREEN].mean()),
    )


def score_pulse(clip: SyntheticClip, truth: Truth, magnified: NDArray[np.uint8], factor: float) -> Scores:
    """Gain, coherence, blocks, leak and residual of a magnified clip (T, H, W, 3); see ``models.metrics.pulse``.

    factor: how many times the pulse should have grown; only the residual depends on it. Blocks, leak and residual look
    at the region only, whatever part of the picture a method works on.
    """
    added = skin_means(magnified, clip.skin)[:, GREEN] - truth.colour[:, GREEN]
    added_band = pulse.in_band(added, clip.rate, EDGE)
    grid = pulse.in_band(block_means(magnified[..., GREEN]) - truth.green, clip.rate, EDGE)
    inside, wanted = grid[:, truth.region], (factor - 1.0) * truth.more[:, truth.region]
    return {
        "gain": pulse.added_gain(added_band, truth.pulse),
        "coherence": pulse.coherence(added_band, truth.blood),
        "blocks": pulse.blocks(grid, truth.blood, truth.where),
        "leak": pulse.leak(grid, truth.where),
        "residual": pulse.residual(inside, np.zeros_like(inside), wanted),
    }


def score_picture(
    clip: SyntheticClip,
    magnified: NDArray[np.uint8],
    factor: float,
    ssim_every: int,
    check: Callable[[], None] = lambda: None,
) -> Scores:
    """PSNR and SSIM against the original and, ``_true``, against the clip with its pulse ``factor`` times larger.

    Means over frames, of the whole picture and, ``_region``, of the region alone; SSIM on luma of every
    ``ssim_every``-th. check: called for each frame, to be able to stop.
    """
    edge = round(EDGE * clip.rate)
    x, y, w, h = clamp_box(clip.region, (clip.video.shape[2], clip.video.shape[1]))
    region = np.s_[y : y + h, x : x + w]
    # the map of SSIM begins RADIUS px inside the picture
    mapped = np.s_[max(0, y - RADIUS) : max(0, y + h - RADIUS), max(0, x - RADIUS) : max(0, x + w - RADIUS)]
    sums = dict.fromkeys(PICTURE_SCORES, 0.0)
    inner = range(edge, len(clip.video) - edge)
    counted = 0
    for i in inner:
        check()
        shown = magnified[i]
        look = (i - edge) % ssim_every == 0
        counted += look
        grey = luma(shown) if look else None
        exact = shown.astype(np.float32)  # the true frame has fractions
        for against, mine, other in (
            ("", shown, clip.video[i]),
            ("_true", exact, true_frame(clip, i, factor)),
        ):
            sums[f"psnr{against}"] += psnr(mine, other)
            sums[f"psnr{against}_region"] += psnr(mine[region], other[region])
            if grey is not None:
                likeness = ssim_map(grey, luma(other))
                sums[f"ssim{against}"] += float(likeness.mean(dtype=np.float64))
                sums[f"ssim{against}_region"] += float(likeness[mapped].mean(dtype=np.float64))
    return {
        name: value / (counted if name.startswith("ssim") else len(inner)) for name, value in sums.items()
    }


def true_frame(clip: SyntheticClip, index: int, factor: float) -> NDArray[np.float32]:
    """One frame of the clip with its pulse ``factor`` times larger, (H, W, 3), grey levels with their fractions.

    Between the clip and its ideal by interpolation: both have the same noise, and a pulse of 1 % is small enough for
    the curve of the camera's grey levels to be straight. One rendering so serves all factors. Not rounded to bytes:
    near a factor of 1 most of the pulse is less than half a level of any one pixel, and rounding would give the
    original back.
    """
    if clip.ideal is None:
        raise ValueError("the clip has no ideal")
    share = (factor - 1.0) / (clip.factor - 1.0)
    before, large = (np.ascontiguousarray(video[index]) for video in (clip.video, clip.ideal))
    between = cv2.addWeighted(before, 1.0 - share, large, share, 0.0, dtype=cv2.CV_32F)
    return np.asarray(np.clip(between, 0.0, 255.0, out=between), np.float32)
