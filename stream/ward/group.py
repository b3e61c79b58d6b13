"""A group of feeds in a process of its own, on any machine of a Ray cluster: what `remote.RayWard` starts."""

from __future__ import annotations

import logging
import os
import threading
from typing import TYPE_CHECKING

from deepmag.stream.ward.page import WardPage
from deepmag.stream.ward.ward import Ward

if TYPE_CHECKING:
    from deepmag.export.runtime import DeviceName, Runtime
    from deepmag.stream.ward.feeds_file import FeedSpec

PERIOD = 1.0  # s between two looks at the feeds
HANGS = 30.0  # s that what magnifies may hang before the process is given up, which Ray then begins again

log = logging.getLogger("deepmag.stream.ward")


class FeedGroup:
    """Runs feeds from its construction on, so that Ray, which builds it again where its process ends, restarts them.

    token: of its pages, which only the gateway opens. host: address to serve them on.
    """

    def __init__(
        self,
        specs: tuple[FeedSpec, ...],
        token: str,
        host: str,
        runtime: Runtime,
        device: DeviceName,
        threads: int | None,
        budget: float,
    ) -> None:
        from deepmag.models.reconstruction import warm_up
        from deepmag.stream.cli import set_up_logging

        set_up_logging("warning")
        self._ward = Ward(specs, runtime=runtime, device=device, threads=threads, budget=budget)
        warm_up()
        self._page = WardPage(self._ward.feeds, host=host, port=0, token=token)
        self._page.open()
        self._ward.start(self._page.pages)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="ward", daemon=True)
        self._thread.start()

    def where(self) -> tuple[str, int]:
        """Address of its pages, without the token, and the number of its process."""
        return self._page.url.partition("#")[0], os.getpid()

    def states(self) -> dict[str, str]:
        """The state of each feed, by slug."""
        return {slug: feed.status().state for slug, feed in self._ward.feeds.items()}

    def stop(self) -> list[str]:
        """End all; recordings are finished. Returns `Ward.troubles`."""
        self._stop.set()
        self._thread.join()
        self._ward.stop()
        self._page.close()
        return self._ward.troubles

    def _watch(self) -> None:
        hung = 0.0
        while not self._stop.wait(PERIOD):
            self._ward.watch()
            hung = hung + PERIOD if self._ward.hangs else 0.0
            if hung >= HANGS:
                log.critical("what magnifies hangs: this process ends, to be begun again")
                os._exit(1)  # in order it would have to wait for what hangs
