"""The thread between a source and the ring: it reads, reconnects, and knows the state."""

from __future__ import annotations

import logging
import math
import random as dice
import threading
import time
from dataclasses import replace
from numbers import Real
from typing import TYPE_CHECKING

import numpy as np

from deepmag.stream.capture.backoff import Backoff
from deepmag.stream.capture.limits import check_smallest
from deepmag.stream.capture.redact import redact
from deepmag.stream.capture.source import SourceError
from deepmag.stream.capture.state import FROZEN_AFTER, STALE_AFTER, Liveness

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from deepmag.stream.capture.source import Source
    from deepmag.stream.frames import Frame, SourceState
    from deepmag.stream.ring import FrameRing

log = logging.getLogger("deepmag.stream.capture")

ROWS = 8  # of so many rows one is compared with the picture before
GIVE_UP = 15.0  # s: an address that never delivered a picture is more likely mistyped than down


class CaptureThread:
    """Reads ``source`` into ``ring`` until the end, an error that waiting cannot mend, or ``stop``.

    A live source that has once delivered is waited for without end, whatever goes wrong: a camera that
    restarts may refuse, ask for a password it will accept later, or be gone from the network for a while.
    Before that, errors that are the address's own (no such stream, wrong password) end it at once, and the
    others after ``give_up`` seconds (None: never).

    error: what ended it, None where nothing did. The ring is closed at the end, whatever the reason.
    """

    def __init__(
        self,
        source: Source,
        ring: FrameRing,
        *,
        clock: Callable[[], float] = time.monotonic,
        random: Callable[[], float] = dice.random,
        give_up: float | None = GIVE_UP,
    ) -> None:
        self.error: SourceError | None = None
        self._source = source
        self._ring = ring
        self._clock = clock
        self._random = random
        self._give_up = give_up
        self._stop = threading.Event()
        self._lock = threading.Lock()  # of the state, which other threads read
        # With policy "wait" it is the consumer that sets the pace: no new frame says nothing of the source.
        self._state = Liveness(
            clock(), None if ring.policy == "wait" else STALE_AFTER, FROZEN_AFTER if source.live else None
        )
        self._sessions = 0
        self._frames = 0
        # A daemon: a name server or a host that does not answer may hold an open for seconds longer than
        # anyone wants to wait at the end.
        self._thread = threading.Thread(target=self._run, name="capture", daemon=True)

    def start(self) -> None:
        """Begin; once only."""
        self._thread.start()

    def stop(self) -> None:
        """Ask it to end, and return at once; frames already in the ring can still be taken."""
        self._stop.set()
        self._ring.close()

    def join(self, timeout: float | None = None) -> bool:
        """Wait for the end, at most ``timeout`` s; whether it has come. One that never began has ended."""
        if self._thread.ident is not None:
            self._thread.join(timeout)
        return not self._thread.is_alive()

    def state(self, now: float) -> tuple[SourceState, str, float]:
        """Tell the state, one line why, and the age of the last frame, s."""
        with self._lock:
            return self._state.at(now)

    def _run(self) -> None:
        backoff, started = Backoff(), self._clock()
        try:
            while not self._stop.is_set():
                error = self._connection(backoff)
                if error is None or self._stop.is_set():
                    return
                now = self._clock()
                if not self._worth_another_try(error, now - started):
                    self.error = error  # whoever waits for the end says it
                    return
                delay = backoff.failed(now, self._random())
                detail = f"{error}; next try in {delay:.1f} s"
                log.warning("%s", detail)
                with self._lock:
                    self._state.trouble(detail)
                self._stop.wait(delay)
        finally:
            with self._lock:
                self._state.end(str(self.error or ""))
            self._ring.close()

    def _connection(self, backoff: Backoff) -> SourceError | None:
        """Read one connection into the ring; why it ended, or None where that is no loss."""
        base = self._sessions
        frames = self._source.frames(self._stop)
        before: NDArray[np.uint8] | None = None
        try:
            for frame in frames:
                _check(frame, self._source.name)
                changed = before is None or not _same_picture(before, frame.image)
                before = frame.image
                session = base + frame.session
                numbered = replace(frame, session=session, seq=self._frames)
                self._sessions, self._frames = session + 1, self._frames + 1
                backoff.live(frame.arrived)
                with self._lock:
                    self._state.frame(frame.arrived, changed=changed)
                if not self._ring.put(numbered):
                    return None  # closed: nobody takes them any more
        except SourceError as error:
            # Kept for good, without what it would keep alive: the frames of its traceback hold pictures, and
            # the exception of PyAV behind it the URL with its password.
            error.__context__ = error.__traceback__ = None
            return error
        except Exception as error:
            log.exception("%s: unexpected failure", self._source.name)
            return SourceError(
                f"{self._source.name}: unexpected failure ({redact(type(error).__name__)})", retry=True
            )
        finally:
            close = getattr(frames, "close", None)  # a generator's: its container is closed here and now
            if close is not None:
                close()
        return (
            SourceError(f"{self._source.name}: the connection was closed", True)
            if self._source.live
            else None
        )

    def _worth_another_try(self, error: SourceError, waited: float) -> bool:
        if not self._source.live:
            return False
        if self._state.seen:
            return True
        return error.retry and (self._give_up is None or waited < self._give_up)


def _check(frame: Frame, name: str) -> None:
    """Raise SourceError for what the engine would end of, or do nothing with: a source may be anybody's."""
    for what, seconds in (("pts", frame.pts), ("arrived", frame.arrived)):
        if not isinstance(seconds, Real) or not math.isfinite(seconds):
            raise SourceError(
                f"{name}: {what} must be a finite number of seconds, not {seconds}", retry=False
            )
    image: object = frame.image
    wanted = f"{name}: a picture must be an array of (H, W, 3) uint8, RGB"
    if not isinstance(image, np.ndarray):
        raise SourceError(f"{wanted}, not {type(image).__name__}", retry=False)
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        raise SourceError(f"{wanted}, not {image.shape} {image.dtype}", retry=False)
    check_smallest(image.shape[1], image.shape[0], name)


def _same_picture(before: NDArray[np.uint8], after: NDArray[np.uint8]) -> bool:
    """Whether a picture repeats the one before, bit by bit; of most, one row tells that it does not."""
    if before.shape != after.shape:
        return False
    return np.array_equal(before[0], after[0]) and np.array_equal(before[::ROWS], after[::ROWS])
