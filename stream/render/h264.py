"""RGB pictures to H.264 packets.

The encoders here take little: two threads, so that the engine keeps its cores, or none where a GPU encodes, and no
B-frames, so that a packet leaves as soon as its picture is known and a killed process loses little.
Measured at 640x480, CPU time for one picture: crf 18 veryfast 7 ms, lossless ultrafast 7 ms (superfast
takes 25 ms and saves only an eighth of the size).
"""

from __future__ import annotations

import logging
from fractions import Fraction
from typing import TYPE_CHECKING

from av import VideoFrame
from av.video.frame import PictureType
from av.video.reformatter import ColorRange, Colorspace, VideoReformatter

if TYPE_CHECKING:
    import numpy as np
    from av.video.codeccontext import VideoCodecContext
    from numpy.typing import NDArray

NVENC = "h264_nvenc"
THREADS = 2
MAX_ASPECT_TERM = 1000  # of the two numbers that state a pixel's aspect; those in use have up to three digits
KEYFRAME_PERIOD = 1.0  # s; what a killed process can lose of an .mp4
AVCOL_SPC_SMPTE170M = 6  # BT.601 matrix, as the codec's header names it

RECORDING_OPTIONS = {"preset": "veryfast", "crf": "18", "bf": "0"}
LOSSLESS_OPTIONS = {"preset": "ultrafast", "qp": "0", "bf": "0"}
# No keyframes at scene cuts: a lamp that is switched on must not burst the link; the 2 s ones suffice.
# A quality cap (vbv) would need the link's rate, which nobody knows; crf 23 is 0.5 Mb/s for a face, 640x480.
LIVE_OPTIONS = {"preset": "veryfast", "tune": "zerolatency", "crf": "23", "bf": "0", "sc_threshold": "0"}
# NVENC knows no crf: a constant quantizer is what comes nearest. forced-idr: a picture that is asked to be a keyframe
# is one to join at; delay, zerolatency: each picture's packet leaves with it.
NVENC_RECORDING_OPTIONS = {"preset": "p5", "rc": "constqp", "qp": "19", "bf": "0"}
NVENC_LIVE_OPTIONS = {
    "preset": "p4", "tune": "ull", "zerolatency": "1", "delay": "0", "rc": "constqp", "qp": "25", "bf": "0",
    "forced-idr": "1", "no-scenecut": "1",
}  # fmt: skip

log = logging.getLogger("deepmag.render.h264")


def choose_encoder(
    gpu: int | None, size: tuple[int, int], cpu: dict[str, str], nvenc: dict[str, str]
) -> tuple[str, dict[str, str]]:
    """Name of an encoder and its options: NVENC where it is asked for and works, else x264, and the log says why.

    gpu: number of the GPU, None for the CPU. size: width and height, px. cpu, nvenc: options of each.
    """
    if gpu is not None:
        from deepmag.stream.gpu_codecs import nvenc_problem

        problem = nvenc_problem(gpu, *size, nvenc)
        if problem is None:
            return NVENC, {**nvenc, "gpu": str(gpu)}
        log.warning("video is encoded by the CPU: NVENC cannot be used (%s)", problem)
    return "libx264", cpu


def as_rate(fps: float) -> Fraction:
    """Return a frame rate as the fraction that containers want; 30 where the source names none."""
    return Fraction(fps).limit_denominator(100_000) if 0 < fps < 1000 else Fraction(30)


def keyframe_interval(fps: float, period: float = KEYFRAME_PERIOD) -> str:
    """Frames between keyframes, as an encoder option. period: s."""
    return str(max(1, round(float(as_rate(fps)) * period)))


def configure(
    context: VideoCodecContext, *, time_base: Fraction, lossless: bool, pixel_aspect: float
) -> None:
    """Set what both kinds of stream share on a codec context that is not yet open. pixel_aspect: see `Frame`."""
    context.time_base = time_base
    context.sample_aspect_ratio = Fraction(pixel_aspect).limit_denominator(MAX_ASPECT_TERM)
    context.thread_count = THREADS
    if lossless:
        context.pix_fmt = "rgb24"
        return
    context.pix_fmt = "yuv420p"
    # Tagged BT.601, which is also what players assume of an untagged small picture: right with either.
    context.colorspace = AVCOL_SPC_SMPTE170M
    context.color_range = ColorRange.MPEG


class Converter:
    """RGB arrays to the frames that an encoder takes. lossless: keep RGB, bit for bit."""

    def __init__(self, *, time_base: Fraction, lossless: bool) -> None:
        self._time_base = time_base
        self._lossless = lossless
        self._reformatter = VideoReformatter()

    def size(self, height: int, width: int) -> tuple[int, int]:
        """Return the encoded width and height: 4:2:0 has no odd last row or column, so none is kept."""
        return (width, height) if self._lossless else (width & ~1, height & ~1)

    def convert(self, image: NDArray[np.uint8], ticks: int, *, keyframe: bool = False) -> VideoFrame:
        """Convert (H, W, 3) uint8 RGB. ticks: presentation time in units of the time base."""
        width, height = self.size(image.shape[0], image.shape[1])
        frame = VideoFrame.from_ndarray(image[:height, :width], format="rgb24")
        if not self._lossless:
            # One thread: swscale's own default is one for each core.
            frame = self._reformatter.reformat(
                frame,
                format="yuv420p",
                dst_colorspace=Colorspace.ITU601,
                dst_color_range=ColorRange.MPEG,
                threads=1,
            )
        frame.pts = ticks
        frame.time_base = self._time_base
        if keyframe:
            frame.pict_type = PictureType.I
        return frame
