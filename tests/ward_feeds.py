"""What the ward's tests share."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

from deepmag.stream.ward.feeds_file import FeedSpec, read_feeds

TIMEOUT = 30.0  # s


def specs(folder: Path, text: str) -> tuple[FeedSpec, ...]:
    file = folder / "FEEDS.toml"
    file.write_text(text)
    feeds = read_feeds(file)
    assert feeds.problems == ()
    return feeds.good


def until(true: Callable[[], bool], what: str) -> None:
    """Wait for what other threads do."""
    end = time.monotonic() + TIMEOUT
    while not true():
        assert time.monotonic() < end, what
        time.sleep(0.02)


def until_ended(thread: str) -> None:
    """Wait for what is done aside."""
    until(lambda: thread not in {other.name for other in threading.enumerate()}, thread)


def feed(name: str, source: str, more: str = "") -> str:
    return f'[[feed]]\nname = "{name}"\nsource = "{source}"\n{more}\n'
