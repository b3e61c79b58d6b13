"""Recordings: frame for frame, at the source's times, and playable whatever happened."""

from __future__ import annotations

import logging
import os
import resource
import signal
import subprocess
import sys
import time
from collections import deque
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import av
import numpy as np
import pytest
from render_frames import magnified, number_in, numbered

from deepmag.stream.render.recorder import Recorder
from deepmag.stream.render.renderer import RendererError
from deepmag.stream.render.safe_file import SafeFile, end_of_fragments
from deepmag.stream.render.timeline import Timeline

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from deepmag.stream.frames import MagnifiedFrame

# Writes noise (so that the file grows fast) until it is killed or the disk is full.
RECORD = """
import os, resource, signal, sys
from deepmag.stream.render.recorder import Recorder
from deepmag.stream.render.thread import RenderThread
from render_frames import magnified, numbered
path, limit, count, last_act = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
if limit:
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
thread = RenderThread(Recorder(path, rate=30, lossless=True), policy="every", block=True, depth=2)
thread.start()
for number in range(count):
    thread.push(magnified(number, image=numbered(number)))
if last_act == "kill":
    os.kill(os.getpid(), signal.SIGKILL)
thread.close()
print(thread.trouble)
"""


def record(path: Path, frames: list[MagnifiedFrame], **options: object) -> None:
    recorder = Recorder(path, **{"rate": 30.0, **options})  # type: ignore[arg-type]
    recorder.open()
    for frame in frames:
        recorder.render(frame)
    recorder.close()


def play(path: Path) -> tuple[list[NDArray[np.uint8]], list[float]]:
    """Every picture and its time, s."""
    with av.open(path) as container:
        found = [(f.to_ndarray(format="rgb24"), float(f.time or 0)) for f in container.decode(video=0)]
    return [image for image, _ in found], [time for _, time in found]


def average_rate(path: Path) -> float:
    with av.open(path) as container:
        return float(container.streams.video[0].average_rate or 0)


def run(
    path: Path, *, limit: int = 0, count: int = 200, last_act: str = "end"
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", RECORD, str(path), str(limit), str(count), last_act],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=Path(__file__).parent,
    )


@pytest.mark.parametrize("suffix", [".mkv", ".mp4", ".mov"])
@pytest.mark.parametrize("shape", [(120, 160), (121, 163)])
def test_lossless_is_the_picture_bit_for_bit(tmp_path: Path, suffix: str, shape: tuple[int, int]) -> None:
    path = tmp_path / f"exact{suffix}"
    pictures = [np.random.default_rng(n).integers(0, 256, (*shape, 3)).astype(np.uint8) for n in range(40)]
    record(path, [magnified(n, image=image) for n, image in enumerate(pictures)], lossless=True)
    played, _ = play(path)
    assert len(played) == len(pictures)
    assert all(np.array_equal(a, b) for a, b in zip(pictures, played, strict=True))


