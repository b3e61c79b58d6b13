"""A web server in a thread of its own, which opens its socket before it says that it is there."""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
import sys
import threading
from typing import TYPE_CHECKING
from urllib.parse import quote

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from deepmag.stream.exhausted import what_ran_out
from deepmag.stream.page.access import WILDCARDS, Access, allow, bracketed
from deepmag.stream.render.renderer import RendererError

if TYPE_CHECKING:
    from collections.abc import Callable

    import h11
    from starlette.applications import Starlette

REQUEST_TIMEOUT = 10.0  # s for each request of a connection to come
ANSWER_TIMEOUT = 60.0  # s more for the rest of it, and for its answer to be taken: a snapshot is megabytes
START_TIMEOUT = 10.0  # s
STOP_TIMEOUT = 5.0  # s
LINGER = 10.0  # s for what was written to a viewer to leave, once the page is done with it
GRACE = 2  # s that browsers get to say goodbye
MAX_CONNECTIONS = 64
BACKLOG = 64  # connections that are accepted at once, before any of them is looked at
OTHERS = 32  # descriptors of cameras, recordings and all else
MAX_PORT = 65535
CLOSE_NO_TEXT = 1007  # as RFC 6455 has it
MAX_MESSAGE = 4096  # bytes: a browser only sends short JSON

_log = logging.getLogger("deepmag.page")


