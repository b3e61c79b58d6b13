"""A browser's side of the page's protocol without a browser: what a measurement needs to see what a viewer sees.

It draws nothing and gives the credit back at once, so the picture rate is the server's own. Invisible, it costs the
server no picture: it only hears the state, twice a second.
"""

from __future__ import annotations

import json
import struct
import threading
import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from websockets.exceptions import WebSocketException
from websockets.sync.client import connect
from websockets.typing import Origin

if TYPE_CHECKING:
    from collections.abc import Callable

KEPT = 100_000  # pictures: 55 minutes at 30 Hz
TIMEOUT = 10.0  # s to connect
POLL = 0.25  # s between two looks whether it must stop


@dataclass(frozen=True, slots=True)
class SeenPicture:
    """at: when it was received, s. seq: of its frame. latency: frame's arrival to sending, s. rate: bpm or None."""

    at: float
    seq: int
    latency: float
    rate: float | None


def picture_header(message: bytes) -> dict[str, Any]:
    """Read the header of a binary message (see ``page.messages``). Raises ValueError where it has none."""
    if len(message) < 4:
        raise ValueError("a picture message without a header")
    (length,) = struct.unpack_from("<I", message)
    header: dict[str, Any] = json.loads(message[4 : 4 + length])
    return header


class PageClient:
    """One viewer in a thread of its own. url: as the page prints it, with its token.

    pictures: the last ones received. state: the newest state message, or None. error: why it ended by itself.
    """

    def __init__(
        self, url: str, *, visible: bool = True, clock: Callable[[], float] = time.monotonic
    ) -> None:
        parts = urlsplit(url)
        self._address = f"ws://{parts.netloc}/live"
        self._origin = f"http://{parts.netloc}"
        self._token = unquote(parts.fragment.removeprefix("token="))
        self._visible = visible
        self._clock = clock
        self._stop = threading.Event()
        self._changed = threading.Condition()
        self._ended = False
        self.pictures: deque[SeenPicture] = deque(maxlen=KEPT)
        self.state: dict[str, Any] | None = None
        self.error: str | None = None
        self._thread = threading.Thread(target=self._run, name="page-client", daemon=True)

    def start(self) -> None:
        """Connect."""
        self._thread.start()

    def stop(self) -> None:
        """Go away."""
        self._stop.set()
        self._thread.join(TIMEOUT)

    def wait(self, condition: Callable[[], bool], timeout: float) -> bool:
        """Wait until something that it received makes ``condition`` true, at most ``timeout`` s."""
        with self._changed:
            self._changed.wait_for(lambda: condition() or self._ended, timeout)
            return condition()

    def _run(self) -> None:
        try:
            with connect(
                self._address, origin=Origin(self._origin), open_timeout=TIMEOUT, max_size=None, proxy=None
            ) as socket:
                socket.send(json.dumps({"type": "hello", "token": self._token, "visible": self._visible}))
                while not self._stop.is_set():
                    try:
                        message = socket.recv(POLL)
                    except TimeoutError:
                        continue
                    if isinstance(message, bytes):
                        header = picture_header(message)
                        socket.send(json.dumps({"type": "drawn", "number": header["number"]}))
                        pulse = header["signals"].get("pulse")
                        rate = pulse["rate"] if pulse is not None else None
                        seen = SeenPicture(self._clock(), header["seq"], header["latency"], rate)
                        with self._changed:
                            self.pictures.append(seen)
                            self._changed.notify_all()
                    else:
                        self._hear(json.loads(message))
        except (OSError, WebSocketException) as error:
            self.error = f"{type(error).__name__}: {error}"
        finally:
            with self._changed:
                self._ended = True
                self._changed.notify_all()

    def _hear(self, message: dict[str, Any]) -> None:
        if message.get("type") == "state":
            with self._changed:
                self.state = message
                self._changed.notify_all()
