"""The packets of an open container: read by the thread that decodes them, or ahead of it by one of their own."""

from __future__ import annotations

import contextlib
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import av
import av.error

from deepmag.stream.capture.failures import read_failure
from deepmag.stream.capture.read_ahead import ReadAhead
from deepmag.stream.capture.slices import WholePictures, may_be_in_parts
from deepmag.stream.capture.source import SourceError
from deepmag.stream.exhausted import what_ran_out

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Generator, Iterator

    from av import Packet, VideoStream
    from av.container import InputContainer

    from deepmag.stream.capture.options import Opening
    from deepmag.stream.capture.overload import Overload

log = logging.getLogger("deepmag.stream.capture")

CAMERA_POLL = 0.002  # s between two looks whether a camera has a picture


@dataclass(frozen=True, slots=True)
class Packets:
    """Those of one stream of an open container.

    name: of the source. live: whether it comes by itself, and its end is a loss. period: s between two pictures, where
    nothing tells. clock: s. skip: told why something was left out.
    """

    container: InputContainer
    stream: VideoStream
    opening: Opening
    name: str
    live: bool
    period: float
    clock: Callable[[], float]
    skip: Callable[[str], None]

    def read(self, stop: threading.Event) -> Iterator[Packet[VideoStream]]:
        """Yield packets until the end or ``stop``; SourceError when a live source stalls or breaks.

        Of a live source each holds a whole picture.
        """
        codec = self.stream.codec_context
        if not (self.live and may_be_in_parts(codec.name, codec.extradata)):
            yield from self._read(stop)
            return
        whole = WholePictures(codec.name, self.name)
        for packet in self._read(stop):
            yield from whole.add(packet)
        yield from whole.rest()

    def _read(self, stop: threading.Event) -> Iterator[Packet[VideoStream]]:
        heard, before, timed_out = self.clock(), None, False
        while not stop.is_set():
            try:
                for read in self.container.demux(self.stream):
                    heard = self.clock()
                    packet = _detached(read) if self.opening.format == "v4l2" else read
                    del read
                    if timed_out and packet.pts is None and before is not None:
                        # FFmpeg forgets it then; by its arrival, as late as the network was, so would be what follows
                        packet.pts = packet.dts = before + round(self.period / packet.time_base)
                    before, timed_out = packet.pts, False
                    yield packet
                    if stop.is_set():
                        return
            except BlockingIOError:  # a camera without a new picture
                stop.wait(CAMERA_POLL)
            except av.error.ExitError:  # the read timed out
                timed_out = True
                if not self.opening.resumable:
                    raise SourceError(f"{self.name}: no data any more", retry=True) from None
            except IndexError:
                # at the end PyAV asks for streams that have come since it began, which it has not
                return
            except av.error.FFmpegError as error:
                failure = read_failure(error, self.name)
                if self.live:
                    raise failure from None
                self.skip("corrupt")
                log.warning("%s; taking what came before as the whole of it", failure)
                return
            else:
                return
            if self.clock() - heard > self.opening.stall:
                raise SourceError(f"{self.name}: no data for {self.opening.stall:g} s", retry=True)

    def read_ahead(
        self, stop: threading.Event, overload: Overload, leave_out: Callable[[int], None]
    ) -> Generator[tuple[Packet[VideoStream], float]]:
        """Read them in a thread of their own, and yield those that can be decoded in time, and when each came, s.

        leave_out: told of how many others, each time. The thread has ended when this is closed.
        """
        ahead, whole = ReadAhead(self.read, self.clock), True
        try:
            ahead.start()
        except RuntimeError as error:
            raise SourceError(f"{self.name}: {what_ran_out(error) or error}", retry=True) from None
        with contextlib.closing(ahead):
            while taken := ahead.take(stop):
                packet, received = taken
                is_key = packet.is_keyframe
                verdict = overload.judge(
                    _time_of(packet), received, self.clock(), is_key=is_key, key_waits=ahead.key_waits
                )
                if verdict == "decode":
                    if is_key and not whole:
                        self.stream.codec_context.flush_buffers()  # else it looks for what was left out
                    whole = True
                    yield packet, received
                    continue
                whole, left_out = False, 1
                if verdict == "go on at the key frame":
                    before_it = ahead.skip_to_key()
                    overload.jumped(before_it)
                    left_out += before_it
                leave_out(left_out)


def _time_of(packet: Packet[VideoStream]) -> float | None:
    """Its time, s, which grows from packet to packet where the stream tells such a one; None where it has none."""
    ticks = packet.pts if packet.dts is None else packet.dts
    return None if ticks is None else float(ticks * packet.time_base)


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
