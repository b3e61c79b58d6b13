"""The table of vitals: one row a second, whatever happens to the source."""

from __future__ import annotations

import csv
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from render_frames import magnified

from deepmag.stream.frames import Reading, Signal
from deepmag.stream.render.renderer import RendererError
from deepmag.stream.render.thread import RenderThread
from deepmag.stream.render.vitals_csv import VitalsCsv

if TYPE_CHECKING:
    from deepmag.stream.frames import MagnifiedFrame, SourceState

NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)


def with_session(shown: MagnifiedFrame, session: int) -> MagnifiedFrame:
    return replace(shown, frame=replace(shown.frame, session=session))


class Bench:
    """A VitalsCsv whose clocks and source the test owns."""

    def __init__(self, path: Path, *, keep: bool = False) -> None:
        self.path = path
        self.time = 100.0
        self.state: SourceState = "live"
        self.csv = VitalsCsv(
            path,
            state=lambda: self.state,
            clock=lambda: self.time,
            now=lambda: NOON + timedelta(seconds=self.time - 100),
            keep=keep,
        )
        self.csv.open()

    def idle_for(self, seconds: float) -> None:
        for _ in range(round(seconds * 4)):
            self.time += 0.25
            self.csv.idle()

    def rows(self) -> list[dict[str, str]]:
        with self.path.open(newline="") as file:
            return list(csv.DictReader(file))


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path / "vitals.csv")


def test_one_row_for_each_second_of_the_source(bench: Bench) -> None:
    for number in range(301):
        bench.time += 1 / 30
        bench.csv.render(magnified(number, pts=20 + number / 30.1))
    rows = bench.rows()  # read while it is open: every row is flushed
    assert len(rows) == 10
    assert [float(row["pts"]) for row in rows] == pytest.approx(range(20, 30), abs=1 / 30)
    assert rows[0] == {
        "time": "2024-05-01T12:00:00.033+00:00",
        "session": "0",
        "pts": "20.000",
        "rate": "72.4",
        "quality": "0.90",
        "reason": "",
        "breaths": "",
        "breath_quality": "0.00",
        "breath_reason": "not measured",
        "breath_wave": "",
    }
    bench.csv.close()


def test_the_rows_count_the_source_s_seconds_at_any_pace(bench: Bench) -> None:
    for number in range(90):  # three seconds of a file in no time
        bench.csv.render(magnified(number))
    assert [row["pts"] for row in bench.rows()] == ["0.000", "1.000", "2.000"]
    bench.csv.close()


def test_a_rate_that_is_not_trusted_is_empty_with_its_reason(bench: Bench) -> None:
    bench.csv.render(magnified(0, reading=Reading(None, 0.12, "too much motion, or no face")))
    (row,) = bench.rows()
    assert (row["rate"], row["quality"], row["reason"]) == ("", "0.12", "too much motion, or no face")
    bench.csv.close()


def test_respiration_has_columns_of_its_own_after_those_of_the_pulse(bench: Bench) -> None:
    bench.csv.render(magnified(0, breath=Signal(0.12345, Reading(14.62, 0.7, ""))))
    bench.csv.render(magnified(30, breath=Signal(-0.1, Reading(None, 0.2, "breathing too faint"))))
    heading = bench.path.read_text().splitlines()[0]
    assert heading.startswith("time,session,pts,rate,quality,reason,breaths,")
    breaths = [[value for name, value in row.items() if "breath" in name] for row in bench.rows()]
    assert breaths == [["14.6", "0.70", "", "0.1235"], ["", "0.20", "breathing too faint", "-0.1000"]]
    assert [row["rate"] for row in bench.rows()] == ["72.4", "72.4"]
    bench.csv.close()


def test_what_this_run_does_not_measure_is_empty_and_says_so(bench: Bench) -> None:
    breath = Signal(0.1, Reading(14.6, 0.7, ""))
    bench.csv.render(replace(magnified(0, breath=breath), pulse=None))
    (row,) = bench.rows()
    assert (row["rate"], row["quality"], row["reason"]) == ("", "0.00", "not measured")
    assert row["breaths"] == "14.6"
    bench.csv.close()


