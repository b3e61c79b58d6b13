"""How stored pictures are to be shown: turned or mirrored, and the shape of their pixels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import numpy as np
from av.sidedata.sidedata import SideDataContainer

if TYPE_CHECKING:
    from fractions import Fraction

    from av import VideoFrame, VideoStream
    from av.sidedata.sidedata import SideData
    from numpy.typing import NDArray

AHEAD = 16  # pictures that a decoder may have in work, in threads, while it tells already of the newest
ASPECTS = (0.25, 4.0)  # of a pixel: beyond, a stream that says so is not believed
TURNS = ((1, 0, 0, 1), (0, -1, 1, 0), (-1, 0, 0, -1), (0, 1, -1, 0))  # by quarters of a circle, anticlockwise

Matrix = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class Orientation:
    """To quarters of a circle.

    transposed: rows are to be shown as columns. mirrored, flipped: then left to right, and top to bottom. pixel_aspect:
    width of a shown pixel over its height.
    """

    transposed: bool = False
    mirrored: bool = False
    flipped: bool = False
    pixel_aspect: float = 1.0

    def upright(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Turn and mirror (H, W, 3)."""
        if self.transposed:
            image = image.swapaxes(0, 1)
        if self.mirrored:
            image = image[:, ::-1]
        if self.flipped:
            image = image[::-1]
        return np.ascontiguousarray(image)


class OrientationReader:
    """Tells the orientation of one connection's pictures, anew where anything that it depends on is another."""

    def __init__(self, stream: VideoStream) -> None:
        self._stream = stream
        self._opened = stream.codec_context.sample_aspect_ratio
        self._seen: tuple[int, int, int] | None = None
        self._aspect: Fraction | None = None
        self._others = 0  # pictures since the decoder says another aspect
        self._orientation = Orientation()

    def read(self, picture: VideoFrame) -> Orientation:
        """Of a picture that has just been decoded."""
        aspect = self._stream.codec_context.sample_aspect_ratio
        seen = picture.width, picture.height, picture.rotation
        self._others = self._others + 1 if aspect != self._aspect else 0
        if seen != self._seen or self._others > AHEAD:
            self._seen, self._aspect, self._others = seen, aspect, 0
            # what the container says goes first, but it says it once: a stream may change
            stated = self._stream.sample_aspect_ratio if aspect == self._opened else aspect
            self._orientation = _orientation(_display_matrix(picture), float(stated or 0))
        return self._orientation


def _orientation(matrix: Matrix, stated: float) -> Orientation:
    """What is stored at (p, q), x to the right and y down, is shown at (a p + c q, b p + d q), up to a shift."""
    a, b, c, d = matrix
    aspect = stated if ASPECTS[0] <= stated <= ASPECTS[1] else 1.0
    if abs(a) + abs(d) < abs(b) + abs(c):
        return Orientation(True, c < 0, b < 0, 1 / aspect)
    return Orientation(False, a < 0, d < 0, aspect)


def _display_matrix(picture: VideoFrame) -> Matrix:
    """(a, b, c, d) as FFmpeg's libavutil/display.h has them."""
    try:
        # not the picture's own: with that it would keep itself in memory until the garbage collector comes
        found = SideDataContainer(picture).get("DISPLAYMATRIX")  # type: ignore[call-arg]  # which its stub lacks
    except ValueError:  # PyAV does not know all kinds of side data, and then gives none
        return TURNS[round(picture.rotation / 90) % 4]
    if found is None:
        return TURNS[0]
    a, b, _, c, d = np.frombuffer(bytes(cast("SideData", found)), np.int32)[:5].astype(float).tolist()
    return a, b, c, d
