"""A recording that goes on for days: nothing is replaced, and what fails is tried again."""

from __future__ import annotations

import errno
import logging
import shutil
import subprocess
import sys
from itertools import chain
from pathlib import Path

import pytest
from render_frames import magnified, number_in, numbered
from test_render_recorder import play

from deepmag.stream.render.endless_recorder import (
    CHANGES,
    CHANGES_PERIOD,
    RETRY,
    ROOM,
    SOON,
    EndlessRecorder,
)
from deepmag.stream.render.recorder import Recorder
from deepmag.stream.render.renderer import RendererError, ReportingRenderer

# Files of so many bytes are all that the disk takes, as a stick with FAT32 takes 4 GiB.
ON_A_SMALL_DISK = """
import resource, sys
from pathlib import Path
from deepmag.stream.render.endless_recorder import EndlessRecorder
from deepmag.stream.render.recorder import Recorder
from render_frames import magnified, numbered
now = 0.0
recorder = EndlessRecorder(
    Path(sys.argv[1]), lambda path: Recorder(path, rate=30, lossless=True, keep=True), clock=lambda: now
)
recorder.open()
resource.setrlimit(resource.RLIMIT_FSIZE, (4_000_000, resource.RLIM_INFINITY))
troubled = 0
for number in range(480):
    now += 1.0
    recorder.render(magnified(number, image=numbered(number)))
    troubled += bool(recorder.trouble)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
recorder.close()
print(recorder.lost, troubled)
"""


class Bench:
    """An endless recorder whose clock the test owns."""

    def __init__(self, path: Path, **options: float) -> None:
        self.time = 0.0
        self.recorder = EndlessRecorder(
            path, lambda path: Recorder(path, rate=30, keep=True), clock=lambda: self.time, **options
        )

    def record(self, numbers: range, step: float = 1 / 30) -> None:
        for number in numbers:
            self.recorder.render(magnified(number, image=numbered(number)))
            self.time += step


def numbers_in(path: Path) -> list[int]:
    return [number_in(image) for image in play(path)[0]]


def test_no_earlier_recording_is_replaced(tmp_path: Path) -> None:
    for process in range(3):
        bench = Bench(tmp_path / "bed.mkv")
        bench.recorder.open()
        bench.record(range(10 * process, 10 * process + 10))
        bench.recorder.close()
    found = {path.name: numbers_in(path) for path in tmp_path.iterdir()}
    assert found == {
        "bed.mkv": list(range(10)),
        "bed-2.mkv": list(range(10, 20)),
        "bed-3.mkv": list(range(20, 30)),
    }


def test_after_some_hours_it_goes_on_in_a_new_file_and_no_frame_is_missing(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "bed.mp4", hours=2)
    bench.recorder.open()
    bench.record(range(30), step=600.0)  # five hours
    bench.recorder.close()
    parts = [numbers_in(tmp_path / name) for name in ("bed.mp4", "bed-2.mp4", "bed-3.mp4")]
    assert [len(part) for part in parts] == [12, 12, 6]
    assert list(chain(*parts)) == list(range(30))
    assert bench.recorder.lost == 0


def test_a_change_of_size_takes_a_free_name_too(tmp_path: Path) -> None:
    (tmp_path / "bed-2.mkv").write_bytes(b"somebody's")
    bench = Bench(tmp_path / "bed.mkv")
    bench.recorder.open()
    bench.record(range(5))
    bench.recorder.render(magnified(5, session=1, image=numbered(5, 90, 160)))
    assert bench.recorder.path.name == "bed-3.mkv"
    bench.recorder.close()
    assert (tmp_path / "bed-2.mkv").read_bytes() == b"somebody's"
    assert numbers_in(tmp_path / "bed-3.mkv") == [5]


