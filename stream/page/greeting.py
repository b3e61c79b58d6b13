"""The first message of a WebSocket, which holds the token: whoever has not said it yet is nobody."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Any

from deepmag.stream.page.messages import parse_message

if TYPE_CHECKING:
    from starlette.websockets import WebSocket

    from deepmag.stream.page.access import Access

HELLO_TIMEOUT = 5.0  # s for a browser to say who it is
MAX_GREETING = 16  # sockets that have not yet said hello

CLOSE_TOKEN = 4401  # the token is missing or wrong
CLOSE_SILENT = 4408  # no hello in time
CLOSE_NONSENSE = 1003


class Greetings:
    """Those who have connected and not yet said hello: at most ``most``, all on one event loop."""

    def __init__(self, access: Access, most: int = MAX_GREETING) -> None:
        self._access = access
        self._most = most
        self._waiting: deque[asyncio.Timeout] = deque()  # the one that has been silent for longest first

    async def hello(self, socket: WebSocket) -> dict[str, Any] | None:
        """Read the first message of a socket that was accepted; None after it was closed."""
        if len(self._waiting) >= self._most:
            # A browser says it within a round trip. If it were the newest that is let go, whoever opens so many
            # sockets and says nothing would keep everybody else out, without the token.
            longest = self._waiting.popleft()
            if not longest.expired():
                longest.reschedule(asyncio.get_running_loop().time())
        try:
            async with asyncio.timeout(HELLO_TIMEOUT) as patience:
                self._waiting.append(patience)
                try:
                    hello = parse_message(await socket.receive_text())
                finally:
                    if patience in self._waiting:
                        self._waiting.remove(patience)
        except TimeoutError:
            await socket.close(CLOSE_SILENT)
            return None
        except (ValueError, KeyError):  # KeyError: a binary message
            await socket.close(CLOSE_NONSENSE)
            return None
        if hello["type"] != "hello" or not self._access.token_allowed(str(hello.get("token", ""))):
            await socket.close(CLOSE_TOKEN)
            return None
        return hello
