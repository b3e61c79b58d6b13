"""Live magnification of one source's pulse, frame by frame: the pure core of the engine, without thread or clock.

For each new frame: reduce the region, normalized difference to the frame before (Eq. 14), in `steady` as a mean over a
fifteenth of a second, a fixed number of ascent steps (Eq. 4, or along a smoothed direction), the causal window (Eq.
15-16), and Eq. 17 on the frame that lies ``lag`` seconds back. Picture and magnification stay in step; what is shown
is late by the lag, and by nothing else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import numpy as np

from deepmag.models.amplitude import MEMORY as AMPLITUDE_MEMORY
from deepmag.models.amplitude import RunningAmplitudes
from deepmag.models.blood import BLOOD
from deepmag.models.direction import MEMORY as DIRECTION_MEMORY
from deepmag.models.direction import SmoothedDirection
from deepmag.models.magnify import BANDS
from deepmag.models.pulse_estimate import RunningEstimate, seen_beside
from deepmag.models.pulse_window import GRID, pulse_kernel
from deepmag.models.representation import INPUT_SCALE, L, normalized_difference
from deepmag.models.running_difference import RunningDifference, delay
from deepmag.models.running_limit import RunningLimit
from deepmag.models.steady import REFERENCE_GAIN, ascend_symmetric
from deepmag.models.step_size import gamma_for_rate
from deepmag.models.temporal import band_at
from deepmag.models.ticks import MAX_GAP
from deepmag.models.window import WINDOW, SlidingWindow, window_kernel
from deepmag.stream.delayed import ASSUMED_RATE, DelayedMagnifier, clock_rate
from deepmag.stream.followed_face import FollowedFace
from deepmag.stream.pictures import Colouring

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from deepmag.export.runtime import Ascender
    from deepmag.stream.delayed import Pair, RateMeter, RegionTracker, Waiting
    from deepmag.stream.face import Face
    from deepmag.stream.frames import Frame, MagnifiedFrame
    from deepmag.stream.pictures import Pictures
    from deepmag.stream.settings import Mode, Settings

MAX_LOG_FACTOR = 0.4  # S beyond this is no pulse but a blow-up: 1.5-fold brightness
SURENESS = 0.05  # steps of it in which kernels change
LEAST_OUTPUT = 0.0002  # of |y|, for its limit: walls have 0.0005


class Magnifier(Protocol):
    """Frames in, magnified frames out, in order and one for one: what the engine runs."""

    @property
    def rate(self) -> float:
        """Ticks per second of the filter's clock."""
        ...

    @property
    def waiting(self) -> int:
        """Frames inside, which have not come out yet."""
        ...

    def expect(self, frame: Frame) -> None:
        """Say that a frame will be pushed soon, so that it can be on its way to a GPU while another is worked on."""
        ...

    def push(
        self, frame: Frame, settings: Settings, faces: Sequence[Face] | None = None
    ) -> list[MagnifiedFrame]:
        """Take the next frame. faces: a detection's result where there is a new one. Returns what is now complete.

        Raises RegionError where an explicit region lies outside the picture.
        """
        ...

    def flush(self) -> list[MagnifiedFrame]:
        """The end of a session: what is still inside comes out, and all is forgotten."""
        ...


