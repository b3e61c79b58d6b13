"""Pairs of pictures a fifth of a second apart, as respiration's network sees them, on a clock that does not drift."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from deepmag.models.camera_motion import camera_motion, without_camera
from deepmag.models.phase import PhaseRepresentation, phase_difference
from deepmag.models.respiration import ASCENT_RATE

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from deepmag.models.camera_motion import Motion
    from deepmag.models.phase import Bands, Floats, PhaseDifference

TICK = 1.0 / ASCENT_RATE  # s
EARLY = 0.4  # of a frame's period by which a tick may end before its time
DARK = 2.0  # grey levels, as in Eq. 14
# Of the reduced picture, down and across: a shutter that reads line by line sees mains light as bands, of which the
# picture's mean tells nothing.
BLOCKS_DOWN, BLOCKS_ACROSS = 41, 3
BLOCKS = BLOCKS_DOWN * BLOCKS_ACROSS
# Mean relative change between two ticks beyond which they show different scenes: 0.13 to 0.26 from one synthetic person
# to another, up to 0.04 where one turns the head, 0.11 as a camera sweeps over a twelfth of the picture.
SCENE_CUT = 0.12


@dataclass(frozen=True, slots=True)
class _Look:
    """A frame that ended a tick: what the next is compared with."""

    luma: Floats
    bands: Bands
    brightness: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class TickPair:
    """What moved over some ticks. difference: without the camera's own motion, which is ``motion``.

    light: (BLOCKS,) relative changes of the brightness of the picture's blocks.
    """

    difference: PhaseDifference
    motion: Motion
    light: NDArray[np.float64]
    ticks: int


class TickPairs:
    """Takes the frames that end a tick, and compares each with the one that ended the tick before.

    needs_scene: of `camera_motion`.
    """

    def __init__(self, *, needs_scene: bool = True) -> None:
        self._needs_scene = needs_scene
        self._representation = PhaseRepresentation()
        self._look: _Look | None = None
        self.time = 0.0  # s, when the last tick ended by a clock that does not drift: 24 fps have no fifth of a second
        self.pair: TickPair | None = None  # the latest; None for the first frame

    def reset(self) -> None:
        """The next frame has nothing to do with what came before."""
        self._look = self.pair = None

    def due(self, pts: float, period: float) -> bool:
        """Whether a frame at pts, s, ends a tick. period: s between frames."""
        return self._look is None or pts - self.time >= TICK - EARLY * min(period, TICK)

    def take(self, pts: float, luma: Floats) -> bool:
        """Compare a picture with the one that ended the tick before, if there is one: see ``pair``.

        luma: as of `phase.reduce_luma`. Returns False, and takes nothing, where it shows another scene: then ``reset``,
        and it is the first.
        """
        before = self._look
        if before is not None and _relative_change(before.luma, luma) > SCENE_CUT:
            return False
        self._look = look = _Look(luma, self._representation.bands_of(luma), _brightness(luma))
        if before is None:
            self.time = pts
            return True
        ticks = max(1, round((pts - self.time) * ASCENT_RATE))
        self.time += ticks * TICK
        difference = phase_difference(before.bands, look.bands)
        motion = camera_motion(before.luma, luma, difference, needs_scene=self._needs_scene)
        light = np.log((look.brightness + DARK) / (before.brightness + DARK))
        self.pair = TickPair(without_camera(difference, motion), motion, light, ticks)
        return True


def _brightness(luma: Floats) -> NDArray[np.float64]:
    """Mean of each block, grey levels: (BLOCKS,)."""
    side = luma.shape[0]
    blocks = luma.reshape(BLOCKS_DOWN, side // BLOCKS_DOWN, BLOCKS_ACROSS, side // BLOCKS_ACROSS)
    return np.asarray(blocks.mean((1, 3), np.float64).ravel())


def _relative_change(before: Floats, after: Floats) -> float:
    return float(np.mean(np.abs(after - before) / (after + before + DARK)))
