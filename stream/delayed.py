"""What every live magnifier shares: pairs of frames on a uniform clock, and frames that wait until the lag has passed.

Pure: no thread and no clock but the one that stamps what comes out.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

import numpy as np

from deepmag.models.representation import is_scene_cut
from deepmag.models.ticks import RateEstimator, TickClock
from deepmag.models.window import SlidingWindow
from deepmag.stream.frames import TOO_SLOW, MagnifiedFrame, Signal
from deepmag.stream.pictures import HostPictures
from deepmag.stream.roi import clamp_box

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from deepmag.models.window import Design
    from deepmag.stream.face import Face
    from deepmag.stream.frames import Frame, Reading
    from deepmag.stream.pictures import Pictures
    from deepmag.stream.roi import IntBox, Roi
    from deepmag.stream.settings import Region, Settings

ASSUMED_RATE = 30.0  # Hz, until the timestamps have told
# Hz, of the clock whatever the camera does. Below, less than an octave of the pulse's band is left: a camera that gets
# slower, as many do at night, has pairs of several ticks. Above, a window is long for nothing: streams that count
# milliseconds say they had 1000 frames/s.
RATES = (3.0, 240.0)


class RegionTracker(Protocol):
    """Where to look; see ``roi.RoiTracker``."""

    def update(
        self, now: float, size: tuple[int, int], faces: Sequence[Face] | None, region: Region = "auto"
    ) -> Roi:
        """The region from now on."""

    def reset(self) -> None:
        """Forget the face."""


class RateMeter(Protocol):
    """Pulse rate and its quality; see ``vitals.PulseRate``."""

    def update(
        self,
        t: float,
        y: float | None,
        before: NDArray[np.float32],
        after: NDArray[np.float32],
        roi: Roi,
        ticks: int,
        late: float,
    ) -> None:
        """Take the output, ``late`` s late, where there is a network, and the reduced pictures of one frame pair."""

    def reading(self, t: float) -> Reading:
        """The rate as of t."""

    def reset(self) -> None:
        """Forget everything."""


@dataclass(frozen=True, slots=True)
class Pair:
    """Two frames that follow each other.

    before, after: (3, L, L), both reduced from the region ``roi``. ticks: of the clock that the pair spans, at least 1.
    """

    frame: Frame
    before: NDArray[np.float32]
    after: NDArray[np.float32]
    roi: Roi
    ticks: int


@dataclass(slots=True)
class Waiting:
    """A frame whose magnification is not known yet. tick: of the windows' clock."""

    frame: Frame
    small: NDArray[np.float32]
    box: IntBox
    tick: int


