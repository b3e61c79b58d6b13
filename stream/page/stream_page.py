"""One pipeline's part of the page: its newest frame, its browsers, its figures. The web server is not its own."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
from typing import TYPE_CHECKING, Any

from deepmag.stream.frames import Reading
from deepmag.stream.latency import LatencyMeter
from deepmag.stream.page.app import build_app
from deepmag.stream.page.encoder import SharedEncoder
from deepmag.stream.page.feed import Feed
from deepmag.stream.page.live import LiveEndpoint
from deepmag.stream.page.messages import shown_reading
from deepmag.stream.page.metrics import PageMetrics
from deepmag.stream.page.trend import Trend
from deepmag.stream.render.renderer import RendererError

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.applications import Starlette

    from deepmag.stream.control import Control
    from deepmag.stream.frames import MagnifiedFrame, SignalName
    from deepmag.stream.page.server import PageServer
    from deepmag.stream.status import Status

STATE_PERIOD = 0.5  # s

_log = logging.getLogger("deepmag.page")


def awake_or_asleep() -> float:
    """Monotonic, s, with those in which the machine slept where the system counts them: `time.monotonic` does not."""
    since_boot = getattr(time, "CLOCK_BOOTTIME", None)  # Linux
    return time.monotonic() if since_boot is None else time.clock_gettime(since_boot)


class StreamPage:
    """Shows one pipeline on a server. Implements ``Renderer``; ``render`` never blocks.

    clock: monotonic, the one that stamps ``Frame.arrived``. hours: monotonic, by which the rates of the last hours lie.
    """

    name = "page"

    def __init__(
        self,
        control: Control,
        server: PageServer,
        *,
        clock: Callable[[], float] = time.monotonic,
        hours: Callable[[], float] = awake_or_asleep,
    ) -> None:
        self._control = control
        self._server = server
        self._clock = clock
        self._hours = hours
        self._feed = Feed()
        self._latency = LatencyMeter()
        self._metrics = PageMetrics(control.status, self._shown_readings, self._counts)
        self._trend = Trend(hours())
        self._encoder = SharedEncoder(self._feed)
        self._live = LiveEndpoint(
            control,
            server.access,
            self._feed,
            self._encoder,
            clock=clock,
            on_sent=self._sent,
            sent_latency=self.sent_latency,
        )
        self._lock = threading.Lock()
        self._wake_pending = False

    def app(self) -> Starlette:
        """Its routes, behind the guard."""
        return build_app(
            self._control,
            self._server.access,
            self._feed,
            self._live,
            self._metrics,
            self.trend,
            self._clock,
            self.report,
        )

    async def report(self) -> None:
        """Remember what is shown, and tell its browsers the state, twice a second, for ever: also without a frame."""
        while True:
            try:
                status = self._control.status()
                self._trend.add(self._shown_readings(status), self._hours())
                self._live.tell_state()
            except (
                Exception
            ):  # a display that runs for days outlives one wrong answer; the page shows the silence
                _log.exception("the state cannot be told to the page")
            await asyncio.sleep(STATE_PERIOD)

    def trend(self) -> dict[str, Any]:
        """The rates of the last hours; see `Trend.message`."""
        return self._trend.message(self._hours())

    @property
    def clients(self) -> int:
        """Browsers that watch now."""
        return self._live.clients

    @property
    def dropped(self) -> int:
        """Frames a watching browser was not sent because it still drew an older one, over all browsers."""
        return self._live.dropped

    def sent_latency(self) -> tuple[float, float] | None:
        """(p50, p95) from a frame's arrival to its picture handed to a socket, s, lag included, last 10 s."""
        return self._latency.quantiles(self._clock())

    def open(self) -> None:
        """Nothing to do: the server is opened by itself."""

    def render(self, frame: MagnifiedFrame) -> None:
        """Hand over one frame; the newest replaces any that no browser was ready for.

        Raises RendererError where the server has ended by itself: nobody else would say so.
        """
        loop: asyncio.AbstractEventLoop | None = self._server.loop
        if self._server.failed:
            raise RendererError("the page's server stopped; the log says why")
        if loop is None:
            return
        self._feed.publish(frame, self._clock())
        with self._lock:  # at most one call is queued on the loop, however slow it is
            if self._wake_pending:
                return
            self._wake_pending = True
        with contextlib.suppress(RuntimeError):  # the loop was closed meanwhile
            loop.call_soon_threadsafe(self._wake)

    def close(self) -> None:
        """Nothing to do: another pipeline may go on with the same page."""

    def end(self) -> None:
        """End its encoder, once the server is closed."""
        self._encoder.close()

    def _wake(self) -> None:
        with self._lock:
            self._wake_pending = False
        self._live.wake()

    def _sent(self, now: float, latency: float) -> None:
        self._latency.add(now, latency)
        self._metrics.observe_sent(latency)

    def _shown_readings(self, status: Status) -> dict[SignalName, Reading]:
        newest = self._feed.newest
        if newest is None:
            return dict.fromkeys(self._control.settings.signals, Reading(None, 0.0, ""))
        silence = self._clock() - newest.at
        return {
            name: shown_reading(reading, status.state, silence)
            for name, reading in newest.frame.readings.items()
        }

    def _counts(self) -> dict[str, int]:
        newest = self._feed.newest
        return {
            "frames": newest.number if newest else 0,
            "sent": self._live.sent,
            "dropped": self.dropped,
            "clients": self.clients,
        }