def test_rows_go_on_without_a_rate_while_no_frame_comes(bench: Bench) -> None:
    bench.csv.render(magnified(0))
    bench.state = "stale"
    bench.idle_for(2)
    bench.state = "lost"
    bench.idle_for(2)
    bench.state = "live"
    bench.csv.render(magnified(1, session=1, pts=0.0))
    rows = bench.rows()
    assert [row["reason"] for row in rows] == ["", "stale", "stale", "lost", "lost", ""]
    assert [row["rate"] for row in rows] == ["72.4", "", "", "", "", "72.4"]
    assert [row["breath_reason"] for row in rows[1:5]] == ["stale", "stale", "lost", "lost"]
    assert [row["session"] for row in rows] == ["0", "", "", "", "", "1"]
    bench.csv.close()


def test_an_engine_that_stands_still_behind_a_live_source_is_stale(bench: Bench) -> None:
    bench.idle_for(1)
    assert [row["reason"] for row in bench.rows()] == ["stale"]
    bench.csv.close()


def test_short_pauses_between_frames_make_no_row(bench: Bench) -> None:
    for number in range(20):
        bench.csv.render(magnified(number, pts=number * 0.05))
        bench.idle_for(0.75)
    assert len(bench.rows()) == 1
    bench.csv.close()


def test_after_a_stop_of_minutes_there_is_one_row_for_each_second_again(bench: Bench) -> None:
    """As where the disk hung, or the machine was paused: rows for what was missed would all have the time of after."""
    bench.state = "lost"
    bench.idle_for(2)
    bench.time += 600.0
    bench.idle_for(3)
    seconds = [(datetime.fromisoformat(row["time"]) - NOON).total_seconds() for row in bench.rows()]
    assert seconds == [1.0, 2.0, 602.25, 603.0, 604.0, 605.0]
    bench.csv.close()


def test_the_end_of_the_source_is_one_row(bench: Bench) -> None:
    bench.state = "ended"
    bench.idle_for(10)
    assert [row["reason"] for row in bench.rows()] == ["ended"]
    bench.csv.close()


def test_a_table_that_cannot_be_written_is_one_clear_line(tmp_path: Path) -> None:
    vitals = VitalsCsv(tmp_path / "missing" / "a.csv", state=lambda: "live")
    with pytest.raises(RendererError, match=r"cannot write the vitals to .*a\.csv: No such file"):
        vitals.open()
    vitals.close()


