"""How a stored picture is to be shown: turned or mirrored, and the shape of its pixels."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import numpy as np

if TYPE_CHECKING:
    from av import VideoFrame, VideoStream
    from av.sidedata.sidedata import SideData
    from numpy.typing import NDArray

ASPECTS = (0.25, 4.0)  # of a pixel: beyond, a stream that says so is not believed

Matrix = tuple[float, float, float, float]


def upright(image: NDArray[np.uint8], picture: VideoFrame) -> NDArray[np.uint8]:
    """Turn and mirror (H, W, 3) as the decoded picture's display matrix says, to quarters of a circle."""
    matrix = _display_matrix(picture)
    if matrix is None:
        return image
    a, b, c, d = matrix
    across, down = a, d
    if _lies(matrix):
        image, across, down = image.swapaxes(0, 1), c, b
    if across < 0:
        image = image[:, ::-1]
    if down < 0:
        image = image[::-1]
    return np.ascontiguousarray(image)


def pixel_aspect(picture: VideoFrame, stream: VideoStream) -> float:
    """Width of a shown pixel over its height: 1, as of most video, where the stream does not say otherwise."""
    stated = float(stream.sample_aspect_ratio or 0)
    aspect = stated if ASPECTS[0] <= stated <= ASPECTS[1] else 1.0
    matrix = _display_matrix(picture)
    return aspect if matrix is None or not _lies(matrix) else 1 / aspect


def _lies(matrix: Matrix) -> bool:
    """Whether rows are to be shown as columns."""
    a, b, c, d = matrix
    return abs(a) + abs(d) < abs(b) + abs(c)


def _display_matrix(picture: VideoFrame) -> Matrix | None:
    """(a, b, c, d) where there is one, as FFmpeg's libavutil/display.h has it.

    What is stored at (p, q), x to the right and y down, is shown at (a p + c q, b p + d q), up to a shift.
    """
    found = picture.side_data.get("DISPLAYMATRIX")
    if found is None:
        return None
    a, b, _, c, d = np.frombuffer(bytes(cast("SideData", found)), np.int32)[:5].astype(float).tolist()
    return a, b, c, d
