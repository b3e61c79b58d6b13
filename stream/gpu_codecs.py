"""A GPU's own circuits for video, NVDEC and NVENC: used where FFmpeg's build, the driver and the GPU have them.

Where one does not work, the CPU does it, and the log says so.
"""

from __future__ import annotations

import logging
from fractions import Fraction
from functools import cache
from typing import TYPE_CHECKING, Literal, cast

import av.error
from av import VideoFrame
from av.codec.hwaccel import HWAccel, hwdevices_available
from av.video.codeccontext import VideoCodecContext

from deepmag.export.device import devices_to_try
from deepmag.stream.render.h264 import NVENC

if TYPE_CHECKING:
    from collections.abc import Mapping

Codecs = Literal["cpu", "gpu"]

SMALL = (320, 240)  # px, of a picture to try with: more than the least that either takes
FROM_GPU = ("nv12", "p010le", "p016le", "cuda")  # the CPU's decoders give the planes apart

log = logging.getLogger("deepmag.stream.gpu_codecs")


def codec_gpu(codecs: Codecs, device: str) -> int | None:
    """The number of the GPU that is to decode and encode video, None for the CPU.

    device: as in ``--device``; ``auto`` is the first GPU. Where there is none, that is said in the log.
    """
    if codecs == "cpu":
        return None
    refusals: list[str] = []
    index = next((found.index for found in devices_to_try(device, refusals) if found.is_gpu), None)
    if index is None:
        log.warning("video is decoded and encoded by the CPU: %s", "; ".join(refusals) or "the device is cpu")
    return index


def open_nvdec(gpu: int) -> HWAccel | None:
    """What ``av.open`` wants for decoding on a GPU, or None where that does not work, and the log says why.

    What it cannot decode (a codec, a number of bits), FFmpeg decodes on the CPU without a word: see `decoded_by_gpu`.
    """
    problem = nvdec_problem(gpu)
    if problem is not None:
        log.warning("video is decoded by the CPU: NVDEC cannot be used (%s)", problem)
        return None
    return HWAccel("cuda", str(gpu), allow_software_fallback=True)


def still_decodes(gpu: int) -> bool:
    """Whether a GPU that decoded before does so now; where not, the log says why."""
    nvdec_problem.cache_clear()
    return open_nvdec(gpu) is not None


def decoded_by_gpu(picture: VideoFrame) -> bool:
    """Whether a picture that has been asked for with `open_nvdec` comes from there: by the layout of its pixels."""
    return picture.format.name in FROM_GPU


@cache
def nvdec_problem(gpu: int) -> str | None:
    """Why a GPU decodes nothing, None where it does. By trying: the driver's library for it may be missing alone.

    Once in a process, since each try takes memory of the GPU.
    """
    if "cuda" not in hwdevices_available():
        return "FFmpeg was built without it"
    encoder = VideoCodecContext.create("libx264", "w")
    encoder.width, encoder.height = SMALL
    encoder.pix_fmt, encoder.time_base = "yuv420p", Fraction(1, 30)
    packets = [*encoder.encode(VideoFrame(*SMALL, "yuv420p")), *encoder.encode(None)]
    try:
        accelerator = HWAccel("cuda", str(gpu), allow_software_fallback=False)
        decoder = VideoCodecContext.create("h264", "r", hwaccel=accelerator)
        pictures = [picture for packet in (*packets, None) for picture in decoder.decode(packet)]
    except (av.error.FFmpegError, OSError, ValueError, RuntimeError) as error:
        return _reason(error)
    return None if pictures and decoded_by_gpu(pictures[0]) else "it decodes nothing"


def nvenc_problem(gpu: int, width: int, height: int, options: Mapping[str, str]) -> str | None:
    """Why a GPU encodes no H.264 of this size with these options, None where it does.

    GPUs that are made for computing alone have no encoder, others a number of them, and none takes a picture of less
    than some hundred pixels.
    """
    try:
        context = cast("VideoCodecContext", VideoCodecContext.create(NVENC, "w"))
        context.width, context.height = width, height
        context.pix_fmt, context.time_base = "yuv420p", Fraction(1, 30)
        context.options = {**options, "gpu": str(gpu)}
        context.open()
    except (av.error.FFmpegError, OSError, ValueError) as error:  # the last: a build that has none
        return _reason(error)
    return None


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)
