"""One picture to a PNG file."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import cv2

from deepmag.stream.render.compose import picture, square
from deepmag.stream.render.renderer import RendererError

if TYPE_CHECKING:
    import os
    from datetime import datetime

    from deepmag.stream.frames import MagnifiedFrame


def snapshot_name(frame: MagnifiedFrame, *, now: float, wall: datetime) -> str:
    """Name a file by when its frame arrived, which sorts by time and is legal everywhere.

    now: s (monotonic), of the same moment as wall. Of a source that is lost the newest frame is an old one.
    """
    arrived = wall - timedelta(seconds=now - frame.frame.arrived)
    return f"deepmag-{arrived:%Y%m%d-%H%M%S}-{arrived.microsecond // 1000:03d}.png"


def save_snapshot(
    frame: MagnifiedFrame, path: str | os.PathLike[str], *, original_beside: bool = True
) -> Path:
    """Write the magnified picture as PNG, with the original at its left unless told otherwise.

    Returns the path, with .png where it had another suffix or none. Raises RendererError where it cannot
    be written.
    """
    target = Path(path)
    if target.suffix.lower() != ".png":
        target = target.with_name(target.name + ".png")
    image = square(picture(frame, original_beside=original_beside), frame.frame.pixel_aspect)
    _, encoded = cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    try:
        # Not cv2.imwrite: it says only "False", never why.
        target.write_bytes(encoded.tobytes())
    except OSError as error:
        raise RendererError(f"cannot save the snapshot {target}: {error.strerror}") from None
    return target
