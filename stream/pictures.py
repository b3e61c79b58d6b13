"""What is done to whole pictures: reduced, moved, coloured. Here on the CPU; see `device_pictures` for a GPU."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from deepmag.models.reconstruction import magnify_frame
from deepmag.models.representation import reduce_frame

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from deepmag.models.window import SlidingWindow
    from deepmag.stream.frames import Frame
    from deepmag.stream.roi import IntBox


@dataclass(frozen=True, slots=True)
class Move:
    """How far the breath moved a box. motion: (2, GRID, GRID) cells. gain: how many times as far it shall be moved."""

    box: IntBox
    motion: NDArray[np.float32]
    gain: float


@dataclass(frozen=True, slots=True)
class Colouring:
    """What Eq. 17 takes. small: (3, L, L), the box area-averaged, grey levels.

    factor: like it, S of Eq. 16; or the window whose filter makes it, as it is now. It is multiplied by ``scale``, and
    held within ``limit``.
    """

    box: IntBox
    small: NDArray[np.float32]
    factor: NDArray[np.float32] | SlidingWindow
    scale: float = 1.0
    limit: float = np.inf

    def log_factor(self) -> NDArray[np.float32]:
        """Like ``small``: S, scaled and limited."""
        factor = self.factor if isinstance(self.factor, np.ndarray) else self.factor.log_factor()
        scaled: NDArray[np.float32] = np.clip(factor * np.float32(self.scale), -self.limit, self.limit)
        return scaled

    def settled(self) -> Colouring:
        """The same for as long as one likes, whatever the window takes in meanwhile."""
        return Colouring(self.box, self.small, self.log_factor())


class Pictures(Protocol):
    """The passes over every pixel of a frame, of one stream: two that look, and one that changes it."""

    def memory(self, shape: tuple[int, ...]) -> NDArray[np.uint8]:
        """Make room for a picture, uint8, from where it comes fastest to where it is worked on. For any thread."""
        ...

    def expect(self, frame: Frame) -> None:
        """Say that a frame will be asked for soon: it may be brought to where it is worked on as another comes back."""
        ...

    def reduce(self, frame: Frame, box: IntBox) -> NDArray[np.float32]:
        """A frame's region, area-averaged: (3, L, L), grey levels. Raises ValueError for one smaller than L x L."""
        ...

    def luma(self, frame: Frame, box: IntBox) -> NDArray[np.float32]:
        """A region's luma, area-averaged to a square: see `phase.reduce_luma`."""
        ...

    def change(
        self, frame: Frame, *, move: Move | None = None, colouring: Colouring | None = None
    ) -> NDArray[np.uint8]:
        """Make the picture to be shown of a frame, in the order in which frames were reduced.

        What moves is moved first (`breath_ticks.displace_box`); Eq. 17 (`reconstruction.magnify_frame`) is added to
        that. Returns the frame's own picture where nothing changes.
        """
        ...


class HostPictures:
    """On the CPU. Implements ``Pictures``."""

    def memory(self, shape: tuple[int, ...]) -> NDArray[np.uint8]:
        """See ``Pictures``."""
        return np.empty(shape, np.uint8)

    def expect(self, frame: Frame) -> None:
        """See ``Pictures``. It is there already."""

    def reduce(self, frame: Frame, box: IntBox) -> NDArray[np.float32]:
        """See ``Pictures``."""
        x, y, w, h = box
        return reduce_frame(frame.image[y : y + h, x : x + w])

    def luma(self, frame: Frame, box: IntBox) -> NDArray[np.float32]:
        """See ``Pictures``."""
        from deepmag.models.phase import reduce_luma  # only here: the pulse needs nothing of it

        x, y, w, h = box
        return reduce_luma(frame.image[y : y + h, x : x + w])

    def change(
        self, frame: Frame, *, move: Move | None = None, colouring: Colouring | None = None
    ) -> NDArray[np.uint8]:
        """See ``Pictures``."""
        image = frame.image
        if move is not None:
            from deepmag.stream.breath_ticks import displace_box

            image = displace_box(image, move.box, move.motion, move.gain)
        if colouring is not None:
            image = magnify_frame(image, colouring.small, colouring.log_factor(), colouring.box)
        return image
