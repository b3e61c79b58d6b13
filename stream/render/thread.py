"""One thread for each renderer, so that a slow one waits, drops or fails alone.

The hand-off is bounded and its policy has a name: "latest" keeps only the newest frame (screens and network
pushes: an old picture is worth nothing), "every" keeps up to ``depth`` frames in order (files). What does not
fit is dropped and counted. The engine's thread never waits, except with ``block=True``, which is for a file
processed as fast as possible, where the recorder's speed *is* the pace and no frame may be lost.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Literal, get_args

from deepmag.stream.capture.redact import redact
from deepmag.stream.render.renderer import IdleRenderer, RendererError, ReportingRenderer

if TYPE_CHECKING:
    from collections.abc import Callable

    from deepmag.stream.frames import MagnifiedFrame
    from deepmag.stream.render.renderer import Renderer

Policy = Literal["latest", "every"]

IDLE_PERIOD = 0.25  # s without a frame before the renderer's idle() is called, and between such calls
DEFAULT_DEPTH = 60  # frames: 2 s at 30 fps, 55 MB at 640x480
STALLED = 5.0  # s at one picture, after which a person is told: a network share that is away fails no write, it waits

log = logging.getLogger("deepmag.render")


class RenderThread:
    """Owns a renderer: opens it, feeds it and closes it, all in one thread.

    policy: "latest" or "every" (see the module). depth: frames that may wait under "every".
    block: ``push`` waits for room instead of dropping; only with "every". idle_period: s, by default the
    renderer's own ``idle_period`` where it has one. awaited: somebody waits until it is open, and says why it is not.
    clock: monotonic, s.
    Every frame pushed is rendered, dropped or still waiting; none is uncounted.
    """

    def __init__(
        self,
        renderer: Renderer,
        *,
        policy: Policy = "latest",
        depth: int = DEFAULT_DEPTH,
        block: bool = False,
        idle_period: float | None = None,
        awaited: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if policy not in get_args(Policy):
            raise ValueError(f"policy must be {' or '.join(get_args(Policy))}, not {policy}")
        if block and policy == "latest":
            raise ValueError('block=True needs policy="every": "latest" never has to wait')
        if depth < 1:
            raise ValueError(f"depth must be at least 1, not {depth}")
        self.renderer = renderer
        self.policy = policy
        self._depth = 1 if policy == "latest" else depth
        self._block = block
        # A window asks for a shorter one: keys must act at once also while no frame comes.
        own = getattr(renderer, "idle_period", IDLE_PERIOD)
        self._idle_period: float = own if idle_period is None else idle_period
        self._awaited = awaited
        self._clock = clock
        self._began: float | None = None  # when the renderer began what it is at now
        self._changed = threading.Condition()
        self._waiting: deque[MagnifiedFrame] = deque()
        self._closing = False
        self._opened = False
        self._ended = False
        self._dropped = 0
        self._rendered = 0
        self._error: str | None = None
        self._thread = threading.Thread(target=self._run, name=f"render-{renderer.name}", daemon=True)

    @property
    def name(self) -> str:
        """The renderer's name."""
        return self.renderer.name

    @property
    def dropped(self) -> int:
        """Frames pushed and never rendered, so far."""
        return self._dropped + self._lost

    @property
    def rendered(self) -> int:
        """Frames rendered so far."""
        return self._rendered - self._lost

    @property
    def error(self) -> str | None:
        """Why the renderer stopped, or None while it has not failed."""
        return self._error

    @property
    def trouble(self) -> str | None:
        """Why the renderer cannot do its work now: its failure, what it is trying to get over, or that it hangs."""
        return self.reported or self._stall

    @property
    def reported(self) -> str | None:
        """The same as far as the renderer itself knows it."""
        now = self.renderer.trouble if isinstance(self.renderer, ReportingRenderer) else ""
        return self._error or redact(now) or None

    @property
    def closed(self) -> bool:
        """Whether the thread has ended, with its renderer closed."""
        return self._ended

    def start(self) -> None:
        """Start the thread; the renderer opens in it."""
        self._thread.start()

    def wait_opened(self, timeout: float) -> bool:
        """Wait until the renderer has opened or failed; True where it opened. timeout: s."""
        with self._changed:
            self._changed.wait_for(lambda: self._opened or self._ended, timeout)
            return self._opened

    def push(self, frame: MagnifiedFrame) -> None:
        """Hand over one frame; called by the engine's thread."""
        with self._changed:
            if self._block:
                self._changed.wait_for(lambda: len(self._waiting) < self._depth or self._gone)
            if self._gone:
                self._dropped += 1
                return
            if len(self._waiting) >= self._depth:
                self._dropped += 1
                if self.policy == "every":
                    return
                self._waiting.popleft()
            self._waiting.append(frame)
            self._changed.notify_all()

    def close(self, timeout: float = 10.0) -> bool:
        """Render what waits, close the renderer, end the thread. timeout: s. True where it ended in time.

        0 only asks it to end.
        """
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        if self._thread.ident is None:  # never started: there is nothing to close
            self._ended = True
            return True
        self._thread.join(timeout)
        if timeout and not self._ended:
            log.warning("%s: still busy %g s after it was asked to end", self.name, timeout)
        return self._ended

    @property
    def _lost(self) -> int:
        return self.renderer.lost if isinstance(self.renderer, ReportingRenderer) else 0

    @property
    def _stall(self) -> str | None:
        began = self._began  # read once: the renderer's thread clears it
        if began is None or self._clock() - began <= STALLED:
            return None
        at = "writing one picture" if self._opened else "opening"
        return f"{self.name} has been {at} for over {STALLED:g} s: its disk or network does not answer"

    @property
    def _gone(self) -> bool:
        return self._closing or self._ended or self._error is not None

    def _run(self) -> None:
        try:
            self._began = self._clock()
            self.renderer.open()
            self._began = None
            with self._changed:
                self._opened = True
                self._changed.notify_all()
            while self._step():
                pass
        except Exception as error:
            self._fail(error)
        finally:
            try:
                self.renderer.close()
            except Exception as error:  # it never should; who waits for the end waits all the same
                self._fail(error)
            with self._changed:
                self._dropped += len(self._waiting)
                self._waiting.clear()
                self._ended = True
                self._changed.notify_all()

    def _step(self) -> bool:
        """Render one frame, or be idle once; False when it is time to end."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closing, self._idle_period)
            frame = self._waiting.popleft() if self._waiting else None
            if frame is None and self._closing:
                return False
            self._changed.notify_all()
        self._began = self._clock()
        try:
            self._work(frame)
        finally:
            self._began = None
        return True

    def _work(self, frame: MagnifiedFrame | None) -> None:
        if frame is None:
            if isinstance(self.renderer, IdleRenderer):
                self.renderer.idle()
            return
        try:
            self.renderer.render(frame)
        except BaseException:
            self._dropped += 1
            raise
        self._rendered += 1

    def _fail(self, error: Exception) -> None:
        message = str(error)
        if not isinstance(error, RendererError):
            # A defect in one renderer must not stop the others, nor vanish: it ends this one, in the log.
            log.debug("%s failed", self.name, exc_info=error)
            message = f"unexpected {type(error).__name__}: {error}"
        with self._changed:
            self._error = self._error or redact(message)
            self._changed.notify_all()
        said_elsewhere = self._awaited and not self._opened
        log.log(logging.DEBUG if said_elsewhere else logging.ERROR, "%s: %s", self.name, redact(message))
