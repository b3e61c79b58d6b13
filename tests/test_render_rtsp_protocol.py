"""What a push says and understands, without a server: RTSP's messages, RTP's packets of H.264, and its encoder."""

from __future__ import annotations

import struct
from base64 import b64encode
from fractions import Fraction

import av
import numpy as np
import pytest
from render_frames import numbered

from deepmag.stream.render.rtp_h264 import (
    PAYLOAD_SIZE,
    Packetizer,
    fragments,
    nal_units,
    parameter_sets,
    session_description,
)
from deepmag.stream.render.rtsp_messages import authorization, parse_address, parse_response, request
from deepmag.stream.render.rtsp_push import LiveEncoder


def test_an_address_is_taken_apart() -> None:
    address = parse_address("rtsp://me:a%40b@[::1]:8554/live/x?key=1")
    assert (address.host, address.port, address.user, address.password) == ("::1", 8554, "me", "a@b")
    assert address.url == "rtsp://[::1]:8554/live/x?key=1"
    assert "a@b" not in repr(address)
    assert parse_address("rtsp://host/x").port == 554


def test_digest_answers_as_the_rfc_s_example_does() -> None:
    # RFC 2617, section 3.5, without qop as RFC 2069 computes it from the same figures.
    address = parse_address("rtsp://Mufasa:Circle%20Of%20Life@host/")
    challenge = 'Digest realm="testrealm@host.com", nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093", opaque="5ccc"'
    answer = authorization(["Basic realm=x", challenge], address, "GET", "/dir/index.html")
    assert answer is not None
    assert 'response="670fd8c2df070c60b045671b8b24ff02"' in answer
    assert 'opaque="5ccc"' in answer
    assert answer.startswith("Digest ")


def test_basic_is_used_where_nothing_else_is_offered() -> None:
    address = parse_address("rtsp://Aladdin:open%20sesame@host/")
    assert authorization(['Basic realm="x"'], address, "A", "b") == "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="
    assert authorization(["Bearer x"], address, "A", "b") is None
    assert authorization(['Basic realm="x"'], parse_address("rtsp://host/"), "A", "b") is None


def test_an_answer_is_read_only_when_it_is_complete() -> None:
    data = b"RTSP/1.0 200 OK\r\nCSeq: 3\r\nSession: 42;timeout=60\r\nContent-Length: 4\r\n\r\nbody$rest"
    whole = len(data) - 5
    for length in range(whole):
        assert parse_response(data[:length]) is None
    found = parse_response(data)
    assert found is not None
    assert found[1] == whole
    assert (found[0].status, found[0].header("SESSION")) == (200, "42;timeout=60")
    for nonsense in (b"HTTP/1.1 200 OK\r\n\r\n", b"\0\1\2\3\4\5", b"RTSP/1.0 abc\r\n\r\n"):
        with pytest.raises(ValueError, match="does not speak RTSP"):
            parse_response(nonsense)


def test_a_request_has_its_length() -> None:
    assert request("ANNOUNCE", "rtsp://h/x", 7, {"A": "b"}, "é") == (
        b"ANNOUNCE rtsp://h/x RTSP/1.0\r\nCSeq: 7\r\nUser-Agent: deepmag\r\nA: b\r\n"
        b"Content-Length: 2\r\n\r\n\xc3\xa9"
    )


@pytest.mark.parametrize("size", [1, PAYLOAD_SIZE, PAYLOAD_SIZE + 1, 10 * PAYLOAD_SIZE])
def test_fragments_put_together_are_the_unit(size: int) -> None:
    unit = b"\x65" + np.random.default_rng(size).bytes(size)
    pieces = fragments(unit)
    assert all(len(piece) <= PAYLOAD_SIZE for piece in pieces)
    if len(pieces) == 1:
        assert pieces == [unit]
        return
    assert b"\x65" + b"".join(piece[2:] for piece in pieces) == unit
    assert [piece[1] & 0xC0 for piece in pieces] == [0x80, *[0] * (len(pieces) - 2), 0x40]
    assert {(piece[0], piece[1] & 0x1F) for piece in pieces} == {(0x60 | 28, 5)}


def test_units_are_found_behind_both_kinds_of_start_code() -> None:
    assert nal_units(b"\0\0\0\1\x67ab\0\0\1\x68c\0\0\0\1\x65\0\0\3\1") == [
        b"\x67ab",
        b"\x68c",
        b"\x65\0\0\3\1",
    ]


def test_packets_are_numbered_timed_and_the_last_of_a_picture_is_marked() -> None:
    packetizer = Packetizer(sequence=65535, ssrc=7, offset=100)
    packets = packetizer.packets_of(b"\0\0\1\x67a\0\0\1\x65" + b"x" * 3000, 9000)
    headers = [struct.unpack(">BBHII", packet[:12]) for packet in packets]
    assert [h[2] for h in headers] == [65535, 0, 1, 2]
    assert [h[1] for h in headers] == [96, 96, 96, 96 | 128]
    assert {(h[0], h[3], h[4]) for h in headers} == {(0x80, 9100, 7)}
    report = struct.unpack(">BBHIIIIII", packetizer.sender_report(9000, 1.5))
    assert report == (0x80, 200, 6, 7, 2_208_988_801, 2**31, 9100, 4, sum(len(p) - 12 for p in packets))


def test_the_encoder_answers_each_picture_at_once_with_a_keyframe_every_two_seconds() -> None:
    encoder = LiveEncoder(120, 160, rate=30)
    ticks = np.cumsum(np.random.default_rng(0).uniform(0.02, 0.2, 100)) * 90_000
    keyframes = []
    for number, tick in enumerate(ticks):
        kinds = [unit[0] & 0x1F for unit in nal_units(encoder.encode(numbered(number), round(tick)))]
        assert kinds, "a packet for each picture"
        if 5 in kinds:
            assert kinds[:2] == [7, 8]  # with its parameter sets, for those who join here
            keyframes.append(tick / 90_000)
    assert len(keyframes) >= 4
    assert np.diff(keyframes).min() >= 2.0
    assert np.diff(keyframes).max() <= 2.2


def test_the_encoder_tells_of_pixels_that_are_not_square() -> None:
    encoder, decoder = LiveEncoder(120, 160, rate=30, pixel_aspect=4 / 3), av.CodecContext.create("h264", "r")
    decoder.decode(av.Packet(encoder.encode(numbered(0), 0)))
    assert decoder.sample_aspect_ratio == Fraction(4, 3)


def test_the_description_names_the_stream_and_its_parameter_sets() -> None:
    sps, pps = parameter_sets(LiveEncoder(120, 160, rate=30).encode(numbered(0), 0))
    text = session_description(sps, pps, control="streamid=0")
    assert f"sprop-parameter-sets={b64encode(sps).decode()},{b64encode(pps).decode()};" in text
    assert f"profile-level-id={sps[1:4].hex().upper()}\r\n" in text
    assert text.endswith("a=control:streamid=0\r\n")
    with pytest.raises(ValueError, match="no parameter sets"):
        parameter_sets(b"\0\0\1\x41abc")
