"""FEEDS.toml: what runs, and what is said of the rest."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from deepmag.stream.cli import app, register_commands
from deepmag.stream.ward.feeds_file import Feeds, read_feeds

GOOD = """
[[feed]]
name = "Bed 1"
source = "rtsp://viewer:hush@10.0.0.11/stream"
gain = 20
roi = "10,20,100,120"

[[feed]]
name = "cot"
source = "demo"
target = "respiration"
"""


def read(folder: Path, text: str) -> Feeds:
    file = folder / "FEEDS.toml"
    file.write_text(text)
    return read_feeds(file)


def problem(folder: Path, text: str) -> str:
    feeds = read(folder, GOOD + text)
    assert [spec.slug for spec in feeds.good] == ["bed-1", "cot"]  # the good ones run
    (only,) = feeds.problems
    return only.removeprefix(f"{folder / 'FEEDS.toml'}, ")


def test_each_feed_has_its_own_settings(tmp_path: Path) -> None:
    feeds = read(tmp_path, GOOD)
    bed, cot = feeds.good
    assert feeds.problems == ()
    assert (bed.name, bed.slug, bed.settings.gain, bed.settings.roi) == (
        "Bed 1",
        "bed-1",
        20,
        (10, 20, 100, 120),
    )
    assert (bed.settings.target, bed.settings.lag) == ("pulse", 0.25)
    assert (cot.settings.target, cot.settings.lag) == ("respiration", 2.0)  # a breath is slow


def test_a_password_is_in_no_repr(tmp_path: Path) -> None:
    assert "hush" not in repr(read(tmp_path, GOOD))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('[[feed]]\nname = "c"\nsource = "demo"\ngian = 3\n', "line 15: feed 'c': unknown key gian: did you mean gain"),
        ('[[feed]]\nname = "COT"\nsource = "demo"\n', "line 13: the name 'COT' is taken by an earlier feed"),
        ('[[feed]]\nname = "c"\n', "line 12: feed 'c': source is missing"),
        ('[[feed]]\nsource = "demo"\n', "line 12: name is missing"),
        ('[[feed]]\nname = "a/b"\nsource = "demo"\n', "line 13: a name is 1 to 40 letters"),
        ('[[feed]]\nname = "c"\nsource = "demo"\ngain = "3"\n', "line 15: feed 'c': gain must be a number, not '3'"),
        ('[[feed]]\nname = "c"\nsource = "demo"\ngain = 900\n', "line 15: feed 'c': gain must be between 1 and 100"),
        ('[[feed]]\nname = "c"\nsource = "demo"\nroi = "all"\n', "line 15: feed 'c': roi must be auto, full or"),
        ('[[feed]]\nname = "c"\nsource = "demo"\nloop = 1\n', "line 15: feed 'c': loop must be true or false, not 1"),
        (
            '[[feed]]\nname = "c"\nsource = "demo"\nmethod = "phase"\ntarget = "both"\n',
            "line 16: feed 'c': the method phase has no target",
        ),
        ('[[feed]]\nname = "c"\nsource = "rtsp://u:${NO_SUCH}@h/s"\n', "line 14: feed 'c': source: the environment"),
        ('[[feed]]\nname = "c"\nsource = "demo"\ntransport = "pigeon"\n', "line 15: feed 'c': transport must be tcp"),
        ('[[feed]]\nname = "c"\nsource = "demo"\ntimestamps = "ntp"\n', "line 15: feed 'c': timestamps must be stream"),
        ('[[feed]]\nname = "c"\nsource = "demo"\ncodecs = "nvdec"\n', "line 15: feed 'c': codecs must be cpu or gpu"),
        ("[ward]\nx = 1\n", "line 12: unknown key ward outside a [[feed]]"),
        ('[[feed]]\nname = "c"\nsource = "demo"\n[feed.x]\ny = 1\n', "line 15: feed 'c': unknown key x"),
        ('[[feed]]\nname = "c"\nsource = "demo"\nsplit = 0.001\n', "line 15: feed 'c': split must be 0.01 hours or"),
        ('[[feed]]\nname = "c"\nsource = "demo"\nrecord = "x.avi"\n', "line 15: feed 'c': record: cannot record to x"),
        ('[[feed]]\nname = "c"\nsource = "demo"\nrecord = ""\n', "line 15: feed 'c': record: . is a folder"),
        ('[[feed]]\nname = "c"\nsource = "demo"\nvitals = "/"\n', "line 15: feed 'c': vitals: / is a folder"),
        ('[[feed]]\nname = "c"\nsource = "demo"\nvitals = "a\\u0000b"\n', "line 15: feed 'c': vitals: 'a\\x00b'"),
        ('[[feed]]\nname = "c"\nsource = "demo"\npush = "http://x/y"\n', "line 15: feed 'c': push: the address to"),
        ('[[feed]]\nname = "c"\nsource = "demo"\npush = ""\n', "line 15: feed 'c': push: the address to push to"),
        ('[[feed]]\nname = "c"\nsource = "demo"\npush = "rtsp:///x"\n', "line 15: feed 'c': push: the address to"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_with_its_line_and_key(text: str, words: str, tmp_path: Path) -> None:
    assert problem(tmp_path, text).startswith(words)


@pytest.mark.parametrize(
    ("one", "other", "words"),
    [
        ('record = "a.mkv"', 'record = "a.mkv"', "record: an earlier feed writes to a.mkv"),
        ('vitals = "v.csv"', 'vitals = "sub/../v.csv"', "vitals: an earlier feed writes to sub/../v.csv"),
        ('push = "rtsp://u:p1@h/x"', 'push = "rtsp://h:554/x"', "push: an earlier feed writes to rtsp://h:554/x"),
        ("", 'record = "a.mkv"\nvitals = "./a.mkv"', "vitals: record writes to a.mkv"),
    ],
)  # fmt: skip
def test_nothing_is_written_or_sent_to_by_two(one: str, other: str, words: str, tmp_path: Path) -> None:
    text = "".join(
        f'[[feed]]\nname = "{name}"\nsource = "demo"\n{more}\n' for name, more in (("a", one), ("b", other))
    )
    feeds = read(tmp_path, text)
    assert [spec.name for spec in feeds.good] == ["a"]
    assert feeds.problems[0].endswith(f"feed 'b': {words}")


@pytest.mark.parametrize(
    "text",
    [
        'feed = [{name = "a", source = "demo"}, {name = "b", source = "demo", gian = 3}]\n',
        '[["feed"]]\nname = "a"\nsource = "demo"\n[[feed]]\nname = "b"\nsource = "demo"\ngian = 3\n',
        '[[feed]]\nname = "a"\nsource = """demo\n[[feed]]"""\n[[feed]]\nname = "b"\nsource = "demo"\ngian = 3\n',
    ],
)
def test_a_feed_that_begins_in_another_way_is_read_and_named_without_its_line(
    text: str, tmp_path: Path
) -> None:
    feeds = read(tmp_path, text)
    assert [spec.name for spec in feeds.good] == ["a"]
    assert ".toml, feed 2: feed 'b': unknown key gian" in feeds.problems[0]


def test_a_byte_order_mark_is_passed_over(tmp_path: Path) -> None:
    assert len(read(tmp_path, f"\ufeff{GOOD}").good) == 2


def test_a_password_may_come_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COT_PASSWORD", "s3cret")
    feeds = read(tmp_path, '[[feed]]\nname = "c"\nsource = "rtsp://u:${COT_PASSWORD}@10.0.0.1/s"\n')
    assert feeds.good[0].address.text == "rtsp://u:s3cret@10.0.0.1/s"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "lists no feed"),
        ("feed = 3", "lists no feed"),
        ("[[feed]\n", "is no TOML: .*line 1"),
    ],
)
def test_a_file_that_is_none_is_refused(text: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=words):
        read(tmp_path, text)


def test_brackets_in_brackets_are_refused_too(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="is no TOML"):
        read(tmp_path, "roi = " + 3000 * "[" + 3000 * "]")


def test_a_link_that_leads_in_a_circle_ends_no_other_feed(tmp_path: Path) -> None:
    (tmp_path / "loop.mkv").symlink_to("loop.mkv")
    text = f'{GOOD}[[feed]]\nname = "c"\nsource = "demo"\nrecord = "{tmp_path / "loop.mkv"}"\n'
    assert len(read(tmp_path, text).good) == 3


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"cannot read .*nothing.toml: No such file"):
        read_feeds(tmp_path / "nothing.toml")


def test_the_command_checks_a_file_and_starts_nothing(tmp_path: Path) -> None:
    register_commands()
    file = tmp_path / "f.toml"
    file.write_text(GOOD + '[[feed]]\nname = "c"\nsource = "demo"\ngian = 3\n')
    result = CliRunner().invoke(app, ["serve", str(file), "--check"])
    assert result.exit_code == 2
    assert "unknown key gian" in result.stderr
    assert "2 of 3 feeds are fine" in result.stdout
    file.write_text(f"unknown = 1\n{GOOD}")
    assert "2 of 2 feeds are fine" in CliRunner().invoke(app, ["serve", str(file), "--check"]).stdout
    file.write_text(GOOD)
    assert CliRunner().invoke(app, ["serve", str(file), "--check"]).exit_code == 0


@pytest.mark.parametrize(
    "wrong",
    ['source = ["{}"]', 'source = "demo"\ntransport = "{}"', 'source = "demo"\nname = "{}"', 'source = "{}"'],
)
def test_a_password_in_the_wrong_place_is_not_repeated(wrong: str, tmp_path: Path) -> None:
    register_commands()
    file = tmp_path / "f.toml"
    name = "" if "name" in wrong else 'name = "c"\n'
    file.write_text(f"[[feed]]\n{name}{wrong.format('rtsp:///viewer:hunter2@10.0.0.11/stream')}\n")
    result = CliRunner().invoke(app, ["serve", str(file), "--check"])
    assert result.exit_code == 2
    assert "viewer:***@10.0.0.11" in result.stderr
    assert "hunter2" not in result.output


@pytest.mark.parametrize("arguments", [["live", "demo"], []])
def test_nor_is_one_in_the_place_of_an_option(arguments: list[str]) -> None:
    register_commands()
    result = CliRunner().invoke(app, [*arguments, "rtsp://viewer:hunter2@10.0.0.11/stream"])
    assert result.exit_code == 2
    assert "rtsp://viewer:***@" in result.stderr
    assert "hunter2" not in result.output


def test_the_command_refuses_a_file_without_one_good_feed(tmp_path: Path) -> None:
    register_commands()
    file = tmp_path / "f.toml"
    file.write_text('[[feed]]\nname = "c"\n')
    result = CliRunner().invoke(app, ["serve", str(file)])
    assert result.exit_code == 2
    assert "no feed of" in result.stderr
