"""What is done to whole pictures: reduced, coloured, moved. Here on the CPU; see `device_pictures` for a GPU."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from deepmag.models.reconstruction import magnify_frame
from deepmag.models.representation import reduce_frame

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from deepmag.stream.frames import Frame
    from deepmag.stream.roi import IntBox


class Pictures(Protocol):
    """The passes over every pixel of a frame, of one stream: two for the pulse, two for respiration."""

    def reduce(self, frame: Frame, box: IntBox) -> NDArray[np.float32]:
        """A frame's region, area-averaged: (3, L, L), grey levels. Raises ValueError for one smaller than L x L."""
        ...

    def magnify(
        self, frame: Frame, small: NDArray[np.float32], log_factor: NDArray[np.float32], box: IntBox
    ) -> NDArray[np.uint8]:
        """Eq. 17 on a frame, as `reconstruction.magnify_frame`. Frames come in the order in which they were reduced."""
        ...

    def luma(self, frame: Frame, box: IntBox) -> NDArray[np.float32]:
        """A region's luma, area-averaged to a square: see `phase.reduce_luma`."""
        ...

    def displace(
        self, frame: Frame, box: IntBox, motion: NDArray[np.float32], gain: float
    ) -> NDArray[np.uint8]:
        """A frame whose region is moved ``gain`` times as far as it was: see `breath_ticks.displace_box`."""
        ...


class HostPictures:
    """On the CPU. Implements ``Pictures``."""

    def reduce(self, frame: Frame, box: IntBox) -> NDArray[np.float32]:
        """See ``Pictures``."""
        x, y, w, h = box
        return reduce_frame(frame.image[y : y + h, x : x + w])

    def magnify(
        self, frame: Frame, small: NDArray[np.float32], log_factor: NDArray[np.float32], box: IntBox
    ) -> NDArray[np.uint8]:
        """See ``Pictures``."""
        return magnify_frame(frame.image, small, log_factor, box)

    # torch, for which the pulse need not wait, comes with the following two

    def luma(self, frame: Frame, box: IntBox) -> NDArray[np.float32]:
        """See ``Pictures``."""
        from deepmag.models.phase import reduce_luma

        x, y, w, h = box
        return reduce_luma(frame.image[y : y + h, x : x + w])

    def displace(
        self, frame: Frame, box: IntBox, motion: NDArray[np.float32], gain: float
    ) -> NDArray[np.uint8]:
        """See ``Pictures``."""
        from deepmag.stream.breath_ticks import displace_box

        return displace_box(frame.image, box, motion, gain)
