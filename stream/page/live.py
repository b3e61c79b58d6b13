"""The WebSocket /live: pictures on one-frame credit, state twice a second, and what the person asks for.

MJPEG over HTTP would be simpler, but a slow browser then fills socket buffers with old pictures, and its
latency has no bound. Here the next picture leaves when the browser has drawn the last, and it is the newest.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING, Any

from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from deepmag.stream.exhausted import what_ran_out
from deepmag.stream.frames import Reading
from deepmag.stream.page.greeting import CLOSE_NONSENSE, Greetings
from deepmag.stream.page.messages import (
    notice_message,
    parse_changes,
    parse_message,
    picture_message,
    state_message,
)
from deepmag.stream.page.viewer import Viewer
from deepmag.stream.render.renderer import RendererError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from deepmag.stream.control import Control
    from deepmag.stream.frames import SourceState
    from deepmag.stream.page.access import Access
    from deepmag.stream.page.encoder import SharedEncoder
    from deepmag.stream.page.feed import Feed

SEND_TIMEOUT = (
    30.0  # s for a message to go: who stops reading would hold a place for as long as its kernel answers
)
MAX_CLIENTS = 8

CLOSE_FULL = 4429  # too many browsers

_NO_READING = Reading(None, 0.0, "waiting for the first picture")

_log = logging.getLogger("deepmag.page")


class LiveEndpoint:
    """All browsers that watch. Its coroutines run on the server's loop; ``wake`` must be called there too."""

    def __init__(
        self,
        control: Control,
        access: Access,
        feed: Feed,
        encoder: SharedEncoder,
        *,
        clock: Callable[[], float],
        on_sent: Callable[[float, float], None],
        sent_latency: Callable[[], tuple[float, float] | None],
    ) -> None:
        """on_sent(now, latency): called after each picture that was handed to its socket."""
        self._control = control
        self._greetings = Greetings(access)
        self._feed = feed
        self._encoder = encoder
        self._clock = clock
        self._on_sent = on_sent
        self._sent_latency = sent_latency
        self._viewers: dict[Viewer, asyncio.Event] = {}
        self._recording: asyncio.Task[None] | None = None
        self._opened = clock()
        self._state: SourceState = "connecting"
        self.dropped = 0
        self.sent = 0

    @property
    def clients(self) -> int:
        """Browsers that watch now."""
        return len(self._viewers)

    def wake(self) -> None:
        """Look at the feed: a new frame was published."""
        for event in self._viewers.values():
            event.set()

    def tell_state(self) -> None:
        """Tell every browser the state now."""
        if not self._viewers:
            return
        status, now = self._control.status(), self._clock()
        self._state = status.state
        newest, settings = self._feed.newest, self._control.settings
        text = state_message(
            status,
            settings,
            newest.frame.readings if newest else dict.fromkeys(settings.signals, _NO_READING),
            silence=now - (newest.at if newest else self._opened),
            sent=self._sent_latency(),
            dropped=self.dropped,
            clients=self.clients,
        )
        for viewer, event in self._viewers.items():
            viewer.state = text  # one that was not sent yet is out of date: replaced
            event.set()

    async def serve(self, socket: WebSocket) -> None:
        """One browser, from its hello to its going away."""
        viewer = None
        with _until_gone(socket):
            await socket.accept()
            viewer = await self._greet(socket)
        if viewer is None:
            return
        self._viewers[viewer] = asyncio.Event()
        tasks = [asyncio.create_task(side(socket, viewer)) for side in (self._send, self._receive)]
        try:
            self.tell_state()
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            del self._viewers[viewer]
            for task in tasks:
                task.cancel()
            ends = await asyncio.gather(*tasks, return_exceptions=True)
        for end in ends:
            if isinstance(end, Exception):
                raise end

    async def _greet(self, socket: WebSocket) -> Viewer | None:
        """Read the first message. None after the socket was closed."""
        hello = await self._greetings.hello(socket)
        if hello is None:
            return None
        if self.clients >= MAX_CLIENTS:
            await socket.close(CLOSE_FULL)
            return None
        viewer = Viewer(original=hello.get("original") is True)
        viewer.show(hello.get("visible") is not False)
        return viewer

    async def _send(self, socket: WebSocket, viewer: Viewer) -> None:
        event = self._viewers[viewer]
        with _until_gone(socket):
            while True:
                await event.wait()
                event.clear()
                while text := viewer.next_text():
                    async with asyncio.timeout(SEND_TIMEOUT):
                        await socket.send_text(text)
                newest = self._feed.newest
                if newest is not None and viewer.due(newest.number):
                    await self._send_picture(socket, viewer)

    async def _send_picture(self, socket: WebSocket, viewer: Viewer) -> None:
        wants_original = viewer.original
        encoded = await self._encoder.newest(original=wants_original)
        published = encoded.published
        samples = self._feed.samples(viewer.sent, published.number)
        began = self._clock()
        self.dropped += viewer.take(published.number, published.frame.frame.arrived, began)
        jpegs = [encoded.magnified]
        if wants_original and encoded.original is not None:
            jpegs.append(encoded.original)
        message = picture_message(
            published,
            jpegs,
            samples,
            shown=encoded.shown,
            state=self._state,
            now=began,
            drawn=viewer.latency.quantiles(began),
            way=viewer.way,
        )
        async with asyncio.timeout(SEND_TIMEOUT):
            await socket.send_bytes(message)
        self.sent += 1
        now = self._clock()
        self._on_sent(now, now - published.frame.frame.arrived)

    async def _receive(self, socket: WebSocket, viewer: Viewer) -> None:
        event = self._viewers[viewer]
        with _until_gone(socket):
            while True:
                try:
                    message = parse_message(await socket.receive_text())
                except (ValueError, KeyError):
                    await socket.close(CLOSE_NONSENSE)
                    return
                try:
                    self._act(viewer, message)
                except ValueError as error:
                    viewer.notices.append(notice_message(str(error), error=True))
                event.set()

    def _act(self, viewer: Viewer, message: dict[str, Any]) -> None:
        """Do what a browser asks. ValueError, in words for the person, where it cannot be done."""
        kind = message["type"]
        if kind == "drawn":
            viewer.drawn(message.get("number", 0), self._clock())
        elif kind == "original":
            viewer.original = message.get("on") is True
        elif kind == "visible":
            viewer.show(message.get("on") is True)
        elif kind == "change":
            self._control.change(**parse_changes(message))
            self.tell_state()
        elif kind == "record":
            if self._recording is not None and not self._recording.done():
                raise ValueError("the recording is just being opened or closed")
            self._recording = asyncio.create_task(self._record(viewer, on=message.get("on") is True))
        else:
            _log.debug("a browser sent a message of unknown type")

    async def _record(self, viewer: Viewer, *, on: bool) -> None:
        """Start or stop a recording, in a thread: a file may wait for a disk, the pictures must not."""
        try:
            name = await asyncio.to_thread(
                self._control.start_recording if on else self._control.stop_recording
            )
        except (ValueError, RendererError, OSError, RuntimeError) as error:  # the last: no thread can be had
            why = what_ran_out(error) or str(error)
            # also in the log: who asked may be gone before the answer
            _log.warning("a recording asked for on the page: %s", why)
            viewer.notices.append(notice_message(why, error=True))
        else:
            said = f"Recording to {name}" if on else f"Saved {name}"
            _log.info("%s, as asked for on the page", said)
            for other in self._viewers:
                other.notices.append(notice_message(said, error=False))
        self.tell_state()


@contextlib.contextmanager
def _until_gone(socket: WebSocket) -> Iterator[None]:
    """Take a browser's going away for the end it is, whichever side of the socket notices it first."""
    try:
        yield
    except (WebSocketDisconnect, TimeoutError):
        return
    except (
        RuntimeError
    ) as error:  # starlette's answer to whoever comes second, uvicorn's where no ping was answered
        gone = WebSocketState.DISCONNECTED in (socket.application_state, socket.client_state)
        if not gone and not str(error).startswith("Unexpected ASGI message 'websocket.send'"):
            raise
