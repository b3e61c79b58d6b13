"""One page for all feeds: tiles, and behind each the feed's own page, on one server."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from deepmag.stream.page.app import NO_STORE, STATIC, refused
from deepmag.stream.page.guard import Guard
from deepmag.stream.page.server import MAX_CONNECTIONS, PageServer
from deepmag.stream.page.stream_page import StreamPage

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.requests import Request

    from deepmag.stream.ward.feed import WardFeed

EACH = 16  # connections for each feed, on top of a page's own


class WardPage:
    """Serves all feeds. host, port, token: as for ``PageServer``. feeds: by slug."""

    def __init__(
        self,
        feeds: Mapping[str, WardFeed],
        *,
        host: str = "127.0.0.1",
        port: int = 8765,
        token: str | None = None,
    ) -> None:
        self._feeds = feeds
        connections = MAX_CONNECTIONS + EACH * len(feeds)
        self._server = PageServer(host=host, port=port, token=token, connections=connections)
        self.pages = {slug: StreamPage(feed, self._server) for slug, feed in feeds.items()}

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
        for page in self.pages.values():
            page.end()

    def _app(self) -> Starlette:
        access = self._server.access

        async def index(_: Request) -> Response:
            return FileResponse(STATIC / "ward.html")

        async def feeds(request: Request) -> Response:
            listed = [{"slug": slug, "name": feed.spec.name} for slug, feed in self._feeds.items()]
            return refused(request, access) or JSONResponse(listed, headers=NO_STORE)

        async def healthz(request: Request) -> Response:
            if answer := refused(request, access):
                return answer
            states: dict[str, Any] = {slug: feed.status().state for slug, feed in self._feeds.items()}
            healthy = all(state == "live" for state in states.values())
            return JSONResponse({"feeds": states}, 200 if healthy else 503, headers=NO_STORE)

        @contextlib.asynccontextmanager
        async def lifespan(_: Starlette) -> AsyncIterator[None]:
            # a mounted application's own lifespan does not run
            reports = [asyncio.create_task(page.report()) for page in self.pages.values()]
            yield
            for report in reports:
                report.cancel()
            await asyncio.gather(*reports, return_exceptions=True)

        return Starlette(
            routes=[
                Route("/", index),
                Route("/feeds", feeds),
                Route("/healthz", healthz),
                *(Mount(f"/feeds/{slug}", page.app()) for slug, page in self.pages.items()),
                Mount("/static", StaticFiles(directory=STATIC)),
            ],
            middleware=[Middleware(Guard, access=access)],
            lifespan=lifespan,
        )
