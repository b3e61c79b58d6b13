"""The WebSocket's handler, driven by a scripted connection where a real one would leave the order to chance."""

from __future__ import annotations

import asyncio
import json
import time
from typing import TYPE_CHECKING

import pytest
from page_scene import FakeControl
from starlette.websockets import WebSocket

from deepmag.stream.page import live as live_module
from deepmag.stream.page.access import allow
from deepmag.stream.page.encoder import SharedEncoder
from deepmag.stream.page.feed import Feed
from deepmag.stream.page.live import LiveEndpoint

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from starlette.types import Message


def endpoint() -> tuple[LiveEndpoint, SharedEncoder]:
    feed = Feed()
    encoder = SharedEncoder(feed)
    live = LiveEndpoint(
        FakeControl(),
        allow("127.0.0.1", None),
        feed,
        encoder,
        clock=time.monotonic,
        on_sent=lambda now, latency: None,
        sent_latency=lambda: None,
    )
    return live, encoder


def text(message: dict[str, object]) -> Message:
    return {"type": "websocket.receive", "text": json.dumps(message)}


def test_a_browser_that_goes_while_it_is_spoken_to_leaves_no_error() -> None:
    """Its last message lies in the queue when sending to it fails: both sides of the socket notice its end."""
    live, encoder = endpoint()

    async def go() -> None:
        failed = asyncio.Event()
        script: Iterator[Message] = iter([{"type": "websocket.connect"}, text({"type": "hello"})])

        async def receive() -> Message:
            if (message := next(script, None)) is not None:
                return message
            await failed.wait()
            return text({"type": "visible", "on": False})

        async def send(message: Message) -> None:
            if message["type"] == "websocket.send":
                failed.set()
                raise OSError("gone")

        scope = {"type": "websocket", "path": "/live", "headers": [], "query_string": b""}
        async with asyncio.timeout(10):
            await live.serve(WebSocket(scope, receive, send))

    asyncio.run(go())
    encoder.close()
    assert live.clients == 0


def silent_after_hello() -> Callable[[], Awaitable[Message]]:
    """What a browser sends that connects, says hello, and then nothing."""
    script: Iterator[Message] = iter([{"type": "websocket.connect"}, text({"type": "hello"})])

    async def receive() -> Message:
        if (message := next(script, None)) is not None:
            return message
        return await asyncio.get_running_loop().create_future()  # type: ignore[no-any-return]

    return receive


def test_who_takes_no_message_or_answers_no_ping_is_gone_without_an_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(live_module, "SEND_TIMEOUT", 0.05)
    live, encoder = endpoint()

    async def go(unpinged: bool) -> None:
        async def send(message: Message) -> None:
            if message["type"] == "websocket.send":
                if unpinged:  # as uvicorn says it
                    raise RuntimeError(
                        "Unexpected ASGI message 'websocket.send', after sending 'websocket.close'."
                    )
                await asyncio.get_running_loop().create_future()

        scope = {"type": "websocket", "path": "/live", "headers": [], "query_string": b""}
        async with asyncio.timeout(10):
            await live.serve(WebSocket(scope, silent_after_hello(), send))

    for unpinged in (False, True):
        asyncio.run(go(unpinged))
        assert live.clients == 0
    encoder.close()


def test_a_server_that_stops_ends_both_sides_of_a_connection() -> None:
    live, encoder = endpoint()

    async def go() -> set[asyncio.Task[None]]:
        told = asyncio.Event()

        async def send(message: Message) -> None:
            if message["type"] == "websocket.send":
                told.set()

        scope = {"type": "websocket", "path": "/live", "headers": [], "query_string": b""}
        serving = asyncio.create_task(live.serve(WebSocket(scope, silent_after_hello(), send)))
        async with asyncio.timeout(10):
            await told.wait()
        serving.cancel()
        await asyncio.wait({serving}, timeout=10)
        return asyncio.all_tasks() - {asyncio.current_task()}  # type: ignore[arg-type]

    assert asyncio.run(go()) == set()
    encoder.close()
    assert live.clients == 0
