"""The command line as a person meets it: help that teaches, one clear line for what is wrong, nothing lost."""

from __future__ import annotations

import csv
import signal
from pathlib import Path

import pytest
from made_clip import make_clip, pictures_in
from rtsp_server import available, rtsp_server
from running_command import Command, commands, until

from deepmag.stream import cli
from deepmag.stream.doctor import wanted

PASSWORD = "s3cr@t:pw/x"
# As if torch were not installed.
NO_TORCH = """
import sys
class NoTorch:
    def find_spec(self, name, *_):
        if name.partition(".")[0] == "torch":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, NoTorch())
"""


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_clip(tmp_path_factory.mktemp("cli") / "clip.mp4", 90, (320, 240))


def test_help_teaches_every_command() -> None:
    whole = Command("--help")
    parts = {
        name: Command(name, "--help")
        for name in ("live", "serve", "magnify", "train", "evaluate", "export", "doctor", "bench")
    }
    taught = {
        "live": ("SOURCE", "--gain", "--target", "respiration", "--mode", "--method", "--lag", "--roi", "--show",
                 "--record", "--lossless", "--vitals", "--pace", "demo", "rtsp://", "deepmag live demo"),
        "serve": ("FEEDS.toml", "--check", "[[feed]]", "source =", "${BED1_PASSWORD}"),
        "evaluate": ("--quick", "--data", "--seed", "--target"),
        "magnify": ("IN", "OUT", "--gain", "--mode", "--method"),
        "train": ("pulse", "--out", "--device"),
        "export": ("pulse", "respiration", "--out", "--batch", "dynamic", "--precision", "--check"),
        "doctor": ("--json", "missing"),
        "bench": ("--seconds", "--size", "--fps", "--mode", "--target", "--json"),
    }  # fmt: skip
    with commands(whole, *parts.values()):
        code, out, _ = whole.end()
        assert code == 0
        assert "Not a medical device" in out
        assert "Begin with" in out
        assert all(name in out for name in parts)
        for name, command in parts.items():
            code, out, error = command.end()
            assert (code, error) == (0, "")
            for word in taught[name]:
                assert word.lower() in out.lower(), (name, word)


def test_bad_input_gives_one_clear_line_and_fails(tmp_path: Path, clip: Path) -> None:
    text = tmp_path / "text.mp4"
    text.write_text("this is no video\n" * 100)
    tiny = make_clip(tmp_path / "tiny.mp4", 10, (32, 32))
    fast = ("--pace", "max", "--record")
    out = tmp_path / "out.mkv"
    missing = Command("live", tmp_path / "none.mp4")
    whole = Command("magnify", tmp_path / "none.mp4", out)
    refused = Command("live", "http://viewer:s3cret@127.0.0.1:1/clip.mp4", *fast, out)
    scrambled = Command("live", text, *fast, out)
    small = Command("live", tiny, *fast, out)
    with commands(missing, whole, refused, scrambled, small):
        for command in (missing, whole):
            error = command.says_one_line("none.mp4", "no such file")
            assert len(error.splitlines()) == 1  # before anything is loaded, a page opened or a bar drawn
        assert "s3cret" not in refused.says_one_line("connection refused")
        scrambled.says_one_line("text.mp4 is not a video")
        small.says_one_line("too small (32x32)", "36x36")
    assert not out.exists()  # nothing was recorded: no empty file is left
    nowhere = Command("live", clip, *fast, tmp_path / "no" / "such" / "folder" / "out.mkv")
    window = Command("live", "demo", "--show", "window")
    with commands(nowhere, window):
        nowhere.says_one_line("does not exist")
        window.says_one_line("--show page")


def test_a_recording_never_replaces_its_source_however_that_is_named(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "a.mp4", 10)
    before = source.read_bytes()
    typed = [
        Command("live", name, "--pace", "max", "--record", source)
        for name in (f"file://{source}", f" {source} ")
    ]
    with commands(*typed):
        for command in typed:
            command.says_one_line("it is the source itself")
    assert source.read_bytes() == before


