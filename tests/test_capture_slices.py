"""A picture that comes in several packets is one picture."""

from __future__ import annotations

import threading
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest
import rtsp_server
from render_frames import number_in, numbered

from deepmag.stream.capture import slices
from deepmag.stream.capture.address import parse_address
from deepmag.stream.capture.open import open_source
from deepmag.stream.capture.slices import START, WholePictures, continues, may_be_in_parts

SIZE, GOP, FRAMES = (320, 240), 10, 60
CODECS = {
    "h264": (
        "libx264",
        {"tune": "zerolatency", "x264-params": "slices=4:sliced-threads=1:threads=4:scenecut=0"},
    ),
    "hevc": ("libx265", {"tune": "zerolatency", "x265-params": "slices=4:scenecut=0:log-level=none"}),
}


def sliced(path: Path, codec: str = "h264") -> Path:
    """Numbered pictures, each in four slices. An MP4, or raw ``codec`` by the name's end."""
    encoder, options = CODECS[codec]
    with av.open(str(path), "w") as container:
        stream = container.add_stream(encoder, rate=30, options={**options, "g": str(GOP), "bf": "0"})
        stream.width, stream.height, stream.pix_fmt = *SIZE, "yuv420p"
        stream.bit_rate = 2_000_000
        for number in range(FRAMES):
            container.mux(
                stream.encode(av.VideoFrame.from_ndarray(numbered(number, *SIZE[::-1]), format="rgb24"))
            )
        container.mux(stream.encode())
    return path


def cut(data: bytes) -> list[bytes]:
    """As the payloader's come out of FFmpeg: each NAL unit but parameter sets in a packet of its own."""
    units = [START + one.rstrip(b"\x00") for one in data.split(START)[1:]]
    parts, before = [], b""
    for unit in units:
        before += unit
        if is_slice(unit):
            parts.append(before)
            before = b""
    return parts


def is_slice(unit: bytes) -> bool:
    return unit[3] & 31 in (1, 5)


def packets(path: Path) -> list[av.Packet]:
    """Those of a file, with the times that a camera would have given them: raw ones have none."""
    with av.open(str(path)) as container:
        found = [packet for packet in container.demux(video=0) if packet.size]
    for number, packet in enumerate(found):
        packet.time_base = Fraction(1, 90_000)
        packet.pts = packet.dts = 3000 * number
    return found


def in_parts(read: list[av.Packet]) -> list[av.Packet]:
    """Key frames cut, the others as they are."""
    found = []
    for packet in read:
        units = cut(bytes(packet)) if packet.is_keyframe else [bytes(packet)]
        found += [like(packet, data) for data in units]
    return found


def without_its_first_slice(packet: av.Packet) -> av.Packet:
    return like(packet, b"".join(cut(bytes(packet))[1:]))


def like(packet: av.Packet, data: bytes) -> av.Packet:
    made = av.Packet(data)
    made.time_base, made.pts, made.dts = packet.time_base, packet.pts, packet.dts
    made.is_keyframe, made.stream = packet.is_keyframe, packet.stream
    return made


def joined(read: list[av.Packet]) -> list[av.Packet]:
    whole = WholePictures("h264", "a camera")
    return [one for packet in read for one in whole.add(packet)] + list(whole.rest())


@pytest.mark.skipif(not rtsp_server.available(), reason="needs GStreamer's RTSP server")
def test_each_picture_of_a_camera_whose_key_frames_come_in_slices_is_whole(tmp_path: Path) -> None:
    with rtsp_server.rtsp_server(file=sliced(tmp_path / "sliced.mp4")) as server:
        source = open_source(parse_address(server.url()))
        shown, stop = [], threading.Event()
        for frame in source.frames(stop):
            shown.append(frame.image)
            if len(shown) == 35:
                stop.set()
                break
    numbers = [number_in(image) for image in shown]
    assert numbers == list(range(numbers[0], numbers[0] + len(shown)))
    for number, image in zip(numbers, shown, strict=True):
        assert np.abs(image.astype(int) - numbered(number, *SIZE[::-1])).mean() < 20, number


def test_cut_key_frames_are_joined_to_what_they_were(tmp_path: Path) -> None:
    read = packets(sliced(tmp_path / "sliced.h264"))
    assert sum(packet.is_keyframe for packet in read) == FRAMES // GOP
    parts = in_parts(read)
    assert len(parts) >= len(read) + 2 * FRAMES // GOP
    found = joined(parts)
    assert [(packet.pts, packet.dts) for packet in found] == [(packet.pts, packet.dts) for packet in read]
    assert [packet.is_keyframe for packet in found] == [packet.is_keyframe for packet in read]
    for one, other in zip(found, read, strict=True):
        assert [u.rstrip(b"\x00") for u in bytes(one).split(START)[1:]] == [
            u.rstrip(b"\x00") for u in bytes(other).split(START)[1:]
        ]


def test_where_pictures_come_whole_only_the_first_waits_for_the_next(tmp_path: Path) -> None:
    read = packets(sliced(tmp_path / "sliced.h264"))
    whole = WholePictures("h264", "a camera")
    came = [len(list(whole.add(packet))) for packet in read]
    assert came == [0, 2, *[1] * (len(read) - 2)]


