"""Video files: every frame, in order, at the stream's own times; and every way in which a file can be bad."""

from __future__ import annotations

import gc
import os
import re
import struct
import threading
from collections.abc import Callable
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from av.stream import Disposition
from scripted_camera import encode, lose_packets, number_of, painted

from deepmag.stream.capture import orientation
from deepmag.stream.capture.address import parse_address
from deepmag.stream.capture.limits import Limits
from deepmag.stream.capture.open import open_source
from deepmag.stream.capture.source import SourceError
from deepmag.stream.capture.video import VideoSource
from deepmag.stream.frames import Frame


def source(path: Path | str, **options: Any) -> VideoSource:
    made = open_source(parse_address(str(path)), **{"pace": "max", **options})
    assert isinstance(made, VideoSource)
    return made


def read(path: Path | str, **options: Any) -> list[Frame]:
    return list(source(path, **options).frames(threading.Event()))


def failure(path: Path | str, **options: Any) -> str:
    with pytest.raises(SourceError) as caught:
        read(path, **options)
    assert not caught.value.retry
    text = str(caught.value)
    assert "\n" not in text
    assert "Errno" not in text
    return text


def test_every_frame_of_a_file_comes_once_and_in_order(tmp_path: Path) -> None:
    clip = tmp_path / "clip.mp4"
    encode(range(50), to=clip, container="mp4", codec="libx264")
    frames = read(clip)
    assert [number_of(f.image) for f in frames] == list(range(50))
    assert [f.seq for f in frames] == list(range(50))
    assert {f.session for f in frames} == {0}
    assert [f.pts for f in frames] == pytest.approx([k / 30 for k in range(50)], abs=1e-4)
    assert frames[0].image.shape == (120, 160, 3)
    assert not frames[0].image.flags.writeable


ONE = 1 << 16
SHOWN = {  # (a, b, c, d) of the file: where what is stored at its upper left comes, and what is at its upper right
    "as stored": ((1, 0, 0, 1), ("left", "upper"), ("right", "upper")),
    "turned to the right": ((0, 1, -1, 0), ("right", "upper"), ("right", "lower")),
    "upside down": ((-1, 0, 0, -1), ("right", "lower"), ("left", "lower")),
    "turned to the left": ((0, -1, 1, 0), ("left", "lower"), ("left", "upper")),
    "mirrored": ((-1, 0, 0, 1), ("right", "upper"), ("left", "upper")),
    "the other way up, mirrored": ((1, 0, 0, -1), ("left", "lower"), ("right", "lower")),
    "rows as columns": ((0, 1, 1, 0), ("left", "upper"), ("left", "lower")),
    "rows as columns, upside down": ((0, -1, -1, 0), ("right", "lower"), ("right", "upper")),
}


def turned_clip(folder: Path, matrix: tuple[int, ...]) -> Path:
    """A picture, red at its upper left and blue at its upper right, in a file that says how it is to be shown."""
    stored = np.full((48, 64, 3), 128, np.uint8)
    stored[:24, :32], stored[:24, 32:] = (255, 0, 0), (0, 0, 255)
    with av.open(str(folder / "clip.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=30, width=64, height=48)
        stream.codec_context.sample_aspect_ratio = Fraction(4, 3)
        container.mux(stream.encode(av.VideoFrame.from_ndarray(stored)))
        container.mux(stream.encode())
    plain = (folder / "clip.mp4").read_bytes()
    written = [ONE * value for value in matrix]
    before, after = (
        struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30) for a, b, c, d in ((ONE, 0, 0, ONE), written)
    )
    header = plain.index(b"tkhd")
    turned = plain[:header] + plain[header:].replace(before, after, 1)
    assert matrix == (1, 0, 0, 1) or turned != plain
    (folder / "turned.mp4").write_bytes(turned)
    return folder / "turned.mp4"


@pytest.mark.parametrize(("matrix", "first", "second"), SHOWN.values(), ids=SHOWN)
def test_a_picture_is_turned_and_mirrored_as_its_file_says(
    tmp_path: Path, matrix: tuple[int, ...], first: tuple[str, str], second: tuple[str, str]
) -> None:
    frame = read(turned_clip(tmp_path, matrix))[0]
    upright = matrix[0] != 0
    assert frame.image.shape == ((48, 64, 3) if upright else (64, 48, 3))
    assert frame.pixel_aspect == pytest.approx(4 / 3 if upright else 3 / 4, abs=1e-3)
    assert frame.image.flags.c_contiguous
    height, width = frame.image.shape[:2]
    for (side, end), colour in ((first, (255, 0, 0)), (second, (0, 0, 255))):
        x = width // 4 + (side == "right") * (width // 2)
        y = height // 4 + (end == "lower") * (height // 2)
        assert frame.image[y, x] == pytest.approx(colour, abs=40)


@pytest.mark.parametrize("turn", ["as stored", "turned to the right", "upside down", "turned to the left"])
def test_a_picture_is_turned_also_where_its_side_data_cannot_be_read(
    tmp_path: Path, turn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = turned_clip(tmp_path, SHOWN[turn][0])
    wanted = read(clip)[0]

    def unknown(_: object) -> None:
        raise ValueError("of a kind that PyAV does not know")

    monkeypatch.setattr(orientation, "SideDataContainer", unknown)
    found = read(clip)[0]
    np.testing.assert_array_equal(found.image, wanted.image)
    assert found.pixel_aspect == wanted.pixel_aspect


def test_a_pixel_that_is_said_to_be_a_hundred_times_as_wide_is_not_believed(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "clip.mkv"), "w") as container:
        stream = container.add_stream("libx264", rate=30, width=64, height=48)
        stream.codec_context.sample_aspect_ratio = Fraction(100, 1)
        container.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((48, 64, 3), np.uint8))))
        container.mux(stream.encode())
    assert read(tmp_path / "clip.mkv")[0].pixel_aspect == 1.0


