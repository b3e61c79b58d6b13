"""What a person can change while it runs, as one immutable snapshot that is read once per frame."""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, Literal, get_args

if TYPE_CHECKING:
    from deepmag.stream.frames import SignalName

Mode = Literal["steady", "paper"]
Method = Literal["deepmag", "evm", "evm-motion", "vam", "phase", "riesz", "phase-vam", "learned"]
Target = Literal["pulse", "respiration", "both"]
Region = Literal["auto", "full"] | tuple[int, int, int, int]

FIXED = ("method", "target", "whole_clip")  # when a pipeline starts

GAIN_RANGE = (1.0, 100.0)  # times
LAG_RANGE = (0.0, 2.0)  # s
# s. A breath lasts ten times as long as a heartbeat: what it is at a frame shows only in what follows.
DEFAULT_LAG: dict[Target, float] = {"pulse": 0.25, "respiration": 2.0, "both": 2.0}
# by the band that they filter
METHODS_FOR_BREATH: tuple[Method, ...] = ("phase", "riesz", "phase-vam", "learned")


def default_lag(method: Method, target: Target) -> float:
    """The lag, s, where nobody asked for another: what a method magnifies says how slow it is."""
    return DEFAULT_LAG["respiration" if method in METHODS_FOR_BREATH else target]


def offline_mode(method: Method, target: Target) -> Mode:
    """The mode for a whole clip where nobody asked for another: the paper's, but for breathing what is cleaner."""
    return "paper" if method == "deepmag" and target == "pulse" else "steady"


def parse_region(text: str) -> Region:
    """``auto``, ``full`` or ``X,Y,W,H``. Raises ValueError in words."""
    if text == "auto":
        return "auto"
    if text == "full":
        return "full"
    try:
        x, y, w, h = (int(part) for part in text.split(","))
    except ValueError:
        raise ValueError(f"roi must be auto, full or X,Y,W,H in pixels, not {text}") from None
    return (x, y, w, h)


@dataclass(frozen=True, slots=True)
class Settings:
    """gain: times. mode: ascent mode. lag: s. roi: "auto", "full" or (x, y, w, h) in px of the source.

    method: "deepmag", the networks, or a linear baseline. target: what the networks look for. whole_clip: offline,
    where respiration has the mode paper, too, and a linear method no region. These are fixed when a pipeline starts.
    Raises ValueError, in words for the person who typed it, where a value is out of range.
    """

    gain: float = 16.0
    mode: Mode = "steady"
    lag: float = DEFAULT_LAG["pulse"]
    roi: Region = "auto"
    method: Method = "deepmag"
    target: Target = "pulse"
    whole_clip: bool = False

    def __post_init__(self) -> None:
        for name, value in (("gain", self.gain), ("lag", self.lag)):
            if not isinstance(value, Real):
                raise ValueError(f"{name} must be a number, not {value!r}")
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
        if self.target not in get_args(Target):
            raise ValueError(f"target must be one of {', '.join(get_args(Target))}, not {self.target}")
        if self.target != "pulse" and self.method != "deepmag":
            raise ValueError(
                f"the method {self.method} has no target: it magnifies whatever changes in its band; give a target "
                "to the method deepmag only"
            )
        if self.mode == "paper" and self.method != "deepmag":
            raise ValueError(f"the method {self.method} has no mode; paper is one of the method deepmag only")
        if self.target != "pulse" and self.mode == "paper" and not self.whole_clip:
            raise ValueError(
                "live, respiration is magnified in steady mode only; the mode paper wants the target pulse, or a "
                "file and deepmag magnify"
            )
        if isinstance(self.roi, tuple):
            if not all(isinstance(side, Integral) for side in self.roi):
                raise ValueError(f"roi must be X,Y,W,H in whole pixels, not {self.roi}")
            if len(self.roi) != 4 or min(self.roi) < 0 or min(self.roi[2:]) < 36:
                raise ValueError("roi must be X,Y,W,H with at least 36 pixels on each side")
            if self.whole_clip and self.method != "deepmag":
                raise ValueError(
                    f"the method {self.method} magnifies the whole picture; a region is for the method deepmag only"
                )
        elif self.roi not in ("auto", "full"):
            raise ValueError(f"roi must be auto, full or X,Y,W,H, not {self.roi}")

    @property
    def signals(self) -> tuple[SignalName, ...]:
        """What is measured with this target, in the order in which it is shown."""
        return ("pulse", "respiration") if self.target == "both" else (self.target,)


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
        """Replace some fields. Raises ValueError, and changes nothing, where one is out of range, or fixed by now."""
        with self._lock:
            changed = replace(self._current, **changes)
            for name in FIXED:
                if getattr(changed, name) != getattr(self._current, name):
                    raise ValueError(f"the {name} is fixed while it runs: begin again with another")
            self._current = changed
            return changed
