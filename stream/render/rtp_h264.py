"""H.264 access units as RTP packets (RFC 6184), and the reports that go with them (RFC 3550)."""

from __future__ import annotations

import base64
import struct

CLOCK_RATE = 90_000  # Hz
PAYLOAD_TYPE = 96
PAYLOAD_SIZE = 1400  # bytes; with the headers below an Ethernet frame, for servers that pass it on over UDP
RTP_VERSION = 0x80
MARKER = 0x80
NAL_TYPE = 0x1F
FU_A = 28
SPS, PPS = 7, 8
SENDER_REPORT = 200
NTP_EPOCH = 2_208_988_800  # s from 1900 to 1970


def nal_units(access_unit: bytes) -> list[bytes]:
    """Split an access unit in byte-stream format (Annex B) into NAL units, without their start codes."""
    # A NAL unit never ends in a zero byte, so trailing ones belong to the next, four-byte, start code.
    return [unit for part in access_unit.split(b"\0\0\1") if (unit := part.rstrip(b"\0"))]


def parameter_sets(access_unit: bytes) -> tuple[bytes, bytes]:
    """Find the sequence and picture parameter sets before a keyframe. Raises ValueError without them."""
    sets = {unit[0] & NAL_TYPE: unit for unit in nal_units(access_unit)}
    if SPS not in sets or PPS not in sets:
        raise ValueError("the access unit has no parameter sets")
    return sets[SPS], sets[PPS]


def session_description(sps: bytes, pps: bytes, *, control: str) -> str:
    """Write the SDP for one H.264 stream. control: the stream's name, appended to the URL."""
    sets = ",".join(base64.b64encode(unit).decode("ascii") for unit in (sps, pps))
    return "\r\n".join(
        (
            "v=0",
            "o=- 0 0 IN IP4 127.0.0.1",
            "s=deepmag",
            "c=IN IP4 0.0.0.0",
            "t=0 0",
            f"m=video 0 RTP/AVP {PAYLOAD_TYPE}",
            f"a=rtpmap:{PAYLOAD_TYPE} H264/{CLOCK_RATE}",
            f"a=fmtp:{PAYLOAD_TYPE} packetization-mode=1; sprop-parameter-sets={sets}; "
            f"profile-level-id={sps[1:4].hex().upper()}",
            f"a=control:{control}",
            "",
        )
    )


class Packetizer:
    """Numbers and cuts access units. sequence, ssrc, offset: random at the start of a stream (RFC 3550)."""

    def __init__(self, *, sequence: int, ssrc: int, offset: int) -> None:
        self._sequence = sequence & 0xFFFF
        self._ssrc = ssrc & 0xFFFFFFFF
        self._offset = offset
        self.packets = 0
        self.octets = 0

    def packets_of(self, access_unit: bytes, ticks: int) -> list[bytes]:
        """Packetize one access unit; ticks: its time, 1/90000 s."""
        payloads = [piece for unit in nal_units(access_unit) for piece in fragments(unit)]
        last = len(payloads) - 1
        return [self._packet(payload, ticks, marker=i == last) for i, payload in enumerate(payloads)]

    def sender_report(self, ticks: int, wall: float) -> bytes:
        """Make an RTCP sender report: the stream's time beside the wall clock's (s since 1970)."""
        seconds = int(wall)
        fraction = int((wall - seconds) * 2**32)
        return struct.pack(
            ">BBHIIIIII",
            RTP_VERSION,
            SENDER_REPORT,
            6,  # length in words, less one
            self._ssrc,
            (seconds + NTP_EPOCH) & 0xFFFFFFFF,
            fraction,
            (ticks + self._offset) & 0xFFFFFFFF,
            self.packets & 0xFFFFFFFF,
            self.octets & 0xFFFFFFFF,
        )

    def _packet(self, payload: bytes, ticks: int, *, marker: bool) -> bytes:
        header = struct.pack(
            ">BBHII",
            RTP_VERSION,
            PAYLOAD_TYPE | (MARKER if marker else 0),
            self._sequence,
            (ticks + self._offset) & 0xFFFFFFFF,
            self._ssrc,
        )
        self._sequence = (self._sequence + 1) & 0xFFFF
        self.packets += 1
        self.octets += len(payload)
        return header + payload


def fragments(unit: bytes) -> list[bytes]:
    """Cut one NAL unit into RTP payloads: itself, or FU-A pieces where it is too long for a packet."""
    if len(unit) <= PAYLOAD_SIZE:
        return [unit]
    indicator = (unit[0] & ~NAL_TYPE) | FU_A
    kind = unit[0] & NAL_TYPE
    size = PAYLOAD_SIZE - 2
    starts = range(1, len(unit), size)
    return [
        bytes((indicator, kind | (0x80 if i == 0 else 0) | (0x40 if i == len(starts) - 1 else 0)))
        + unit[start : start + size]
        for i, start in enumerate(starts)
    ]
