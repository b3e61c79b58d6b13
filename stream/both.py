"""Pulse and respiration of one source at once: two magnifiers side by side, and one picture from both.

Respiration moves pixels, the pulse changes their colour, so what the pulse adds to the captured picture is added to
the moved one, in one go. It stays where the skin was before it moved, which is off by the magnified movement: a few
pixels, of a change that is smooth over many.
"""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING

from deepmag.stream.capture.timeline import HIGHEST_RATE
from deepmag.stream.frames import MagnifiedFrame
from deepmag.stream.roi import clamp_box
from deepmag.stream.settings import LAG_RANGE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from deepmag.stream.face import Face
    from deepmag.stream.frames import Frame
    from deepmag.stream.magnifier import Magnifier
    from deepmag.stream.pictures import Colouring, Move, Pictures
    from deepmag.stream.roi import IntBox
    from deepmag.stream.settings import Settings

# frames of one magnifier that the other has not given yet: those of the longest lag, and more
MAX_HELD = round(1.25 * HIGHEST_RATE * LAG_RANGE[1])


class Plans:
    """Implements ``Pictures`` for two magnifiers of the same frames: what each wants changed is only noted.

    pictures: what looks at the frames, and changes them when both have said what they want.
    """

    def __init__(self, pictures: Pictures) -> None:
        self._pictures = pictures
        self._moves: dict[tuple[int, int], Move] = {}
        self._colourings: dict[tuple[int, int], Colouring] = {}

    def memory(self, shape: tuple[int, ...]) -> NDArray[np.uint8]:
        """See ``Pictures``."""
        return self._pictures.memory(shape)

    def expect(self, frame: Frame) -> None:
        """See ``Pictures``."""
        self._pictures.expect(frame)

    def reduce(self, frame: Frame, box: IntBox) -> NDArray[np.float32]:
        """See ``Pictures``."""
        return self._pictures.reduce(frame, box)

    def luma(self, frame: Frame, box: IntBox) -> NDArray[np.float32]:
        """See ``Pictures``."""
        return self._pictures.luma(frame, box)

    def change(
        self, frame: Frame, *, move: Move | None = None, colouring: Colouring | None = None
    ) -> NDArray[np.uint8]:
        """Note what is to be done. Returns the frame's own picture."""
        key = (frame.session, frame.seq)
        if move is not None:
            self._moves[key] = move
        if colouring is not None:
            # It waits for respiration's part, for seconds: with the host, where a GPU that fails cannot take it along.
            self._colourings[key] = colouring.settled()
        return frame.image

    def carry_out(self, frame: Frame) -> NDArray[np.uint8]:
        """What both want of a frame, (H, W, 3) uint8; once for each frame."""
        key = (frame.session, frame.seq)
        return self._pictures.change(
            frame, move=self._moves.pop(key, None), colouring=self._colourings.pop(key, None)
        )


class BothMagnifier:
    """Magnifies pulse and respiration. Implements ``Magnifier``.

    Both magnifiers take every frame, with the same settings, so that they give the same frames in the same order.
    What one gives earlier is held until the other has it. plans: where both note what they want changed. clock:
    time.monotonic, for ``MagnifiedFrame.ready`` only.
    """

    def __init__(
        self, pulse: Magnifier, respiration: Magnifier, plans: Plans, clock: Callable[[], float]
    ) -> None:
        self._pulse = pulse
        self._respiration = respiration
        self._plans = plans
        self._clock = clock
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

    def expect(self, frame: Frame) -> None:
        """See ``Magnifier.expect``."""
        self._pulse.expect(frame)
        self._respiration.expect(frame)

    def push(
        self, frame: Frame, settings: Settings, faces: Sequence[Face] | None = None
    ) -> list[MagnifiedFrame]:
        """Take the next frame; see ``Magnifier.push``.

        Raises RegionError where an explicit region lies outside the picture; then neither magnifier has taken it.
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
                image=self._plans.carry_out(moved.frame),
                pulse=coloured.pulse,
                respiration=moved.respiration,
                roi=coloured.roi,
                ready=self._clock(),
                early=coloured.early and moved.early,  # else one of them had it at its time
            )
