"""Each frame is encoded once, for all browsers, off the event loop, one at a time."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from deepmag.stream.page.picture import jpeg, shown_size

if TYPE_CHECKING:
    from deepmag.stream.page.feed import Feed, Published


@dataclass(slots=True)
class Encoded:
    """A frame's JPEGs. original: None until somebody asks for it. shown: (width, height), px."""

    published: Published
    shown: tuple[int, int]
    magnified: bytes
    original: bytes | None = None


class SharedEncoder:
    """JPEGs of the newest frame, shared between all who ask for it."""

    def __init__(self, feed: Feed) -> None:
        self._feed = feed
        self._lock = asyncio.Lock()
        self._worker = ThreadPoolExecutor(1, "deepmag-page-jpeg")
        self._last: Encoded | None = None

    async def newest(self, *, original: bool) -> Encoded:
        """Encode the newest frame, or return it as encoded for another. There must be a frame."""
        async with self._lock:  # whoever waits here takes the frame that is newest when its turn comes
            published = self._feed.newest
            assert published is not None
            loop = asyncio.get_running_loop()
            encoded = self._last
            if encoded is None or encoded.published is not published:
                image = published.frame.image
                size = shown_size(image.shape[1], image.shape[0])
                encoded = Encoded(
                    published, size, await loop.run_in_executor(self._worker, jpeg, published.frame.image)
                )
                self._last = encoded
            if original and encoded.original is None:
                encoded.original = await loop.run_in_executor(self._worker, jpeg, published.frame.frame.image)
            return encoded

    def close(self) -> None:
        """End the worker; an encode under way (milliseconds) is waited for."""
        self._worker.shutdown(cancel_futures=True)