def part(folder: Path, size: tuple[int, int], aspect: Fraction) -> bytes:
    """A few pictures as television sends them, where parts of other sizes and pixels may follow each other."""
    path = folder / "part.ts"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, width=size[0], height=size[1])
        stream.codec_context.sample_aspect_ratio = aspect
        for _ in range(40):
            container.mux(
                stream.encode(av.VideoFrame.from_ndarray(np.zeros((size[1], size[0], 3), np.uint8)))
            )
        container.mux(stream.encode())
    return path.read_bytes()


def test_the_shape_of_pixels_follows_a_stream_that_changes(tmp_path: Path) -> None:
    kinds = (((64, 48), Fraction(16, 15)), ((64, 48), Fraction(64, 45)), ((96, 48), Fraction(1)))
    clip = tmp_path / "clip.ts"
    clip.write_bytes(b"".join(part(tmp_path, size, aspect) for size, aspect in kinds))
    found = dict.fromkeys((f.image.shape[1], round(f.pixel_aspect, 3)) for f in read(clip))
    assert list(found) == [(64, 1.067), (64, 1.422), (96, 1.0)]


def test_a_picture_with_notes_of_a_kind_that_nobody_knows_is_read(tmp_path: Path) -> None:
    """Of EXIF, which cameras put into each of their JPEGs, PyAV has no name."""
    tiff = b"II*\0" + struct.pack("<IHHHI4sI", 8, 1, 0x010F, 2, 4, b"Cam\0", 0)
    note = b"Exif\0\0" + tiff
    marked = b"\xff\xe1" + struct.pack(">H", len(note) + 2) + note
    picture = cv2.imencode(".jpg", np.full((48, 64, 3), 90, np.uint8))[1].tobytes()
    clip = tmp_path / "exif.mjpeg"
    clip.write_bytes(5 * (picture[:2] + marked + picture[2:]))
    with av.open(str(clip)) as container, pytest.raises(ValueError, match="is not a valid Type"):
        next(container.decode(video=0)).side_data  # noqa: B018
    assert [f.image.shape for f in read(clip)] == 5 * [(48, 64, 3)]


def test_pictures_leave_the_memory_at_once(tmp_path: Path) -> None:
    """Not when the garbage collector comes: until then a camera of 4K would fill gigabytes."""
    clip = tmp_path / "clip.mp4"
    encode(range(40), to=clip, container="mp4", codec="libx264")

    def alive() -> int:
        # not isinstance: of some libraries' objects that imports what is not there
        return sum(type(thing) is av.VideoFrame for thing in gc.get_objects())

    gc.collect()
    gc.disable()
    try:
        before = alive()  # other tests' threads may hold some
        for _ in range(4):  # connections, too: a short clip may be looped for days
            read(clip)
        after = alive()
    finally:
        gc.enable()
    assert after <= before


def test_of_hdr_video_it_is_said_once_that_its_colours_are_not_right(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name, transfer in (("phone.mp4", 18), ("plain.mp4", 1)):
        with av.open(str(tmp_path / name), "w") as container:
            stream = container.add_stream("libx264", rate=30)
            stream.width, stream.height = 64, 48
            stream.codec_context.color_trc = transfer
            for _ in range(3):
                container.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((48, 64, 3), np.uint8))))
            container.mux(stream.encode())
        for _ in range(2):
            assert len(read(tmp_path / name)) == 3
    assert [
        record.getMessage().partition(" is HDR")[0] for record in caplog.records if "HDR" in record.message
    ] == [str(tmp_path / "phone.mp4")]


