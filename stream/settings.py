"""What a person can change while it runs, as one immutable snapshot that is read once per frame."""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

Mode = Literal["steady", "paper"]
Method = Literal["deepmag", "evm", "evm-motion", "vam"]
Region = Literal["auto", "full"] | tuple[int, int, int, int]

GAIN_RANGE = (1.0, 100.0)  # times
LAG_RANGE = (0.0, 2.0)  # s


@dataclass(frozen=True, slots=True)
class Settings:
    """gain: times. mode: ascent mode. lag: s. roi: "auto", "full" or (x, y, w, h) in px of the source.

    method: "deepmag", the network, or a linear baseline; it is fixed when a pipeline starts.
    Raises ValueError, in words for the person who typed it, where a value is out of range.
    """

    gain: float = 15.0
    mode: Mode = "steady"
    lag: float = 0.25
    roi: Region = "auto"
    method: Method = "deepmag"

    def __post_init__(self) -> None:
        if not GAIN_RANGE[0] <= self.gain <= GAIN_RANGE[1]:
            raise ValueError(
                f"gain must be between {GAIN_RANGE[0]:g} and {GAIN_RANGE[1]:g}, not {self.gain:g}"
            )
        if not LAG_RANGE[0] <= self.lag <= LAG_RANGE[1]:
            raise ValueError(f"lag must be between {LAG_RANGE[0]:g} and {LAG_RANGE[1]:g} s, not {self.lag:g}")
        if self.mode not in get_args(Mode):
            raise ValueError(f"mode must be one of {', '.join(get_args(Mode))}, not {self.mode}")
        if self.method not in get_args(Method):
            raise ValueError(f"method must be one of {', '.join(get_args(Method))}, not {self.method}")
        if isinstance(self.roi, tuple):
            if len(self.roi) != 4 or min(self.roi) < 0 or min(self.roi[2:]) < 36:
                raise ValueError("roi must be X,Y,W,H with at least 36 pixels on each side")
        elif self.roi not in ("auto", "full"):
            raise ValueError(f"roi must be auto, full or X,Y,W,H, not {self.roi}")


class LiveSettings:
    """The current snapshot; any thread reads it, any thread replaces it, nobody edits it."""

    def __init__(self, settings: Settings) -> None:
        self._lock = threading.Lock()
        self._current = settings

    @property
    def current(self) -> Settings:
        """The snapshot in force."""
        return self._current

    def change(self, **changes: Any) -> Settings:
        """Replace some fields. Raises ValueError, and changes nothing, where one is out of range."""
        with self._lock:
            self._current = replace(self._current, **changes)
            return self._current
