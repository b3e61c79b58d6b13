"""What a user interface may ask of the running pipeline."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from deepmag.stream.settings import Settings
    from deepmag.stream.status import Status


class Control(Protocol):
    """Implemented by the pipeline; called by the page and the window from their own threads."""

    @property
    def settings(self) -> Settings:
        """The snapshot in force."""

    def change(self, **changes: Any) -> Settings:
        """Replace settings; ValueError, and nothing changed, where one is out of range."""

    def status(self) -> Status:
        """The state of everything, now."""

    def start_recording(self) -> str:
        """Begin a recording in the working directory, named by wall clock; returns the file's name."""

    def stop_recording(self) -> str:
        """End it; returns the file's name. RendererError where none runs."""
