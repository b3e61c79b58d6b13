"""The page of one pipeline as a renderer: a web server of its own, fed with the newest frame."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from deepmag.stream.page.server import PageServer
from deepmag.stream.page.stream_page import StreamPage

if TYPE_CHECKING:
    from collections.abc import Callable

    from deepmag.stream.control import Control
    from deepmag.stream.frames import MagnifiedFrame


class PageRenderer:
    """Serves the live page. Implements ``Renderer``; ``render`` never blocks.

    host, port, token, names: as for ``PageServer``. clock: monotonic, the one that stamps ``Frame.arrived``.
    """

    name = "page"

    def __init__(
        self,
        control: Control,
        *,
        host: str = "127.0.0.1",
        port: int = 8765,
        token: str | None = None,
        names: tuple[str, ...] = (),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._server = PageServer(host=host, port=port, token=token, names=names)
        self._page = StreamPage(control, self._server, clock=clock)

    @property
    def url(self) -> str:
        """The address to open; see ``PageServer.url``."""
        return self._server.url

    @property
    def clients(self) -> int:
        """Browsers that watch now."""
        return self._page.clients

    @property
    def dropped(self) -> int:
        """Frames a watching browser was not sent because it still drew an older one, over all browsers."""
        return self._page.dropped

    def sent_latency(self) -> tuple[float, float] | None:
        """(p50, p95) from a frame's arrival to its picture handed to a socket, s, lag included, last 10 s."""
        return self._page.sent_latency()

    def open(self) -> None:
        """Listen. Returns when browsers can connect; RendererError where that cannot be."""
        listener = self._server.listen()
        self._server.serve(self._page.app(), listener)

    def render(self, frame: MagnifiedFrame) -> None:
        """Hand over one frame; the newest replaces any that no browser was ready for."""
        self._page.render(frame)

    def close(self) -> None:
        """Say goodbye to the browsers and stop; returns within seconds."""
        self._server.close()
        self._page.end()
