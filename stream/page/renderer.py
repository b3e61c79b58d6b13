"""The page as a renderer: a web server in a thread of its own, fed with the newest frame."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import socket
import threading
import time
from typing import TYPE_CHECKING

import uvicorn

from deepmag.stream.frames import Reading
from deepmag.stream.page.access import WILDCARDS, allow, bracketed
from deepmag.stream.page.app import build_app
from deepmag.stream.page.encoder import SharedEncoder
from deepmag.stream.page.feed import Feed
from deepmag.stream.page.latency import LatencyWindow
from deepmag.stream.page.live import LiveEndpoint
from deepmag.stream.page.messages import shown_reading
from deepmag.stream.page.metrics import PageMetrics
from deepmag.stream.render.renderer import RendererError

if TYPE_CHECKING:
    from collections.abc import Callable

    from deepmag.stream.control import Control
    from deepmag.stream.frames import MagnifiedFrame, SignalName
    from deepmag.stream.status import Status

START_TIMEOUT = 10.0  # s
STOP_TIMEOUT = 5.0  # s
GRACE = 2  # s that browsers get to say goodbye
MAX_CONNECTIONS = 64
MAX_PORT = 65535
MAX_MESSAGE = 4096  # bytes: a browser only sends short JSON

_log = logging.getLogger("deepmag.page")


class PageRenderer:
    """Serves the live page. Implements ``Renderer``; ``render`` never blocks.

    host: address to bind; any other than this machine's own gets a token. port: 0 takes a free one.
    token: asked of every browser; None makes one up where the page can be reached from outside.
    names: further host names under which the page may be opened, e.g. behind a proxy.
    clock: monotonic, the one that stamps ``Frame.arrived``.
    """

    name = "page"

    def __init__(
        self,
        control: Control,
        *,
        host: str = "127.0.0.1",
        port: int = 8765,
        token: str | None = None,
        names: tuple[str, ...] = (),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._control = control
        self._host = host
        self._port = port
        self._clock = clock
        self._access = allow(host, token, names)
        self._feed = Feed()
        self._latency = LatencyWindow()
        self._metrics = PageMetrics(control.status, self._shown_readings, self._counts)
        self._encoder: SharedEncoder | None = None
        self._live: LiveEndpoint | None = None
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._lock = threading.Lock()
        self._wake_pending = False

    @property
    def url(self) -> str:
        """The address to open, with the token behind # where there is one: browsers do not send that part."""
        host = _outward_address() if self._host in WILDCARDS else self._host
        fragment = f"#token={self._access.token}" if self._access.token else ""
        return f"http://{bracketed(host)}:{self._port}/{fragment}"

    @property
    def clients(self) -> int:
        """Browsers that watch now."""
        return self._live.clients if self._live else 0

    @property
    def dropped(self) -> int:
        """Frames a watching browser was not sent because it still drew an older one, over all browsers."""
        return self._live.dropped if self._live else 0

    def sent_latency(self) -> tuple[float, float] | None:
        """(p50, p95) from a frame's arrival to its picture handed to a socket, s, lag included, last 10 s."""
        return self._latency.quantiles(self._clock())

    def open(self) -> None:
        """Listen. Returns when browsers can connect; RendererError where that cannot be."""
        listener = _bind(self._host, self._port)
        self._port = listener.getsockname()[1]
        self._encoder = SharedEncoder(self._feed)
        self._live = LiveEndpoint(
            self._control,
            self._access,
            self._feed,
            self._encoder,
            clock=self._clock,
            on_sent=self._sent,
            sent_latency=self.sent_latency,
        )
        config = uvicorn.Config(
            build_app(self._control, self._access, self._feed, self._live, self._metrics),
            loop="asyncio",
            http="h11",
            ws="websockets-sansio",
            ws_max_size=MAX_MESSAGE,
            ws_per_message_deflate=False,  # JPEG does not get smaller
            limit_concurrency=MAX_CONNECTIONS,
            timeout_graceful_shutdown=GRACE,
            access_log=False,
            log_config=None,
            log_level="warning",  # at DEBUG it prints every message, and the first holds the token
            server_header=False,
        )
        self._server = _Server(config)
        self._thread = threading.Thread(target=self._run, args=(listener,), name="deepmag-page", daemon=True)
        self._thread.start()
        if not self._server.listening.wait(START_TIMEOUT) or not self._server.started:
            self.close()
            raise RendererError("the page did not start; the log says why")
        _log.info("the page listens on port %d of %s", self._port, self._host or "every address")

    def render(self, frame: MagnifiedFrame) -> None:
        """Hand over one frame; the newest replaces any that no browser was ready for."""
        loop = self._loop
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
        """Say goodbye to the browsers and stop; returns within seconds."""
        if self._server is not None:
            self._server.should_exit = True
        if self._thread is not None:
            self._thread.join(STOP_TIMEOUT)
            if self._thread.is_alive():
                _log.error("the page's server did not stop within %g s", STOP_TIMEOUT)
        if self._encoder is not None:
            self._encoder.close()
        self._server = self._thread = self._encoder = None

    def _run(self, listener: socket.socket) -> None:
        """Run the server; the body of its thread."""
        server = self._server
        assert server is not None
        try:
            asyncio.run(self._serve(server, listener))
        except (Exception, SystemExit):  # uvicorn exits where it cannot start; that must not pass unseen
            _log.exception("the page's server stopped")
        finally:
            self._loop = None
            server.listening.set()
            listener.close()

    async def _serve(self, server: _Server, listener: socket.socket) -> None:
        self._loop = asyncio.get_running_loop()
        await server.serve(sockets=[listener])

    def _wake(self) -> None:
        with self._lock:
            self._wake_pending = False
        if self._live is not None:
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
        newest, live = self._feed.newest, self._live
        return {
            "frames": newest.number if newest else 0,
            "sent": live.sent if live else 0,
            "dropped": self.dropped,
            "clients": self.clients,
        }


class _Server(uvicorn.Server):
    """Says when it listens."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening = threading.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.listening.set()


def _bind(host: str, port: int) -> socket.socket:
    """Open the listening socket; RendererError, in words for the person, where there can be none."""
    if not 0 <= port <= MAX_PORT:  # the resolver would take it modulo 65536
        raise RendererError(f"the page cannot be served: {port} is no port: choose one from 0 to {MAX_PORT}")
    address = "127.0.0.1" if host == "localhost" else host
    try:
        family, _, _, _, where = socket.getaddrinfo(
            address or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        return socket.create_server(where[:2], family=family, backlog=64)
    except (OSError, UnicodeError) as error:  # UnicodeError: a name that cannot be one
        number = getattr(error, "errno", None)
        if number == errno.EADDRINUSE:
            why = f"port {port} is in use: stop what uses it, or choose another port (0: any free one)"
        elif number in (errno.EACCES, errno.EPERM):
            why = f"port {port} is not allowed for this user: choose one above 1023"
        else:
            why = f"this machine has no address {host}: use 127.0.0.1, or 0.0.0.0 for all its addresses"
        raise RendererError(f"the page cannot be served: {why}") from None


def _outward_address() -> str:
    """Guess the address by which others reach this machine."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # an address for documentation; connecting UDP sends nothing
        except OSError:
            return "127.0.0.1"
        return str(probe.getsockname()[0])
