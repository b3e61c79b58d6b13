"""A short clip made on the spot, whose frames know their number, and how many pictures a file plays."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
from render_frames import numbered

RATE = 30


def make_clip(path: Path, frames: int = 60, size: tuple[int, int] = (160, 120), rate: int = RATE) -> Path:
    """H.264. rate: Hz. size: (width, height), px; the frame's number is painted where it is at least 160 x 120."""
    width, height = size
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=rate, options={"preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for number in range(frames):
            image = numbered(number, max(height, 120), max(width, 160))[:height, :width]
            container.mux(
                stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24"))
            )
        container.mux(stream.encode())
    return path


def pictures_in(path: Path) -> int:
    """Decode the whole file; how many pictures it plays."""
    with av.open(str(path)) as container:
        return sum(1 for _ in container.decode(video=0))
