"""Packets that are read while the ones before them are decoded: so it is known when each came, and how many wait.

Where one thread does both, what a slow decoder leaves waits in the network's buffers, and seems to come late.
"""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MOST = 64 * 2**20  # bytes that wait here: a minute of 8 Mb/s; what comes then waits in the network's buffers
POLL = 0.1  # s that it waits for a packet before it looks whether to stop


class Sized(Protocol):
    """What is asked of a packet."""

    size: int
    is_keyframe: bool


P = TypeVar("P", bound=Sized)


class ReadAhead(Generic[P]):
    """Reads packets in a thread of its own, until it is closed.

    read: yields packets until the event is set; runs in that thread. clock: s, for when each came.
    """

    def __init__(
        self, read: Callable[[threading.Event], Iterator[P]], clock: Callable[[], float], *, most: int = MOST
    ) -> None:
        self._read = read
        self._clock = clock
        self._most = most
        self._ended = threading.Event()
        self._changed = threading.Condition()
        self._waiting: deque[tuple[P, float]] = deque()
        self._bytes = self._keys = 0  # of what waits
        self._over = False
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="read", daemon=True)

    def start(self) -> None:
        """Begin; once only. RuntimeError where there can be no further thread."""
        self._thread.start()

    def close(self) -> None:
        """End the thread, and wait for that: what it reads from may be closed then."""
        self._ended.set()
        with self._changed:
            self._changed.notify_all()
        self._thread.join()

    def take(self, stop: threading.Event) -> tuple[P, float] | None:
        """Wait for the next packet. Returns it, and when it came; None at the end or ``stop``. Raises as ``read``."""
        with self._changed:
            while not (self._waiting or self._over or stop.is_set()):
                self._changed.wait(POLL)
            if stop.is_set():
                return None
            if self._waiting:
                return self._pop()
            if self._error is not None:
                raise self._error
            return None

    @property
    def key_waits(self) -> bool:
        """Whether a key frame does."""
        return self._keys > 0

    def skip_to_key(self) -> int:
        """Drop what waits before the newest key frame that does. Returns how many packets."""
        with self._changed:
            dropped = 0
            while self._keys > 1 or (self._keys and not self._waiting[0][0].is_keyframe):
                self._pop()
                dropped += 1
            return dropped

    def _pop(self) -> tuple[P, float]:
        packet, received = self._waiting.popleft()
        self._bytes -= packet.size
        self._keys -= packet.is_keyframe
        self._changed.notify_all()
        return packet, received

    def _run(self) -> None:
        try:
            for packet in self._read(self._ended):
                received = self._clock()
                with self._changed:
                    self._changed.wait_for(lambda: self._bytes < self._most or self._ended.is_set())
                    if self._ended.is_set():
                        return
                    self._waiting.append((packet, received))
                    self._bytes += packet.size
                    self._keys += packet.is_keyframe
                    self._changed.notify_all()
        except BaseException as error:  # whatever it is, who takes the packets has to know
            self._error = error
        finally:
            with self._changed:
                self._over = True
                self._changed.notify_all()
