"""Live magnification of breathing, frame by frame: the pure core of the engine, without thread or clock.

Pictures come at the camera's rate, the ascent runs five times a second: breathing is slow. What each tick tells of the
breath is `BreathTicks`'. Each frame is shown ``lag`` seconds late, moved along the pattern that was found by what the
breath was at its own time; so the motion is updated with every frame.
"""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from deepmag.models.phase import SIDE
from deepmag.models.respiration import ASCENT_RATE
from deepmag.models.ticks import MAX_GAP
from deepmag.stream.breath_ticks import BreathTicks, Moved, between, breath_box
from deepmag.stream.frames import TOO_SLOW, MagnifiedFrame, Signal
from deepmag.stream.pictures import HostPictures, Move

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from deepmag.export.respiration import GradientAscender
    from deepmag.models.breath import Breath
    from deepmag.stream.face import Face
    from deepmag.stream.frames import Frame
    from deepmag.stream.pictures import Pictures
    from deepmag.stream.roi import IntBox
    from deepmag.stream.settings import Settings


class RespirationMagnifier:
    """Magnifies what the network sees of a breath. Implements ``Magnifier``.

    clock: time.monotonic, for ``MagnifiedFrame.ready`` only. nominal_rate is not needed: time is the frames' own.
    pictures: of this stream alone; on the CPU if None.
    """

    def __init__(
        self,
        ascender: GradientAscender,
        *,
        clock: Callable[[], float],
        nominal_rate: Callable[[], float | None] = lambda: None,
        lag: float = 1.0,
        pictures: Pictures | None = None,
    ) -> None:
        self._pictures = HostPictures() if pictures is None else pictures
        self._ticks = BreathTicks(ascender)
        self._clock = clock
        self._lag = lag
        self._waiting: deque[Frame] = deque()
        self._last: Frame | None = None
        self._gaps = 0  # pairs in a row that were too far apart
        self._slow = 0  # the same of pictures that differ: between them one may have been repeated
        self._luma: NDArray[np.float32] | None = None  # of the last one that differed, and when that was, s
        self._changed = 0.0
        self._period = 1.0 / 30.0
        self._gain = 1.0
        self._box: IntBox = (0, 0, 0, 0)
        self._path: deque[Moved] = deque()

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
        return self._ticks.breath

    def expect(self, frame: Frame) -> None:
        """See ``Magnifier.expect``. Nothing: few frames are looked at as they come, and which of them is not known."""

    def push(
        self, frame: Frame, settings: Settings, faces: Sequence[Face] | None = None
    ) -> list[MagnifiedFrame]:
        """Take the next frame. Returns what is now complete. Raises RegionError for a region outside the picture."""
        done: list[MagnifiedFrame] = []
        # first: where it is refused, nothing may have come out that would then be lost
        box = breath_box(settings.roi, frame.image.shape)
        last = self._last
        if last is not None and (frame.session != last.session or frame.image.shape != last.image.shape):
            done += self.flush()
            last = None
        gap = last is not None and not 0.0 < frame.pts - last.pts <= MAX_GAP
        self._gaps = self._gaps + 1 if gap else 0
        if gap or (last is not None and box != self._box):
            done += self._drain()
            self._forget()
            last = None
        self._gain = settings.gain
        if settings.lag != self._lag:
            self._set_lag(settings.lag)
        if last is not None:
            self._period += 0.1 * (frame.pts - last.pts - self._period)
        self._box = box
        if self._ticks.due(frame.pts, self._period):
            done += self._tick(frame)
        elif self._ticks.glances(frame.pts, self._period):
            self._ticks.glance(frame.pts, self._pictures.luma(frame, self._box))
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
        """Take a frame that ends a tick. Returns what comes out because another scene begins with it."""
        luma = self._pictures.luma(frame, self._box)
        done: list[MagnifiedFrame] = []
        if not self._ticks.take(frame.pts, luma):
            done = self._drain()
            self._forget()
            self._ticks.take(frame.pts, luma)
        self._look_for_change(frame.pts, luma)
        # the first estimate is of all ticks that still wait to be shown
        oldest = self._held_back if self._path else round(self._lag * ASCENT_RATE)
        for age in range(oldest, self._held_back - 1, -1):
            self._settle(age)
        return done

    def _look_for_change(self, pts: float, luma: NDArray[np.float32]) -> None:
        if self._luma is not None and np.array_equal(luma, self._luma):
            return
        slow = self._luma is not None and pts - self._changed > MAX_GAP
        self._slow = self._slow + 1 if slow else 0
        self._luma, self._changed = luma, pts

    def _set_lag(self, lag: float) -> None:
        """Change the lag. With a shorter one frames come out at once, whose breath has waited for later ones so far."""
        before, self._lag = self._held_back, lag
        if self._path:
            for age in range(before - 1, self._held_back - 1, -1):
                self._settle(age)

    @property
    def _held_back(self) -> int:
        """Ticks that a frame's breath may wait for later ones: with one more to interpolate, they make the lag."""
        return max(0, int(self._lag * ASCENT_RATE + 0.01) - 1)

    def _settle(self, age: int) -> None:
        """Decide where the picture is moved at the tick ``age`` ticks ago, unless that is done."""
        moved = self._ticks.moved(age)
        if moved is not None and (not self._path or moved.pts > self._path[-1].pts + 0.5 / ASCENT_RATE):
            self._path.append(moved)

    def _ripe(self, now: float) -> list[MagnifiedFrame]:
        """The frames that lie the lag behind the newest."""
        ripe: list[MagnifiedFrame] = []
        while self._waiting and self._waiting[0].pts <= now - self._lag + 0.5 * self._period:
            frame = self._waiting.popleft()
            if self._waiting and self._path:  # something moves, so the next one that is shown is changed, too
                self._pictures.expect(self._waiting[0])
            ripe.append(self._render(frame))
        return ripe

    def _drain(self) -> list[MagnifiedFrame]:
        """Take out all frames that wait, with nothing more to come."""
        for age in range(self._held_back - 1, -1, -1):
            self._settle(age)
        waiting = [self._waiting.popleft() for _ in range(len(self._waiting))]
        return [replace(self._render(frame), early=True) for frame in waiting]

    def _forget(self) -> None:
        self._ticks.reset()
        self._path.clear()
        self._luma, self._slow = None, 0

    def _moved_at(self, pts: float) -> Moved | None:
        """The breath at a frame's time, between two ticks."""
        path = self._path
        while len(path) > 1 and path[1].pts <= pts:
            path.popleft()
        if not path or path[0].pts > pts:
            return None
        return path[0] if len(path) == 1 else between(path[0], path[1], pts)

    def _render(self, frame: Frame) -> MagnifiedFrame:
        image, wave = frame.image, 0.0
        moved = self._moved_at(frame.pts)
        if moved is not None:
            wave = moved.wave * self._box[3] / SIDE
            image = self._pictures.change(frame, move=Move(self._box, moved.motion, self._gain))
        slow = max(self._gaps, self._slow) > 1
        return MagnifiedFrame(
            frame=frame,
            image=image,
            pulse=None,
            respiration=Signal(wave, TOO_SLOW if slow else self._ticks.reading(frame.pts)),
            roi=self._box,
            ready=self._clock(),
        )
