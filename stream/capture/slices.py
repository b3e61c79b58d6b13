"""Pictures that come in several packets, joined: the decoder takes each packet for a whole picture.

GStreamer's payloader, told to send parameter sets before each key frame, sends them before each of its slices, where an
encoder cut the picture into several (x264's ``zerolatency`` does). By the standard a picture ends there, so FFmpeg
hands over as many packets, and the decoder as many pictures, each with a part of the new one.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, cast

import av

if TYPE_CHECKING:
    from collections.abc import Iterator

    from av import Packet, VideoStream

log = logging.getLogger("deepmag.stream.capture")

START = b"\x00\x00\x01"  # of a NAL unit (Annex B)
HEADS = {"h264": 1, "hevc": 2}  # bytes before a slice's own, by codec
MOST = 128  # packets: as many threads as x264 has at most


class WholePictures:
    """Joins the packets of one stream. codec: as FFmpeg names it. name: of the source.

    A key frame waits for the next packet, for one picture's time, where they come in parts, or it is not known yet.
    """

    def __init__(self, codec: str, name: str) -> None:
        self._codec, self._name = codec, name
        self._in_parts: bool | None = None
        self._begun = False
        # of the last packet: whether it was of a key frame, and its time
        self._before: tuple[bool, int | None] = (False, None)
        self._parts: list[Packet[VideoStream]] = []

    def add(self, packet: Packet[VideoStream]) -> Iterator[Packet[VideoStream]]:
        """Take the next packet, and yield what is whole now."""
        part = packet.is_keyframe and continues(bytes(packet), self._codec)
        (after_key, time), self._before = self._before, (packet.is_keyframe, packet.pts)
        if part and not self._begun:
            return  # FFmpeg has looked at the parts before it, and left them out
        # else the network has lost how another picture begins; of a slow camera FFmpeg forgets times
        if part and after_key and (time == packet.pts or time is None or packet.pts is None):
            if not self._in_parts:
                self._in_parts = True
                log.info("%s: its key frames come in parts, and are joined", self._name)
            if self._parts and len(self._parts) < MOST:
                self._parts.append(packet)
                return
        elif self._parts and self._in_parts is None:
            self._in_parts = False
        self._begun = True
        yield from self.rest()
        if packet.is_keyframe and self._in_parts is not False:
            self._parts = [packet]
        else:
            yield packet

    def rest(self) -> Iterator[Packet[VideoStream]]:
        """Yield what waits."""
        parts, self._parts = self._parts, []
        if parts:
            yield _joined(parts) if len(parts) > 1 else parts[0]


def may_be_in_parts(codec: str, head: bytes | None) -> bool:
    """Whether its packets could be. codec: as FFmpeg names it. head: what comes before all packets, if anything does.

    In MP4 and FLV each packet is a picture, with its units' lengths in place of their start codes.
    """
    return codec in HEADS and not (head and head[0] == 1)


def continues(data: bytes, codec: str) -> bool:
    """Whether a packet begins within a picture, and not with one. codec: one of `HEADS`. False for what is no Annex B.

    In both the first bit of a slice's header is set in the first of a picture: H.264's first_mb_in_slice, 0 as
    Exp-Golomb code, and H.265's first_slice_segment_in_pic_flag.
    """
    if not data.startswith((START, b"\x00" + START)):
        return False
    at = data.find(START) + len(START)
    while at >= len(START) and at + HEADS[codec] < len(data):
        is_slice = data[at] & 31 in (1, 2, 5) if codec == "h264" else data[at] >> 1 < 32
        if is_slice:
            return data[at + HEADS[codec]] < 128
        at = data.find(START, at) + len(START)
    return False


def _joined(parts: list[Packet[VideoStream]]) -> Packet[VideoStream]:
    first = parts[0]
    whole = cast("Packet[VideoStream]", av.Packet(b"".join(bytes(part) for part in parts)))
    whole.stream = first.stream
    whole.time_base, whole.pts, whole.dts = first.time_base, first.pts, first.dts
    whole.is_keyframe = first.is_keyframe
    return whole
