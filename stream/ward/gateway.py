"""The page of feeds that run elsewhere: tiles here, and each feed's own page handed through from where it is."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles
from starlette.websockets import WebSocketDisconnect
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, WebSocketException

from deepmag.stream.page.app import NO_STORE, STATIC, refused
from deepmag.stream.page.greeting import Greetings
from deepmag.stream.page.guard import Guard
from deepmag.stream.page.live import SEND_TIMEOUT
from deepmag.stream.page.server import MAX_CONNECTIONS, PageServer
from deepmag.stream.ward.page import EACH

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.websockets import WebSocket
    from websockets.asyncio.client import ClientConnection

    from deepmag.stream.ward.remote import RayWard

TIMEOUT = 5.0  # s for a feed's page to answer
GONE = 1013  # "try again later": what a browser's link does by itself
LARGEST_BODY = 4096  # bytes of a request: a page only sends short JSON


class Gateway:
    """Serves the feeds of a `RayWard`. host, port, token: as for ``PageServer``."""

    def __init__(
        self, ward: RayWard, *, host: str = "127.0.0.1", port: int = 8765, token: str | None = None
    ) -> None:
        self._ward = ward
        connections = MAX_CONNECTIONS + EACH * len(ward.specs)
        self._server = PageServer(host=host, port=port, token=token, connections=connections)
        self._greetings = Greetings(self._server.access, EACH * len(ward.specs))

    @property
    def url(self) -> str:
        """The address to open; see ``PageServer.url``."""
        return self._server.url

    def open(self) -> None:
        """Listen. Returns when browsers can connect; RendererError where that cannot be."""
        listener = self._server.listen()
        self._server.serve(self._app(), listener)

    def close(self) -> None:
        """Say goodbye to the browsers and stop."""
        self._server.close()

    def _app(self) -> Starlette:
        access = self._server.access
        names = {spec.slug: spec.name for spec in self._ward.specs}

        async def index(_: Request) -> Response:
            return FileResponse(STATIC / "ward.html")

        async def page(request: Request) -> Response:
            return FileResponse(STATIC / "index.html") if request.path_params["slug"] in names else _unknown()

        async def feeds(request: Request) -> Response:
            listed = [{"slug": slug, "name": name} for slug, name in names.items()]
            return refused(request, access) or JSONResponse(listed, headers=NO_STORE)

        async def healthz(request: Request) -> Response:
            if answer := refused(request, access):
                return answer
            groups = self._ward.groups()
            states = {slug: state for group in groups for slug, state in group["feeds"].items()}
            healthy = all(state == "live" for state in states.values())
            return JSONResponse(
                {"feeds": states, "groups": groups}, 200 if healthy else 503, headers=NO_STORE
            )

        async def through(request: Request) -> Response:
            """Metrics, health, the rates of the last hours and snapshot of one feed."""
            if answer := refused(request, access):
                return answer
            slug = request.path_params["slug"]
            if slug not in names:
                return _unknown()
            url = self._ward.url_of(slug)
            if url is None:
                return JSONResponse({"error": "this feed is being started again"}, 503, headers=NO_STORE)
            body = b""
            async for part in request.stream():  # not all of it first: it may be without end
                body += part
                if len(body) > LARGEST_BODY:
                    return JSONResponse({"error": "too long"}, 413, headers=NO_STORE)
            kind = request.headers.get("content-type", "")
            return await asyncio.to_thread(
                self._ask, url, request.path_params["what"], request.method, body, kind
            )

        async def live(socket: WebSocket) -> None:
            await self._live(socket, names)

        return Starlette(
            routes=[
                Route("/", index),
                Route("/feeds", feeds),
                Route("/healthz", healthz),
                Route("/feeds/{slug}/", page),
                WebSocketRoute("/feeds/{slug}/live", live),
                Mount("/feeds/{slug}/static", StaticFiles(directory=STATIC)),
                Route("/feeds/{slug}/{what:path}", through, methods=["GET", "POST"]),
                Mount("/static", StaticFiles(directory=STATIC)),
            ],
            middleware=[Middleware(Guard, access=access)],
        )

    def _ask(self, url: str, what: str, method: str, body: bytes, kind: str) -> Response:
        """Ask a feed's page; in a thread."""
        target = urlsplit(url)
        connection = http.client.HTTPConnection(target.hostname or "", target.port, timeout=TIMEOUT)
        headers = {"Authorization": f"Bearer {self._ward.token}", "Origin": f"http://{target.netloc}"}
        if kind:
            headers["Content-Type"] = kind
        try:
            connection.request(method, target.path + quote(what), body or None, headers)
            answer = connection.getresponse()
            kept = ("content-type", "content-disposition")
            passed = {name: value for name, value in answer.getheaders() if name.lower() in kept}
            return Response(answer.read(), answer.status, headers=NO_STORE | passed)
        except (OSError, http.client.HTTPException):
            return JSONResponse({"error": "this feed does not answer"}, 503, headers=NO_STORE)
        finally:
            connection.close()

    async def _live(self, socket: WebSocket, names: dict[str, str]) -> None:
        """Hand a browser's socket through: its first message holds this page's token, the feed's page has another."""
        await socket.accept()
        try:
            hello = await self._greetings.hello(socket)
        except WebSocketDisconnect:
            return
        if hello is None:
            return
        slug = socket.path_params["slug"]
        url = self._ward.url_of(slug) if slug in names else None
        if url is None:
            await socket.close(GONE)
            return
        target = urlsplit(url)
        hello["token"] = self._ward.token
        try:
            async with connect(
                f"ws://{target.netloc}{target.path}live",
                origin=f"http://{target.netloc}",  # type: ignore[arg-type]  # a NewType of str
                compression=None,
                max_size=None,
                open_timeout=TIMEOUT,
                proxy=None,
            ) as feed:
                await feed.send(json.dumps(hello))
                await _pump(socket, feed)
        except (OSError, WebSocketException, TimeoutError):
            pass  # the feed's process has ended: the browser tries again
        # the browser was the one to go, or reads nothing
        with contextlib.suppress(RuntimeError, WebSocketDisconnect, TimeoutError):
            async with asyncio.timeout(SEND_TIMEOUT):
                await socket.close(GONE)


async def _pump(socket: WebSocket, feed: ClientConnection) -> None:
    """Both ways, until either side ends."""

    async def out() -> None:
        async for message in feed:
            async with asyncio.timeout(SEND_TIMEOUT):
                if isinstance(message, str):
                    await socket.send_text(message)
                else:
                    await socket.send_bytes(message)

    async def back() -> None:
        while True:
            await feed.send(await socket.receive_text())

    tasks = [asyncio.create_task(side()) for side in (out, back)]
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        task.cancel()
    for end in await asyncio.gather(*tasks, return_exceptions=True):
        gone = (asyncio.CancelledError, WebSocketDisconnect, ConnectionClosed, RuntimeError, KeyError)
        if isinstance(end, BaseException) and not isinstance(end, gone):
            raise end


def _unknown() -> Response:
    return JSONResponse({"error": "there is no such feed"}, 404, headers=NO_STORE)
