"""Places on the page are bounded, and who asks for nothing, or reads nothing, gives its own back."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from dataclasses import replace
from typing import TYPE_CHECKING

import httpx
import numpy as np
import pytest
from page_elsewhere import page_elsewhere
from page_scene import FakeControl, magnified
from page_sockets import TIMEOUT, base, close_code, next_text, port_of, until, watch
from websockets.sync.client import connect
from websockets.typing import Origin

from deepmag.stream.page import PageRenderer
from deepmag.stream.page import live as live_module
from deepmag.stream.page import server as server_module
from deepmag.stream.page.greeting import MAX_GREETING
from deepmag.stream.page.live import CLOSE_FULL, MAX_CLIENTS
from deepmag.stream.page.server import MAX_CONNECTIONS
from deepmag.stream.ward import gateway as gateway_module

if TYPE_CHECKING:
    from collections.abc import Iterator


def upgrade(port: int, path: str) -> bytes:
    """What a browser asks for before it says hello."""
    return (
        f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nOrigin: http://127.0.0.1:{port}\r\n"
        "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
    ).encode()


def test_the_number_of_connections_is_bounded_and_who_asks_for_something_is_served(
    server: PageRenderer,
) -> None:
    connections = server._server._server.server_state.connections  # type: ignore[union-attr]
    with contextlib.ExitStack() as stack:
        for _ in range(3 * MAX_CONNECTIONS):
            stack.enter_context(socket.create_connection(("127.0.0.1", port_of(server)), TIMEOUT))
        assert httpx.get(base(server) + "/healthz").status_code == 200
        until(lambda: len(connections) <= MAX_CONNECTIONS)


def test_nor_can_sockets_that_never_say_hello_take_all_there_are_or_keep_a_viewer_out(
    server: PageRenderer, caplog: pytest.LogCaptureFixture
) -> None:
    connections = server._server._server.server_state.connections  # type: ignore[union-attr]
    with contextlib.ExitStack() as stack:
        for number in range(2 * MAX_CONNECTIONS):
            silent = stack.enter_context(socket.create_connection(("127.0.0.1", port_of(server)), TIMEOUT))
            silent.sendall(upgrade(port_of(server), "/live"))
            if number < MAX_GREETING + 1:
                assert silent.recv(12) == b"HTTP/1.1 101"
        next_text(stack.enter_context(watch(server)), "state")
        until(lambda: len(connections) <= MAX_CONNECTIONS)
    assert not caplog.records  # or whoever likes fills the disk


def test_nor_where_they_come_faster_than_the_page_lets_them_go(
    server: PageRenderer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    connections = server._server._server.server_state.connections  # type: ignore[union-attr]
    loop = server._server.loop
    assert loop is not None
    busy = asyncio.Event()
    run_asgi = server_module._WebSocket.run_asgi

    async def run_later(self: server_module._WebSocket) -> None:
        await busy.wait()
        await run_asgi(self)

    monkeypatch.setattr(server_module._WebSocket, "run_asgi", run_later)
    with contextlib.ExitStack() as stack:
        silent = []
        for number in range(MAX_CONNECTIONS - 1):
            silent.append(
                stack.enter_context(socket.create_connection(("127.0.0.1", port_of(server)), TIMEOUT))
            )
            silent[-1].sendall(upgrade(port_of(server), "/live"))
            until(lambda: sum(isinstance(one, server_module._WebSocket) for one in connections) > number)  # noqa: B023
        viewer = stack.enter_context(socket.create_connection(("127.0.0.1", port_of(server)), TIMEOUT))
        viewer.sendall(upgrade(port_of(server), "/live"))
        assert silent[0].recv(1) == b""
        loop.call_soon_threadsafe(busy.set)
        assert viewer.recv(12) == b"HTTP/1.1 101"
    assert not caplog.records  # or whoever likes fills the disk


def test_who_is_served_keeps_a_connection_that_others_ask_for(server: PageRenderer) -> None:
    with contextlib.ExitStack() as stack:
        viewer = stack.enter_context(watch(server))
        next_text(viewer, "state")
        for _ in range(2 * MAX_CONNECTIONS):
            stack.enter_context(socket.create_connection(("127.0.0.1", port_of(server)), TIMEOUT))
        for _ in range(3):
            next_text(viewer, "state")


def test_browsers_that_have_gone_leave_room_for_others(server: PageRenderer) -> None:
    for _ in range(MAX_GREETING + 4):
        with watch(server) as socket:
            next_text(socket, "state")


def test_the_number_of_browsers_is_bounded(server: PageRenderer) -> None:
    with contextlib.ExitStack() as stack:
        for _ in range(MAX_CLIENTS):
            next_text(stack.enter_context(watch(server)), "state")
        assert server.clients == MAX_CLIENTS
        assert close_code(stack.enter_context(watch(server))) == CLOSE_FULL


@pytest.fixture
def small_buffers(monkeypatch: pytest.MonkeyPatch) -> None:
    bind = server_module._bind

    def bind_small(host: str, port: int) -> socket.socket:
        listener = bind(host, port)
        # so that a picture, or a file of the page, is more than a kernel takes
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        return listener

    monkeypatch.setattr(server_module, "_bind", bind_small)


@pytest.mark.usefixtures("small_buffers")
def test_who_connects_and_asks_for_nothing_is_let_go_and_a_viewer_stays(
    control: FakeControl, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_module, "REQUEST_TIMEOUT", 0.5)
    monkeypatch.setattr(server_module, "ANSWER_TIMEOUT", 0.5)
    page = PageRenderer(control, port=0)
    page.open()
    try:
        with (
            connect(base(page).replace("http", "ws") + "/live", origin=Origin(base(page))) as viewer,
            socket.create_connection(("127.0.0.1", port_of(page)), TIMEOUT) as silent,
            socket.create_connection(("127.0.0.1", port_of(page)), TIMEOUT) as slow,
            socket.create_connection(("127.0.0.1", port_of(page)), TIMEOUT) as second,
            socket.socket() as greedy,
        ):
            viewer.send(json.dumps({"type": "hello", "original": False, "visible": True}))
            slow.sendall(b"GET / HT")
            # one whole request, and half of another, takes its place no longer either
            second.sendall(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            answer = second.recv(4096)
            second.sendall(b"GET / HT")
            # nor who asks for more than fits between here and there, and reads none of it
            greedy.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            greedy.connect(("127.0.0.1", port_of(page)))
            greedy.settimeout(0.2)
            with contextlib.suppress(OSError):
                while True:
                    greedy.sendall(b"GET /static/main.js HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            assert silent.recv(1) == b""
            assert slow.recv(1) == b""
            while data := second.recv(4096):
                answer += data
            assert answer.startswith(b"HTTP/1.1 200")
            server = page._server._server
            assert server is not None
            until(lambda: len(server.server_state.connections) == 1)  # the viewer's
            assert json.loads(viewer.recv(TIMEOUT))["type"] == "state"
    finally:
        page.close()


@contextlib.contextmanager
def viewer_that_reads_nothing(port: int, path: str) -> Iterator[None]:
    """From its hello on."""
    hello = b'{"type":"hello"}'
    with socket.socket() as viewer:
        viewer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        viewer.connect(("127.0.0.1", port))
        viewer.sendall(upgrade(port, path))
        assert viewer.recv(12) == b"HTTP/1.1 101"
        viewer.sendall(bytes([0x81, 0x80 | len(hello), 0, 0, 0, 0]) + hello)
        yield


@pytest.mark.usefixtures("small_buffers")
def test_a_viewer_that_reads_nothing_loses_its_place_and_its_connection(
    control: FakeControl, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_module, "SEND_TIMEOUT", 0.2)
    monkeypatch.setattr(server_module, "LINGER", 0.1)
    page = PageRenderer(control, port=0)
    page.open()
    noise = np.random.default_rng(0).integers(0, 256, (480, 640, 3)).astype(np.uint8)
    connections = page._server._server.server_state.connections  # type: ignore[union-attr]
    try:
        with viewer_that_reads_nothing(port_of(page), "/live"):
            until(lambda: page.clients == 1)
            page.render(replace(magnified(0), image=noise))
            until(lambda: page.clients == 0)
            until(lambda: not connections)
    finally:
        page.close()


@pytest.mark.usefixtures("small_buffers")
def test_nor_does_it_keep_them_where_the_feed_is_elsewhere(
    control: FakeControl, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gateway_module, "SEND_TIMEOUT", 0.2)
    monkeypatch.setattr(server_module, "LINGER", 0.1)
    noise = np.random.default_rng(0).integers(0, 256, (480, 640, 3)).astype(np.uint8)
    with page_elsewhere(control) as (page, gateway):
        connections = gateway._server._server.server_state.connections  # type: ignore[union-attr]
        with viewer_that_reads_nothing(gateway._server._port, "/feeds/bed/live"):
            until(lambda: page.clients == 1)
            page.render(replace(magnified(0), image=noise))
            until(lambda: page.clients == 0)
            until(lambda: not connections)
