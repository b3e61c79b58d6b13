"""What flows through the live pipeline: immutable frames, and what the engine made of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SourceState = Literal["connecting", "live", "stale", "lost", "ended"]
"""connecting: not yet a picture. live. stale: no frame for 1 s, the same picture for 20 s, or none that is magnified.

lost: waiting to reconnect. ended: for good.
"""

SignalName = Literal["pulse", "respiration"]
UNITS: dict[SignalName, str] = {"pulse": "bpm", "respiration": "breaths/min"}


@dataclass(frozen=True, slots=True)
class Frame:
    """One picture from a source.

    session: grows by one at every reconnect, size change or jump of the timestamps.
    seq: number of the frame in its source, counted from 0 over all sessions.
    pts: presentation time in its session, s (the stream's own clock).
    arrived: time.monotonic() when the decoder handed the picture over, of a network's stream when it came here to be
    decoded, s; of one that was held up on its way, as by a network that hung, when it would have been.
    image: (H, W, 3) uint8, RGB, never written to after it is published.
    pixel_aspect: width of a pixel where it is shown, over its height: 1 but for what was stored squeezed.
    clock_is_right: whether the stream's time was seen to run as fast as time does; no rate can be told from it else.
    """

    session: int
    seq: int
    pts: float
    arrived: float
    image: NDArray[np.uint8]
    pixel_aspect: float = 1.0
    clock_is_right: bool = True


@dataclass(frozen=True, slots=True)
class Reading:
    """A rate, or the reason why there is none.

    rate: beats or breaths per minute, or None where it cannot be trusted.
    quality: signal quality index in [0, 1].
    reason: why ``rate`` is None, in words for the screen ("" where there is a rate).
    """

    rate: float | None
    quality: float
    reason: str


TOO_SLOW = Reading(None, 0.0, "too few frames a second")  # each pair of frames is too far apart


@dataclass(frozen=True, slots=True)
class Signal:
    """What is measured at one frame.

    wave: band-passed waveform. Of the pulse: relative change of the skin's green (about 1e-3), up for more blood.
    Of respiration: movement of the chest, px of the source's picture, up for breathing in.
    reading: rate and quality as of this frame.
    """

    wave: float
    reading: Reading


@dataclass(frozen=True, slots=True)
class MagnifiedFrame:
    """A frame and its magnification, published as one object so that they cannot fall apart.

    frame: the frame as it was captured.
    image: (H, W, 3) uint8 RGB, magnified.
    pulse, respiration: what is measured at this frame; None where this run does not measure it.
    roi: (x, y, w, h), px: what the engine looked at.
    ready: time.monotonic() when the engine finished it, s.
    early: whether it came out before its lag had passed, since nothing that follows belongs to it.
    """

    frame: Frame
    image: NDArray[np.uint8]
    pulse: Signal | None
    respiration: Signal | None
    roi: tuple[int, int, int, int]
    ready: float
    early: bool = False

    @property
    def signals(self) -> dict[SignalName, Signal]:
        """What is measured at this frame, by name, in the order in which it is shown."""
        named: tuple[tuple[SignalName, Signal | None], ...] = (
            ("pulse", self.pulse), ("respiration", self.respiration),
        )  # fmt: skip
        return {name: signal for name, signal in named if signal is not None}

    @property
    def readings(self) -> dict[SignalName, Reading]:
        """The readings of the signals."""
        return {name: signal.reading for name, signal in self.signals.items()}
