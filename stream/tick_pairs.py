"""Pairs of pictures a fifth of a second apart, as respiration's network sees them, on a clock that does not drift."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from deepmag.models.camera_motion import camera_motion, without_camera
from deepmag.models.phase import FAINT, PhaseRepresentation, faintness, phase_difference
from deepmag.models.respiration import ASCENT_RATE

if TYPE_CHECKING:
    from deepmag.models.camera_motion import Motion
    from deepmag.models.phase import Bands, Floats, PhaseDifference

TICK = 1.0 / ASCENT_RATE  # s
EARLY = 0.4  # of a frame's period by which a tick may end before its time
DARK = 2.0  # grey levels, as in Eq. 14
# Of the reduced picture, down and across: a shutter that reads line by line sees mains light as bands, of which the
# picture's mean tells nothing.
BANDS = (41, 3)
BLOCKS = BANDS[0] * BANDS[1]
# Mean relative change between two ticks beyond which they show different scenes: 0.14 at least from one synthetic
# person to another, 0.20 from one real clip to another, up to 0.10 within one. Of blocks that average a camera's noise
# away: pixel by pixel it is 0.12 in the dark, at a mean of 3 grey levels.
SCENE_CUT = 0.12
COARSE = (41, 41)
BRIGHTEST = 0.9  # quantile of its blocks that tells how bright a picture is: of who sits before black, too


@dataclass(frozen=True, slots=True)
class _Look:
    """A frame that ended a tick: what the next is compared with. scene, brightness: means of COARSE and of BANDS."""

    pts: float
    luma: Floats
    bands: Bands
    scene: Floats
    brightness: Floats


@dataclass(frozen=True, slots=True)
class TickPair:
    """What moved over some ticks. difference: without the camera's own motion, which is ``motion``.

    light: (BLOCKS,) relative changes of the brightness of the picture's blocks.
    """

    difference: PhaseDifference
    motion: Motion
    light: Floats
    ticks: int


class TickPairs:
    """Takes the frames that end a tick, and compares each with the one that ended the tick before.

    needs_scene: of `camera_motion`.
    """

    def __init__(self, *, needs_scene: bool = True) -> None:
        self._needs_scene = needs_scene
        self._representation = PhaseRepresentation()
        self._look: _Look | None = None
        self._faint = FAINT
        self.time = 0.0  # s, when the last tick ended by a clock that does not drift: 24 fps have no fifth of a second
        self.pair: TickPair | None = None  # the latest; None for the first frame

    def reset(self) -> None:
        """The next frame has nothing to do with what came before."""
        self._look = self.pair = None
        self._faint = FAINT

    def due(self, pts: float, period: float) -> bool:
        """Whether a frame at pts, s, ends a tick. period: s between frames."""
        return self._look is None or pts - self.time >= TICK - EARLY * min(period, TICK)

    def take(self, pts: float, luma: Floats) -> bool:
        """Compare a picture with the one that ended the tick before, if there is one: see ``pair``.

        luma: as of `phase.reduce_luma`. Returns False, and takes nothing, where it shows another scene: then ``reset``,
        and it is the first.
        """
        before, scene = self._look, _blocks(luma, COARSE)
        if before is not None and _relative_change(before.scene, scene) > SCENE_CUT:
            return False
        self._look = look = _Look(pts, luma, self._representation.bands_of(luma), scene, _blocks(luma, BANDS))
        if before is None:
            self.time = pts
            return True
        ticks = max(1, round((pts - self.time) * ASCENT_RATE))
        self.time += ticks * TICK
        self._faint = faintness(before.bands, look.bands, float(np.quantile(scene, BRIGHTEST)))
        difference = phase_difference(before.bands, look.bands, self._faint)
        motion = camera_motion(before.luma, luma, difference, needs_scene=self._needs_scene)
        light = np.log((look.brightness + DARK) / (before.brightness + DARK))
        self.pair = TickPair(without_camera(difference, motion), motion, light, ticks)
        return True

    def since(self, pts: float) -> float:
        """S from the frame that ended the tick to a time; 0 before there is one."""
        return 0.0 if self._look is None else pts - self._look.pts

    def glance(self, luma: Floats) -> PhaseDifference | None:
        """What has moved since the frame that ended the tick, without the camera's own motion; it ends none itself.

        None before there is one, and where it shows another scene.
        """
        before = self._look
        if before is None or _relative_change(before.scene, _blocks(luma, COARSE)) > SCENE_CUT:
            return None
        difference = phase_difference(before.bands, self._representation.bands_of(luma), self._faint)
        motion = camera_motion(before.luma, luma, difference, needs_scene=self._needs_scene)
        return without_camera(difference, motion)


def _blocks(luma: Floats, grid: tuple[int, int]) -> Floats:
    """Mean of each of so many blocks down and across, row by row, grey levels."""
    down, across = grid
    height, width = luma.shape
    return np.asarray(luma.reshape(down, height // down, across, width // across).mean((1, 3)).ravel())


def _relative_change(before: Floats, after: Floats) -> float:
    return float(np.mean(np.abs(after - before) / (after + before + DARK)))