@pytest.mark.parametrize("suffix", [".mkv", ".mp4", ".mov"])
def test_each_frame_is_written_once_in_order_at_its_own_time(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"times{suffix}"
    gaps = np.random.default_rng(1).uniform(0.02, 0.2, 60)
    pts = 1234.5 + np.cumsum(gaps)
    record(path, [magnified(n, pts=float(t)) for n, t in enumerate(pts)])
    played, times = play(path)
    assert [number_in(image) for image in played] == list(range(60))
    np.testing.assert_allclose(np.diff(times), np.diff(pts), atol=1.1e-3)  # Matroska counts milliseconds


@pytest.mark.parametrize("lossless", [False, True])
@pytest.mark.parametrize("suffix", [".mkv", ".mp4"])
def test_the_rate_of_a_real_clip_is_kept(
    tmp_path: Path, shared_data: Path, suffix: str, lossless: bool
) -> None:
    source = shared_data / "video" / "clip_a.mp4"
    rate = average_rate(source)
    path = tmp_path / f"copy{suffix}"
    image = numbered(0, 48, 96)
    with av.open(source) as container:
        packets = [p.pts * p.time_base for p in container.demux(video=0) if p.pts is not None]
    small = [magnified(n, pts=float(t), image=image) for n, t in enumerate(sorted(packets))]
    record(path, small, rate=rate, lossless=lossless)
    times = [frame.frame.pts for frame in small]
    assert average_rate(path) == pytest.approx(rate, rel=4e-3)
    if suffix == ".mp4":  # the rate of the times, which the clip's own header misses by one frame in 354
        assert average_rate(path) == pytest.approx((len(times) - 1) / (times[-1] - times[0]), rel=1e-4)
    assert len(play(path)[0]) == len(small)


def test_lossy_recording_keeps_colours_and_stays_close(tmp_path: Path) -> None:
    path = tmp_path / "colours.mkv"
    image = np.zeros((120, 160, 3), np.uint8)
    image[:, :80], image[:, 80:] = (200, 60, 40), (40, 90, 210)
    record(path, [magnified(n, image=image) for n in range(10)])
    last = play(path)[0][-1]
    np.testing.assert_allclose(last[60, 40], (200, 60, 40), atol=4)
    np.testing.assert_allclose(last[60, 120], (40, 90, 210), atol=4)


def test_an_odd_last_row_and_column_is_left_out_of_a_lossy_recording(tmp_path: Path) -> None:
    record(tmp_path / "odd.mp4", [magnified(n, image=numbered(n, 121, 163)) for n in range(3)])
    assert play(tmp_path / "odd.mp4")[0][0].shape == (120, 162, 3)


def test_the_original_lies_at_the_left(tmp_path: Path) -> None:
    path = tmp_path / "both.mkv"
    frame = magnified(5)
    record(path, [frame], lossless=True, original_beside=True)
    np.testing.assert_array_equal(play(path)[0][0], np.hstack([frame.frame.image, frame.image]))


@pytest.mark.parametrize("suffix", [".mkv", ".mp4"])
def test_a_new_session_continues_after_the_last_frame(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"sessions{suffix}"
    frames = [magnified(n, session=0, pts=50 + n / 30) for n in range(10)]
    frames += [magnified(10 + n, session=1, pts=3 + n / 30) for n in range(10)]
    record(path, frames)
    played, times = play(path)
    assert [number_in(image) for image in played] == list(range(20))
    np.testing.assert_allclose(np.diff(times), 1 / 30, atol=1.1e-3)


def test_a_change_of_size_continues_in_a_numbered_file(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "a.mkv"
    frames = [magnified(n) for n in range(5)]
    frames += [magnified(n, session=1, image=numbered(n, 90, 120)) for n in range(5, 12)]
    frames += [magnified(n, session=2) for n in range(12, 15)]
    with caplog.at_level(logging.WARNING, "deepmag"):
        record(path, frames)
    numbers = [[number_in(i) for i in play(tmp_path / name)[0]] for name in ("a.mkv", "a-2.mkv", "a-3.mkv")]
    assert numbers == [list(range(5)), list(range(5, 12)), list(range(12, 15))]
    assert [Path(r.getMessage().split()[-1]).name for r in caplog.records] == ["a-2.mkv", "a-3.mkv"]


@pytest.mark.parametrize("suffix", [".mkv", ".mp4", ".mov"])
@pytest.mark.parametrize("lossless", [True, False])
def test_pixels_that_are_not_square_stay_as_wide(tmp_path: Path, suffix: str, *, lossless: bool) -> None:
    squeezed = [
        replace(frame, frame=replace(frame.frame, pixel_aspect=128 / 117))
        for frame in (magnified(n) for n in range(5))
    ]
    record(tmp_path / f"a{suffix}", [*squeezed, magnified(5)], lossless=lossless)
    for name, aspect, count in (("a", Fraction(128, 117), 5), ("a-2", 1, 1)):
        path = tmp_path / f"{name}{suffix}"
        with av.open(path) as container:
            assert container.streams.video[0].sample_aspect_ratio == aspect
        assert len(play(path)[0]) == count


def test_times_that_stand_still_or_go_back_do_not_end_the_recording(tmp_path: Path) -> None:
    for suffix in (".mkv", ".mp4"):
        path = tmp_path / f"still{suffix}"
        record(path, [magnified(n, pts=1.0 - n / 1000) for n in range(10)])
        played, times = play(path)
        assert [number_in(image) for image in played] == list(range(10))
        assert all(np.diff(times) > 0)


@pytest.mark.parametrize("suffix", [".mkv", ".mp4"])
def test_a_killed_process_leaves_a_recording_that_plays(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"killed{suffix}"
    done = run(path, last_act="kill")
    assert done.returncode == -signal.SIGKILL
    numbers = [number_in(image) for image in play(path)[0]]
    assert numbers == list(range(len(numbers)))
    assert len(numbers) >= 200 - 75  # two seconds at most, of which a little waits in the encoder


@pytest.mark.parametrize("suffix", [".mkv", ".mp4"])
def test_a_full_disk_gives_one_line_and_the_recording_plays_up_to_it(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"full{suffix}"
    limit = 3_000_000
    done = run(path, limit=limit)
    assert "the disk is full" in done.stdout
    assert done.stdout.count("\n") == 1
    assert "Traceback" not in done.stderr
    numbers = [number_in(image) for image in play(path)[0]]
    assert numbers == list(range(len(numbers)))
    assert len(numbers) >= 30
    assert limit / 2 < path.stat().st_size <= limit


@pytest.mark.parametrize("suffix", [".mkv", ".mp4"])
def test_a_disk_that_is_full_only_for_the_trailer_costs_no_fragment(tmp_path: Path, suffix: str) -> None:
    whole = tmp_path / f"whole{suffix}"
    assert run(whole, count=90).stdout == "None\n"
    path = tmp_path / f"cut{suffix}"
    run(path, count=90, limit=whole.stat().st_size - 10)
    numbers = [number_in(image) for image in play(path)[0]]
    assert numbers == list(range(len(numbers)))
    assert len(numbers) >= 59


def test_a_disk_that_is_full_for_the_last_pictures_is_told_too(tmp_path: Path) -> None:
    whole = tmp_path / "whole.mkv"
    run(whole, count=40)
    done = run(tmp_path / "cut.mkv", count=40, limit=whole.stat().st_size // 2)
    assert "the disk is full" in done.stdout


def test_a_device_that_is_always_full_is_an_error_not_a_crash(tmp_path: Path) -> None:
    path = tmp_path / "x.mkv"
    path.symlink_to("/dev/full")
    recorder = Recorder(path, rate=30)
    recorder.open()
    frames = [magnified(number) for number in range(200)]
    with pytest.raises(RendererError, match="the disk is full"):
        deque(map(recorder.render, frames), maxlen=0)
    recorder.close()


def test_outputs_that_cannot_be_written_are_refused_before_the_first_frame(tmp_path: Path) -> None:
    (tmp_path / "folder.mkv").mkdir()
    for path, why in (
        (tmp_path / "missing" / "a.mkv", "folder .*missing does not exist"),
        (tmp_path / "folder.mkv", "it is a folder"),
        (Path("/sys/deepmag.mkv"), "denied|read-only|permitted"),
    ):
        recorder = Recorder(path, rate=30)
        with pytest.raises(RendererError, match=f"(?i){why}"):
            recorder.open()
        recorder.close()


def test_a_pipe_is_refused_and_who_reads_from_it_not_disturbed(tmp_path: Path) -> None:
    path = tmp_path / "pipe.mkv"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        with pytest.raises(RendererError, match="it is a pipe"):
            Recorder(path, rate=30).open()
    finally:
        os.close(reader)


@pytest.mark.parametrize("name", ["a.avi", "a.webm", "a", "a.txt"])
def test_an_unknown_suffix_is_refused_with_those_that_work(tmp_path: Path, name: str) -> None:
    with pytest.raises(RendererError, match=r"\.mkv, \.mp4, \.mov"):
        Recorder(tmp_path / name, rate=30)


def test_the_source_itself_is_never_overwritten(tmp_path: Path) -> None:
    source = tmp_path / "in.mkv"
    record(source, [magnified(0)])
    before = source.read_bytes()
    link = tmp_path / "link.mkv"
    link.symlink_to(source)
    for path in (source, link, tmp_path / "." / "in.mkv"):
        with pytest.raises(RendererError, match="it is the source itself"):
            Recorder(path, rate=30, source=source).open()
    assert source.read_bytes() == before


def test_nor_is_any_file_by_the_numbered_one_of_a_change_of_size(tmp_path: Path) -> None:
    source, older = tmp_path / "a-2.mkv", tmp_path / "a-3.mkv"
    for path in (source, older):
        record(path, [magnified(0)])
    before = source.read_bytes(), older.read_bytes()
    frames = [magnified(0), magnified(1, session=1, image=numbered(1, 90, 120))]
    record(tmp_path / "a.mkv", frames, source=source)
    assert (source.read_bytes(), older.read_bytes()) == before
    numbers = [[number_in(i) for i in play(tmp_path / name)[0]] for name in ("a.mkv", "a-4.mkv")]
    assert numbers == [[0], [1]]


def test_a_recording_without_a_frame_leaves_no_file_and_costs_no_older_one(tmp_path: Path) -> None:
    record(tmp_path / "new.mkv", [])
    assert not (tmp_path / "new.mkv").exists()
    record(tmp_path / "old.mkv", [magnified(3)])
    record(tmp_path / "old.mkv", [])
    assert number_in(play(tmp_path / "old.mkv")[0][0]) == 3
    record(tmp_path / "old.mkv", [magnified(4)])
    assert [number_in(image) for image in play(tmp_path / "old.mkv")[0]] == [4]


@pytest.mark.parametrize("lossless", [False, True])
def test_recording_a_real_picture_takes_less_than_half_a_core(
    tmp_path: Path, shared_data: Path, lossless: bool
) -> None:
    with av.open(shared_data / "video" / "clip_a.mp4") as container:
        frames = [
            magnified(n, image=frame.to_ndarray(format="rgb24"))
            for n, frame in zip(range(60), container.decode(video=0), strict=False)
        ]
    before = time.process_time()
    record(tmp_path / "a.mkv", frames, lossless=lossless)
    # About 7 ms for each when measured alone; the bound leaves room for a busy machine.
    assert (time.process_time() - before) / len(frames) < 0.5 / 30


def test_ticks_always_rise_and_keep_the_distances_within_a_session() -> None:
    timeline = Timeline(Fraction(1, 1000))
    assert [timeline.place(0, 7 + t, 0.04) for t in (0.0, 0.033, 0.5)] == [0, 33, 500]
    assert timeline.place(1, -3.0, 0.04) == 540
    assert timeline.place(1, -2.9, 0.04) == 640
    assert timeline.place(1, -2.9, 0.04) == 641
    assert timeline.advance(0.25) == 891
    assert timeline.place(1, -2.6, 0.04) == 940


def test_frames_that_go_on_behind_repeated_pictures_keep_their_distances() -> None:
    timeline = Timeline(Fraction(1, 1000))
    assert timeline.place(0, 1.0, 0.04) == 0
    for _ in range(8):  # the lag was raised by 2 s, for which no frame comes, and none is missing
        timeline.advance(0.25)
    assert [timeline.place(0, 1.0 + t, 0.04) for t in (0.033, 0.066, 0.1)] == [2040, 2073, 2107]


def test_after_a_failed_write_no_other_succeeds(tmp_path: Path) -> None:
    file = SafeFile(tmp_path / "a.mp4")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            file.write(bytes(200))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    file.seek(0)
    with pytest.raises(OSError, match="File too large"):
        file.write(b"a new front")
    file.close()
    assert (tmp_path / "a.mp4").read_bytes() == bytes(100)


def test_the_end_of_the_last_whole_fragment_is_found(tmp_path: Path) -> None:
    def box(kind: bytes, size: int) -> bytes:
        return (8 + size).to_bytes(4, "big") + kind + bytes(size)

    header, fragment = box(b"ftyp", 4) + box(b"moov", 20), box(b"moof", 12) + box(b"mdat", 100)
    large = box(b"moof", 12) + (1).to_bytes(4, "big") + b"mdat" + (16 + 50).to_bytes(8, "big") + bytes(50)
    for data, whole in (
        (header + fragment * 2, len(header + fragment * 2)),
        (header + fragment + fragment[:-1], len(header + fragment)),
        (header + fragment + fragment[:20], len(header + fragment)),
        (header + fragment + b"\0\0", len(header + fragment)),
        (header + large + fragment[:5], len(header + large)),
        (header, len(header)),
        (b"", 0),
    ):
        path = tmp_path / "boxes"
        path.write_bytes(data)
        with path.open("rb") as file:
            assert end_of_fragments(file) == whole
