"""The one protocol of everything that shows, writes or sends magnified frames."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from deepmag.stream.frames import MagnifiedFrame


class RendererError(Exception):
    """A renderer cannot go on; the message is one clear line without a password."""


class Renderer(Protocol):
    """Opened, fed and closed by one thread of its own (see ``render.thread``).

    ``open`` and ``render`` raise RendererError; ``close`` never raises, and leaves a playable file.
    ``render`` may block: only its own thread waits.
    """

    name: str

    def open(self) -> None:
        """Acquire what rendering needs."""

    def render(self, frame: MagnifiedFrame) -> None:
        """Show, write or send one frame."""

    def close(self) -> None:
        """Release everything; safe to call after a failed ``open``."""


@runtime_checkable
class ReportingRenderer(Protocol):
    """A renderer that tells how it fares: it goes on by itself after a failure, or may fail as it is closed.

    trouble: why it cannot do its work now, or could not, in one line without a password, or "". lost: frames that it
    was given and could not show, write or send, so far.
    """

    trouble: str
    lost: int


@runtime_checkable
class IdleRenderer(Protocol):
    """A renderer with something to do while no frame comes: redraw a stale picture, write an empty row."""

    def idle(self) -> None:
        """Act without a frame; called by the same thread every quarter of a second. Raises RendererError."""