class DelayedMagnifier(ABC):
    """Frames in, magnified frames out, in order and one for one; those of the last ``lag`` seconds are still inside.

    nominal_rate: asked for at each session's first frame: Hz where the source states it, else None.
    clock: time.monotonic, for ``MagnifiedFrame.ready`` only. pictures: of this stream alone; on the CPU if None.
    design: of the waveform's kernel, as ``SlidingWindow`` takes it.
    """

    def __init__(
        self,
        window: SlidingWindow,
        tracker: RegionTracker,
        meter: RateMeter,
        *,
        clock: Callable[[], float],
        nominal_rate: Callable[[], float | None],
        pictures: Pictures | None = None,
        design: Design | None = None,
    ) -> None:
        self._pictures = HostPictures() if pictures is None else pictures
        self._window = window
        self._tracker = tracker
        self._meter = meter
        self._clock = clock
        self._nominal_rate = nominal_rate
        self._estimator = RateEstimator()
        self._ticks = TickClock(window.rate)
        # a pulse through the same filter: the waveform on the screen, in step with the picture
        self._pulse = SlidingWindow((1,), window.rate, lag=window.lag, design=design)
        self._waiting: deque[Waiting] = deque()
        self._tick = 0
        self._last: Frame | None = None
        self._last_small: NDArray[np.float32] | None = None
        self._roi: Roi | None = None
        self._region: Region = "auto"
        self._gaps = 0  # pairs in a row that were too far apart
        self._elapsed = 0.0
        self._unit = 1.0  # of the waveform

    @abstractmethod
    def _begin(self, frame: Frame) -> None:
        """A frame with nothing before it, after `_forget`."""

    @abstractmethod
    def _measure(self, pair: Pair, settings: Settings) -> tuple[NDArray[np.float32], float, float | None]:
        """What a pair adds to the picture's window and to the waveform's, and the network's output, if any.

        All summed over the pair's ticks.
        """

    @abstractmethod
    def _magnify(self, waiting: Waiting) -> NDArray[np.uint8]:
        """The picture of the frame that the windows now are for."""

    @property
    def _late(self) -> float:
        """S by which the network's output tells of what was before its pair."""
        return 0.0

    def _take_settings(self, settings: Settings) -> None:
        """Take what is set from this frame on."""
        if settings.lag != self._window.lag:
            self._window.set_lag(settings.lag)
            self._pulse.set_lag(settings.lag)

    def _forget(self) -> None:
        """Forget all that came before."""
        self._window.reset()
        self._pulse.reset()

    @property
    def rate(self) -> float:
        """Ticks per second of the filter's clock."""
        return self._ticks.rate

    @property
    def waiting(self) -> int:
        """Frames inside, whose magnification is not known yet."""
        return len(self._waiting)

    def expect(self, frame: Frame) -> None:
        """See ``Magnifier.expect``: each frame is reduced as it comes."""
        self._pictures.expect(frame)

    def push(
        self, frame: Frame, settings: Settings, faces: Sequence[Face] | None = None
    ) -> list[MagnifiedFrame]:
        """Take the next frame. faces: a detection's result where there is a new one. Returns what is now complete.

        Raises RegionError where an explicit region lies outside the picture.
        """
        done: list[MagnifiedFrame] = []
        height, width = frame.image.shape[:2]
        if isinstance(settings.roi, tuple):
            clamp_box(
                settings.roi, (width, height)
            )  # refused before anything comes out that would then be lost
        if self._last is not None and _other_source(self._last, frame):
            done += self.flush()
        if settings.roi != self._region:
            done += self._leave_region()
            self._region = settings.roi
        self._take_settings(settings)
        new_rate = self._estimate_rate(frame)
        if self._last is None:
            # what the timestamps have shown is truer than what a stream says of itself, each time it begins
            new_rate = self._estimator.rate or self._nominal_rate() or new_rate
        new_rate = None if new_rate is None else clock_rate(new_rate)
        if new_rate is not None and abs(new_rate / self.rate - 1) > 0.02:
            done += self._drain()
            self._ticks.set_rate(new_rate)
            self._window.set_rate(new_rate)
            self._pulse.set_rate(new_rate)
        roi = self._tracker.update(frame.pts, (width, height), faces, settings.roi)
        if self._roi is not None and roi.kind == "face" and roi.person != self._roi.person:
            done += self._leave_region()
        small = self._pictures.reduce(frame, roi.box)
        ticks = self._ticks.advance(frame.pts)
        self._gaps = self._gaps + 1 if ticks is None and self._last is not None else 0
        before = self._reduced_before(roi)
        if ticks is None or before is None or is_scene_cut(before, small):
            done += self._drain()
            self._forget()
            self._meter.reset()
            self._begin(frame)
        else:
            pair = Pair(frame, before, small, roi, max(ticks, 1))
            step, pulse, y = self._measure(pair, settings)
            self._meter.update(frame.pts, y, before, small, roi, ticks, self._late)
            done += self._advance(step, pulse, ticks)
        self._waiting.append(Waiting(frame, small, roi.box, self._tick))
        self._last, self._last_small, self._roi = frame, small, roi
        return done + self._ripe()

    def _leave_region(self) -> list[MagnifiedFrame]:
        """What was measured elsewhere in the picture is nothing to be shown here: it comes out, and is forgotten."""
        done = self._drain()
        self._forget()
        return done

    def flush(self) -> list[MagnifiedFrame]:
        """The end of a session: what is still inside comes out, as if nothing moved from now on; all is forgotten."""
        done = self._drain()
        self._forget()
        self._last = self._last_small = self._roi = None
        self._tracker.reset()
        self._meter.reset()
        self._ticks.set_rate(self.rate)
        return done

    def _reduced_before(self, roi: Roi) -> NDArray[np.float32] | None:
        """The frame before, reduced in the region that the new one is; None where there was none."""
        if self._last is None or self._roi is None:
            return None
        if self._last_small is None or roi.box != self._roi.box:
            return self._pictures.reduce(self._last, roi.box)
        return self._last_small

    def _estimate_rate(self, frame: Frame) -> float | None:
        """The camera's rate where it is new. The time between frames counts the frames dropped before the engine."""
        if self._last is None:
            self._elapsed = 0.0
            return self._estimator.update(0.0)
        self._elapsed += (frame.pts - self._last.pts) / max(1, frame.seq - self._last.seq)
        return self._estimator.update(self._elapsed)

    def _advance(self, step: NDArray[np.float32], pulse: float, ticks: int) -> list[MagnifiedFrame]:
        """Push a pair's increment tick by tick, so that a frame is taken out at its own tick."""
        done: list[MagnifiedFrame] = []
        value = np.array([pulse], np.float32)
        if ticks == 0:
            self._window.push(step, 0)
            self._pulse.push(value, 0)
            return done
        for _ in range(ticks):
            self._window.push(step / np.float32(ticks))
            self._pulse.push(value / np.float32(ticks))
            self._tick += 1
            done += self._ripe()
        return done

    def _ripe(self) -> list[MagnifiedFrame]:
        """The frames that lie the window's delay behind the newest tick, or more where the lag was made shorter."""
        ripe: list[MagnifiedFrame] = []
        looks_back = 0
        while self._waiting and self._waiting[0].tick + self._window.delay_ticks <= self._tick:
            frame = self._waiting.popleft()
            overdue = self._tick - self._window.delay_ticks - frame.tick
            if overdue != looks_back:
                self._look_back(overdue)
                looks_back = overdue
            ripe.append(self._render(frame))
        if looks_back:
            self._look_back(0)
        return ripe

    def _look_back(self, ticks: int) -> None:
        self._window.look_back(ticks)
        self._pulse.look_back(ticks)

    def _drain(self) -> list[MagnifiedFrame]:
        """Take out all frames that wait, with nothing more to come."""
        nothing, silent = np.zeros(self._window.shape, np.float32), np.zeros(1, np.float32)
        done = self._ripe()
        while self._waiting:
            self._window.push(nothing)
            self._pulse.push(silent)
            self._tick += 1
            done += [replace(frame, early=True) for frame in self._ripe()]
        return done

    def _render(self, waiting: Waiting) -> MagnifiedFrame:
        wave = float(self._pulse.log_factor()[0]) * self._unit
        return MagnifiedFrame(
            frame=waiting.frame,
            image=self._magnify(waiting),
            pulse=Signal(wave, TOO_SLOW if self._gaps > 1 else self._meter.reading(waiting.frame.pts)),
            respiration=None,
            roi=waiting.box,
            ready=self._clock(),
        )


def clock_rate(rate: float) -> float:
    """Ticks per second for a camera's frames per second: the same within ``RATES``."""
    return min(max(rate, RATES[0]), RATES[1])


def _other_source(last: Frame, frame: Frame) -> bool:
    """Whether what came before says nothing about a frame. A change of size is a new session by itself."""
    return frame.session != last.session or frame.image.shape != last.image.shape
