"""How stored pixels become RGB: by which matrix."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, cast

from av.video.reformatter import ColorPrimaries

if TYPE_CHECKING:
    import numpy as np
    from av import VideoFrame
    from numpy.typing import NDArray

# as FFmpeg's libavutil/pixfmt.h numbers them
BT709, BT601 = 1, 6
UNSAID = (0, 2, 3)  # RGB, which pixels of luma and chroma cannot be; not specified; reserved
HD = (1280, 577)  # px: as wide or as high as that is untagged video that players take for BT.709

log = logging.getLogger("deepmag.stream.capture")


def to_rgb(picture: VideoFrame, *, raw_camera: bool) -> NDArray[np.uint8]:
    """Convert to (H, W, 3) uint8, as stored.

    raw_camera: of a USB camera without compression: such pixels are BT.601 whatever their size, as UVC has it, while HD
    video that does not say is BT.709. Raises FFmpegError or ValueError where it cannot.
    """
    if picture.colorspace in UNSAID and not picture.format.is_rgb:
        picture.colorspace = BT601 if raw_camera else _likely_matrix(picture)
    # a GPU's: by way of yuv420p it takes half the time, and becomes the very picture of the CPU
    if picture.format.name == "nv12":
        picture = picture.reformat(format="yuv420p")
    return cast("NDArray[np.uint8]", picture.to_ndarray(format="rgb24"))


def _likely_matrix(picture: VideoFrame) -> int:
    large = picture.width >= HD[0] or picture.height >= HD[1]
    return BT709 if large or picture.color_primaries == ColorPrimaries.BT709 else BT601
