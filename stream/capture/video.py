"""Everything PyAV opens: files, RTSP, other URLs and V4L2 cameras.

The thread that iterates over ``frames`` is the only one that touches the container: closing it from another
one kills the process. To be stoppable all the same, a read blocks for a bounded time only.
"""

from __future__ import annotations

import errno
import logging
import time
from collections import Counter
from typing import TYPE_CHECKING, cast

import av
import av.error
import numpy as np
from av.stream import Disposition

from deepmag.stream.capture.failures import open_failure, read_failure
from deepmag.stream.capture.limits import Limits
from deepmag.stream.capture.options import openings
from deepmag.stream.capture.pacing import Pacer
from deepmag.stream.capture.source import SourceError
from deepmag.stream.capture.timeline import RateLimit, Timeline
from deepmag.stream.frames import Frame
from deepmag.stream.gpu_codecs import open_nvdec

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterator

    from av import Packet, VideoFrame, VideoStream
    from av.container import InputContainer
    from numpy.typing import NDArray

    from deepmag.stream.capture.address import Address
    from deepmag.stream.capture.open import Pace
    from deepmag.stream.capture.options import Opening, Transport

log = logging.getLogger("deepmag.stream.capture")

CAMERA_POLL = 0.002  # s between two looks whether a camera has a picture
NO_PICTURE = 15.0  # s of data without a picture: longer than cameras go between two key frames


