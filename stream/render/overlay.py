"""What a person must know about a picture, drawn on it.

A stale picture looks exactly like a live one, so the state is always on it; and once it is not live, the
numbers that belonged to it are withdrawn and the picture is dimmed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from deepmag.stream.frames import UNITS, Reading

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from deepmag.stream.frames import SignalName, SourceState
    from deepmag.stream.status import Status

STALE_AFTER = 1.0  # s without a new picture
DISCLAIMER = "not a medical device"
READING_HEIGHT = 68  # of a picture 640 wide: a rate and the line below it
SMALLEST_WIDTH = 480  # px; a smaller picture is enlarged first, or its text could not be read

Colour = tuple[int, int, int]
WHITE: Colour = (255, 255, 255)
GREY: Colour = (200, 200, 200)
RED: Colour = (230, 60, 50)
STATE_COLOURS: dict[SourceState, Colour] = {
    "connecting": (70, 130, 220),
    "live": (40, 150, 70),
    "stale": (220, 140, 20),
    "lost": (210, 50, 45),
    "ended": (110, 110, 110),
}

MOST_TROUBLES = 3  # rows

FONT = cv2.FONT_HERSHEY_SIMPLEX


def shown_state(status: Status, picture_age: float) -> SourceState:
    """Return the state of the picture on the screen; picture_age: s since it was put there.

    The source may be live while nothing comes out of the engine: the picture is as stale then.
    """
    if status.state == "live" and max(status.age, picture_age) > STALE_AFTER:
        return "stale"
    return status.state


def shown_reading(reading: Reading | None, state: SourceState) -> Reading:
    """Return the reading that may be shown in this state: none but a live one has a rate."""
    if state != "live":
        return Reading(None, 0.0, "no live picture" if state != "ended" else "the source has ended")
    return reading or Reading(None, 0.0, "measuring")


def draw_overlay(
    image: NDArray[np.uint8],
    status: Status,
    readings: Mapping[SignalName, Reading | None],
    *,
    picture_age: float = 0.0,
    notes: Sequence[str] = (),
) -> NDArray[np.uint8]:
    """Copy the picture, with state, rates, quality, latency, drops and what outputs cannot do on it.

    image: (H, W, 3) uint8 RGB, enlarged where it is less than 480 px wide. readings: of all that is measured, one below
    the other. picture_age: s since the picture was new. notes: further lines, for example help. Returns (H', W', 3)
    uint8 RGB.
    """
    state = shown_state(status, picture_age)
    canvas = _enlarged(image)
    if state != "live":
        canvas = (canvas // 3).astype(np.uint8)
    unit = canvas.shape[1] / 640  # everything scales with the width
    pen = _Pen(canvas, unit)

    badge = state.upper() if not status.recording else f"{state.upper()}  REC"
    pen.badge(badge, STATE_COLOURS[state] if not status.recording or state != "live" else RED)
    for row, (name, reading) in enumerate(readings.items()):
        shown = shown_reading(reading, state)
        rate = "--" if shown.rate is None else f"{shown.rate:.0f}"
        pen.right(f"{rate} {UNITS[name]}", 34 + READING_HEIGHT * row, 1.0, WHITE, thickness=2)
        below = shown.reason if shown.rate is None else f"quality {shown.quality:.2f}"
        pen.right(below, 62 + READING_HEIGHT * row, 0.5, GREY)
    if state != "live":
        pen.centre(_absence(status, state, picture_age), 0.65)
    for row, note in enumerate(notes):
        pen.left(note, 68 + 24 * row, 0.5, WHITE)
    pen.bottom_left(_figures(status), 0.5, GREY)
    for row, trouble in enumerate(status.troubles[:MOST_TROUBLES]):
        pen.bottom_left(trouble, 0.5, RED, row + 1)
    pen.bottom_right(DISCLAIMER, 0.5)
    return canvas


def _figures(status: Status) -> str:
    """Latency and drops, on one line."""
    if status.latency_p50 is None or status.latency_p95 is None:
        latency = "latency --"
    else:
        latency = f"latency {status.latency_p50 * 1e3:.0f} / {status.latency_p95 * 1e3:.0f} ms"
        latency += f" (lag {status.lag * 1e3:.0f})"
    return f"{latency}   dropped {sum(status.dropped.values())}   {status.fps:.1f} fps"


def _absence(status: Status, state: SourceState, picture_age: float) -> str:
    """Why the picture is not live, in one line."""
    if state == "stale":
        return status.detail or f"no new picture for {max(status.age, picture_age):.0f} s"
    fallback = {"connecting": "waiting for the first picture", "lost": "connection lost", "ended": "ended"}
    return status.detail or fallback.get(state, state)


def _enlarged(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Copy the picture, enlarged to at least SMALLEST_WIDTH."""
    height, width = image.shape[:2]
    if width >= SMALLEST_WIDTH:
        return image.copy()
    factor = -(-SMALLEST_WIDTH // width)
    size = (width * factor, height * factor)
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_CUBIC), dtype=np.uint8)


