"""What a camera and a codec do to the reduced picture: sensor noise, coloured and blotchy noise, skipped blocks.

Noise is added after the reduction to L x L, with the strength that is left there. Measured on real clips, the
standard deviation per reduced pixel is 0.1 to 0.6 grey levels, in red and blue about twice that in green.
"""

from __future__ import annotations

import numpy as np
import torch
from torch.nn.functional import interpolate


def camera_noise(rng: np.random.Generator, video: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """A noisy copy of a reduced video. video: (T, 3, L, L) grey levels. Returns the same shape."""
    t, _, h, w = video.shape

    def white(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator)

    sigma = float(np.exp(rng.uniform(np.log(0.04), np.log(0.7))))
    colour = torch.tensor([rng.uniform(1.0, 2.2), 1.0, rng.uniform(1.0, 2.4)], dtype=torch.float32)[
        None, :, None, None
    ]
    # what all three channels share is luma noise: a codec keeps luma better than chroma, so either may dominate
    shared = float(rng.uniform(0, 1))
    noise = sigma * ((1 - shared) * colour * white(t, 3, h, w) + shared * white(t, 1, h, w))
    if rng.random() < 0.5:  # blotches larger than one reduced pixel, as compression leaves them
        blotch = interpolate(white(t, 3, h // 3, w // 3), size=(h, w), mode="bilinear", align_corners=False)
        noise = noise + sigma * float(rng.uniform(0.2, 1.0)) * colour * blotch
    if rng.random() < 0.5:  # shot noise: brighter is noisier
        noise = noise * (video.mean(1, keepdim=True) / 128).clamp(0.1).sqrt()
    if rng.random() < 0.4:  # a codec's frames differ in quality in a fixed rhythm
        period = int(rng.integers(2, 13))
        quality = torch.from_numpy(np.exp(rng.normal(0, 0.5, period)).astype(np.float32))
        noise = noise * quality[torch.arange(t) % period][:, None, None, None]
    video = video + noise
    if rng.random() < 0.4:
        video = skip_blocks(
            video, float(np.exp(rng.uniform(np.log(0.1), np.log(1.5)))), int(rng.integers(12, 250)), rng
        )
    return video


def skip_blocks(
    video: torch.Tensor, threshold: float, refresh: int, rng: np.random.Generator
) -> torch.Tensor:
    """What an encoder shows that codes a block anew only when it changed by more than ``threshold`` grey levels.

    video: (T, 3, L, L). refresh: frames between pictures that are coded whole. Returns the same shape.
    """
    shown = video[0]
    result = [shown]
    phase = int(rng.integers(refresh))
    for i in range(1, len(video)):
        change = video[i] - shown
        # luma and chroma are coded together: one decision per block
        coded = (change.abs().amax(0, keepdim=True) > threshold) | ((i + phase) % refresh == 0)
        shown = torch.where(coded, video[i], shown)
        result.append(shown)
    return torch.stack(result)
