"""Everything PyAV opens: files, RTSP, other URLs and V4L2 cameras.

The thread that iterates over ``frames`` opens and closes the container: to close one that another thread reads from
kills the process. A network's stream is read by a thread of its own (`read_ahead`), which is waited for before that;
for this a read blocks for a bounded time only.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import time
from collections import Counter
from functools import lru_cache
from typing import TYPE_CHECKING, cast

import av
import av.error
from av.format import Flags

from deepmag.stream.capture.arrival_clock import ArrivalClock
from deepmag.stream.capture.clock_check import ClockCheck
from deepmag.stream.capture.colours import say_foreign_colours, to_rgb
from deepmag.stream.capture.connect import connect, find_video, is_clip
from deepmag.stream.capture.deinterlace import Deinterlacer
from deepmag.stream.capture.held_up import HeldUp
from deepmag.stream.capture.limits import Limits
from deepmag.stream.capture.orientation import OrientationReader
from deepmag.stream.capture.overload import BLOCK, Overload
from deepmag.stream.capture.pacing import Pacer
from deepmag.stream.capture.packets import Packets
from deepmag.stream.capture.source import SourceError
from deepmag.stream.capture.timeline import DEFAULT_RATE, RateLimit, Timeline, spread_repeats
from deepmag.stream.frames import Frame
from deepmag.stream.gpu_codecs import decoded_by_gpu, open_nvdec, still_decodes

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Generator, Iterator

    import numpy as np
    from av import Packet, VideoFrame, VideoStream
    from av.container import InputContainer
    from numpy.typing import NDArray

    from deepmag.stream.capture.address import Address
    from deepmag.stream.capture.open import Pace, Timestamps
    from deepmag.stream.capture.options import Opening, Transport
    from deepmag.stream.capture.orientation import Orientation

log = logging.getLogger("deepmag.stream.capture")

GPU_FAILURES = 30  # packets one after the other that the GPU cannot decode: fewer may be the network's
BELIEVED_RATE = 10_000.0  # frames/s; beyond, a container or codec that says so is not believed
NO_PICTURE = 15.0  # s of data without a picture: longer than cameras go between two key frames


class VideoSource:
    """Pictures from anything that PyAV opens; see ``Source`` and ``open_source``.

    live: as the address tells, until what a web server sends turns out to be a clip.
    nominal_rate: frames/s as the container or the codec states it, or None; known from the first frame on.
    skipped: pictures not delivered, by reason ("corrupt", "too fast", "too slow": the machine).
    """

    def __init__(
        self,
        address: Address,
        *,
        transport: Transport = "tcp",
        timestamps: Timestamps = "stream",
        pace: Pace = "file",
        loop: bool = False,
        patient: bool = False,
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
        self._by_arrival = timestamps == "arrival" and not address.segmented
        # neither segments nor what is read as fast as it is taken arrive when they happen
        self._arrival_tells = pace == "file" and not address.segmented
        # pictures of a segment come all at once, and are as far apart as those of a file
        self._paced = pace == "file" and (not address.live or address.segmented)
        self._pace: Pace = pace
        self._loop = loop
        self._patient = patient
        self._limits = limits or Limits()
        self._stall = stall
        self._gpu = gpu
        self._clock = clock
        self._stamped = True
        self._raw_camera = False
        # a camera's driver drops what is not taken, and on a disk it waits for as long as that takes
        network = address.kind == "rtsp" or (address.kind == "url" and not address.text.startswith("file:"))
        self._may_be_late = network and self._arrival_tells
        self._overload = Overload()
        self._said_wrong = self._said_slow = False
        self._was_stream = False

    @property
    def trouble(self) -> str:
        """Why pictures are left out, in one line, while that goes on, or ""."""
        shortfall = self._overload.shortfall
        if shortfall is None:
            return ""
        left, of = shortfall
        return (
            f"this machine is too slow to decode all: {left} of {of} pictures in {BLOCK:g} s were left out; set the "
            "camera to a smaller picture or fewer a second, or open its smaller stream"
        )

    def frames(self, stop: threading.Event) -> Iterator[Frame]:
        """Open, deliver until the end or ``stop``, close. Raises SourceError."""
        timeline: Timeline | None = None
        rate_limit, pacer, by_arrival, clock_check = RateLimit(), Pacer(), ArrivalClock(), ClockCheck()
        held_up, seq, left_out = HeldUp(), 0, self.skipped["too slow"]
        while not stop.is_set():
            before = seq
            # closed here, by this thread, whatever happens: the traceback of an error would keep the container open
            with contextlib.closing(self._pictures(stop)) as timed:
                for (picture, orientation, came), claimed in (
                    timed if self.live else spread_repeats(timed, self._period)
                ):
                    timeline = timeline or Timeline(live=self.live, nominal_rate=self.nominal_rate)
                    # what is deinterlaced has waited for the next one since, which is latency
                    arrived = came if self.live else self._clock()
                    own = not self.live or (self._stamped and not self._by_arrival)
                    missed, left_out = self.skipped["too slow"] - left_out, self.skipped["too slow"]
                    stamp = claimed if own else by_arrival.stamp(arrived, missed=missed > 0)
                    session, pts = timeline.place(stamp, arrived, (picture.width, picture.height))
                    right = not own or self._is_right(clock_check, session, pts, arrived)
                    if own and self.live and self._arrival_tells:
                        arrived -= held_up.add(session, pts, arrived)
                    if not rate_limit.admits(session, pts):
                        self._skip("too fast")
                        continue
                    image = self._image(picture, orientation)
                    if self._paced:
                        if stop.wait(pacer.delay(session, pts, arrived)):
                            return
                        arrived = self._clock()
                    yield Frame(session, seq, pts, arrived, image, orientation.pixel_aspect, right)
                    seq += 1
            if seq == before and not self.live and not stop.is_set():
                raise SourceError(f"{self.name}: not one picture in it could be decoded", retry=False)
            if self.live or not self._loop:
                return

    def _is_right(self, check: ClockCheck, session: int, pts: float, arrived: float) -> bool:
        """Whether the stream's own time can be believed, as far as can be told."""
        if not (self.live and self._arrival_tells) or check.add(session, pts, arrived):
            return True
        if not self._said_wrong:
            self._said_wrong = True
            log.warning(
                "%s: its timestamps run %.2f times as fast as time does, or its pictures come ever later; no rates are "
                "shown meanwhile. If this stays, its clock is wrong, and --timestamps arrival (of a feed: "
                'timestamps = "arrival") goes by when pictures come',
                self.name,
                check.speed,
            )
        return False

    def _period(self) -> float:
        """How far apart the pictures are, s, as is stated or assumed."""
        return 1 / (self.nominal_rate or DEFAULT_RATE)

    def _pictures(
        self, stop: threading.Event
    ) -> Generator[tuple[tuple[VideoFrame, Orientation, float], float | None]]:
        """Yield the pictures of one connection, when they came, and their timestamps, s; no broken ones."""
        container, opening, by_gpu = self._open()
        try:
            if self.live and is_clip(container, self._address):
                # what is left of a stream happened before: nobody shall take it for now
                left = self._patient and not self._loop and container.format.name == "hls"
                if self._was_stream or left:
                    raise SourceError(
                        f"{self.name} has ended; its last segments are all there is", retry=True
                    )
                log.info("%s: a clip, not a stream: it is played to its end", self.name)
                self.live, self._paced = False, self._pace == "file"
                container.close()  # to be opened as one: of a stream what is looked at first is left out
                container, opening, by_gpu = self._open()
            self._was_stream = self.live
            stream = self._stream(container)
            reader = OrientationReader(stream)
            deinterlacer: Deinterlacer[tuple[Orientation, float, float | None]] = Deinterlacer(self.name)
            size, last, failed, numbers = (0, 0), self._clock(), 0, itertools.count()
            left_out = self.skipped["too slow"]
            # closed before the container is, which its thread reads from
            with contextlib.closing(self._received(container, stream, opening, stop)) as packets:
                for packet, received in packets:
                    if self.skipped["too slow"] > left_out:  # there was to be no picture of those
                        left_out, last = self.skipped["too slow"], self._clock()
                    try:
                        pictures = self._decode(packet)
                    except av.error.FFmpegError:
                        if packet.size:  # not at the flush
                            self._skip("corrupt")
                            failed += 1
                            next(numbers)
                        pictures = []
                        if by_gpu and failed >= GPU_FAILURES:
                            self._gpu = None
                            then = "the CPU decodes from now on" if self.live else "play it with --codecs cpu"
                            raise SourceError(
                                f"{self.name}: the GPU decodes no more; {then}", retry=self.live
                            ) from None
                    for picture in pictures:
                        number = next(numbers)
                        if picture.is_corrupt:
                            self._skip("corrupt")
                            continue
                        failed = 0
                        if size == (0, 0) and by_gpu:
                            by_gpu = self._say_what_decodes(picture)
                        if size != (picture.width, picture.height):
                            size = picture.width, picture.height
                            self._limits.check(*size, self.name)
                        if received is not None and self._overload.thins(self._clock()):
                            self._leave_out(1)
                            last = self._clock()
                            continue
                        # where the format has no times, a broken picture takes its time, too
                        stamp = picture.time if self._stamped else number * self._period()
                        told = reader.read(picture), self._clock() if received is None else received, stamp
                        for whole, (orientation, arrived, timed) in deinterlacer.add(picture, told):
                            yield (whole, orientation, arrived), timed
                        last = self._clock()
                    if self.live and self._clock() - last > NO_PICTURE:
                        raise SourceError(
                            f"{self.name} sends data, but no picture that can be decoded", retry=True
                        )
            for whole, (orientation, arrived, timed) in deinterlacer.rest():
                yield (whole, orientation, arrived), timed
        finally:
            self._overload = Overload()
            container.close()

    def _received(
        self, container: InputContainer, stream: VideoStream, opening: Opening, stop: threading.Event
    ) -> Generator[tuple[Packet[VideoStream], float | None]]:
        """Yield the packets to decode, and when each came, s; None where nothing tells but that it is there."""
        packets = Packets(
            container, stream, opening, self.name, self.live, self._period(), self._clock, self._skip
        )
        if self.live and self._may_be_late and self._stamped:
            yield from packets.read_ahead(stop, self._overload, self._leave_out)
            return
        for packet in packets.read(stop):
            yield packet, None

    @staticmethod
    def _decode(packet: Packet[VideoStream]) -> list[VideoFrame]:
        return packet.decode()

    def _say_what_decodes(self, picture: VideoFrame) -> bool:
        """Whether the GPU does, as it was asked to."""
        if decoded_by_gpu(picture):
            log.info("%s: decoded by the GPU", self.name)
            return True
        log.warning("%s: decoded by the CPU, the GPU does not decode such video", self.name)
        return False

    def _open(self) -> tuple[InputContainer, Opening, bool]:
        """Connect. Also returns whether the GPU has been asked to decode."""
        way = self._address, self._transport, self._stall
        accelerator = None if self._gpu is None else open_nvdec(self._gpu)
        if accelerator is not None:
            try:
                return *connect(*way, clip=not self.live, accelerator=accelerator), True
            except SourceError:
                assert self._gpu is not None
                if still_decodes(self._gpu):  # then it is the source that failed
                    raise
                self._gpu = None
        return *connect(*way, clip=not self.live, accelerator=None), False

    def _stream(self, container: InputContainer) -> VideoStream:
        """Find the video, and how it goes by; SourceError where it cannot be used."""
        stream = find_video(container, self.name, may_begin=self._address.segmented)
        codec = stream.codec_context
        if codec.width and codec.height:  # 0 where a live stream has not yet told
            self._limits.check(codec.width, codec.height, self.name)
        # A picture's size may be another later, and is known here once it has been decoded: one that says it has
        # 16000 x 16000 pixels, in four megabytes of JPEG, took four hundred.
        codec.options = {**codec.options, "max_pixels": str(self._limits.decoded)}
        self._raw_camera = self._address.kind == "camera" and codec.name == "rawvideo"
        say_foreign_colours(self.name, codec.color_primaries, codec.color_trc)
        # Of a format without timestamps, as raw H.264 or cameras' JPEGs over HTTP, FFmpeg has pictures go by at 25 a
        # second. The codec may know better; pictures that come live are as far apart as they come.
        self._stamped = not container.format.flags & cast("int", Flags.no_timestamps.value)
        rate = float(stream.average_rate or stream.guessed_rate or 0)
        if not self._stamped:
            stated = float(codec.framerate or 0)
            if 0 < stated <= BELIEVED_RATE:
                rate = stated
            elif not self.live:
                _say_assumed(self.name, rate or DEFAULT_RATE)
        self.nominal_rate = rate if 0 < rate <= BELIEVED_RATE and (self._stamped or not self.live) else None
        log.info(
            "%s: %s %dx%d, %s frames/s",
            self.name,
            codec.name,
            codec.width,
            codec.height,
            f"{rate:.4g}" if self.nominal_rate else "an unknown number of",
        )
        return stream

    def _image(self, picture: VideoFrame, orientation: Orientation) -> NDArray[np.uint8]:
        """Convert to (H, W, 3) uint8 RGB, upright, not writeable."""
        try:
            image = orientation.upright(to_rgb(picture, self.name, raw_camera=self._raw_camera))
        except (av.error.FFmpegError, ValueError):
            raise SourceError(
                f"{self.name}: pictures in the format {picture.format.name} cannot be converted", retry=False
            ) from None
        image.setflags(write=False)
        return image

    def _leave_out(self, pictures: int) -> None:
        """Count pictures for which this machine is too slow."""
        self.skipped["too slow"] += pictures
        if self.trouble and not self._said_slow:
            self._said_slow = True
            log.warning("%s: %s", self.name, self.trouble)

    def _skip(self, reason: str) -> None:
        self.skipped[reason] += 1
        if self.skipped[reason] == 1:
            log.warning("%s: a picture was left out (%s); more are only counted", self.name, reason)


@lru_cache(maxsize=64)  # a clip is read several times
def _say_assumed(name: str, rate: float) -> None:
    log.warning(
        "%s does not say how fast its pictures follow each other: %g frames/s are assumed, and pulse and breathing "
        "rates are only as right as that",
        name,
        rate,
    )
