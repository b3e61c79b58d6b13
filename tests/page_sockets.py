"""A browser's side of the page, without a browser: sockets, and what comes over them."""

from __future__ import annotations

import contextlib
import json
import struct
import threading
import time
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Origin

from deepmag.stream.page import PageRenderer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

TIMEOUT = 10.0  # s


def port_of(page: PageRenderer) -> int:
    return httpx.URL(page.url).port or 0


def base(page: PageRenderer) -> str:
    return f"http://127.0.0.1:{port_of(page)}"


@contextlib.contextmanager
def watch(page: PageRenderer, **hello: Any) -> Iterator[ClientConnection]:
    with connect(f"ws://127.0.0.1:{port_of(page)}/live", origin=Origin(base(page))) as socket:
        socket.send(json.dumps({"type": "hello", **hello}))
        yield socket


def next_text(socket: ClientConnection, kind: str, holds: Any = lambda _: True) -> dict[str, Any]:
    end = time.monotonic() + TIMEOUT
    while time.monotonic() < end:
        data = socket.recv(TIMEOUT)
        if isinstance(data, str):
            message: dict[str, Any] = json.loads(data)
            if message["type"] == kind and holds(message):
                return message
    raise AssertionError(f"no such {kind}")


def next_picture(socket: ClientConnection) -> tuple[dict[str, Any], list[bytes]]:
    while True:
        data = socket.recv(TIMEOUT)
        if isinstance(data, bytes):
            (length,) = struct.unpack_from("<I", data)
            header = json.loads(data[4 : 4 + length])
            offset, jpegs = 4 + length, []
            for size in header["jpeg"]:
                jpegs.append(data[offset : offset + size])
                offset += size
            return header, jpegs


def until(condition: Callable[[], bool]) -> None:
    end, pause = time.monotonic() + TIMEOUT, threading.Event()
    while not condition():
        assert time.monotonic() < end
        pause.wait(0.01)


def close_code(socket: ClientConnection) -> int:
    def drain() -> None:
        while True:
            socket.recv(TIMEOUT)

    with pytest.raises(ConnectionClosed) as caught:
        drain()
    assert caught.value.rcvd is not None
    return caught.value.rcvd.code
