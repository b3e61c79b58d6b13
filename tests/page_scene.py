"""What the page's tests show and control: pictures with their number painted in, a pipeline's controls."""

from __future__ import annotations

import math
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from deepmag.stream.frames import Frame, MagnifiedFrame, Reading, Signal
from deepmag.stream.render.renderer import RendererError
from deepmag.stream.settings import LiveSettings, Settings
from deepmag.stream.status import Status

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from deepmag.stream.page import PageRenderer
    from deepmag.stream.settings import Method, Target

BITS = 16
BLOCK = 16  # px
FPS = 30.0
ROI = (200, 120, 240, 240)


def paint(seq: int, tint: tuple[int, int, int], size: tuple[int, int] = (640, 480)) -> NDArray[np.uint8]:
    """(H, W, 3) RGB: a flat tint, a bright bar that moves, and the number as 16 blocks in the top row."""
    width, height = size
    image = np.empty((height, width, 3), np.uint8)
    image[:] = tint
    left = seq * 4 % (width - 20)
    image[height // 2 :, left : left + 20] = 230
    for bit in range(BITS):
        image[:BLOCK, bit * BLOCK : (bit + 1) * BLOCK] = 255 if seq >> bit & 1 else 0
    return image


# The same in the browser: the number from a canvas.
READ_NUMBER = """(id) => {
    const source = document.getElementById(id);
    const copy = document.createElement("canvas");
    copy.width = source.width; copy.height = source.height;
    const context = copy.getContext("2d");
    context.drawImage(source, 0, 0);
    let number = 0;
    for (let bit = 0; bit < 16; bit += 1)
        if (context.getImageData(bit * 16 + 8, 8, 1, 1).data[0] > 127) number |= 1 << bit;
    return number;
}"""

GOOD = Reading(72.4, 0.86, "")
POOR = Reading(None, 0.12, "the signal is too weak")
CALM = Reading(14.6, 0.7, "")


def magnified(
    seq: int,
    *,
    arrived: float = 0.0,
    session: int = 0,
    pts: float | None = None,
    reading: Reading | None = GOOD,
    breath: Reading | None = None,
    size: tuple[int, int] = (640, 480),
) -> MagnifiedFrame:
    """One frame at 30 fps: reddish where magnified, bluish as captured. reading, breath: None is not measured."""
    pts = seq / FPS if pts is None else pts
    frame = Frame(session, seq, pts, arrived, paint(seq, (40, 60, 160), size))
    pulse = Signal(1e-3 * math.sin(2 * math.pi * 1.2 * pts), reading) if reading else None
    respiration = Signal(0.1 * math.sin(2 * math.pi * 0.25 * pts), breath) if breath else None
    return MagnifiedFrame(frame, paint(seq, (160, 60, 40), size), pulse, respiration, ROI, arrived)


class FakeControl:
    """A pipeline's controls without a pipeline."""

    def __init__(self, target: Target = "pulse", method: Method = "deepmag") -> None:
        self._live = LiveSettings(Settings(gain=10, target=target, method=method))
        self.changed = threading.Condition()
        self.state = Status("live", "test scene", size=(640, 480), fps=FPS, lag=0.25, backend="no engine")
        self.hang = threading.Event()  # cleared: status() waits, as a pipeline that hangs
        self.hang.set()

    @property
    def settings(self) -> Settings:
        return self._live.current

    def change(self, **changes: Any) -> Settings:
        settings = self._live.change(**changes)
        with self.changed:
            self.changed.notify_all()
        return settings

    def status(self) -> Status:
        self.hang.wait(20)
        return self.state

    def start_recording(self) -> str:
        if self.state.recording:
            raise RendererError("a recording runs already")
        self.state = replace(self.state, recording="deepmag-test.mp4")
        return self.state.recording

    def stop_recording(self) -> str:
        name = self.state.recording
        if not name:
            raise RendererError("no recording runs")
        self.state = replace(self.state, recording="")
        return name

    def wait_until(self, holds: Any, timeout: float = 10.0) -> bool:
        """Whether ``holds(settings)`` became true."""
        with self.changed:
            return self.changed.wait_for(lambda: holds(self.settings), timeout)


class Camera:
    """Feeds a page in real time from a thread of its own, until it is stopped."""

    def __init__(
        self,
        page: PageRenderer,
        reading: Reading | None = GOOD,
        fps: float = FPS,
        breath: Reading | None = None,
    ) -> None:
        self.reading = reading
        self.breath = breath
        self.session = 0
        self.seq = 0
        self._page = page
        self._fps = fps
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="test-camera")

    def __enter__(self) -> Camera:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        start = time.monotonic()
        while not self._stop.is_set():
            self._page.render(
                magnified(
                    self.seq,
                    arrived=time.monotonic(),
                    session=self.session,
                    reading=self.reading,
                    breath=self.breath,
                )
            )
            self.seq += 1
            self._stop.wait(max(0.0, start + self.seq / self._fps - time.monotonic()))