class PulseMagnifier(DelayedMagnifier):
    """Magnifies what the network sees of a pulse. Implements ``Magnifier``.

    nominal_rate: asked for at each session's first frame: Hz where the source states it, else None.
    clock: time.monotonic, for ``MagnifiedFrame.ready`` only. pictures: of this stream alone; on the CPU if None.
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
        pictures: Pictures | None = None,
    ) -> None:
        self._mode: Mode = "steady"
        self._leaning: tuple[float, ...] | None = None  # what the windows' kernels are made for
        rate, design = clock_rate(nominal_rate() or ASSUMED_RATE), self._design
        window = SlidingWindow((3, L, L), rate, lag=lag, design=design)
        super().__init__(
            window, tracker, meter, clock=clock, nominal_rate=nominal_rate, pictures=pictures, design=design
        )
        self._ascender = ascender
        self._running = RunningDifference()
        self._direction = SmoothedDirection()
        self._direction_face = FollowedFace(DIRECTION_MEMORY)
        self._amplitudes = RunningAmplitudes()
        self._amplitudes_face = FollowedFace(AMPLITUDE_MEMORY)
        self._estimate = RunningEstimate()
        self._frequency = 0.0  # Hz, of the last sure pulse
        self._limit = RunningLimit(LEAST_OUTPUT)
        self._repeated = 0  # ticks for which the picture has been the same
        self._unit = INPUT_SCALE
        self._gain = REFERENCE_GAIN

    def _design(self, rate: float, seconds: float, lag: float) -> NDArray[np.float64]:
        """The window's kernel: it makes up for what the running difference is late by."""
        self._leaning = None
        return window_kernel(band_at(BANDS[self._mode], rate), rate, seconds, lag, self._late_ticks(rate))

    def _late_ticks(self, rate: float) -> float:
        return delay(rate) if self._mode == "steady" else 0.0

    @property
    def _late(self) -> float:
        return self._late_ticks(self.rate) / self.rate

    def _take_settings(self, settings: Settings) -> None:
        super()._take_settings(settings)
        self._gain = settings.gain
        if settings.mode != self._mode:
            self._mode = settings.mode
            # paper learns nothing, so what `steady` knew would be of any age
            self._forget_face()
            self._window.set_lag(settings.lag)
            self._pulse.set_lag(settings.lag)

    def _begin(self, frame: Frame) -> None:
        """Nothing to keep: the pair's reduced pictures are all that the ascent needs."""

    def _measure(self, pair: Pair, settings: Settings) -> tuple[NDArray[np.float32], float, float | None]:
        for followed in (self._direction_face, self._amplitudes_face):
            followed.update(pair.roi.face, pair.ticks / self.rate)
        if self._roi is not None and pair.roi.box != self._roi.box:
            self._running.reset()  # X of another square lies elsewhere on the face
            self._direction.move(self._direction_face.moved(self._roi.box), pair.roi.box)
            self._amplitudes.move(self._amplitudes_face.moved(self._roi.box), pair.roi.box)
        pulse_rate = self._meter.reading(pair.frame.pts).rate
        return self._ascend(pair.before, pair.after, pair.ticks, settings, pulse_rate)

    def _ascend(
        self,
        before: NDArray[np.float32],
        after: NDArray[np.float32],
        ticks: int,
        settings: Settings,
        pulse_rate: float | None,
    ) -> tuple[NDArray[np.float32], float, float]:
        """What the ascent adds to X of a pair (3, L, L), the pulse, and the network's output, summed over its ticks.

        pulse_rate: beats a minute where a pulse is sure.
        """
        if np.array_equal(before, after):
            # The same picture again, as from a camera that is slower than it says. It has no direction, and what the
            # gradient is where nothing changes is no part of one: its time goes to the next that is another.
            self._repeated += ticks
            return np.zeros_like(after), 0.0, 0.0
        if self._repeated <= MAX_GAP * self.rate:
            ticks += self._repeated
        else:  # it stood still, and did not come late
            self._running.reset()
            self._amplitudes.reset()
        self._repeated = 0
        # A pair that spans k ticks holds k steps; the network knows the size of one.
        x = normalized_difference(before, after)
        if settings.mode == "paper":
            dx, value = self._ascender.paper((x / np.float32(ticks))[None], gamma_for_rate(self.rate))
            y = float(value[0]) * ticks
            return dx[0] * np.float32(ticks), y, y
        x = self._running.update(x, ticks, self.rate)[None]
        direction = np.zeros_like(x[0])
        if self._direction.ready:
            direction = self._direction.direction(after, self._amplitudes.current())
        step, value, gradient = ascend_symmetric(self._ascender, x, direction[None])
        seconds = ticks / self.rate
        self._direction.update(gradient[0], seconds)
        y = float(value[0])
        held = float(np.copysign(self._limit.hold(abs(y), seconds), y))
        self._amplitudes.update(x[0], held, ticks, self.rate)
        pulse = held
        found = seen_beside(x[0], after, direction)
        if found is not None:
            seen, unit = found
            pulse = self._estimate.update(held, seen, unit, ticks, self.rate, pulse_rate)
            self._lean(pulse_rate)
            # so that the waveform has a physical scale
            self._unit = unit * float(BLOOD[1])
        follows = pulse / y if y else 1.0
        return step[0] * np.float32(ticks * follows), pulse * ticks, held * ticks

    def _lean(self, pulse_rate: float | None) -> None:
        """Let the windows' kernels be more of the sure pulse's own the surer it is. pulse_rate: beats a minute."""
        if pulse_rate is not None:
            self._frequency = GRID * round(pulse_rate / 60.0 / GRID)
        share = SURENESS * round(self._estimate.sure / SURENESS)
        leaning = (self.rate, self._window.lag, self._frequency, share)
        if leaning == self._leaning:
            return
        self._leaning = leaning
        band = band_at(BANDS["steady"], self.rate)
        kernel: NDArray[np.floating] = self._window.kernel
        if share:
            kernel = pulse_kernel(band, self.rate, WINDOW, self._window.lag, self._frequency)
        for window in (self._window, self._pulse):
            window.lean(kernel, share)

    def _forget(self) -> None:
        super()._forget()
        self._forget_face()
        self._limit.reset()
        self._repeated = 0

    def _forget_face(self) -> None:
        """Where it pulses, and how far."""
        self._unit = INPUT_SCALE
        self._frequency = 0.0
        self._leaning = None
        for window in (self._window, self._pulse):
            window.lean(window.kernel, 0.0)
        self._running.reset()
        for known in (
            self._direction,
            self._direction_face,
            self._amplitudes,
            self._amplitudes_face,
            self._estimate,
        ):
            known.reset()

    def _magnify(self, waiting: Waiting) -> NDArray[np.uint8]:
        scale = (self._gain - 1.0) / (REFERENCE_GAIN - 1.0)
        colouring = Colouring(waiting.box, waiting.small, self._window, scale, MAX_LOG_FACTOR)
        return self._pictures.change(waiting.frame, colouring=colouring)