class _Pen:
    """Text on a canvas; positions in units of a 640 px wide picture."""

    def __init__(self, canvas: NDArray[np.uint8], unit: float) -> None:
        self._canvas = canvas
        self._unit = unit
        self._height, self._width = canvas.shape[:2]
        self._margin = round(10 * unit)

    def badge(self, text: str, colour: Colour) -> None:
        width, height = self._size(text, 0.6, 2)
        pad = round(8 * self._unit)
        corner = (self._margin, self._margin)
        opposite = (self._margin + width + 2 * pad, self._margin + height + 2 * pad)
        at = (self._margin + pad, self._margin + pad + height)
        cv2.rectangle(self._canvas, corner, opposite, colour, cv2.FILLED)
        scale, line = 0.6 * self._unit, self._line(2)
        cv2.putText(self._canvas, _ascii(text), at, FONT, scale, WHITE, line, cv2.LINE_AA)

    def left(self, text: str, y: float, scale: float, colour: Colour) -> None:
        self._text(text, (self._margin, round(y * self._unit)), scale, colour)

    def right(self, text: str, y: float, scale: float, colour: Colour, thickness: int = 1) -> None:
        # Half the width at most: the badge has the other half.
        scale = self._fit(text, scale, thickness, self._width // 2)
        x = self._width - self._margin - self._size(text, scale, thickness)[0]
        self._text(text, (x, round(y * self._unit)), scale, colour, thickness)

    def centre(self, text: str, scale: float) -> None:
        scale = self._fit(text, scale, 1, self._width - 2 * self._margin)
        x = (self._width - self._size(text, scale, 1)[0]) // 2
        self._text(text, (x, self._height // 2), scale, WHITE)

    def bottom_left(self, text: str, scale: float, colour: Colour, row: int = 0) -> None:
        # beside the lowest row stands the disclaimer
        room = round(0.66 * self._width) if row == 0 else self._width - 2 * self._margin
        scale = self._fit(text, scale, 1, room)
        y = self._height - self._margin - round(24 * row * self._unit)
        self._text(text, (self._margin, y), scale, colour)

    def bottom_right(self, text: str, scale: float) -> None:
        x = self._width - self._margin - self._size(text, scale, 1)[0]
        self._text(text, (x, self._height - self._margin), scale, GREY)

    def _fit(self, text: str, scale: float, thickness: int, room: int) -> float:
        width = self._size(text, scale, thickness)[0]
        return scale if width <= room else scale * room / width

    def _size(self, text: str, scale: float, thickness: int) -> tuple[int, int]:
        (width, height), _ = cv2.getTextSize(_ascii(text), FONT, scale * self._unit, self._line(thickness))
        return width, height

    def _line(self, thickness: int) -> int:
        return max(1, round(thickness * self._unit))

    def _text(self, text: str, at: tuple[int, int], scale: float, colour: Colour, thickness: int = 1) -> None:
        """Draw text with its baseline's left end at ``at``, on a darkened ground, to be read on any skin."""
        width, height = self._size(text, scale, thickness)
        x, y = at
        pad = max(2, round(4 * self._unit))
        ground = self._canvas[max(0, y - height - pad) : y + pad + 1, max(0, x - pad) : x + width + pad]
        ground //= 3
        line = self._line(thickness)
        cv2.putText(self._canvas, _ascii(text), at, FONT, scale * self._unit, colour, line, cv2.LINE_AA)


def _ascii(text: str) -> str:
    """Replace what the font has no letters for."""
    return text.encode("ascii", "replace").decode("ascii")