def test_without_torch_what_is_live_runs_and_the_rest_says_what_it_needs(tmp_path: Path, clip: Path) -> None:
    live = Command(
        "live", clip, "--target", "both", "--pace", "max", "--vitals", tmp_path / "vitals.csv", "--show", "none",
        before=NO_TORCH,
    )  # fmt: skip
    offline = Command("magnify", clip, tmp_path / "out.mkv", "--target", "both", before=NO_TORCH)
    paper = Command(
        "magnify", clip, tmp_path / "paper.mkv", "--target", "respiration", "--mode", "paper", before=NO_TORCH
    )
    training = Command("train", "pulse", "--out", tmp_path / "weights", before=NO_TORCH)
    phase = Command("live", "demo", "--method", "phase", before=NO_TORCH)
    device = Command("live", "demo", "--runtime", "torch", before=NO_TORCH)
    # what it measures takes longer than a command of these tests may
    bench = Command("bench", "--seconds", "3600", before=NO_TORCH)
    with commands(live, offline, paper, training, phase, device, bench):
        for command in (live, offline):
            code, _, error = command.end()
            assert code == 0, error
        for command in (paper, training, phase, bench):
            command.says_one_line("needs torch", f"pip install {wanted('torch')}")
        device.says_one_line("torch cannot be imported")
    assert not (tmp_path / "paper.mkv").exists()


def test_a_training_says_in_a_log_how_far_it_is(tmp_path: Path) -> None:
    training = Command("train", "learned", "--steps", "50", "--out", tmp_path / "run")
    with commands(training):
        code, out, error = training.end()
    assert code == 0, error
    assert "50 of 50: loss" in error
    assert f"{tmp_path / 'run' / 'learned.safetensors'} after" in out


@pytest.mark.parametrize("target", ["pulse", "respiration", "learned"])
def test_a_training_says_where_there_is_nothing_to_learn_from_in_a_folder(
    tmp_path: Path, target: str
) -> None:
    training = Command("train", target, "--assets", tmp_path, "--out", tmp_path / "run")
    with commands(training):
        training.says_one_line("holds nothing that could be used: no ")


def test_a_training_that_is_stopped_keeps_its_checkpoint_and_is_not_taken_for_a_whole_one(
    tmp_path: Path,
) -> None:
    training = Command("train", "learned", "--steps", "1000000", "--out", tmp_path / "run")
    with commands(training):
        assert training.process.stderr is not None
        assert any("50 of 1000000: loss" in line for line in training.process.stderr)
        training.process.send_signal(signal.SIGINT)
        code, out, error = training.end()
    assert (code, out) == (130, "")
    assert "the same command goes on" in error
    assert sorted(file.name for file in (tmp_path / "run").iterdir()) == [
        "checkpoint.pt",
        "learned.safetensors",
    ]


# Ctrl-C while the last checkpoint is written.
STOPPED_AT_THE_END = """
import os, signal
from deepmag.models.training.loop import Pupil
save = Pupil.save
def stopped(pupil):
    os.kill(os.getpid(), signal.SIGINT)
    return save(pupil)
Pupil.save = stopped
"""


def test_a_training_that_is_done_when_it_is_stopped_is_a_whole_one(tmp_path: Path) -> None:
    training = Command(
        "train", "learned", "--steps", "1", "--out", tmp_path / "run", before=STOPPED_AT_THE_END
    )
    with commands(training):
        code, out, error = training.end()
    assert code == 0, error
    assert f"{tmp_path / 'run' / 'learned.safetensors'} after" in out


def test_bad_options_are_refused_before_anything_starts(tmp_path: Path) -> None:
    gain = Command("live", "demo", "--gain", "1000")
    roi = Command("live", "demo", "--roi", "here")
    lag = Command("live", "demo", "--lag", "9")
    unseen = Command("live", "demo", "--pace", "max")
    size = Command("bench", "--size", "large")
    rate = Command("train", "--rate", "nan")
    paper = Command("live", "demo", "--target", "respiration", "--mode", "paper")
    linear = Command("live", "demo", "--target", "both", "--method", "evm")
    device = Command("serve", tmp_path / "none.toml", "--device", "gpu")
    mode = Command("magnify", tmp_path / "a.mp4", tmp_path / "b.mp4", "--method", "evm", "--mode", "steady")
    with commands(gain, roi, lag, unseen, size, paper, linear, device, rate, mode):
        mode.says_one_line("the method evm has no mode")
        gain.says_one_line("gain must be between 1 and 100")
        roi.says_one_line("X,Y,W,H")
        lag.says_one_line("lag must be between 0 and 2")
        unseen.says_one_line("nobody sees")
        size.says_one_line("WIDTHxHEIGHT")
        paper.says_one_line("respiration is magnified in steady mode only")
        linear.says_one_line("evm has no target")
        code, _, error = device.end()
        assert code == 2
        assert "auto, cpu, cuda or cuda:N" in error
        code, _, error = rate.end()
        assert code == 2
        assert "'--rate': nan is no learning rate" in error


