"""Processes that are deaf to Ctrl-C from their first moment: it is for the one that started them, which ends them."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def deaf() -> Iterator[None]:
    """Hold Ctrl-C back: here until the end of the block, in a process that starts in it for good.

    A terminal sends it to all processes. One that is still importing would end by it, and the pool with it.
    """
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