def test_a_camera_that_begins_to_cut_its_key_frames_is_followed(tmp_path: Path) -> None:
    read = packets(sliced(tmp_path / "sliced.h264"))
    half = 3 * GOP
    whole = WholePictures("h264", "a camera")
    for packet in read[:half]:
        list(whole.add(packet))
    later = in_parts(read[half:])
    found = [one for packet in later for one in whole.add(packet)] + list(whole.rest())
    # the first part of the first was shown by itself: that there are more was not known yet
    assert len(found) == len(read) - half + 1


def test_a_picture_whose_beginning_was_lost_is_no_part_of_the_key_frame_before_it(tmp_path: Path) -> None:
    parts = in_parts(packets(sliced(tmp_path / "sliced.h264")))
    after = [i for i in range(1, len(parts)) if parts[i - 1].is_keyframe and not parts[i].is_keyframe]
    for i in after:
        parts[i] = without_its_first_slice(parts[i])
    found = joined(parts)
    assert len(found) == FRAMES
    assert [bytes(one) for one in found if not one.is_keyframe] == [
        bytes(one) for one in parts if not one.is_keyframe
    ]


@pytest.mark.parametrize(
    ("lost", "keys_alone"), [(GOP, False), (GOP + 1, False), (2, True)], ids=["key", "other", "of keys alone"]
)
def test_where_pictures_come_whole_none_waits_after_one_has_lost_its_beginning(
    lost: int, keys_alone: bool, tmp_path: Path
) -> None:
    read = packets(sliced(tmp_path / "sliced.h264"))
    read = [packet for packet in read if packet.is_keyframe or not keys_alone]
    read[lost] = without_its_first_slice(read[lost])
    whole = WholePictures("h264", "a camera")
    came = [len(list(whole.add(packet))) for packet in read]
    assert came == [0, 2, *[1] * (len(read) - 2)]


def test_a_key_frame_whose_first_part_was_lost_is_one_picture(tmp_path: Path) -> None:
    parts = in_parts(packets(sliced(tmp_path / "sliced.h264")))
    second = next(i for i, part in enumerate(parts) if part.is_keyframe and i > GOP)
    assert len(joined([*parts[:second], *parts[second + 1 :]])) == FRAMES


def test_parts_whose_times_ffmpeg_forgot_are_joined(tmp_path: Path) -> None:
    """After a read that timed out, as between two pictures of a slow camera."""
    parts = in_parts(packets(sliced(tmp_path / "sliced.h264")))
    for before, part in pairwise([None, *parts]):
        if before is None or before.dts != part.dts:
            part.pts = None
    assert len(joined(parts)) == FRAMES


def test_a_stream_that_begins_within_a_picture_is_shown_from_the_next(tmp_path: Path) -> None:
    read = packets(sliced(tmp_path / "sliced.h264"))
    found = joined(in_parts(read)[2:])
    assert [bytes(one) for one in found] == [bytes(one) for one in joined(in_parts(read))][1:]


def test_parts_without_end_do_not_wait_without_bound(tmp_path: Path) -> None:
    parts = in_parts(packets(sliced(tmp_path / "sliced.h264")))
    whole = WholePictures("h264", "a camera")
    list(whole.add(parts[0]))
    came = [len(bytes(one)) for _ in range(3 * slices.MOST) for one in whole.add(parts[1])]
    assert len(came) >= 2
    assert max(came) <= slices.MOST * max(len(bytes(part)) for part in parts[:2])


@pytest.mark.parametrize("codec", CODECS)
def test_where_a_picture_begins_is_told_by_its_first_slice(codec: str, tmp_path: Path) -> None:
    data = b"".join(bytes(packet) for packet in packets(sliced(tmp_path / f"sliced.{codec}", codec)))
    units = [START + one for one in data.split(START)[1:]]
    coded = [u for u in units if (is_slice(u) if codec == "h264" else u[3] >> 1 < 32)]
    begins = [not continues(unit, codec) for unit in coded]
    assert begins.count(True) == FRAMES
    assert len(coded) > 2 * FRAMES
    assert begins[0]


@pytest.mark.parametrize(
    "data", [b"", b"\x00", START, START + b"\x65", b"\x00\x00\x00\x05\x65\x40abc", b"no video"]
)
@pytest.mark.parametrize("codec", CODECS)
def test_what_tells_nothing_continues_nothing(data: bytes, codec: str) -> None:
    assert not continues(data, codec)


def test_pictures_of_an_mp4_are_whole(tmp_path: Path) -> None:
    """Units' lengths may look like start codes."""
    for name, codec, possible in (
        ("sliced.mp4", "h264", False),
        ("sliced.h264", "h264", True),
        ("sliced.hevc", "hevc", True),
    ):
        with av.open(str(sliced(tmp_path / name, codec))) as container:
            read = container.streams.video[0].codec_context
            assert may_be_in_parts(read.name, read.extradata) == possible
    assert not may_be_in_parts("mjpeg", None)
