"""What everything that delivers pictures has in common."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, Self

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterator

    from deepmag.stream.frames import Frame


class SourceError(Exception):
    """A source cannot be opened or read any further.

    message: one clear line without a password. retry: whether it may work later without anyone's doing.
    """

    def __init__(self, message: str, retry: bool) -> None:
        super().__init__(message)
        self.retry = retry

    def __reduce__(self) -> tuple[type[Self], tuple[str, bool]]:
        # An exception is unpickled from its message alone; one that cannot be breaks the pool of processes it crosses.
        return type(self), (str(self), self.retry)


class Source(Protocol):
    """A camera, a file, a stream.

    name: for people and logs, without a password.
    live: the pictures happen now: its end is a loss, and frames not taken in time are gone.
    """

    name: str
    live: bool

    def frames(self, stop: threading.Event) -> Iterator[Frame]:
        """Open, deliver until the end or ``stop``, close: all in the thread that iterates.

        Each call is a connection of its own, with sessions and seq counted from 0. Raises SourceError.
        """
