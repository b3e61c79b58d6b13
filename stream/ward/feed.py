"""One feed of a ward: a pipeline that is built again where it ended, and the same part of the page all the time."""

from __future__ import annotations

import logging
import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from deepmag.stream.capture.redact import redact
from deepmag.stream.render.renderer import RendererError

if TYPE_CHECKING:
    from collections.abc import Callable

    from deepmag.stream.pipeline import Pipeline
    from deepmag.stream.render.renderer import Renderer
    from deepmag.stream.settings import Settings
    from deepmag.stream.status import Status
    from deepmag.stream.ward.feeds_file import FeedSpec

# s from the end of a file until what was written of it is finished: the last row of its numbers comes after one
SETTLE = 3.0
RESTART = 10.0  # s between the end of a pipeline that failed and the next try
RESTART_MOST = 60.0  # s, to which that grows while no picture comes: a camera counts wrong passwords

log = logging.getLogger("deepmag.stream.ward")


class WardFeed:
    """Implements ``Control``, for the page, over whichever pipeline runs now.

    build: makes a pipeline with the given settings, not started. page: the feed's part of the page, or None. outputs:
    adds recorder and the like to a pipeline.
    """

    def __init__(
        self,
        spec: FeedSpec,
        build: Callable[[FeedSpec, Settings], Pipeline],
        outputs: Callable[[FeedSpec, Pipeline], None] = lambda _spec, _pipeline: None,
    ) -> None:
        self.spec = spec
        self._build = build
        self._outputs = outputs
        self._page: Renderer | None = None
        self._pipeline = build(spec, spec.settings)
        self._changing = threading.Lock()  # of settings, or of the pipeline that has them
        self._ended: float | None = None  # when it was seen that the pipeline had failed
        self._why = ""
        self._delay = RESTART / 2
        self._over: float | None = None  # when it was seen that the source, a file, had ended
        self._finishing: threading.Thread | None = None
        self._restarting: threading.Thread | None = None
        self._failed = ""  # why the newest restart did
        self._recorded = False  # by a person, on the page, before a restart: to go on after it
        self._stopping = False
        self.restarts = 0

    @property
    def pipeline(self) -> Pipeline:
        """The one that runs, or ran last."""
        return self._pipeline

    def start(self, page: Renderer | None = None) -> None:
        """Begin; once only."""
        self._page = page
        self._start()

    def watch(self, now: float) -> None:
        """Look after it: call it about once a second. now: s, monotonic.

        It waits for nothing: a disk may take its time, and the other feeds are to be looked after.
        """
        if self._restarting is not None:
            if self._restarting.is_alive():
                return
            self._restarting = None
            if self._failed:
                self._lost(now, self._failed)
        if self._ended is None:
            failure = self._pipeline.failure
            if failure is not None:
                self._lost(now, failure)
            elif self._over is None:
                self._over = now if self._pipeline.wait(0.0) else None
            elif self._finishing is None and now - self._over >= SETTLE:
                # make whole what was written of a file that is over, for others may go on for days
                self._finishing = self._aside("finish", self._pipeline.finish_files)
        elif now - self._ended >= self._delay:
            self._failed, self._ended = "", now  # where no thread can be had the next try is as far off
            self._restarting = self._aside("restart", self._restart)

    def stop(self) -> None:
        """End it for good; recordings are finished."""
        self._stopping = True
        if self._restarting is not None:
            self._restarting.join()
        self._end()

    @property
    def settings(self) -> Settings:
        """The snapshot in force."""
        return self._pipeline.settings

    def change(self, **changes: Any) -> Settings:
        """See ``Control``."""
        with self._changing:
            return self._pipeline.change(**changes)

    def status(self) -> Status:
        """See ``Control``; with why, where the pipeline has failed."""
        pipeline, ended = self._pipeline, self._ended
        status = pipeline.status()
        if ended is None:
            # asked after the state: a camera that `watch` has not yet seen to fail has not come to its end
            why = pipeline.failure
            return status if why is None else replace(status, state="lost", detail=why)
        return replace(status, state="lost", detail=f"{self._why}; next try within {self._delay:g} s")

    def start_recording(self) -> str:
        """See ``Control``."""
        return self._pipeline.start_recording()

    def stop_recording(self) -> str:
        """See ``Control``; a restart that is under way does not begin it again."""
        self._recorded = False
        return self._pipeline.stop_recording()

    def _start(self) -> None:
        if self._page is not None:
            self._pipeline.add(self._page)
        self._outputs(self.spec, self._pipeline)
        self._pipeline.start()

    def _end(self) -> None:
        if self._finishing is not None:
            self._finishing.join()
        self._pipeline.stop()

    def _restart(self) -> None:
        """Put a new pipeline in the place of the one that failed."""
        self.restarts += 1
        try:
            self._recorded |= bool(self._pipeline.status().recording)
            self._end()
            self._over = self._finishing = None
            pipeline = self._build(self.spec, self._pipeline.settings)
            with self._changing:  # also what a person has changed while it was built
                settings = self._pipeline.settings
                pipeline.change(gain=settings.gain, mode=settings.mode, lag=settings.lag, roi=settings.roi)
                self._pipeline = pipeline
            self._ended = None
            if not self._stopping:
                self._start()
                if self._recorded:
                    self._recorded = False
                    self._record_on()
        except Exception as error:  # whatever it is, it is tried again
            log.debug("%s could not be started again", self.spec.name, exc_info=True)
            self._failed = redact(f"{type(error).__name__}: {error}")

    def _record_on(self) -> None:
        try:
            log.warning("%s: recorded on in %s", self.spec.name, self._pipeline.start_recording())
        except (RendererError, OSError, RuntimeError) as error:  # all else runs
            log.error("%s: %s; it runs without", self.spec.name, error)
            self._pipeline.report(str(error))

    def _aside(self, what: str, work: Callable[[], None]) -> threading.Thread | None:
        """Begin work in a thread of its own; None where none can be had: it is tried again."""
        thread = threading.Thread(target=work, name=f"{what}-{self.spec.slug}", daemon=True)
        try:
            thread.start()
        except RuntimeError as error:
            log.error("%s: %s", self.spec.name, error)
            return None
        return thread

    def _lost(self, now: float, why: str) -> None:
        self._why, self._ended = why, now  # in this order: the page asks meanwhile
        self._delay = RESTART if self._pipeline.engine.frames else min(2 * self._delay, RESTART_MOST)
        log.error("%s: %s; it is started again in %g s", self.spec.name, why, self._delay)