def test_what_a_clip_fails_of_is_all_that_is_said(tmp_path: Path) -> None:
    command = Command("magnify", tmp_path / "none.mp4", tmp_path / "out.mkv")
    with commands(command):
        assert "\n" not in command.says_one_line("no such file").strip()


def test_what_no_output_or_source_can_be_is_a_wrong_option(tmp_path: Path) -> None:
    out = tmp_path / "o.mkv"
    wrong = {
        "the name must end in": Command("live", "demo", "--record", "o.avi"),
        "rtsp://": Command("live", "demo", "--push", "http://x/y"),
        "the source is empty": Command("live", ""),
        "in a file; demo is none": Command("magnify", "demo", out),
        "65535": Command("live", "demo", "--port", "99999"),
        "name must end in .mkv": Command("magnify", tmp_path / "clip.mp4", "o.avi"),
        "would both write": Command(
            "live", "demo", "--record", out, "--vitals", tmp_path / "x" / ".." / "o.mkv"
        ),
    }
    with commands(*wrong.values()):
        for words, command in wrong.items():
            code, _, error = command.end()
            assert code == 2, error
            assert words in error


def test_an_option_without_what_it_is_for_is_refused_or_said(tmp_path: Path, clip: Path) -> None:
    feeds = tmp_path / "FEEDS.toml"
    feeds.write_text('[[feed]]\nname = "a"\nsource = "demo"\n')
    refused = {
        "--lossless, --beside and --split are for --record": Command("live", clip, "--beside"),
        "--groups and --gpus are for --ray": Command("serve", feeds, "--groups", "3"),
        "see --respiration-weights": Command("evaluate", "--target", "respiration", "--weights", feeds),
        "--target pulse leaves out": Command(
            "evaluate", "--target", "pulse", "--respiration-weights", feeds, "--out", tmp_path / "e"
        ),
        "--fresh 3 is more than the --batch of 2": Command("train", "--batch", "2", "--fresh", "3"),
        f"--out {feeds} is a file": Command("train", "--out", feeds),
    }
    idle = Command(
        "live", clip, "--pace", "max", "--vitals", tmp_path / "v.csv",
        "--transport", "udp", "--timestamps", "arrival", "--loop", "--duration", "0.1",
    )  # fmt: skip
    with commands(*refused.values(), idle):
        for words, command in refused.items():
            code, _, error = command.end()
            assert code == 2, error
            assert words in error
        code, _, error = idle.end()
        assert code == 0, error
        for option in ("--transport udp", "--timestamps arrival"):
            assert f"{option} does nothing for {clip}" in error
        assert "--loop does nothing" not in error


def test_ctrl_c_before_a_command_has_begun_is_no_failure_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "register_commands", interrupted)
    with pytest.raises((SystemExit, KeyboardInterrupt)) as left:  # the latter would end all tests
        cli.main()
    assert isinstance(left.value, SystemExit)
    assert left.value.code == 130


def test_the_baselines_run_on_a_file_live_and_offline(tmp_path: Path, clip: Path) -> None:
    fast = ("--pace", "max", "--roi", "full", "--record")
    live = Command("live", clip, "--method", "evm", "--threads", "1", *fast, tmp_path / "evm.mkv")
    offline = Command("magnify", f"file://{clip}", tmp_path / "vam.mkv", "--method", "vam")
    wrong = Command("live", clip, "--method", "magic", *fast, tmp_path / "none.mkv")
    with commands(live, offline, wrong):
        for command in (live, offline):
            code, _, error = command.end()
            assert code == 0, error
            assert ("evm has no use for them" in error) == (command is live)
        code, _, error = wrong.end()
        assert code == 2
        assert "magic" in error
    assert pictures_in(tmp_path / "evm.mkv") == pictures_in(tmp_path / "vam.mkv") == 90


