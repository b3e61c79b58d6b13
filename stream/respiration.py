"""Live magnification of breathing, frame by frame: the pure core of the engine, without thread or clock.

Pictures come at the camera's rate, the ascent runs five times a second: breathing is slow. A frame that ends a tick is
compared with the one that ended the tick before (phase differences without the camera's own motion), the network says
how the chest moved, and `BreathWindow` what in the picture moves with it. Each frame is shown ``lag`` seconds late,
moved along that pattern by what the breath was at its own time; so the motion is updated with every frame.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from deepmag.models.breath import Breath, BreathWindow
from deepmag.models.camera_motion import camera_motion, without_camera
from deepmag.models.displacement import displace_frame
from deepmag.models.local_motion import local_motion, on_grid
from deepmag.models.phase import SIDE, PhaseRepresentation, phase_difference, reduce_luma
from deepmag.models.pyramid import ORIENTATIONS
from deepmag.models.respiration import ASCENT_RATE, REACH, TARGET_SCALE
from deepmag.models.ticks import MAX_GAP
from deepmag.stream.breath_rate import BreathRate
from deepmag.stream.frames import MagnifiedFrame, Signal

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from deepmag.models.phase import Bands, Floats, PhaseDifference
    from deepmag.stream.face import Face
    from deepmag.stream.frames import Frame
    from deepmag.stream.roi import IntBox
    from deepmag.stream.settings import Region, Settings

TICK = 1.0 / ASCENT_RATE  # s
EARLY = 0.4  # of a frame's period by which a tick may end before its time
DARK = 2.0  # grey levels, as in Eq. 14
SCENE_CUT = 0.2  # mean relative change between two ticks beyond which they show different scenes
LEARNING = 10.0  # s over which the network's gradient is averaged
MOST = 12.0  # cells: a larger displacement is no breath but a mistake


class GradientAscender(Protocol):
    """The network of respiration and its gradient; see ``export.respiration.RespirationAscender``."""

    @property
    def description(self) -> str:
        """What runs."""
        ...

    def gradient(
        self, x: NDArray[np.float32], weight: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """x: (B, 4, SIDE, SIDE) rad. weight: like x. Returns y (B,) and dy/dX like x."""
        ...


@dataclass(frozen=True, slots=True)
class _Look:
    """A frame that ended a tick: what the next is compared with."""

    pts: float
    luma: Floats
    bands: Bands


@dataclass(frozen=True, slots=True)
class _Moved:
    """The breath at a time. motion: (2, GRID, GRID) cells. wave: how far the region moves, cells."""

    pts: float
    motion: Floats
    wave: float


class RespirationMagnifier:
    """Magnifies what the network sees of a breath. Implements ``Magnifier``.

    clock: time.monotonic, for ``MagnifiedFrame.ready`` only. nominal_rate is not needed: time is the frames' own.
    """

    def __init__(
        self,
        ascender: GradientAscender,
        *,
        clock: Callable[[], float],
        nominal_rate: Callable[[], float | None] = lambda: None,
        lag: float = 1.0,
    ) -> None:
        self._ascender = ascender
        self._clock = clock
        self._lag = lag
        self._representation = PhaseRepresentation()
        self._window = BreathWindow()
        self._rate = BreathRate()
        self._waiting: deque[Frame] = deque()
        self._last: Frame | None = None
        self._period = 1.0 / 30.0
        self._gain = 1.0
        self._region: Region = "auto"
        self._box: IntBox = (0, 0, 0, 0)
        self._look: _Look | None = None
        self._breath: Breath | None = None
        self._path: deque[_Moved] = deque()
        self._gradient = np.zeros((ORIENTATIONS, SIDE, SIDE), np.float32)
        self._gradient_age = 0

    @property
    def rate(self) -> float:
        """Ticks per second."""
        return ASCENT_RATE

    @property
    def waiting(self) -> int:
        """Frames inside, which have not come out yet."""
        return len(self._waiting)

    @property
    def breath(self) -> Breath | None:
        """What is known of the breath, for benchmarks and for the curious."""
        return self._breath

    def push(
        self, frame: Frame, settings: Settings, faces: Sequence[Face] | None = None
    ) -> list[MagnifiedFrame]:
        """Take the next frame. Returns what is now complete. Raises ValueError for a region outside the picture."""
        done: list[MagnifiedFrame] = []
        last = self._last
        if last is not None and (frame.session != last.session or frame.image.shape != last.image.shape):
            done += self.flush()
            last = None
        box = _box(settings.roi, frame.image.shape)
        if settings.roi != self._region or (last is not None and not 0.0 < frame.pts - last.pts <= MAX_GAP):
            done += self._drain()
            self._forget()
            last = None
        self._region, self._gain, self._lag = settings.roi, settings.gain, settings.lag
        if last is not None:
            self._period += 0.1 * (frame.pts - last.pts - self._period)
        self._box = box
        if self._look is None or frame.pts - self._look.pts >= TICK - EARLY * min(self._period, TICK):
            done += self._tick(frame)
        self._last = frame
        self._waiting.append(frame)
        return done + self._ripe(frame.pts)

    def flush(self) -> list[MagnifiedFrame]:
        """The end of a session: what is still inside comes out, and all is forgotten."""
        done = self._drain()
        self._forget()
        self._last = None
        return done

    def _tick(self, frame: Frame) -> list[MagnifiedFrame]:
        """Compare a frame with the one that ended the tick before."""
        x, y, w, h = self._box
        luma = reduce_luma(frame.image[y : y + h, x : x + w])
        look = _Look(frame.pts, luma, self._representation.bands_of(luma))
        before, self._look = self._look, look
        if before is None:
            return []
        if float(np.mean(np.abs(luma - before.luma) / (luma + before.luma + DARK))) > SCENE_CUT:
            done = self._drain()
            self._forget()
            self._look = look
            return done
        ticks = max(1, round((look.pts - before.pts) * ASCENT_RATE))
        difference = phase_difference(before.bands, look.bands)
        motion = camera_motion(before.luma, luma, difference)
        self._learn(without_camera(difference, motion), ticks)
        self._rate.update(look.pts, self._breath, motion, ticks)
        # the first estimate is of all ticks that still wait to be shown
        oldest = self._held_back if self._path else round(self._lag * ASCENT_RATE)
        for age in range(oldest, self._held_back - 1, -1):
            self._settle(age)
        return []

    @property
    def _held_back(self) -> int:
        """Ticks that a frame's breath may wait for later ones: with one more to interpolate, they make the lag."""
        return max(0, int(self._lag * ASCENT_RATE + 0.01) - 1)

    def _settle(self, age: int) -> None:
        """Decide where the picture is moved at the tick ``age`` ticks ago."""
        if self._breath is None or self._look is None:
            return
        amplitude = self._window.amplitude(age)
        self._path.append(
            _Moved(
                self._look.pts - age * TICK, self._breath.pattern * amplitude, amplitude * self._breath.unit
            )
        )

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
        self._breath = self._window.estimate()

    def _ripe(self, now: float) -> list[MagnifiedFrame]:
        """The frames that lie the lag behind the newest."""
        ripe: list[MagnifiedFrame] = []
        while self._waiting and self._waiting[0].pts <= now - self._lag + 0.5 * self._period:
            ripe.append(self._render(self._waiting.popleft()))
        return ripe

    def _drain(self) -> list[MagnifiedFrame]:
        """Take out all frames that wait, with nothing more to come."""
        for age in range(self._held_back - 1, -1, -1):
            self._settle(age)
        return [self._render(self._waiting.popleft()) for _ in range(len(self._waiting))]

    def _forget(self) -> None:
        self._look = self._breath = None
        self._window.reset()
        self._path.clear()
        self._rate.reset()
        self._gradient[:] = 0.0
        self._gradient_age = 0

    def _moved_at(self, pts: float) -> _Moved | None:
        """The breath at a frame's time, between two ticks."""
        path = self._path
        while len(path) > 1 and path[1].pts <= pts:
            path.popleft()
        if not path or path[0].pts > pts:
            return None
        first = path[0]
        if len(path) == 1:
            return first
        then = path[1]
        share = np.float32((pts - first.pts) / (then.pts - first.pts))
        return _Moved(
            pts,
            first.motion + share * (then.motion - first.motion),
            first.wave + float(share) * (then.wave - first.wave),
        )

    def _render(self, frame: Frame) -> MagnifiedFrame:
        image, wave = frame.image, 0.0
        x, y, w, h = self._box
        moved = self._moved_at(frame.pts)
        if moved is not None and w > 0:
            motion = moved.motion * np.float32(self._gain - 1.0)
            wave = moved.wave * h / SIDE
            np.clip(motion, -MOST, MOST, out=motion)
            if (w, h) == frame.image.shape[1::-1]:
                image = displace_frame(frame.image, motion)
            else:
                image = frame.image.copy()
                image[y : y + h, x : x + w] = displace_frame(
                    np.ascontiguousarray(frame.image[y : y + h, x : x + w]), motion
                )
        return MagnifiedFrame(
            frame=frame,
            image=image,
            pulse=None,
            respiration=Signal(wave, self._rate.reading(frame.pts)),
            roi=self._box,
            ready=self._clock(),
        )


def _box(region: Region, shape: tuple[int, ...]) -> IntBox:
    """The part of the picture that is looked at. Raises ValueError where an explicit one lies outside."""
    height, width = shape[:2]
    if not isinstance(region, tuple):
        return (0, 0, width, height)
    x, y, w, h = region
    if x + w > width or y + h > height:
        raise ValueError(f"the region {x},{y},{w},{h} is not inside the picture of {width}x{height}")
    return region