@pytest.mark.parametrize("rate", [15, 30])
@pytest.mark.parametrize(
    ("name", "codec", "bare"),
    [("clip.h264", "libx264", "h264"), ("clip.hevc", "libx265", "hevc"), ("clip.m4v", "mpeg4", "m4v")],
)
def test_a_file_without_timestamps_goes_by_the_rate_that_its_codec_states(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str, codec: str, bare: str, rate: int
) -> None:
    """FFmpeg has them all go by at 25 a second: a pulse of 67 in a file of 30 was shown as 56."""
    encode(range(20), to=tmp_path / name, container=bare, codec=codec, rate=rate)
    clip = source(tmp_path / name, loop=True)
    frames = clip.frames(threading.Event())
    taken = [next(frames) for _ in range(25)]
    assert clip.nominal_rate == rate
    assert [f.pts for f in taken[:20]] == pytest.approx([k / rate for k in range(20)])
    assert [(f.session, f.pts) for f in taken[20:]] == [(1, pytest.approx(k / rate)) for k in range(5)]
    assert "assumed" not in caplog.text


def test_where_nothing_states_a_rate_it_is_said_once_which_one_is_assumed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    encode(range(20), to=tmp_path / "clip.mjpeg", container="mjpeg", codec="mjpeg")
    for _ in range(2):
        assert [f.pts for f in read(tmp_path / "clip.mjpeg")] == pytest.approx([k / 25 for k in range(20)])
    said = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert len(said) == 1
    assert "25 frames/s are assumed" in said[0]


def test_without_timestamps_a_broken_picture_takes_its_time(tmp_path: Path) -> None:
    clip = tmp_path / "clip.h264"
    encode(range(30), to=clip, container="h264", codec="libx264")
    slices = clip.read_bytes().split(b"\0\0\1e")
    assert len(slices) == 1 + 2 * 30
    for part_of_it in (2 * 10 + 1, 2 * 10 + 2):
        broken, mark, following = slices[part_of_it].partition(b"\0\0\1")
        slices[part_of_it] = broken[:2] + b"\xff" * (len(broken) - 2) + mark + following
    clip.write_bytes(b"\0\0\1e".join(slices))
    frames = read(clip)
    numbers = [number_of(f.image) for f in frames]
    assert numbers == [k for k in range(30) if k != 10]
    assert [f.pts for f in frames] == pytest.approx([k / 30 for k in numbers])


@pytest.mark.parametrize("cover", [False, True])
@pytest.mark.parametrize("default", [0, 1])
def test_of_several_tracks_the_default_one_is_taken_and_never_a_cover(
    tmp_path: Path, default: int, cover: bool
) -> None:
    clip, sizes = tmp_path / "clip.mp4", ((64, 48), (96, 48))
    with av.open(str(clip), "w") as container:
        tracks = [container.add_stream("libx264", rate=30, width=w, height=h) for w, h in sizes]
        for number, track in enumerate(tracks):
            track.disposition = Disposition.default if number == default else Disposition(0)
        if cover:
            picture = container.add_stream("mjpeg", rate=1, width=800, height=600, pix_fmt="yuvj420p")
            picture.disposition = Disposition.attached_pic | Disposition.default
            container.mux(picture.encode(av.VideoFrame(800, 600, "yuvj420p")))
        for _ in range(5):
            for track, (w, h) in zip(tracks, sizes, strict=True):
                container.mux(track.encode(av.VideoFrame.from_ndarray(np.zeros((h, w, 3), np.uint8))))
        for track in tracks:
            container.mux(track.encode())
    frames = read(clip)
    assert [f.image.shape[1] for f in frames] == 5 * [sizes[default][0]]


