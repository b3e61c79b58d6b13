"""How much each tick tells of a breath: what moves much further than usual did not breathe then.

Who turns over moves thirty times as far in a fifth of a second as a breath does. For as long as that is in the window,
20 s, it would be the breath: the direction would be the turn's, and the breath before and after drown in it. A breath's
own ticks are at most twice as large as three quarters of them are, and four times in a sigh that is four times as deep.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from deepmag.models.phase import Floats

USUAL = 75.0  # per cent of the ticks move less: what lasts for a quarter of the window is usual
UNUSUAL = 3.0  # times that: a tick that moves further counts less
# Cells: a tick that moves less is never unusual. After half a minute's rest the first breath is, however shallow; 4 px
# of 360, 27 times a minute, move by so much at most. A twitch of 12 px, there and back in a second and a half, by 0.5.
FREE = 0.2
FALL = 8  # power of the excess by which it counts less: of 1.5 times the limit a tick counts 4 %


def ordinary_ticks(pull: Floats, stiffness: Floats, where: Floats) -> NDArray[np.float32]:
    """How much each tick counts, (n,) in (0, 1]: 1 for what is usual.

    pull: (n, 2 GRID GRID), stiffness: (3, GRID, GRID), of `LocalMotion`. where: (GRID, GRID), what is asked about.
    """
    cells = where.ravel()
    # not of the solved motion: where there is nothing to be seen that is noise
    pulled = np.sqrt((pull**2) @ np.tile(cells, 2))
    of_a_cell = np.sqrt(((0.5 * (stiffness[0] + stiffness[2]).ravel()) ** 2) @ cells)
    size = pulled / (of_a_cell + np.float32(1e-12))
    limit = max(UNUSUAL * float(np.percentile(size, USUAL)), FREE)
    return np.asarray(np.minimum(1.0, limit / np.maximum(size, 1e-12)) ** FALL, np.float32)