def test_respiration_and_both_run_on_a_file_and_tell_what_they_measure(tmp_path: Path, clip: Path) -> None:
    fast = ("--pace", "max", "--threads", "1", "--record")
    runs = {
        target: Command(
            "live", clip, "--target", target, *fast, tmp_path / f"{target}.mkv",
            "--vitals", tmp_path / f"{target}.csv",
        )
        for target in ("respiration", "both")
    }  # fmt: skip
    with commands(*runs.values()):
        for target, command in runs.items():
            code, _, error = command.end()
            assert code == 0, error
            assert "breaths/min" in error  # in the line that says how it ended
            assert ("bpm" in error) == (target == "both")
            assert pictures_in(tmp_path / f"{target}.mkv") == 90
            with (tmp_path / f"{target}.csv").open(newline="") as file:
                rows = [row for row in csv.DictReader(file) if row["pts"]]
            assert len(rows) == 3
            assert {row["breath_reason"] for row in rows} == {"measuring"}
            assert all(row["breath_wave"] for row in rows)
            assert ({row["reason"] for row in rows} == {"not measured"}) == (target == "respiration")


@pytest.mark.skipif(not available(), reason="GStreamer's RTSP server is not installed")
def test_a_wrong_password_is_said_and_not_shown(tmp_path: Path) -> None:
    with rtsp_server(auth="basic", user="viewer", password="right") as server:
        command = Command("live", server.url(password=PASSWORD), "--show", "none", "--log-level", "debug")
        with commands(command):
            error = command.says_one_line("wrong user name or password")
    assert PASSWORD not in error
    assert "s3cr" not in error


def rows_with_a_picture(rows: Path) -> int:
    """How many rows have a time in the stream: while the source is opened, rows say that there is none."""
    return sum(line.split(",")[2] != "" for line in rows.read_text().splitlines()[1:] if line.count(",") >= 5)


def test_ctrl_c_leaves_a_recording_that_plays(tmp_path: Path) -> None:
    video, rows = tmp_path / "x.mkv", tmp_path / "x.csv"
    command = Command("live", "demo", "--show", "none", "--record", video, "--vitals", rows)
    with commands(command):
        until(lambda: rows.exists() and rows_with_a_picture(rows) >= 3, command)
        command.process.send_signal(signal.SIGINT)
        code, _, error = command.end()
    assert code == 0, error
    assert "Traceback" not in error
    assert pictures_in(video) >= 20
    assert len(rows.read_text().splitlines()) >= 4


@pytest.mark.parametrize("command", ["live", "serve"])
@pytest.mark.parametrize("token", ["bed side", "bettnäh"])
def test_a_token_that_http_cannot_carry_is_refused_at_the_start(command: str, token: str) -> None:
    source = {"live": "demo", "serve": "feeds.toml"}[command]
    for run in (Command(command, source, "--token", token), Command(command, source, DEEPMAG_TOKEN=token)):
        error = run.says_one_line("--token or DEEPMAG_TOKEN", "no blank")
        assert run.process.returncode == 2
        assert token not in error


def test_the_page_s_token_may_stand_in_the_environment() -> None:
    command = Command(
        "live", "demo", "--host", "0.0.0.0", "--port", "0", "--duration", "0.1", DEEPMAG_TOKEN="bedside"
    )
    code, out, error = command.end()
    assert code == 0, error
    assert out.strip().endswith("/#token=bedside")


def test_what_ends_live_is_said_once(tmp_path: Path) -> None:
    refused = Command("live", "http://127.0.0.1:1/x.mp4", "--show", "none")
    nowhere = Command("live", "demo", "--show", "none", "--record", tmp_path / "none" / "x.mkv")
    with commands(refused, nowhere):
        assert refused.says_one_line("connection refused").count("connection refused") == 1
        assert nowhere.says_one_line("does not exist").count("does not exist") == 1


# Ctrl-C while what magnifies is loaded, of which this is the last.
STOPPED_IN_LOADING = """
import os, signal
from deepmag.models import reconstruction
loaded = reconstruction.warm_up
def load():
    loaded()
    os.kill(os.getpid(), signal.SIGINT)
reconstruction.warm_up = load
"""


def test_a_stop_while_networks_are_loaded_opens_no_page_and_begins_no_file(tmp_path: Path) -> None:
    video, feeds = tmp_path / "x.mkv", tmp_path / "feeds.toml"
    feeds.write_text('[[feed]]\nname = "bed"\nsource = "demo"\nrecord = "y.mkv"\n')
    before = STOPPED_IN_LOADING
    live = Command("live", "demo", "--port", "0", "--no-browser", "--record", video, before=before)
    serve = Command("serve", feeds, "--port", "0", before=before, cwd=tmp_path)
    with commands(live, serve):
        for command in (live, serve):
            code, out, error = command.end()
            assert (code, out) == (0, ""), error
            assert "listens" not in error
            assert "recorded" not in error
    assert [path.name for path in tmp_path.iterdir()] == ["feeds.toml"]
