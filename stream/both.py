"""Pulse and respiration of one source at once: two magnifiers side by side, and one picture from both.

Respiration moves pixels, the pulse changes their colour, so what the pulse adds to the captured picture is added to
the moved one. It stays where the skin was before it moved, which is off by the magnified movement: a few pixels, of a
change that is smooth over many.
"""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING

import cv2
import numpy as np

from deepmag.stream.frames import MagnifiedFrame
from deepmag.stream.roi import clamp_box

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from deepmag.stream.face import Face
    from deepmag.stream.frames import Frame
    from deepmag.stream.magnifier import Magnifier
    from deepmag.stream.settings import Settings

CACHED = 1 << 17  # bytes of a picture that are combined at a time
MAX_HELD = (
    300  # frames of one magnifier that the other has not given yet: the longest lag at 130 Hz, and more
)


def combine(
    original: NDArray[np.uint8], moved: NDArray[np.uint8], coloured: NDArray[np.uint8]
) -> NDArray[np.uint8]:
    """Add to the moved picture what was added to the original's colours. All (H, W, 3) uint8; clipped to [0, 255].

    What became brighter and what became darker, each cut at 0, are added and taken away one after the other: in a pixel
    one of them is nothing, and bytes are many times as fast as the 16 bits that their difference would need. Some rows
    at a time, so that what is between the steps stays in the cache.
    """
    out = np.empty(original.shape, np.uint8)
    rows = max(1, CACHED // original[0].nbytes)
    for top in range(0, len(original), rows):
        part = slice(top, top + rows)
        cv2.add(moved[part], cv2.subtract(coloured[part], original[part]), dst=out[part])
        cv2.subtract(out[part], cv2.subtract(original[part], coloured[part]), dst=out[part])
    return out


class BothMagnifier:
    """Magnifies pulse and respiration. Implements ``Magnifier``.

    Both magnifiers take every frame, with the same settings, so that they give the same frames in the same order.
    What one gives earlier is held until the other has it.
    """

    def __init__(self, pulse: Magnifier, respiration: Magnifier) -> None:
        self._pulse = pulse
        self._respiration = respiration
        self._coloured: deque[MagnifiedFrame] = deque()
        self._moved: deque[MagnifiedFrame] = deque()

    @property
    def rate(self) -> float:
        """Ticks per second of the filters' clock."""
        return self._pulse.rate

    @property
    def waiting(self) -> int:
        """Frames inside, which have not come out yet."""
        return max(self._pulse.waiting + len(self._coloured), self._respiration.waiting + len(self._moved))

    def push(
        self, frame: Frame, settings: Settings, faces: Sequence[Face] | None = None
    ) -> list[MagnifiedFrame]:
        """Take the next frame; see ``Magnifier.push``.

        Raises ValueError where an explicit region lies outside the picture; then neither magnifier has taken it.
        """
        if isinstance(settings.roi, tuple):
            height, width = frame.image.shape[:2]
            # cut here: a box that one of them takes and the other refuses would part them
            settings = replace(settings, roi=clamp_box(settings.roi, (width, height)))
        self._coloured += self._pulse.push(frame, settings, faces)
        self._moved += self._respiration.push(frame, settings, faces)
        done = list(self._pairs())
        if max(len(self._coloured), len(self._moved)) > MAX_HELD:
            raise RuntimeError("pulse and respiration have fallen apart: one of them keeps its frames")
        return done

    def flush(self) -> list[MagnifiedFrame]:
        """The end of a session: what is still inside comes out, and all is forgotten."""
        self._coloured += self._pulse.flush()
        self._moved += self._respiration.flush()
        done = list(self._pairs())
        if self._coloured or self._moved:
            raise RuntimeError("pulse and respiration have fallen apart: one of them lost frames")
        return done

    def _pairs(self) -> Iterator[MagnifiedFrame]:
        """What both have given."""
        while self._coloured and self._moved:
            coloured, moved = self._coloured.popleft(), self._moved.popleft()
            if coloured.frame is not moved.frame:
                raise RuntimeError("pulse and respiration have fallen apart: they gave different frames")
            yield MagnifiedFrame(
                frame=moved.frame,
                image=combine(moved.frame.image, moved.image, coloured.image),
                pulse=coloured.pulse,
                respiration=moved.respiration,
                roi=coloured.roi,
                ready=max(coloured.ready, moved.ready),
            )
