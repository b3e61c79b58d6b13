"""Live magnification of one source's pulse, frame by frame: the pure core of the engine, without thread or clock.

For each new frame: reduce the region, normalized difference to the frame before (Eq. 14), a fixed number of ascent
steps (Eq. 4, or along a smoothed direction), the causal window (Eq. 15-16), and Eq. 17 on the frame that lies ``lag``
seconds back. Picture and magnification stay in step; what is shown is late by the lag, and by nothing else.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from deepmag.models.direction import SmoothedDirection
from deepmag.models.reconstruction import magnify_frame
from deepmag.models.representation import INPUT_SCALE, L, is_scene_cut, normalized_difference, reduce_frame
from deepmag.models.steady import REFERENCE_GAIN, ascend_odd
from deepmag.models.step_size import gamma_for_rate
from deepmag.models.ticks import RateEstimator, TickClock
from deepmag.models.window import SlidingWindow
from deepmag.stream.frames import MagnifiedFrame, PulseReading

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from deepmag.export.runtime import Ascender
    from deepmag.stream.face import Face
    from deepmag.stream.frames import Frame
    from deepmag.stream.roi import Roi
    from deepmag.stream.settings import Region, Settings

ASSUMED_RATE = 30.0  # Hz, until the timestamps have told
MAX_LOG_FACTOR = 0.4  # S beyond this is no pulse but a blow-up: 1.5-fold brightness
OUTLIER = 4.0  # times the running mean of |y|: what exceeds it is motion, and is held to it
LEVEL_MEMORY = 3.0  # s, of that mean
LEVEL_SETTLED = 0.5  # s before it is trusted


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
        y: float,
        before: NDArray[np.float32],
        after: NDArray[np.float32],
        roi: Roi,
        ticks: int,
    ) -> None:
        """Take the network's output and the reduced pictures of one frame pair."""

    def reading(self, t: float) -> PulseReading:
        """The rate as of t."""

    def reset(self) -> None:
        """Forget everything."""


@dataclass(slots=True)
class _Waiting:
    """A frame whose log factor is not known yet. tick: of the window's clock."""

    frame: Frame
    small: NDArray[np.float32]
    box: tuple[int, int, int, int]
    tick: int


