"""The page's routes. Only POST and the WebSocket do anything; GET only reads."""

from __future__ import annotations

import asyncio
import contextlib
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles

from deepmag.stream.page.guard import Guard
from deepmag.stream.page.metrics import CONTENT_TYPE
from deepmag.stream.page.picture import png
from deepmag.stream.render.compose import square
from deepmag.stream.render.snapshot import snapshot_name

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine

    from starlette.requests import Request

    from deepmag.stream.control import Control
    from deepmag.stream.page.access import Access
    from deepmag.stream.page.feed import Feed
    from deepmag.stream.page.live import LiveEndpoint
    from deepmag.stream.page.metrics import PageMetrics

STATIC = Path(__file__).parent / "static"
NO_STORE = {"Cache-Control": "no-store"}


def build_app(
    control: Control,
    access: Access,
    feed: Feed,
    live: LiveEndpoint,
    metrics: PageMetrics,
    trend: Callable[[], dict[str, Any]],
    clock: Callable[[], float],
    report: Callable[[], Coroutine[None, None, None]],
) -> Starlette:
    """Build the application; everything in it stands behind the guard. trend, clock, report: see `StreamPage`."""
    one_snapshot = asyncio.Lock()  # a full-resolution PNG costs tens of ms: impatient fingers wait their turn

    async def index(_: Request) -> Response:
        return FileResponse(STATIC / "index.html")

    async def snapshot(request: Request) -> Response:
        if answer := refused(request, access):
            return answer
        # A form of another page could post text/plain; JSON it cannot.
        if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
            return JSONResponse({"error": "send JSON"}, 415, headers=NO_STORE)
        newest = feed.newest
        if newest is None:
            return JSONResponse({"error": "there is no picture yet"}, 409, headers=NO_STORE)
        async with one_snapshot:
            frame = newest.frame
            data = await asyncio.to_thread(png, square(frame.image, frame.frame.pixel_aspect))
        name = snapshot_name(newest.frame, now=clock(), wall=datetime.now().astimezone())
        disposition = {"Content-Disposition": f'attachment; filename="{name}"'}
        return Response(data, media_type="image/png", headers=NO_STORE | disposition)

    async def metrics_text(request: Request) -> Response:
        return refused(request, access) or Response(
            metrics.text(), headers=NO_STORE | {"Content-Type": CONTENT_TYPE}
        )

    async def trend_points(request: Request) -> Response:
        return refused(request, access) or JSONResponse(trend(), headers=NO_STORE)

    async def healthz(request: Request) -> Response:
        if answer := refused(request, access):
            return answer
        state = control.status().state
        return JSONResponse({"state": state}, 200 if state == "live" else 503, headers=NO_STORE)

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        reporting = asyncio.create_task(report())
        yield
        reporting.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await reporting

    return Starlette(
        routes=[
            Route("/", index),
            Route("/snapshot", snapshot, methods=["POST"]),
            Route("/metrics", metrics_text),
            Route("/trend", trend_points),
            Route("/healthz", healthz),
            WebSocketRoute("/live", live.serve),
            Mount("/static", StaticFiles(directory=STATIC)),
        ],
        middleware=[Middleware(Guard, access=access)],
        lifespan=lifespan,
    )


def refused(request: Request, access: Access) -> Response | None:
    """Answer 401 where the token is missing or wrong."""
    if access.bearer_allowed(request.headers.get("authorization", "")):
        return None
    headers = NO_STORE | {"WWW-Authenticate": "Bearer"}
    return JSONResponse({"error": "this needs the token that deepmag printed"}, 401, headers=headers)
