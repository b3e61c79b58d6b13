"""What in the picture measures the breath that the network sees, and what else moves beside it.

Waves are in coordinates of an orthonormal basis of the band, (M,), as is every cell's motion, (M, 2 GRID GRID).
"""

from __future__ import annotations

import numpy as np

from deepmag.models.phase import Floats

DOUBT = 1.0  # of the mean motion in the band: what moves less says little of the breath
OTHERS = 2  # motions besides the breath that are told apart from it
LARGE = 0.05  # of all motion outside of the breath, from which one is
CHANCE = 4.0  # times the share of one wave that another has by chance: one that has more of the breath is the breath


def measuring_motion(seen: Floats, moved: Floats, region: Floats, freedom: float) -> Floats:
    """Which sum of the cells' motions measures the breath.

    Ridge regression of what the network saw on the motion of a region: it keeps what the network knows and the picture
    confirms. The network's direction alone, which is the first step towards it, follows whatever moves the same parts
    most: the shoulders of somebody who turns. seen: (M,). moved: (M, 2 GRID GRID). region: (GRID, GRID) in [0, 1].
    freedom: independent numbers in a wave. Returns the weights of the cells' pulls, (2 GRID GRID,).
    """
    weighted = moved * np.tile(region.ravel(), 2)
    likeness = weighted @ moved.T
    ridge = DOUBT * float(np.trace(likeness)) / freedom + 1e-12
    shares = np.linalg.solve(likeness + np.float32(ridge) * np.eye(len(seen), dtype=np.float32), seen)
    return np.asarray(shares @ weighted, np.float32)


def other_motions(seen: Floats, moved: Floats, looks: Floats, freedom: float) -> Floats:
    """How else the picture moves: orthonormal waves (M, n), n <= OTHERS, of what the network does not look at.

    A head that turns beside a breath goes with it by chance for some seconds, and takes the shoulders along. A wave
    that is mostly the breath itself, as where the head nods with it, is none of them. Arguments as for
    `measuring_motion`; looks: where the network looks.
    """
    outside = moved * np.tile((1.0 - looks).ravel(), 2)
    values, waves = np.linalg.eigh(outside @ outside.T)
    most = int(min(OTHERS, freedom / 4.0, len(seen)))
    values, waves = values[::-1][:most], waves[:, ::-1][:, :most]
    alike = (waves.T @ seen) ** 2 > min(CHANCE / freedom, 0.5) * float(seen @ seen)
    large = values > LARGE * float((outside**2).sum())
    return np.asarray(waves[:, large & ~alike], np.float32)