def test_pictures_in_pairs_of_one_timestamp_lie_a_period_apart(tmp_path: Path) -> None:
    """A file of 30 frames/s was one of 240 to whoever took its steps."""
    clip = tmp_path / "pairs.mkv"
    with av.open(str(clip), "w") as container:
        stream = container.add_stream("mjpeg", rate=30, width=160, height=120, pix_fmt="yuvj420p")
        packets = [p for k in range(20) for p in stream.encode(av.VideoFrame.from_ndarray(painted(k)))]
        for number, packet in enumerate(packets + stream.encode()):
            packet.time_base = Fraction(1, 1000)
            packet.pts = packet.dts = round(number // 2 * 2000 / 30)
            container.mux(packet)
    frames = read(clip)
    assert [number_of(f.image) for f in frames] == list(range(20))
    assert [f.pts for f in frames] == pytest.approx([k / 30 for k in range(20)], abs=0.001)


def test_a_real_clip_is_read_whole_with_its_rate(shared_data: Path) -> None:
    clip = source(shared_data / "video" / "clip_a.mp4")
    frames = list(clip.frames(threading.Event()))
    with av.open(str(shared_data / "video" / "clip_a.mp4")) as container:
        first = next(container.decode(video=0)).to_ndarray(format="rgb24")
    assert len(frames) == 354
    assert clip.nominal_rate == pytest.approx(30.098, abs=0.001)
    assert frames[-1].pts == pytest.approx(353 / 30.098, abs=0.05)
    assert (frames[0].image == first).all()
    assert not clip.skipped


def test_colours_are_red_green_blue(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "red.mp4"), "w") as out:
        stream = out.add_stream("libx264", rate=30)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv444p"
        frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), (200, 30, 60), np.uint8), format="rgb24")
        out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    image = read(tmp_path / "red.mp4")[0].image
    assert np.abs(image.astype(int) - (200, 30, 60)).max() <= 6


