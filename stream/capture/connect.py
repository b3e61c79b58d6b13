"""From an address to an open container, and the video in it."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, cast

import av
import av.error
from av.stream import Disposition

from deepmag.stream.capture.failures import open_failure
from deepmag.stream.capture.options import openings
from deepmag.stream.capture.source import SourceError

if TYPE_CHECKING:
    from av import VideoStream
    from av.codec.hwaccel import HWAccel
    from av.container import InputContainer

    from deepmag.stream.capture.address import Address
    from deepmag.stream.capture.options import Opening, Transport

CLIP_FORMATS = {"mp4", "matroska", "avi"}


def connect(
    address: Address,
    transport: Transport,
    stall: float | None,
    *,
    clip: bool,
    accelerator: HWAccel | None,
) -> tuple[InputContainer, Opening]:
    """Open in the best way that works; for ``stall`` and ``clip`` see ``openings``. Raises SourceError."""
    first: SourceError | None = None
    for opening in openings(address, transport, stall, clip=clip):
        try:
            container = av.open(
                opening.url,
                format=opening.format,
                options=opening.options,
                timeout=(opening.open_timeout, opening.read_timeout),
                metadata_errors="replace",
                hwaccel=accelerator,
            )
        except (av.error.FFmpegError, OSError, ValueError) as error:
            first = first or open_failure(error, address)  # the telling one: it is what was wanted
            # where neither a format was refused nor a bus is full, another way fares no better
            if getattr(error, "errno", None) not in (errno.EINVAL, errno.ENOSPC):
                break
        else:
            rates = [float(stream.average_rate or opening.least_rate) for stream in container.streams.video]
            if not rates or max(rates) >= opening.least_rate:
                return container, opening
            container.close()
    assert first is not None  # there is at least one way
    raise first from None


def is_clip(container: InputContainer, address: Address) -> bool:
    """Whether what a web server sends has an end: as a stream it would come all at once, again and again.

    Of a stream no server knows the size. The length alone tells nothing: fragmented MP4 states a fragment's. But a
    list of segments that will grow states none.
    """
    formats = set(container.format.name.split(","))
    if address.kind != "url" or not container.duration:
        return False
    return "hls" in formats or bool(formats & CLIP_FORMATS and container.size > 0)


def find_video(container: InputContainer, name: str, *, may_begin: bool) -> VideoStream:
    """Find the best video stream that is no cover picture, and that can be decoded; else SourceError.

    may_begin: a container without any stream yet may have one later.
    """
    streams = [s for s in container.streams.video if not s.disposition & Disposition.attached_pic]
    if not streams:
        # a list of segments has nothing yet where its encoder has just begun; one of sound goes on being one
        raise SourceError(f"{name}: there is no video in it", retry=may_begin and not container.streams)
    best = container.streams.best("video")  # which may be a cover picture
    stream = next((s for s in streams if s is best), None) or max(
        streams, key=lambda s: bool(s.disposition & Disposition.default)
    )
    if cast("av.VideoCodecContext | None", stream.codec_context) is None:  # no decoder for it
        raise SourceError(f"{name}: its video codec cannot be decoded here", retry=False)
    return stream
