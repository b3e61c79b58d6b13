"""How stored pixels become RGB: by which matrix, and by which of swscale's ways; and where that cannot be right.

Its quick way is right to one level in greys and two in colours, but there is one for planes of 8 bits and an even
height only. What else has less chroma than luma it makes up to 3 levels too dark, and of 10 bits keeps no more levels
than of 8. Measured at 640x480 and 1920x1080, ms:

| pixels | swscale's choice | what is done here |
| --- | --- | --- |
| yuv420p, yuv422p | 0.25, 0.9 | the same (exactly: 1.8, 10) |
| nv12, a GPU's | 1.2, 5.9 | planes first: 0.6, 1.4 |
| yuyv422, a webcam's | 0.7, 4.8 | planes first: 0.3, 1.3 |
| yuv420p10le | 1.2, 6.1 | exactly: 1.8, 10.6 |
"""

from __future__ import annotations

import logging
from functools import lru_cache
from typing import TYPE_CHECKING, cast

import numpy as np
from av.video.reformatter import ColorPrimaries, ColorRange, ColorTrc, Interpolation

if TYPE_CHECKING:
    from av import VideoFrame
    from numpy.typing import NDArray

HDR = (ColorTrc.SMPTE2084, ColorTrc.ARIB_STD_B67)  # PQ, and HLG as phones record it
WIDE = {ColorPrimaries.BT2020: "BT.2020", ColorPrimaries.SMPTE432: "Display P3"}
# as FFmpeg's libavutil/pixfmt.h numbers them
BT709, BT601 = 1, 6
KNOWN = (1, 4, 5, 6, 7, 9)  # to swscale; any other it refuses, or takes for BT.601
MATRICES = {
    8: "YCgCo",
    10: "BT.2020 with constant luminance",
    11: "SMPTE 2085",
    12: "derived from the primaries",
    13: "derived from the primaries with constant luminance",
    14: "ICtCp",
    15: "IPT-C2",
    16: "YCgCo-Re",
    17: "YCgCo-Ro",
}
UNSAID = (0, 2, 3)  # RGB, which pixels of luma and chroma cannot be; not specified; reserved
HD = (1280, 577)  # px: as wide or as high as that is untagged video that players take for BT.709
PLANES = {  # the same samples, apart
    "nv12": "yuv420p",
    "nv21": "yuv420p",
    "nv16": "yuv422p",
    "yuyv422": "yuv422p",
    "yvyu422": "yuv422p",
    "uyvy422": "yuv422p",
}
QUICK = ("yuv420p", "yuvj420p", "yuva420p", "yuv422p", "yuvj422p")  # where the height is even
GREY = ("gray", "gray9le", "gray10le", "gray12le", "gray14le", "gray16le")
EXACT = Interpolation.BILINEAR | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT

log = logging.getLogger("deepmag.stream.capture")


def to_rgb(picture: VideoFrame, name: str, *, raw_camera: bool) -> NDArray[np.uint8]:
    """Convert to (H, W, 3) uint8, as stored.

    name: of the source, for the log.
    raw_camera: of a USB camera without compression: such pixels are BT.601 whatever their size, as UVC has it, while HD
    video that does not say is BT.709. Raises FFmpegError or ValueError where it cannot.
    """
    if picture.colorspace not in KNOWN and not picture.format.is_rgb:
        likely = BT601 if raw_camera else _likely_matrix(picture)
        if picture.colorspace not in UNSAID:
            _say_matrix(name, picture.colorspace, likely)
        picture.colorspace = likely
    if picture.color_range == ColorRange.MPEG and picture.format.name in GREY:
        return _expanded(picture)
    if picture.format.name in PLANES:
        picture = picture.reformat(format=PLANES[picture.format.name])
    quick = picture.format.is_rgb or (picture.format.name in QUICK and picture.height % 2 == 0)
    way = None if quick else EXACT
    return cast("NDArray[np.uint8]", picture.to_ndarray(format="rgb24", interpolation=way))


def _expanded(picture: VideoFrame) -> NDArray[np.uint8]:
    """RGB of a grey picture whose black is 16 and white 235, of 255: swscale takes any for full range."""
    levels = _levels(picture.format.components[0].bits)[picture.to_ndarray()]
    return np.repeat(levels[:, :, None], 3, axis=2)


@lru_cache(maxsize=8)
def _levels(bits: int) -> NDArray[np.uint8]:
    """(256,) or (65536,): what each value of a limited range is of 255; raw pictures may hold more than their bits."""
    black, white = 16 << bits - 8, 235 << bits - 8
    shares = (np.arange(256 if bits == 8 else 65536) - black) / (white - black)
    return (255 * shares.clip(0, 1)).round().astype(np.uint8)


def _likely_matrix(picture: VideoFrame) -> int:
    large = picture.width >= HD[0] or picture.height >= HD[1]
    return BT709 if large or picture.color_primaries == ColorPrimaries.BT709 else BT601


@lru_cache(maxsize=64)  # a clip is read several times
def say_foreign_colours(name: str, primaries: int, transfer: int) -> None:
    """Say in the log where colours are not those of a usual screen, and are shown as if they were."""
    if transfer in HDR:
        log.warning("%s is HDR video: its colours are taken as they are stored, and look pale", name)
    elif primaries in WIDE:
        log.warning(
            "%s has wide-gamut colours (%s): they are taken as they are stored, and look pale",
            name,
            WIDE[ColorPrimaries(primaries)],
        )


@lru_cache(maxsize=64)
def _say_matrix(name: str, stated: int, taken: int) -> None:
    log.warning(
        "%s stores its colours by a matrix that cannot be used here (%s): they are read as %s, and are not right",
        name,
        MATRICES.get(stated, f"number {stated}"),
        "BT.709" if taken == BT709 else "BT.601",
    )