def test_pace_file_waits_for_each_frames_time(tmp_path: Path) -> None:
    clip, now = tmp_path / "clip.mp4", 50.0
    encode(range(16), to=clip, container="mp4", codec="libx264")

    class Waits(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            nonlocal now
            now += timeout or 0.0
            return self.is_set()

    arrived = [frame.arrived for frame in source(clip, pace="file", clock=lambda: now).frames(Waits())]
    assert arrived == pytest.approx([50.0 + k / 30 for k in range(16)], abs=1e-3)


def test_a_stop_ends_a_paced_file_in_the_middle_of_a_wait(tmp_path: Path) -> None:
    clip = tmp_path / "slow.avi"
    encode(range(3), to=clip, container="avi", codec="mjpeg", rate=1)

    class StoppedMeanwhile(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            if timeout:
                self.set()
            return self.is_set()

    assert [number_of(f.image) for f in source(clip, pace="file").frames(StoppedMeanwhile())] == [0]


def test_a_loop_begins_a_session_each_time_round(tmp_path: Path) -> None:
    clip = tmp_path / "clip.mp4"
    encode(range(10), to=clip, container="mp4", codec="libx264")
    frames = source(clip, loop=True).frames(threading.Event())
    taken = [next(frames) for _ in range(25)]
    assert [number_of(f.image) for f in taken] == [*range(10), *range(10), *range(5)]
    assert [f.session for f in taken] == [0] * 10 + [1] * 10 + [2] * 5
    assert [f.seq for f in taken] == list(range(25))
    assert taken[10].pts == 0


def test_a_change_of_size_in_mid_stream_begins_a_session(tmp_path: Path) -> None:
    clip = tmp_path / "sizes.ts"
    clip.write_bytes(encode(range(10)) + encode(range(10, 20), size=(320, 240), start=10 / 30))
    frames = read(clip)
    assert [number_of(f.image) for f in frames] == list(range(20))
    assert [(f.session, f.image.shape[1]) for f in frames] == [(0, 160)] * 10 + [(1, 320)] * 10
    assert frames[10].pts == 0


def test_lost_frames_leave_gaps_of_their_own_length(tmp_path: Path) -> None:
    lost = {3, 4, 9, 15, 22, 23, 24, 28}
    clip = tmp_path / "gaps.ts"
    clip.write_bytes(encode(range(40), lost=lost))
    frames = read(clip)
    numbers = [number_of(f.image) for f in frames]
    assert numbers == [k for k in range(40) if k not in lost]
    assert [f.pts for f in frames] == pytest.approx([k / 30 for k in numbers], abs=1e-4)
    assert {f.session for f in frames} == {0}


def test_damage_in_mid_stream_is_skipped_and_counted(tmp_path: Path) -> None:
    whole = encode(range(100), codec="libx264", size=(320, 240))
    clip = tmp_path / "damaged.ts"
    clip.write_bytes(lose_packets(whole, 0.05))
    damaged = source(clip)
    frames = list(damaged.frames(threading.Event()))
    assert 20 <= len(frames) < 100
    assert damaged.skipped["corrupt"] > 0
    assert number_of(frames[-1].image) > 90  # it went on to the end
    assert all(b.pts > a.pts for a, b in pairwise(frames))


def test_a_file_cut_short_plays_up_to_the_cut(tmp_path: Path) -> None:
    clip = tmp_path / "clip.mkv"
    encode(range(60), to=clip, container="matroska", codec="libx264")
    data = clip.read_bytes()
    clip.write_bytes(data[: len(data) // 2])
    assert 15 < len(read(clip)) < 60


def test_a_thousand_frames_a_second_are_thinned_out_and_counted(tmp_path: Path) -> None:
    clip = tmp_path / "fast.mp4"
    encode(range(200), to=clip, container="mp4", codec="libx264", rate=1000, size=(64, 48))
    fast = source(clip)
    frames = list(fast.frames(threading.Event()))
    assert len(frames) + fast.skipped["too fast"] == 200
    assert len(frames) - 1 <= 240 * (frames[-1].pts + 0.0011)  # a millisecond early at the most


def test_a_file_of_240_frames_a_second_and_times_in_milliseconds_is_read_whole(tmp_path: Path) -> None:
    clip = tmp_path / "fast.mkv"
    encode(range(200), to=clip, container="matroska", codec="libx264", rate=240, size=(64, 48))
    frames = read(clip)
    assert len(frames) == 200
    assert {round(1000 * (after.pts - before.pts)) for before, after in pairwise(frames)} == {4, 5}


def test_a_song_has_no_video(tmp_path: Path) -> None:
    clip = tmp_path / "song.mp3"
    with av.open(str(clip), "w") as out:
        sound = out.add_stream("libmp3lame", rate=44100)
        frame = av.AudioFrame(format="s16p", layout="stereo", samples=1152)
        frame.sample_rate = 44100
        for plane in frame.planes:  # silence: whatever lay in memory may look like some other format
            plane.update(bytes(plane.buffer_size))
        for _ in range(40):  # a second: enough for FFmpeg to be sure of the format
            out.mux(sound.encode(frame))
        out.mux(sound.encode(None))
    assert "no video" in failure(clip)


def text_called_video(path: Path) -> Path:
    (path / "notes.mp4").write_text("Dear diary,\n" * 100)
    return path / "notes.mp4"


def empty(path: Path) -> Path:
    (path / "empty.mp4").touch()
    return path / "empty.mp4"


def pipe(path: Path) -> Path:
    os.mkfifo(path / "pipe.mp4")
    return path / "pipe.mp4"


def too_small(path: Path) -> Path:
    encode(range(3), to=path / "small.mp4", container="mp4", codec="libx264", size=(34, 34))
    return path / "small.mp4"


def unknown_codec(path: Path) -> Path:
    encode(range(3), to=path / "odd.mp4", container="mp4", codec="libx264")
    data = (path / "odd.mp4").read_bytes()
    (path / "odd.mp4").write_bytes(data.replace(b"avc1", b"zzzz").replace(b"avcC", b"zzzC"))
    return path / "odd.mp4"


def only_damage(path: Path) -> Path:
    encode(range(10), to=path / "noise.mp4", container="mp4", codec="libx264")
    data = bytearray((path / "noise.mp4").read_bytes())
    start, end = data.index(b"mdat") + 4, data.index(b"moov") - 4
    data[start:end] = bytes(end - start)
    (path / "noise.mp4").write_bytes(data)
    return path / "noise.mp4"


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda path: path / "absent.mp4", "no such file"),
        (lambda path: path, "is a folder"),
        (empty, "is empty"),
        (pipe, "neither a file nor a camera"),
        (text_called_video, "not a video"),
        (too_small, r"too small \(34x34\); at least 36x36"),
        (unknown_codec, "codec cannot be decoded"),
        (only_damage, "not one picture"),
    ],
)
def test_a_bad_file_is_refused_in_one_clear_line(
    tmp_path: Path, make: Callable[[Path], Path], says: str
) -> None:
    path = make(tmp_path)
    text = failure(path)
    assert str(path) in text
    assert re.search(says, text)


def test_a_picture_that_is_too_large_is_refused_before_it_is_decoded(tmp_path: Path) -> None:
    clip = tmp_path / "clip.mp4"
    encode(range(3), to=clip, container="mp4", codec="libx264", size=(320, 240))
    assert "too large (320x240); at most 200x100" in failure(clip, limits=Limits(largest=(200, 100)))
    assert len(read(clip, limits=Limits(largest=(240, 320)))) == 3  # a portrait limit is the same limit


def test_nothing_is_opened_before_the_first_frame_is_asked_for(tmp_path: Path) -> None:
    made = source(tmp_path / "absent.mp4")
    made.frames(threading.Event())
    assert not made.live
    assert made.name == str(tmp_path / "absent.mp4")