class VideoSource:
    """Pictures from anything that PyAV opens; see ``Source`` and ``open_source``.

    nominal_rate: frames/s as the container states it, or None; known from the first frame on.
    skipped: pictures not delivered, by reason ("corrupt", "too fast").
    """

    def __init__(
        self,
        address: Address,
        *,
        transport: Transport = "tcp",
        pace: Pace = "file",
        loop: bool = False,
        limits: Limits | None = None,
        stall: float | None = None,
        gpu: int | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = address.name
        self.live = address.live
        self.nominal_rate: float | None = None
        self.skipped: Counter[str] = Counter()
        self._address = address
        self._transport: Transport = transport
        self._paced = pace == "file" and not address.live
        self._loop = loop and not address.live
        self._limits = limits or Limits()
        self._stall = stall
        self._gpu = gpu
        self._clock = clock

    def frames(self, stop: threading.Event) -> Iterator[Frame]:
        """Open, deliver until the end or ``stop``, close. Raises SourceError."""
        timeline: Timeline | None = None
        rate_limit, pacer, seq = RateLimit(), Pacer(), 0
        while not stop.is_set():
            before = seq
            for picture in self._pictures(stop):
                timeline = timeline or Timeline(live=self.live, nominal_rate=self.nominal_rate)
                arrived = self._clock()
                session, pts = timeline.place(picture.time, arrived, (picture.width, picture.height))
                if not rate_limit.admits(session, pts):
                    self._skip("too fast")
                    continue
                image = self._image(picture)
                if self._paced:
                    if stop.wait(pacer.delay(session, pts, arrived)):
                        return
                    arrived = self._clock()
                yield Frame(session, seq, pts, arrived, image)
                seq += 1
            if seq == before and not self.live and not stop.is_set():
                raise SourceError(f"{self.name}: not one picture in it could be decoded", retry=False)
            if not self._loop:
                return

    def _pictures(self, stop: threading.Event) -> Iterator[VideoFrame]:
        """Yield the decoded pictures of one connection, the broken ones left out."""
        container, opening = self._open()
        try:
            stream = self._stream(container)
            size, last = (0, 0), self._clock()
            for packet in self._packets(container, stream, opening, stop):
                try:
                    pictures = packet.decode()
                except av.error.FFmpegError:
                    if packet.size:  # not at the flush
                        self._skip("corrupt")
                    pictures = []
                for picture in pictures:
                    if picture.is_corrupt:
                        self._skip("corrupt")
                        continue
                    if size != (picture.width, picture.height):
                        size = picture.width, picture.height
                        self._limits.check(*size, self.name)
                    yield picture
                    last = self._clock()
                if self.live and self._clock() - last > NO_PICTURE:
                    raise SourceError(
                        f"{self.name} sends data, but no picture that can be decoded", retry=True
                    )
        finally:
            container.close()

    def _open(self) -> tuple[InputContainer, Opening]:
        first: SourceError | None = None
        # asked at each connection: where the GPU has gone since the last, the CPU decodes
        accelerator = None if self._gpu is None else open_nvdec(self._gpu)
        for opening in openings(self._address, self._transport, self._stall):
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
                first = first or open_failure(error, self._address)  # the telling one: it is what was wanted
                if getattr(error, "errno", None) != errno.EINVAL:
                    break  # no format was refused: a plainer one fares no better
            else:
                return container, opening
        assert first is not None  # there is at least one way
        raise first from None

    def _stream(self, container: InputContainer) -> VideoStream:
        """Find the first video stream that is no cover picture; SourceError where it cannot be used."""
        streams = [s for s in container.streams.video if not s.disposition & Disposition.attached_pic]
        if not streams:
            raise SourceError(f"{self.name}: there is no video in it", retry=False)
        stream = streams[0]
        codec = cast("av.VideoCodecContext | None", stream.codec_context)  # None: no decoder for it
        if codec is None:
            raise SourceError(f"{self.name}: its video codec cannot be decoded here", retry=False)
        if codec.width and codec.height:  # 0 where a live stream has not yet told
            self._limits.check(codec.width, codec.height, self.name)
        rate = float(stream.average_rate or stream.guessed_rate or 0)
        self.nominal_rate = rate if 0 < rate <= 10_000 else None
        log.info(
            "%s: %s %dx%d, %s frames/s%s",
            self.name,
            codec.name,
            codec.width,
            codec.height,
            f"{rate:.4g}" if self.nominal_rate else "an unknown number of",
            ", decoded by the GPU" if codec.is_hwaccel else "",
        )
        return stream

    def _packets(
        self, container: InputContainer, stream: VideoStream, opening: Opening, stop: threading.Event
    ) -> Iterator[Packet[VideoStream]]:
        """Yield packets until the end or ``stop``; SourceError when a live source stalls or breaks."""
        heard = self._clock()
        while not stop.is_set():
            try:
                for read in container.demux(stream):
                    heard = self._clock()
                    packet = _detached(read) if opening.format == "v4l2" else read
                    del read
                    yield packet
                    if stop.is_set():
                        return
            except BlockingIOError:  # a camera without a new picture
                stop.wait(CAMERA_POLL)
            except av.error.ExitError:  # the read timed out
                if not opening.resumable:
                    raise SourceError(f"{self.name}: no data any more", retry=True) from None
            except av.error.FFmpegError as error:
                failure = read_failure(error, self.name)
                if self.live:
                    raise failure from None
                self._skip("corrupt")
                log.warning("%s; taking what came before as the whole of it", failure)
                return
            else:
                return
            if self._clock() - heard > opening.stall:
                raise SourceError(f"{self.name}: no data for {opening.stall:g} s", retry=True)

    def _image(self, picture: VideoFrame) -> NDArray[np.uint8]:
        """Convert to (H, W, 3) uint8 RGB, upright, not writeable."""
        try:
            image = cast("NDArray[np.uint8]", picture.to_ndarray(format="rgb24"))
        except (av.error.FFmpegError, ValueError):
            raise SourceError(
                f"{self.name}: pictures in the format {picture.format.name} cannot be converted", retry=False
            ) from None
        quarters = round(picture.rotation / 90) % 4  # a telephone's note on how it was held, anticlockwise
        if quarters:
            image = np.ascontiguousarray(np.rot90(image, quarters))
        image.setflags(write=False)
        return image

    def _skip(self, reason: str) -> None:
        self.skipped[reason] += 1
        if self.skipped[reason] == 1:
            log.warning("%s: a picture was left out (%s); more are only counted", self.name, reason)


def _detached(packet: Packet[VideoStream]) -> Packet[VideoStream]:
    """Copy a camera's packet, which lies in the driver's memory.

    That memory goes when the container is closed: a packet, or a raw picture decoded from it, which is still
    referred to from anywhere then (the traceback of an exception will do) crashes the process when it goes.
    """
    copy = cast("Packet[VideoStream]", av.Packet(bytes(packet)))
    copy.stream = packet.stream
    copy.time_base, copy.pts, copy.dts = packet.time_base, packet.pts, packet.dts
    copy.is_keyframe = packet.is_keyframe
    return copy
