"""The engine's thread: takes frames from the ring, magnifies them, hands them to the renderers' threads."""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from deepmag.stream.frames import Reading
from deepmag.stream.latency import LatencyMeter
from deepmag.stream.roi import RegionError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from deepmag.stream.face import Face, FaceDetector
    from deepmag.stream.frames import Frame, MagnifiedFrame, Signal
    from deepmag.stream.magnifier import Magnifier
    from deepmag.stream.ring import FrameRing
    from deepmag.stream.settings import LiveSettings, Region

FACE_PERIOD = 1.0  # s between two looks for a face
POLL = 0.1  # s that the engine waits for a frame before it looks whether it must stop
# s beyond the lag: a picture that comes out so late waited for the next one, and is of before an outage. When the lag
# is made shorter two seconds of pictures come out at once, which may take as long again.
LATE = 4.0

log = logging.getLogger("deepmag.stream.engine")


class FaceFinder:
    """When to look for a face, and whether to wait for the answer.

    The first frame of a session waits (13 ms), so that the region is right from the start; later ones are looked at
    beside the engine. ``at_once`` always waits: a file at full speed gives the same result each time it is run.
    """

    def __init__(self, detector: FaceDetector | None, *, at_once: bool) -> None:
        from deepmag.stream.face import FaceThread

        self._detector = detector
        self._thread = FaceThread(detector) if detector is not None and not at_once else None
        self._looked: float | None = None
        self._session: int | None = None
        if self._thread is not None:
            self._thread.start()

    def faces(self, frame: Frame) -> Sequence[Face] | None:
        """A detection's result where there is a new one, else None."""
        if self._detector is None:
            return None
        first = frame.session != self._session
        due = first or self._looked is None or frame.pts - self._looked >= FACE_PERIOD
        if due:
            self._looked = frame.pts
        if first or (due and self._thread is None):
            self._session = frame.session
            return self._detector.detect(frame.image)
        if self._thread is None:
            return None
        if due:
            self._thread.offer(frame.session, frame.image)
        found = self._thread.take()
        # what was found in the session before may lie outside this picture
        return found[1] if found is not None and found[0] == frame.session else None

    def stop(self) -> None:
        """End the detector's thread."""
        if self._thread is not None:
            self._thread.stop()


class Engine:
    """One thread: ring -> magnifier -> ``publish``. The only place where magnified frames are made.

    publish: called in this thread with each magnified frame, in order; must not block for long. live: whether frames
    are to come out when their lag has passed, not when there is time. lost: whether the next frame, if one comes, is
    of another connection. slow: seconds that each frame is held up on purpose, to show what overload does (benchmarks).
    """

    def __init__(
        self,
        ring: FrameRing,
        magnifier: Magnifier,
        settings: LiveSettings,
        finder: FaceFinder,
        publish: Callable[[MagnifiedFrame], None],
        *,
        clock: Callable[[], float] = time.monotonic,
        live: bool = False,
        lost: Callable[[], bool] = lambda: False,
        slow: float = 0.0,
    ) -> None:
        self._ring = ring
        self._magnifier = magnifier
        self._settings = settings
        self._finder = finder
        self._publish = publish
        self._clock = clock
        self._is_live = live
        self._lost = lost
        self._slow = slow
        self._stop = threading.Event()
        self._ended = threading.Event()
        self.latency = LatencyMeter()
        self.work = LatencyMeter()
        self.frames = 0
        self.error: BaseException | None = None
        self._unfit: tuple[int, Region] | None = (
            None  # a session, and the region that lies outside its pictures
        )
        self._busy_since: float | None = None
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Ask it to end with the frame at hand; what is inside the lag is dropped."""
        self._stop.set()
        if self._thread.ident is None:  # never started: its finder's thread would keep the process alive
            self._finder.stop()
            self._ended.set()

    def busy(self, now: float) -> float:
        """For how long it has been at the same frame, s; 0 where it waits for one, and where it has ended."""
        since = self._busy_since
        return 0.0 if since is None else now - since

    def join(self, timeout: float | None = None) -> bool:
        """Wait until it has ended: after ``stop``, or when the ring is closed and empty. True where it has."""
        return self._ended.wait(timeout)

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                frame = self._ring.get(POLL)
                if frame is not None:
                    self._busy_since = self._clock()
                    self._take(frame)
                    self._busy_since = None
                elif self._ring.finished:
                    break
                elif self._magnifier.waiting and self._lost():
                    self._flush()  # else they would wait for the next connection, and come out as if of then
            if not self._stop.is_set():
                self._flush()
        except Exception as error:  # whoever waits for the end says it
            log.debug("the engine failed", exc_info=True)
            self.error = error
        finally:
            self._busy_since = None
            self._finder.stop()
            self._ended.set()

    def _flush(self) -> None:
        self._busy_since = self._clock()
        self._hand_on(self._magnifier.flush())
        self._busy_since = None

    def _take(self, frame: Frame) -> None:
        began = self._clock()
        if self._slow:
            self._stop.wait(self._slow)
        self._magnifier.expect(frame)  # before the one behind it, which shall not go up in front of it
        upcoming = self._ring.peek()
        if upcoming is not None:
            self._magnifier.expect(upcoming)
        settings = self._settings.current
        faces = self._finder.faces(frame)  # also where the region is given: a rate needs a face
        if (frame.session, settings.roi) == self._unfit:
            settings = replace(settings, roi="auto")
        try:
            done = self._magnifier.push(frame, settings, faces)
        except RegionError as error:
            # Say so, and go on with what fits. Only in this session: a camera that goes over to smaller pictures for a
            # while comes back.
            log.warning("%s; using the automatic region for as long as it does not fit", error)
            self._unfit = (frame.session, settings.roi)
            done = self._magnifier.push(frame, replace(settings, roi="auto"), faces)
        now = self._clock()
        self.work.add(now, now - began)
        self._hand_on(done)

    def _hand_on(self, done: Sequence[MagnifiedFrame]) -> None:
        for magnified in done:
            delay = magnified.ready - magnified.frame.arrived
            late = self._is_live and delay > self._settings.current.lag + LATE
            if not late:  # what waited for the next connection says nothing of now
                self.latency.add(magnified.ready, delay, early=magnified.early)
            self.frames += 1
            self._publish(_believed(magnified, late=late))


def _believed(frame: MagnifiedFrame, *, late: bool) -> MagnifiedFrame:
    """The frame, without rates that nobody shall believe. late: it is of before an outage, and what was read then."""
    if not late and frame.frame.clock_is_right:
        return frame
    nothing = Reading(None, 0.0, "no new picture" if late else "the camera's clock is wrong")

    def withdrawn(signal: Signal | None) -> Signal | None:
        return None if signal is None else replace(signal, reading=nothing)

    return replace(frame, pulse=withdrawn(frame.pulse), respiration=withdrawn(frame.respiration))