class PulseMagnifier:
    """Frames in, magnified frames out, in order and one for one; those of the last ``lag`` seconds are still inside.

    nominal_rate: asked for at each session's first frame: Hz where the source states it, else None.
    clock: time.monotonic, for ``MagnifiedFrame.ready`` only.
    """

    def __init__(
        self,
        ascender: Ascender,
        tracker: RegionTracker,
        meter: RateMeter,
        *,
        clock: Callable[[], float],
        nominal_rate: Callable[[], float | None] = lambda: None,
        lag: float = 0.25,
    ) -> None:
        self._ascender = ascender
        self._tracker = tracker
        self._meter = meter
        self._clock = clock
        self._nominal_rate = nominal_rate
        rate = nominal_rate() or ASSUMED_RATE
        self._estimator = RateEstimator()
        self._ticks = TickClock(rate)
        self._window = SlidingWindow((3, L, L), rate, lag=lag)
        # the network's own output through the same filter: the waveform on the screen, in step with the picture
        self._pulse = SlidingWindow((1,), rate, lag=lag)
        self._direction = SmoothedDirection()
        self._waiting: deque[_Waiting] = deque()
        self._tick = 0
        self._last: Frame | None = None
        self._last_small: NDArray[np.float32] | None = None
        self._roi: Roi | None = None
        self._level = 0.0
        self._seen = 0.0  # s of pairs in that mean
        self._elapsed = 0.0
        self._unit = INPUT_SCALE
        self._gain = REFERENCE_GAIN

    @property
    def rate(self) -> float:
        """Ticks per second of the filter's clock."""
        return self._ticks.rate

    @property
    def waiting(self) -> int:
        """Frames inside, whose log factor is not known yet."""
        return len(self._waiting)

    def push(
        self, frame: Frame, settings: Settings, faces: Sequence[Face] | None = None
    ) -> list[MagnifiedFrame]:
        """Take the next frame. faces: a detection's result where there is a new one. Returns what is now complete.

        Raises ValueError where an explicit region lies outside the picture.
        """
        done: list[MagnifiedFrame] = []
        if self._last is not None and frame.session != self._last.session:
            done += self.flush()
        if settings.lag != self._window.lag:
            self._window.set_lag(settings.lag)
            self._pulse.set_lag(settings.lag)
        self._gain = settings.gain
        new_rate = self._estimate_rate(frame)
        if self._last is None:
            new_rate = self._nominal_rate() or new_rate
        if new_rate is not None and abs(new_rate / self.rate - 1) > 0.02:
            done += self._drain()
            self._ticks.set_rate(new_rate)
            self._window.set_rate(new_rate)
            self._pulse.set_rate(new_rate)
        height, width = frame.image.shape[:2]
        roi = self._tracker.update(frame.pts, (width, height), faces, settings.roi)
        small = _reduce(frame, roi.box)
        ticks = self._ticks.advance(frame.pts)
        before = self._reduced_before(roi)
        if ticks is None or before is None or is_scene_cut(before, small):
            done += self._drain()
            self._forget()
            self._meter.reset()
        else:
            step, y = self._ascend(before, small, max(ticks, 1), settings)
            self._meter.update(frame.pts, y, before, small, roi, ticks)
            done += self._advance(step, y, ticks)
        self._waiting.append(_Waiting(frame, small, roi.box, self._tick))
        self._last, self._last_small, self._roi = frame, small, roi
        return done + self._ripe()

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
            return _reduce(self._last, roi.box)
        return self._last_small

    def _estimate_rate(self, frame: Frame) -> float | None:
        """The camera's rate where it is new. The time between frames counts the frames dropped before the engine."""
        if self._last is None:
            self._elapsed = 0.0
            return self._estimator.update(0.0)
        self._elapsed += (frame.pts - self._last.pts) / max(1, frame.seq - self._last.seq)
        return self._estimator.update(self._elapsed)

    def _ascend(
        self, before: NDArray[np.float32], after: NDArray[np.float32], ticks: int, settings: Settings
    ) -> tuple[NDArray[np.float32], float]:
        """The ascent's change of X over one pair (3, L, L), and the network's output; both summed over its ticks."""
        # A pair that spans k ticks holds k steps; the network knows the size of one.
        x = (normalized_difference(before, after) / np.float32(ticks))[None]
        if settings.mode == "paper":
            dx, value = self._ascender.paper(x, gamma_for_rate(self.rate))
            return dx[0] * np.float32(ticks), float(value[0]) * ticks
        direction = self._direction.direction() if self._direction.ready else np.zeros_like(x[0])
        step, value, gradient = ascend_odd(self._ascender, x, direction[None])
        seconds = ticks / self.rate
        self._direction.update(gradient[0], seconds)
        green = np.abs(direction[1])
        if green.any():
            # what one unit of y is in the skin's green, so that the waveform has a physical scale
            self._unit = float((green**2).sum() / green.sum())
        y = float(value[0])
        held = self._hold(y, seconds)
        if y != held:
            step = step * np.float32(held / y)
        return step[0] * np.float32(ticks), held * ticks

    def _hold(self, y: float, seconds: float) -> float:
        """Limit y to what a pulse can be, by the running mean of |y|; larger is motion."""
        self._seen += seconds
        limit = OUTLIER * self._level
        held = float(np.clip(y, -limit, limit)) if self._seen > LEVEL_SETTLED else y
        # a plain mean until the memory is filled: else the first pair, however quiet, would hold down what follows
        share = max(seconds / self._seen, 1.0 - float(np.exp(-seconds / LEVEL_MEMORY)))
        self._level += share * (abs(held) - self._level)
        return held

    def _advance(self, step: NDArray[np.float32], y: float, ticks: int) -> list[MagnifiedFrame]:
        """Push a pair's increment tick by tick, so that a frame is taken out at its own tick."""
        done: list[MagnifiedFrame] = []
        value = np.array([y], np.float32)
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
        """The frames that lie the window's delay behind the newest tick."""
        ripe: list[MagnifiedFrame] = []
        while self._waiting and self._waiting[0].tick + self._window.delay_ticks <= self._tick:
            ripe.append(self._render(self._waiting.popleft()))
        return ripe

    def _drain(self) -> list[MagnifiedFrame]:
        """Take out all frames that wait, with nothing more to come."""
        nothing, silent = np.zeros((3, L, L), np.float32), np.zeros(1, np.float32)
        done = self._ripe()
        while self._waiting:
            self._window.push(nothing)
            self._pulse.push(silent)
            self._tick += 1
            done += self._ripe()
        return done

    def _forget(self) -> None:
        self._window.reset()
        self._pulse.reset()
        self._direction.reset()
        self._level = self._seen = 0.0

    def _render(self, waiting: _Waiting) -> MagnifiedFrame:
        scale = np.float32((self._gain - 1.0) / (REFERENCE_GAIN - 1.0))
        factor = np.clip(self._window.log_factor() * scale, -MAX_LOG_FACTOR, MAX_LOG_FACTOR)
        image = magnify_frame(waiting.frame.image, waiting.small, factor, waiting.box)
        return MagnifiedFrame(
            frame=waiting.frame,
            image=image,
            pulse=float(self._pulse.log_factor()[0]) * self._unit,
            reading=self._meter.reading(waiting.frame.pts),
            roi=waiting.box,
            ready=self._clock(),
        )


def _reduce(frame: Frame, box: tuple[int, int, int, int]) -> NDArray[np.float32]:
    x, y, w, h = box
    return reduce_frame(frame.image[y : y + h, x : x + w])