class PageServer:
    """Serves one application.

    host: address to bind; any other than this machine's own gets a token. port: 0 takes a free one. token: asked of
    every browser; None makes one up where the page can be reached from outside. names: further host names under which
    the page may be opened, e.g. behind a proxy. connections: at most so many at once. failed: whether it ended by
    itself.
    """

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        port: int = 8765,
        token: str | None = None,
        names: tuple[str, ...] = (),
        connections: int = MAX_CONNECTIONS,
    ) -> None:
        self._host = host
        self._port = port
        # Of few descriptors half may be those of connections, half of those that wait to be looked at: where asyncio
        # can accept none for want of one it tries again at once, and again, at 2000 lines of the log a second.
        room = max(1, (_descriptors() - OTHERS) // 2)
        self._connections, self._backlog = min(connections, room), min(BACKLOG, room)
        self.access: Access = allow(host, token, names)
        self.failed = False
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def url(self) -> str:
        """The address to open, with the token behind # where there is one: browsers do not send that part."""
        host = _outward_address() if self._host in WILDCARDS else self._host
        # the page reads it as a query, in which + & and % mean something else
        fragment = f"#token={quote(self.access.token, safe='')}" if self.access.token else ""
        return f"http://{bracketed(host)}:{self._port}/{fragment}"

    @property
    def loop(self) -> asyncio.AbstractEventLoop | None:
        """The event loop of its thread, while it runs."""
        return self._loop

    def listen(self) -> socket.socket:
        """Take the port, to hand to `serve`; RendererError, in words for the person, where that cannot be."""
        listener = _bind(self._host, self._port)
        self._port = listener.getsockname()[1]
        return listener

    def serve(self, app: Starlette, listener: socket.socket) -> None:
        """Serve ``app``. Returns when browsers can connect; RendererError where that cannot be."""
        config = uvicorn.Config(
            app,
            loop="asyncio",
            http=_Http,
            ws=_WebSocket,
            ws_max_size=MAX_MESSAGE,
            ws_per_message_deflate=False,  # JPEG does not get smaller
            limit_concurrency=self._connections,
            backlog=self._backlog,
            timeout_graceful_shutdown=GRACE,
            access_log=False,
            log_config=None,
            # at DEBUG it prints every message, and the first holds the token; at WARNING whatever nonsense is sent
            log_level="error",
            server_header=False,
        )
        self._server = _Server(config)
        thread = threading.Thread(target=self._run, args=(listener,), name="deepmag-page", daemon=True)
        try:
            thread.start()
        except RuntimeError as error:
            listener.close()
            raise RendererError(f"the page did not start: {what_ran_out(error) or error}") from None
        self._thread = thread
        if not self._server.listening.wait(START_TIMEOUT) or not self._server.started:
            self.close()
            raise RendererError("the page did not start; the log says why")
        _log.info("the page listens on port %d of %s", self._port, self._host or "every address")

    def close(self) -> None:
        """Say goodbye to the browsers and stop; returns within seconds."""
        if self._server is not None:
            self._server.should_exit = True
        if self._thread is not None:
            self._thread.join(STOP_TIMEOUT)
            if self._thread.is_alive():
                _log.error("the page's server did not stop within %g s", STOP_TIMEOUT)
        self._server = self._thread = None

    def _run(self, listener: socket.socket) -> None:
        """Run the server; the body of its thread."""
        server = self._server
        assert server is not None
        try:
            asyncio.run(self._serve(server, listener))
        except (Exception, SystemExit) as error:  # uvicorn exits where it cannot start: not unseen
            self.failed = True
            if why := what_ran_out(error):
                _log.error("the page's server stopped: %s", why)
            else:
                _log.exception("the page's server stopped")
        finally:
            self._loop = None
            server.listening.set()
            listener.close()

    async def _serve(self, server: _Server, listener: socket.socket) -> None:
        self._loop = asyncio.get_running_loop()
        await server.serve(sockets=[listener])


class _Http(H11Protocol):
    """Lets go of who connects and asks for nothing, or for half of something, or does not take the answer.

    Uvicorn waits for ever, and counts it among the connections. It bounds requests, too, but neither connections nor
    WebSockets: whoever opened a thousand of them, without a token, had every descriptor of the process, and no camera
    could be opened again, nor a recording.
    """

    _deadline: asyncio.TimerHandle | None = None
    _idle_since: float | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if self._full:
            self._make_room()
        self._wait_for_request()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        super().connection_lost(exc)

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._wait_for_request()

    def handle_websocket_upgrade(self, event: h11.Request) -> None:
        if self._full:
            self.transport.abort()
        else:
            super().handle_websocket_upgrade(event)

    @property
    def idle_since(self) -> float | None:
        """Since when it asks for nothing, s of the loop's clock; None while a request is answered, or it goes."""
        return self._idle_since if self.cycle is None or self.cycle.response_complete else None

    def give_way(self) -> None:
        """Go, for another to come."""
        self._idle_since = None
        self.transport.abort()

    @property
    def _full(self) -> bool:
        return self.limit_concurrency is not None and len(self.connections) >= self.limit_concurrency

    def _make_room(self) -> None:
        """Let the one go that has asked for nothing for longest: a browser does so within a round trip."""
        idle = [
            (since, number, connection)
            for number, connection in enumerate(self.connections)
            if isinstance(connection, _Http | _WebSocket) and (since := connection.idle_since) is not None
        ]
        if idle:  # else it is told that there is no room, and is idle then
            min(idle)[2].give_way()

    def _wait_for_request(self) -> None:
        self._idle_since = self.loop.time()
        self._within(REQUEST_TIMEOUT, self._let_go)

    def _within(self, seconds: float, act: Callable[[], None]) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        self._deadline = self.loop.call_later(seconds, act)

    def _let_go(self) -> None:
        if self.transport.get_protocol() is not self:  # a WebSocket has taken the transport over
            return
        if self.cycle is None or self.cycle.response_complete:
            self.transport.close()  # once what was written is gone, for which nobody might come
        self._within(ANSWER_TIMEOUT, self.transport.abort)


class _WebSocket(WebSocketsSansIOProtocol):
    """Lets go of a viewer that reads nothing: uvicorn waits for what it has written while a kernel answers.

    Of bytes that are no text uvicorn logs a traceback, before anybody has said hello.
    """

    idle_since: float | None = (
        None  # as of `_Http`: until it has said something, and since the page is done with it
    )

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        # So many can come at once that the page has let none of them go yet: they would keep a viewer out.
        self.idle_since = self.loop.time()

    async def run_asgi(self) -> None:
        try:
            await super().run_asgi()
        finally:
            self.idle_since = self.loop.time()
            self.loop.call_later(LINGER, self.transport.abort)

    def send_receive_event_to_app(self) -> None:
        try:
            if self.curr_msg_data_type == "text":
                b"".join(self.frames).decode()
        except UnicodeDecodeError:
            self.frames = []
            self.conn.send_close(CLOSE_NO_TEXT)
            self.handle_parser_exception()
        else:
            self.idle_since = None
            super().send_receive_event_to_app()

    def give_way(self) -> None:
        """Go, for another to come."""
        self.idle_since = None
        self.transport.abort()


class _Server(uvicorn.Server):
    """Says when it listens."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening = threading.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.listening.set()


def _descriptors() -> int:
    """How many this process may have, of the system's own number where it states none."""
    try:
        import resource
    except ImportError:  # not on Windows
        return 1024
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return limit if limit != resource.RLIM_INFINITY else sys.maxsize


def _bind(host: str, port: int) -> socket.socket:
    """Open the listening socket; RendererError, in words for the person, where there can be none."""
    if not 0 <= port <= MAX_PORT:  # the resolver would take it modulo 65536
        raise RendererError(f"the page cannot be served: {port} is no port: choose one from 0 to {MAX_PORT}")
    address = "127.0.0.1" if host == "localhost" else host
    try:
        family, _, _, _, where = socket.getaddrinfo(
            address or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        # of all addresses those of IPv4, too, whatever the system's default: one of them is printed
        both = host == "::" and socket.has_dualstack_ipv6()
        return socket.create_server(where[:2], family=family, backlog=BACKLOG, dualstack_ipv6=both)
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
