"""The built-in source: a synthetic person, so that a machine without a camera has something real to run on."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from deepmag.stream.frames import Frame

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterator

    from deepmag.stream.capture.portrait import Portrait

RATE = 30.0  # Hz


class DemoSource:
    """A synthetic person at ``rate`` Hz, of known pulse and breathing rates (``portrait.BPM``, ``portrait.BREATHS``).

    pace: "file" is real time; "max" waits for nobody. frames_wanted: how many, or None for no end.
    """

    name = "demo"

    def __init__(
        self,
        *,
        clock: Callable[[], float] = time.monotonic,
        pace: str = "file",
        size: tuple[int, int] = (640, 480),
        rate: float = RATE,
        frames_wanted: int | None = None,
    ) -> None:
        self.nominal_rate = rate
        self._clock = clock
        self._pace = pace
        self._wanted = frames_wanted
        self.live = pace == "file"
        # Beside whatever else is being loaded: at another size than the usual one it is painted, which takes seconds.
        painter = ThreadPoolExecutor(1, "demo-portrait")
        self._portrait = painter.submit(_paint, size)
        painter.shutdown(wait=False)

    def frames(self, stop: threading.Event) -> Iterator[Frame]:
        """Frames until ``stop`` is set. A frame that could not be made in time is left out, as a camera would."""
        portrait, rate = self._portrait.result(), self.nominal_rate
        start = self._clock()
        seq = index = 0
        while not stop.is_set() and (self._wanted is None or seq < self._wanted):
            if self._pace == "file":
                index = max(index, int((self._clock() - start) * rate))
                if stop.wait(max(0.0, start + index / rate - self._clock())):
                    return
            image = portrait.frame(index / rate)  # before the clock is read: a frame arrives once it is there
            yield Frame(0, seq, index / rate, self._clock(), image)
            seq += 1
            index += 1


def _paint(size: tuple[int, int]) -> Portrait:
    from deepmag.stream.capture.portrait import Portrait

    return Portrait(size)
