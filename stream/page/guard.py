"""ASGI middleware that stands before everything: Host and Origin are checked, safe headers added."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.websockets import WebSocketClose

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from deepmag.stream.page.access import Access

SAFE_METHODS = frozenset({"GET", "HEAD"})

HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}


def content_security_policy(host: str) -> str:
    """Say what the page may load: its own files. host: the Host header, already checked.

    The WebSocket's address is spelled out, because 'self' does not cover ws: in older Safaris.
    """
    return (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; "
        f"connect-src 'self' ws://{host} wss://{host}; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


class Guard:
    """Wraps an ASGI application; see the module."""

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app = app
        self._access = access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One connection."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        refusal = self._refusal(scope, headers, host)
        if refusal and scope["type"] == "websocket":
            await WebSocketClose(1008)(scope, receive, send)  # before it is accepted: answered with 403
            return
        if refusal:
            await PlainTextResponse(refusal, 403)(scope, receive, send)
            return

        async def send_safely(message: Message) -> None:
            if message["type"] == "http.response.start":
                added = MutableHeaders(scope=message)
                added.update(HEADERS)
                added["Content-Security-Policy"] = content_security_policy(host)
                added.setdefault("Cache-Control", "no-cache")
            await send(message)

        await self._app(scope, receive, send_safely if scope["type"] == "http" else send)

    def _refusal(self, scope: Scope, headers: Headers, host: str) -> str:
        """Why this connection is refused, or ""."""
        server = scope.get("server") or ("",)
        if not self._access.host_allowed(host, str(server[0])):
            return "This page is not served under that name. Open the address that deepmag printed.\n"
        changes_state = scope["type"] == "websocket" or scope["method"] not in SAFE_METHODS
        if changes_state and not self._access.origin_allowed(headers.get("origin", ""), host):
            return "This request does not come from the page itself.\n"
        return ""
