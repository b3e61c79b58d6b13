"""Where the pipeline's frames wait for the browsers: the newest one, and the waveforms of the last seconds.

Pictures may be passed over, the waveform may not: a browser that draws 10 pictures a second still shows every
sample.
"""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from deepmag.stream.frames import Frame, MagnifiedFrame

HISTORY = 3600  # samples: 30 s, a sweep of respiration, at 120 fps
MIN_STEP = 1e-3  # s: a new session's first sample comes after the old one's last


@dataclass(frozen=True, slots=True)
class Published:
    """A frame that reached the page. number: counted from 1. at: when, s (monotonic)."""

    number: int
    at: float
    frame: MagnifiedFrame


@dataclass(frozen=True, slots=True)
class Sample:
    """One point of the waveforms. number: its frame's. t: s, see Timeline. pulse, respiration: waves, see Signal.

    A wave is None where it is not measured.
    """

    number: int
    t: float
    pulse: float | None
    respiration: float | None


class Timeline:
    """One time axis over all sessions: spaced by pts within a session, by the clock between sessions.

    pts alone starts again at every reconnect; arrival alone jitters, and runs at the wrong speed for a file.
    """

    def __init__(self) -> None:
        self._session: int | None = None
        self._offset = 0.0
        self._last = 0.0
        self._zero = 0.0

    def place(self, frame: Frame) -> float:
        """Return the frame's time, s since the first frame; never before the frame placed last."""
        if self._session is None:
            self._zero = frame.arrived
        if frame.session != self._session:
            start = frame.arrived - self._zero
            if self._session is not None:
                start = max(start, self._last + MIN_STEP)
            self._session, self._offset = frame.session, start - frame.pts
        self._last = max(self._last, frame.pts + self._offset)
        return self._last


class Feed:
    """The newest frame and the newest samples; any thread publishes, any thread reads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._timeline = Timeline()
        self._samples: deque[Sample] = deque(maxlen=HISTORY)
        self._newest: Published | None = None

    @property
    def newest(self) -> Published | None:
        """The frame published last, or None before the first."""
        return self._newest

    def publish(self, frame: MagnifiedFrame, now: float) -> Published:
        """Replace the newest frame and remember its sample. now: s (monotonic)."""
        with self._lock:
            number = self._newest.number + 1 if self._newest else 1
            waves = {name: signal.wave for name, signal in frame.signals.items()}
            t = self._timeline.place(frame.frame)
            self._samples.append(Sample(number, t, waves.get("pulse"), waves.get("respiration")))
            self._newest = Published(number, now, frame)
            return self._newest

    def samples(self, after: int, up_to: int) -> list[Sample]:
        """Return the samples numbered in (after, up_to], oldest first; those forgotten are left out."""
        with self._lock:
            found: list[Sample] = []
            for sample in reversed(self._samples):
                if sample.number <= after:
                    break
                if sample.number <= up_to:
                    found.append(sample)
        found.reverse()
        return found
