"""Which reduced pixels have the colour of the skin at hand: that of the pixels where the network is surest.

No colour is known beforehand: light and skin differ. What is compared is the ratio of the channels, which shade leaves
as it is; in a picture without colours all pixels are alike.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from deepmag.models.representation import DARK

SPREAD = 0.03  # relative, of a channel's ratio to green: skin of one colour is this uneven at least
OTHER = 5.0  # squared distance, in standard deviations, at which a pixel counts half

Floats = NDArray[np.float32]


def likeness(picture: Floats, sure: Floats) -> Floats:
    """From 1, the colour of the pixels that are ``sure`` to be skin, to 0, quite another; (L, L).

    picture: (3, L, L) grey levels. sure: (L, L), at least 0. All 1 where nothing is sure.
    """
    total = float(sure.sum())
    if total <= 0.0:
        return np.ones_like(sure)
    light = picture + np.float32(DARK)
    ratios = np.log(light[::2] / light[1])
    weight = sure / np.float32(total)
    away = ratios - (ratios * weight).sum((1, 2))[:, None, None]
    (red, mixed), (_, blue) = np.tensordot(away * weight, away, ((1, 2), (1, 2))) + SPREAD**2 * np.eye(2)
    distance = (blue * away[0] ** 2 - 2 * mixed * away[0] * away[1] + red * away[1] ** 2) / (
        red * blue - mixed**2
    )
    alike: Floats = (1.0 / (1.0 + (distance / OTHER) ** 2)).astype(np.float32)
    return alike
