"""What a fifth of a second tells of the breath: the part of respiration that the live path and the offline one share.

A frame that ends a tick is compared with the one that ended the tick before (phase differences without the camera's
own motion), the network says how the chest moved, and `BreathWindow` what in the picture moves with it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from deepmag.models.breath import Breath, BreathWindow
from deepmag.models.displacement import displace_frame
from deepmag.models.local_motion import local_motion, on_grid
from deepmag.models.phase import SIDE
from deepmag.models.pyramid_filters import ORIENTATIONS
from deepmag.models.respiration import ASCENT_RATE, REACH, TARGET_SCALE
from deepmag.stream.breath_rate import BreathRate
from deepmag.stream.roi import clamp_box
from deepmag.stream.tick_pairs import EARLY, TICK, TickPairs

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from deepmag.export.respiration import GradientAscender
    from deepmag.models.phase import Floats, PhaseDifference
    from deepmag.stream.frames import Reading
    from deepmag.stream.roi import IntBox
    from deepmag.stream.settings import Region

LEARNING = 10.0  # s over which the network's gradient is averaged
# Five looks a second cannot tell what shakes 4.8 times a second from what breathes 12 times a minute. So after each
# GLANCE_EVERY ticks there is one more, of the first frame that is so much later.
GLANCE_EVERY = 3
GLANCE_AFTER = 0.03  # s
# Correlation of what is magnified with the camera's own motion, where that is the larger one: from the first on it
# fades, at the second nothing is left. 0.85 to 0.97 where the camera is all that moves, up to 0.8 of somebody who
# breathes and holds the camera in their hand; the rate is refused before that.
THE_CAMERA = (0.8, 0.9)
FADE = 1.0  # s
MOST = 12.0  # cells: a larger displacement is no breath but a mistake


@dataclass(frozen=True, slots=True)
class Moved:
    """The breath at a time. motion: (2, GRID, GRID) cells. wave: how far the region moves, cells."""

    pts: float
    motion: Floats
    wave: float


class BreathTicks:
    """Takes the frames that end a tick, and tells where the breath had the picture at ticks before."""

    def __init__(self, ascender: GradientAscender) -> None:
        self._ascender = ascender
        self._pairs = TickPairs()
        self._window = BreathWindow()
        self._rate = BreathRate()
        self._breath: Breath | None = None
        self._gradient = np.zeros((ORIENTATIONS, SIDE, SIDE), np.float32)
        self._gradient_age = 0
        self._unglanced = 0  # ticks since the last glance
        self._trust = 1.0  # share of the breath that is magnified

    @property
    def breath(self) -> Breath | None:
        """What is known of the breath."""
        return self._breath

    def reset(self) -> None:
        """Forget everything: what follows has nothing to do with what came before."""
        self._breath = None
        self._pairs.reset()
        self._window.reset()
        self._rate.reset()
        self._gradient[:] = 0.0
        self._gradient_age = 0
        self._unglanced = 0
        self._trust = 1.0

    def due(self, pts: float, period: float) -> bool:
        """Whether a frame at pts, s, ends a tick. period: s between frames."""
        return self._pairs.due(pts, period)

    def glances(self, pts: float, period: float) -> bool:
        """Whether a frame at pts, s, that ends no tick is to be glanced at. period: s between frames."""
        late = self._pairs.since(pts)
        return (
            self._unglanced >= GLANCE_EVERY
            and GLANCE_AFTER - EARLY * min(period, GLANCE_AFTER) <= late < TICK
        )

    def glance(self, pts: float, luma: Floats) -> None:
        """Look at how what has moved moves on after the tick. luma: as of `take`."""
        difference = self._pairs.glance(luma)
        if difference is not None:
            self._window.glance(local_motion(difference), self._pairs.since(pts))
        self._unglanced = 0

    def take(self, pts: float, luma: Floats) -> bool:
        """Compare a picture with the one that ended the tick before, if there is one.

        luma: as of `phase.reduce_luma`. Returns False, and takes nothing, where it shows another scene: then ``reset``,
        and it is the first.
        """
        if not self._pairs.take(pts, luma):
            return False
        pair = self._pairs.pair
        if pair is not None:
            self._unglanced += pair.ticks
            self._learn(pair.difference, pair.ticks)
            self._rate.update(pts, self._breath, pair.motion, pair.ticks, light=pair.light)
            self._fade(pair.ticks)
        return True

    def moved(self, age: int) -> Moved | None:
        """Where the breath had the picture ``age`` ticks ago, as far as is known; None where nothing is."""
        if self._breath is None:
            return None
        amplitude = self._window.amplitude(age)
        return Moved(
            self._pairs.time - age * TICK,
            self._breath.pattern * np.float32(self._trust * amplitude),
            amplitude * self._window.unit,
        )

    def reading(self, pts: float) -> Reading:
        """Tell the rate as of pts, s."""
        return self._rate.reading(pts)

    def _fade(self, ticks: int) -> None:
        """Magnify what goes with the camera's motion less and less: what is left of that is no breath."""
        first, last = THE_CAMERA
        wanted = float(np.clip((last - self._rate.evidence.camera) / (last - first), 0.0, 1.0))
        step = ticks * TICK / FADE
        self._trust += min(max(wanted - self._trust, -step), step)

    def _learn(self, difference: PhaseDifference, ticks: int) -> None:
        x = np.clip(difference.x, -REACH, REACH)[None]
        weight = difference.weight[None]
        up, gradient = self._ascender.gradient(x, weight)
        down, opposite = self._ascender.gradient(-x, weight)
        # a breath out is a breath in, negated: the rest of the output is noise, as for the pulse
        y = 0.5 * float(up[0] - down[0]) * TARGET_SCALE
        self._gradient_age += ticks
        share = max(1.0 / self._gradient_age, 1.0 / (LEARNING * ASCENT_RATE))
        self._gradient += np.float32(share) * (
            np.float32(0.5 * TARGET_SCALE) * (gradient[0] + opposite[0]) - self._gradient
        )
        attention = on_grid((self._gradient * x[0]).sum(0))
        self._window.push(local_motion(difference), attention, y, ticks)
        self._breath = self._window.estimate(np.sqrt(on_grid((self._gradient**2).sum(0))))


def between(first: Moved, then: Moved, pts: float) -> Moved:
    """The breath at a time between two ticks."""
    share = np.float32((pts - first.pts) / (then.pts - first.pts))
    return Moved(
        pts,
        first.motion + share * (then.motion - first.motion),
        first.wave + float(share) * (then.wave - first.wave),
    )


def breath_box(region: Region, shape: tuple[int, ...]) -> IntBox:
    """The part of the picture that is looked at. Raises RegionError where too little of an explicit one lies inside."""
    height, width = shape[:2]
    if not isinstance(region, tuple):
        return (0, 0, width, height)
    return clamp_box(region, (width, height))


def magnified(motion: Floats, gain: float) -> Floats:
    """What a motion lacks to be ``gain`` times as large."""
    return np.asarray(np.clip(motion * np.float32(gain - 1.0), -MOST, MOST), np.float32)


def displace_box(
    image: NDArray[np.uint8], box: IntBox, motion: NDArray[np.float32], gain: float
) -> NDArray[np.uint8]:
    """Move a picture's box ``gain`` times as far as the breath did. Returns the picture itself where nothing moves."""
    x, y, w, h = box
    if w <= 0:
        return image
    motion = magnified(motion, gain)
    if (w, h) == image.shape[1::-1]:
        return displace_frame(image, motion)
    out = image.copy()
    out[y : y + h, x : x + w] = displace_frame(image[y : y + h, x : x + w], motion)
    return out
