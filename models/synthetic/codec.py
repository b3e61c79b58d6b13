"""H.264 as cameras and video calls send it: pictures coded at a stated bit rate and decoded again, in memory."""

from __future__ import annotations

import io
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

MIN_SIDE = 16  # px: one macroblock


def h264(
    video: NDArray[np.uint8],
    rate: float,
    bit_rate: float,
    *,
    live: bool = True,
    keyframe_seconds: float = 4.0,
) -> tuple[NDArray[np.uint8], float]:
    """What is left of a video after H.264 (libx264, 4:2:0) at ``bit_rate``.

    video: (T, H, W, 3) RGB. rate: Hz. bit_rate: bits per second. live: as a webcam or a call encodes, with no frame
    looked ahead and none predicted from a later one; else as a file is made. Returns the decoded video, of the same
    shape, and the bit rate that the encoder in fact produced. Raises ValueError for a video without frames or less
    than 16 px wide or high, and for a bit rate that is not positive.
    """
    import av

    frames, height, width, _ = video.shape
    if not frames or min(height, width) < MIN_SIDE:
        raise ValueError(
            f"H.264 needs pictures of at least {MIN_SIDE} px: got {width}x{height}, {frames} frames"
        )
    if not bit_rate > 0:
        raise ValueError(f"the bit rate must be positive, not {bit_rate}")
    stored = io.BytesIO()
    # 4:2:0 halves the colour planes, so odd sides are padded with their own edge and cut again
    even = ((0, 0), (0, height % 2), (0, width % 2), (0, 0))
    padded = np.pad(video, even, mode="edge") if height % 2 or width % 2 else video
    with av.open(stored, "w", format="matroska") as sink:
        stream = sink.add_stream("libx264", rate=Fraction(rate).limit_denominator(1001))
        stream.width, stream.height, stream.pix_fmt = padded.shape[2], padded.shape[1], "yuv420p"
        stream.bit_rate = int(bit_rate)
        stream.thread_count = 1  # the result must not depend on the machine
        stream.gop_size = max(1, round(keyframe_seconds * rate))
        kbit = max(1, round(bit_rate / 1000))
        # the buffer of one second is what holds the rate in a clip of a few seconds
        limits = f"vbv-maxrate={kbit}:vbv-bufsize={kbit}:threads=1:scenecut=0"
        stream.options = {"preset": "veryfast", "x264-params": limits}
        if live:
            stream.options = {**stream.options, "tune": "zerolatency"}
        for picture in padded:
            sink.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")))
        sink.mux(stream.encode())
    size = 0
    stored.seek(0)
    decoded = np.empty_like(video)
    count = 0
    with av.open(stored, "r") as source:
        source.streams.video[0].thread_count = 1
        for packet in source.demux(video=0):
            size += packet.size
            for frame in packet.decode():
                decoded[count] = frame.to_ndarray(format="rgb24")[:height, :width]
                count += 1
    if count != frames:
        raise RuntimeError(f"the decoder returned {count} of {frames} frames")
    return decoded, 8.0 * size * rate / frames