def test_a_full_disk_ends_it_with_one_clear_line(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.symlink_to("/dev/full")
    thread = RenderThread(VitalsCsv(path, state=lambda: "live"))
    thread.start()
    assert not thread.wait_opened(20)
    assert thread.close(20)
    assert thread.error == f"cannot write the vitals to {path}: No space left on device"


def test_a_table_that_is_kept_goes_on_where_an_earlier_process_ended(tmp_path: Path) -> None:
    path = tmp_path / "vitals.csv"
    for number in range(2):
        bench = Bench(path, keep=True)
        bench.csv.render(magnified(30 * number))
        bench.csv.close()
    with path.open("ab") as file:
        file.write(b"2024-05-01T12:0")  # a power cut
    bench = Bench(path, keep=True)
    bench.csv.render(magnified(60))
    bench.csv.close()
    rows = [row for row in bench.rows() if row["pts"]]
    assert [row["pts"] for row in rows] == ["0.000", "1.000", "2.000"]
    assert path.read_text().count("time,session") == 1


def test_sessions_go_on_from_those_that_a_table_has(tmp_path: Path) -> None:
    """Else session and pts name rows of different days alike."""
    path = tmp_path / "vitals.csv"
    for _ in range(2):
        bench = Bench(path, keep=True)
        for session in (0, 1):
            bench.csv.render(with_session(magnified(0), session))
        bench.idle_for(2000.0)  # of an outage that fills more than a block
        bench.csv.close()
    with path.open("ab") as file:
        file.write(bytes(200_000) + b"\r\n2026-01-01T00:00:00.000+00:00,9\r\n")  # as a power cut may leave it
    bench = Bench(path, keep=True)
    bench.csv.render(with_session(magnified(0), 0))
    path.unlink()
    bench.csv.render(with_session(magnified(0), 1))  # in a new file the same run counts on
    bench.csv.close()
    assert [row["session"] for row in bench.rows()] == ["5"]


def test_the_sessions_of_an_earlier_run_are_counted_once(tmp_path: Path) -> None:
    path = tmp_path / "vitals.csv"
    for _ in range(3):
        bench = Bench(path, keep=True)
        for session in (0, 1):
            bench.csv.render(with_session(magnified(0), session))
            bench.csv.close()  # as where a write has failed, and is tried again
    assert [row["session"] for row in bench.rows()] == list("012345")
    fresh = Bench(path)
    fresh.csv.render(magnified(0))
    fresh.csv.close()
    assert [row["session"] for row in fresh.rows()] == ["0"]


def test_a_table_with_other_columns_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "vitals.csv"
    path.write_text("time,rate\n1,2\n")
    for number in range(2):
        bench = Bench(path, keep=True)
        bench.csv.render(magnified(30 * number))
        bench.csv.close()
    assert path.read_text() == "time,rate\n1,2\n"
    assert (tmp_path / "vitals-2.csv").read_text().count("\n") == 3


@pytest.mark.parametrize("content", [b"\x00\x00\x00\x18ftypmp42", b"Notes of the night\r\n"])
def test_what_is_no_table_of_vitals_is_never_replaced(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "video.mp4"  # the source itself, as likely as not
    path.write_bytes(content)
    with pytest.raises(RendererError, match="no table of vitals"):
        Bench(path)
    assert path.read_bytes() == content


def test_a_table_that_is_not_kept_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "vitals.csv"
    for number in range(2):
        bench = Bench(path)
        bench.csv.render(magnified(30 * number))
        bench.csv.close()
    assert [row["pts"] for row in bench.rows()] == ["1.000"]


def test_a_full_disk_costs_whole_rows_and_they_come_again_when_there_is_room(tmp_path: Path) -> None:
    code = """
import resource, sys
from test_render_vitals import Bench, magnified
from pathlib import Path
bench = Bench(Path(sys.argv[1]), keep=True)
bench.csv.render(magnified(0))
for limit in (bench.path.stat().st_size + 20, resource.RLIM_INFINITY):
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    for number in range(1, 15):
        bench.time += 1
        bench.csv.render(magnified(30 * number, session=int(limit < 0)))
    print(bench.csv.trouble)
"""
    path = tmp_path / "vitals.csv"
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)],
        capture_output=True, text=True, check=True, cwd=Path(__file__).parent,
    )  # fmt: skip
    full, again = done.stdout.split("\n")[:2]
    assert "cannot write the vitals" in full
    assert again == ""
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["session"] for row in rows[:2]] == ["0", "1"]
    assert all(None not in row and None not in row.values() for row in rows)  # none is half of one
    assert len(rows) >= 5


def test_a_table_that_was_removed_is_begun_again(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "vitals.csv", keep=True)
    bench.csv.render(magnified(0))
    bench.path.unlink()
    bench.csv.render(magnified(30))
    bench.csv.close()
    assert [row["pts"] for row in bench.rows()] == ["1.000"]


def test_it_runs_in_its_thread_and_loses_no_second(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    thread = RenderThread(VitalsCsv(path, state=lambda: "live"), policy="every", block=True)
    thread.start()
    for number in range(300):
        thread.push(magnified(number))
    assert thread.close(20)
    with path.open(newline="") as file:
        assert [float(row["pts"]) for row in csv.DictReader(file)] == list(range(10))
