"""The whole live path: capture thread -> ring -> engine -> renderers, and what a person may ask of it while it runs."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from deepmag.stream.capture.redact import plain, redact
from deepmag.stream.capture.thread import GIVE_UP, CaptureThread
from deepmag.stream.delayed import ASSUMED_RATE
from deepmag.stream.engine import LATE, Engine, FaceFinder
from deepmag.stream.exhausted import what_ran_out
from deepmag.stream.methods import open_magnifier
from deepmag.stream.pictures import HostPictures
from deepmag.stream.render.display import PROBE_TIMEOUT
from deepmag.stream.render.renderer import RendererError
from deepmag.stream.render.thread import RenderThread
from deepmag.stream.ring import FrameRing
from deepmag.stream.settings import LiveSettings, Settings
from deepmag.stream.status import Status

if TYPE_CHECKING:
    from collections.abc import Callable

    from deepmag.export.respiration import GradientAscender
    from deepmag.export.runtime import Ascender
    from deepmag.stream.capture.source import Source
    from deepmag.stream.face import FaceDetector
    from deepmag.stream.frames import MagnifiedFrame, Reading, SignalName
    from deepmag.stream.pictures import Pictures
    from deepmag.stream.render.renderer import Renderer
    from deepmag.stream.render.thread import Policy

Pace = Literal["file", "max"]

RING_CAPACITY = 8  # frames
# s that a frame may have waited for the engine: an older one is dropped, and the clock goes on
MAX_AGE = 0.05
# The same where respiration is magnified: what it does five times a second takes longer than a frame's time, and
# beside its lag a frame that waited so long is not late.
MAX_AGE_OF_TICKS = 0.2
STANDSTILL = 5.0  # s without a magnified picture beyond the lag: what magnifies hangs
OPEN_TIMEOUT = PROBE_TIMEOUT + 5.0  # s for a renderer to open: a window tries the display first
CLOSE_TIMEOUT = 20.0  # s for a renderer to finish what waits

log = logging.getLogger("deepmag.stream.pipeline")


class Pipeline:
    """Runs one source. Implements ``Control``.

    pace: "file": as a camera would deliver, late frames are dropped and counted; "max": as fast as possible, nothing
    is dropped, one frame out for each frame in. slow: s by which each frame is held up on purpose (benchmarks).
    label: in the names of recordings, where several pipelines write to one folder. give_up: as for ``CaptureThread``.
    ascender: the pulse's network, respiration: that of respiration; None where the settings' method and target need
    none (see `networks.open_networks`). pictures: what passes over them, of this pipeline alone; on the CPU if None.
    Raises ValueError for another pace, and where a network is missing.
    """

    def __init__(
        self,
        source: Source,
        ascender: Ascender | None,
        detector: FaceDetector | None,
        settings: Settings,
        *,
        respiration: GradientAscender | None = None,
        pictures: Pictures | None = None,
        pace: Pace = "file",
        clock: Callable[[], float] = time.monotonic,
        slow: float = 0.0,
        label: str = "",
        give_up: float | None = GIVE_UP,
    ) -> None:
        if pace not in get_args(Pace):
            raise ValueError(f"pace must be {' or '.join(get_args(Pace))}, not {pace}")
        self._source = source
        self._label = label
        self._clock = clock
        self._pace = pace
        self._live = LiveSettings(settings)
        max_age = MAX_AGE_OF_TICKS if "respiration" in settings.signals else MAX_AGE
        live = pace == "file"
        pictures = pictures or HostPictures()
        self.ring = FrameRing(
            RING_CAPACITY,
            policy="drop_oldest" if live else "wait",
            max_age=max_age if live else None,
            memory=pictures.memory,
            clock=clock,
        )
        self.capture = CaptureThread(source, self.ring, clock=clock, give_up=give_up)
        self.magnifier, self._backend = open_magnifier(
            settings.method,
            ascender,
            target=settings.target,
            respiration=respiration,
            clock=clock,
            nominal_rate=lambda: self.nominal_rate,
            lag=settings.lag,
            pictures=pictures,
        )
        finder = FaceFinder(detector, at_once=pace == "max")
        self.engine = Engine(
            self.ring,
            self.magnifier,
            self._live,
            finder,
            self._publish,
            clock=clock,
            live=live,
            lost=lambda: self.capture.state(clock())[0] == "lost",
            slow=slow,
        )
        self._renderers: tuple[RenderThread, ...] = ()
        self._recording: RenderThread | None = None
        self._stopped = False
        self._lock = threading.Lock()  # of the three above: the engine only ever reads a tuple
        self._beginning = threading.Lock()  # of a recording, which may take seconds to open
        self._errors: list[str] = []
        self._size = (0, 0)
        self._readings: dict[SignalName, Reading] | None = None
        self._first_picture: float | None = None
        self._newest_picture = 0.0
        self._started = False

    @property
    def renderers(self) -> tuple[RenderThread, ...]:
        """All renderers that run."""
        return self._renderers

    @property
    def nominal_rate(self) -> float | None:
        """Frames per second as the source states it: of a file once it is open, else None."""
        return getattr(self._source, "nominal_rate", None)

    @property
    def live(self) -> bool:
        """Whether the source has no end of its own."""
        return self._source.live

    @property
    def errors(self) -> list[str]:
        """Why renderers stopped, or cannot do their work now, each in one line."""
        return [*self._errors, *(thread.trouble for thread in self._renderers if thread.trouble)]

    @property
    def failure(self) -> str | None:
        """Why it ended, where it should not have, in one line; None while it runs, and at the end of a file."""
        if (error := self.engine.error) is not None:
            why = what_ran_out(error) or f"{type(error).__name__}: {error}"
            return plain(redact(f"the engine failed: {why}"))
        return None if self.capture.error is None else str(self.capture.error)

    @property
    def hangs(self) -> bool:
        """Whether what magnifies has been at one frame for so long that it will not go on by itself."""
        return self.engine.busy(self._clock()) > STANDSTILL

    @property
    def settings(self) -> Settings:
        """The snapshot in force."""
        return self._live.current

    @property
    def first_picture(self) -> float | None:
        """Clock time of the first magnified picture, s."""
        return self._first_picture

    @property
    def readings(self) -> dict[SignalName, Reading] | None:
        """The newest readings, or None before the first picture."""
        return self._readings

    def change(self, **changes: Any) -> Settings:
        """Replace settings; ValueError, and nothing changed, where one is out of range or outside the picture."""
        roi = changes.get("roi")
        if isinstance(roi, tuple) and self._size != (0, 0):
            from deepmag.stream.roi import clamp_box

            changes["roi"] = clamp_box(roi, self._size)
        return self._live.change(**changes)

    def add(self, renderer: Renderer, policy: Policy = "latest", *, wait: bool = True) -> RenderThread:
        """Start a renderer and wait until it is open. Raises RendererError where it cannot open, or after `stop`.

        wait: else it opens when it can, and its thread tells why it has not.
        """
        block = policy == "every" and self._pace == "max"
        thread = RenderThread(renderer, policy=policy, block=block, awaited=wait)
        try:
            thread.start()
        except RuntimeError as error:
            raise RendererError(f"{renderer.name}: {what_ran_out(error) or error}") from None
        if wait and not thread.wait_opened(OPEN_TIMEOUT):
            thread.close(0.0)  # where it opens later, nobody would use it, nor end it
            raise RendererError(thread.error or f"{renderer.name}: did not open within {OPEN_TIMEOUT:g} s")
        with self._lock:
            stopped = self._stopped
            if not stopped:
                self._renderers = (*self._renderers, thread)
        if stopped:  # while it opened: nobody would end it
            _end(thread)
            raise RendererError(f"{renderer.name}: it opened when all was ended already")
        return thread

    def report(self, trouble: str) -> None:
        """Show, until the end, why an output could not be added."""
        self._errors.append(trouble)

    def start(self) -> None:
        """Start engine and capture."""
        self._started = True
        self.engine.start()
        self.capture.start()

    def wait(self, timeout: float) -> bool:
        """Wait for the end of the source, at most ``timeout`` s; whether it has come. `failure` says why."""
        return self.engine.join(timeout)

    def stop(self) -> None:
        """End everything in order; recordings are finished. May be called twice."""
        self.capture.stop()
        self.engine.stop()
        if self._started:  # not where an output could not be opened
            self.engine.join(CLOSE_TIMEOUT)
            self.capture.join(2.0)
        with self._lock:
            self._stopped = True
            renderers, self._renderers, self._recording = self._renderers, (), None
        self._end_all(renderers)

    def finish_files(self) -> None:
        """End what writes each frame, once none will come any more; what shows the newest goes on."""
        with self._lock:
            files = tuple(thread for thread in self._renderers if thread.policy == "every")
            self._renderers = tuple(thread for thread in self._renderers if thread.policy == "latest")
            if self._recording in files:
                self._recording = None
        self._end_all(files)

    def status(self) -> Status:
        """The state of everything, now."""
        now = self._clock()
        state, detail, age = self.capture.state(now)
        if self.engine.error is not None:  # whatever the source does
            state, detail = "ended", self.failure or ""
        elif state == "live" and self._first_picture is None:
            # frames come, and none is out of the filter yet: not stale, as a picture that stood still would be
            state, detail = "connecting", f"the lag of {self.settings.lag:g} s must pass first"
        elif state == "live" and now - self._newest_picture > self.settings.lag + LATE:
            state, detail = "stale", "pictures arrive, and none of them is magnified yet"
        # of a file at full speed a lag's worth of pictures may pass in less than the lag
        latency = self.engine.latency.quantiles(now) if self._pace == "file" else None
        p50, p95 = latency or (None, None)
        # what a source of anybody's need not have, or has for something else
        skipped, trouble = getattr(self._source, "skipped", None), getattr(self._source, "trouble", "")
        too_slow = skipped["too slow"] if isinstance(skipped, Counter) else 0
        trouble = trouble if isinstance(trouble, str) else ""
        dropped = {"decoder": too_slow} if too_slow else {}
        dropped["engine"] = self.ring.dropped
        for thread in self._renderers:
            dropped[thread.name] = dropped.get(thread.name, 0) + thread.dropped
        recording = self._recording
        if recording is not None and (recording.closed or recording.error):
            recording = None  # one in trouble goes on by itself, and is to be stopped by the same button
        return Status(
            state=state,
            source=self._source.name,
            detail=detail,
            size=self._size,
            fps=self.engine.latency.rate(now),
            age=age,
            latency_p50=p50,
            latency_p95=p95,
            lag=self.settings.lag,
            dropped=dropped,
            backend=self._backend(),
            troubles=((trouble,) if trouble else ()) + tuple(self.errors),
            recording=recording.renderer.path.name if recording is not None else "",  # type: ignore[attr-defined]
        )

    def start_recording(self) -> str:
        """Begin a recording in the working directory, named by wall clock; returns its name. Raises RendererError."""
        from deepmag.stream.outputs import recorder

        with self._beginning:
            if self._recording is not None:
                if not (self._recording.closed or self._recording.error):
                    raise RendererError("a recording is running already")
                self._take_recording()  # its failure has been shown since
            label = f"{self._label}-" if self._label else ""
            path = Path(f"deepmag-{label}{datetime.now().astimezone():%Y%m%d-%H%M%S}.mkv")
            self._recording = thread = self.add(recorder(self, path, endless=True), "every")
        return str(thread.renderer.path.name)  # type: ignore[attr-defined]

    def stop_recording(self) -> str:
        """End the recording begun by ``start_recording``; returns its name. Raises RendererError."""
        thread = self._take_recording()
        if trouble := _end(thread):
            raise RendererError(trouble)
        return str(thread.renderer.path.name)  # type: ignore[attr-defined]

    def _end_all(self, threads: tuple[RenderThread, ...]) -> None:
        before = [thread.reported for thread in threads]
        for thread in threads:  # all at once: of several that hang each would have its time else
            thread.close(0.0)
        until = time.monotonic() + CLOSE_TIMEOUT
        ends = [_end(*of, until - time.monotonic()) for of in zip(threads, before, strict=True)]
        self._errors += [trouble for trouble in ends if trouble]

    def _take_recording(self) -> RenderThread:
        with self._lock:
            thread, self._recording = self._recording, None
            self._renderers = tuple(other for other in self._renderers if other is not thread)
        if thread is None:
            raise RendererError("no recording is running")
        return thread

    @property
    def rate(self) -> float:
        """Frames per second that the source says or that its timestamps show."""
        if self.settings.target == "respiration" and not self.nominal_rate:
            # its magnifier's clock ticks five times a second, whatever the frames do
            return self.engine.latency.rate(self._clock()) or ASSUMED_RATE
        return self.nominal_rate or self.magnifier.rate

    def _publish(self, frame: MagnifiedFrame) -> None:
        """Hand a frame to every renderer's thread (engine thread)."""
        if self._first_picture is None:
            self._first_picture = frame.ready
        # when it happened, not when it came out: one of before an outage may do that late
        self._newest_picture = frame.frame.arrived if self._pace == "file" else frame.ready
        height, width = frame.image.shape[:2]
        self._size = (width, height)
        self._readings = frame.readings
        for thread in self._renderers:
            thread.push(frame)


def _end(thread: RenderThread, before: str | None = None, left: float | None = None) -> str:
    """Close a renderer. Returns why what it wrote is not whole, or "".

    before: what it reported before it was asked to end. left: s, where it was asked already.
    """
    before = before or thread.reported  # what it could not get over; to be closed is no way out of it
    if not thread.close(CLOSE_TIMEOUT if left is None else max(0.0, left)):
        return f"{thread.name} did not finish within {CLOSE_TIMEOUT:g} s: its last pictures may be lost"
    return thread.reported or before or ""