def test_a_camera_whose_size_keeps_changing_fills_no_folder_and_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It had a file for each picture, and two lines of the log."""
    caplog.set_level(logging.ERROR)
    bench = Bench(tmp_path / "bed.mkv")
    bench.recorder.open()
    for number in range(300):
        bench.recorder.render(magnified(number, image=numbered(number, 120 + 2 * (number % 2))))
        bench.time += 1 / 30
    assert len(list(tmp_path.iterdir())) == CHANGES + 1
    assert "keeps changing" in bench.recorder.trouble
    assert len(caplog.records) == 1
    bench.record(range(300, 320))  # of the size that is recorded now
    assert bench.recorder.trouble
    bench.time += RETRY
    bench.record(range(320, 340))
    assert not bench.recorder.trouble
    bench.time += CHANGES_PERIOD
    bench.recorder.render(magnified(340, image=numbered(340, 240)))  # may be another one now
    bench.recorder.close()
    assert numbers_in(tmp_path / f"bed-{CHANGES + 2}.mkv") == [340]
    recorded = sum(len(numbers_in(path)) for path in tmp_path.iterdir())
    assert recorded + bench.recorder.lost == 341


@pytest.mark.parametrize("suffix", [".mkv", ".mp4"])
def test_a_disk_that_takes_no_more_ends_a_file_and_the_next_goes_on(tmp_path: Path, suffix: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", ON_A_SMALL_DISK, str(tmp_path / f"bed{suffix}")],
        capture_output=True, text=True, timeout=60, check=False, cwd=Path(__file__).parent,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    lost, troubled = map(int, done.stdout.split())
    parts = [numbers_in(path) for path in sorted(tmp_path.iterdir(), key=lambda path: path.stat().st_mtime)]
    assert len(parts) >= 3
    numbers = list(chain(*parts))
    assert numbers == sorted(set(numbers))  # in order, and none twice
    # each failure costs the frames until the next try, which are counted, and the encoder's last second at most
    assert 10 * (len(parts) - 1) <= lost < troubled
    assert 0 <= 480 - lost - len(numbers) <= 90 * (len(parts) - 1)


def test_a_file_that_was_removed_is_noticed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    bench = Bench(tmp_path / "bed.mkv")
    bench.recorder.open()
    bench.record(range(10))
    bench.recorder.path.unlink()
    bench.time += RETRY
    with caplog.at_level(logging.ERROR):
        bench.record(range(10, 20))
    assert "was removed" in caplog.text
    bench.recorder.close()
    assert numbers_in(tmp_path / "bed.mkv") == list(range(10, 20))


def where_the_folder_went(tmp_path: Path) -> tuple[Bench, Path]:
    """Five pictures in, an hour later the next file cannot begin: the folder is at "away"."""
    share = tmp_path / "share"
    share.mkdir()
    bench = Bench(share / "bed.mkv", hours=1)
    bench.recorder.open()
    bench.record(range(5))
    share.rename(tmp_path / "away")
    bench.time += 3600
    return bench, share


def test_a_folder_that_comes_back_is_recorded_to_again(tmp_path: Path) -> None:
    bench, share = where_the_folder_went(tmp_path)
    bench.record(range(5, 10))
    assert isinstance(bench.recorder, ReportingRenderer)
    assert "does not exist" in bench.recorder.trouble
    assert bench.recorder.lost == 5
    (tmp_path / "away").rename(share)
    bench.time += RETRY
    bench.record(range(10, 11))
    assert bench.recorder.trouble  # nothing has been written yet
    bench.record(range(11, 100))
    assert bench.recorder.trouble == ""
    bench.recorder.close()
    assert numbers_in(share / "bed.mkv") == list(range(5))
    assert numbers_in(share / "bed-2.mkv") == list(range(10, 100))


def test_a_disk_that_stays_full_is_not_filled_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bench, share = where_the_folder_went(tmp_path)
    bench.record(range(5, 6))
    assert bench.recorder.trouble
    (tmp_path / "away").rename(share)
    usage = shutil.disk_usage(share)
    for free, files in ((ROOM - 1, {"bed.mkv"}), (ROOM, {"bed.mkv", "bed-2.mkv"})):
        monkeypatch.setattr(shutil, "disk_usage", lambda _, free=free: usage._replace(free=free))
        bench.time += RETRY
        bench.record(range(6, 100))
        assert {path.name for path in share.iterdir()} == files
    bench.recorder.close()


def test_while_files_fail_soon_each_is_waited_for_twice_as_long(tmp_path: Path) -> None:
    share, away = tmp_path / "share", tmp_path / "away"
    share.mkdir()
    bench = Bench(share / "bed.mkv")
    bench.recorder.open()
    for lasted, wait in ((1, 2 * RETRY), (1, 4 * RETRY), (1, 8 * RETRY), (SOON, RETRY), (1, 2 * RETRY)):
        bench.record(range(1))
        bench.time += lasted
        bench.record(range(1, 2))
        share.rename(away)
        bench.recorder.render(magnified(2, image=numbered(2, 90, 160)))  # another size takes a new file
        away.rename(share)
        lost, failed = bench.recorder.lost, bench.time
        bench.time = failed + wait - 1
        bench.record(range(1))
        assert bench.recorder.lost == lost + 1
        bench.time = failed + wait
        bench.record(range(1))
        assert bench.recorder.lost == lost + 1
    bench.recorder.close()


@pytest.mark.parametrize("number", [errno.ENOTCONN, errno.ESTALE, errno.EIO])
def test_a_share_whose_every_question_fails_is_tried_again(
    tmp_path: Path, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = Bench(tmp_path / "bed.mkv", hours=1)
    bench.recorder.open()
    bench.record(range(5))
    bench.time += 3600

    def gone(_path: Path) -> bool:
        raise OSError(number, "the share is away")

    with monkeypatch.context() as patched:
        for question in ("is_dir", "exists", "stat"):
            patched.setattr(Path, question, gone)
        for _ in range(3):
            bench.record(range(5, 6))
            assert "the share is away" in bench.recorder.trouble
            bench.time += RETRY
    bench.record(range(6, 100))
    assert bench.recorder.trouble == ""
    bench.recorder.close()
    assert numbers_in(tmp_path / "bed-2.mkv") == list(range(6, 100))


def test_two_recordings_that_wait_for_their_cameras_do_not_take_the_same_file(tmp_path: Path) -> None:
    benches = [Bench(tmp_path / "bed.mkv") for _ in range(2)]
    for bench in benches:
        bench.recorder.open()
    for first, bench in enumerate(benches):
        bench.record(range(100 * first, 100 * first + 10))
    for bench in benches:
        bench.recorder.close()
    assert numbers_in(tmp_path / "bed.mkv") == list(range(10))
    assert numbers_in(tmp_path / "bed-2.mkv") == list(range(100, 110))
    idle = Bench(tmp_path / "other.mkv")
    idle.recorder.open()
    idle.recorder.close()
    assert not (tmp_path / "other.mkv").exists()  # nothing was recorded


def test_what_cannot_be_recorded_from_the_start_is_refused(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "missing" / "bed.mkv")
    with pytest.raises(RendererError, match="does not exist"):
        bench.recorder.open()
    bench.recorder.close()
