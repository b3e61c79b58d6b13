"""The command line as a person meets it: help that teaches, one clear line for what is wrong, nothing lost."""

from __future__ import annotations

import contextlib
import csv
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from made_clip import make_clip, pictures_in
from rtsp_server import available, rtsp_server

from deepmag.stream import cli

TIMEOUT = 240.0  # s: several start at once on a small machine, beside other tests
MAIN = "from deepmag.stream.cli import main; main()"
# A display, and by which a CI asks for colours in what is no terminal.
LEFT_OUT = {"DISPLAY", "FORCE_COLOR", "GITHUB_ACTIONS", "PY_COLORS"}
# As if the disk had so many bytes: Python ignores the signal, and writing fails.
SMALL_DISK = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({0}, {0})); "
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

# As if the system had no thread left for what is to magnify.
NO_ENGINE = """
import threading
begin = threading.Thread.start
def start(thread):
    if thread.name == "engine":
        raise RuntimeError("can't start new thread")
    begin(thread)
threading.Thread.start = start
"""
# As where a service manager, or a shell's >&-, closed them all.
NO_STREAMS = "import os; [os.close(number) for number in range(3)]; "
# Says afterwards which of the three are files that were opened since, and whether other processes will have them.
TAKEN = """
import atexit, os
def tell(path):
    with open(path, "w") as told:
        for number in range(3):
            print(os.readlink(f"/proc/self/fd/{number}"), os.get_inheritable(number), file=told)
atexit.register(tell, "PATH")
"""


class Command:
    """A running deepmag, with all that it says."""

    def __init__(
        self, *arguments: str | Path, before: str = "", cwd: Path | None = None, **more: str
    ) -> None:
        environment = {key: value for key, value in os.environ.items() if key not in LEFT_OUT}
        self.process = subprocess.Popen(
            [sys.executable, "-c", before + MAIN, *map(str, arguments)],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env={**environment, "COLUMNS": "200", **more}, cwd=cwd,
        )  # fmt: skip

    def end(self) -> tuple[int, str, str]:
        """Wait for it. Returns exit status, standard output, standard error."""
        try:
            out, error = self.process.communicate(timeout=TIMEOUT)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.communicate()  # else the next test fails, too
            raise
        return self.process.returncode, out, error

    def says_one_line(self, *words: str) -> str:
        """It must fail, with one clear line that holds ``words``, and without a traceback."""
        code, _, error = self.end()
        lines = [line for line in error.splitlines() if line.startswith("deepmag: ")]
        assert code != 0
        assert "Traceback" not in error
        assert len(lines) == 1, error
        for word in words:
            assert word in lines[0]
        return error


def until(condition: Callable[[], bool], command: Command) -> None:
    """Wait for what another process does to a file; nothing can be waited on but its looks."""
    end, pause = time.monotonic() + TIMEOUT, threading.Event()
    while not condition():
        assert time.monotonic() < end
        assert command.process.poll() is None, command.end()
        pause.wait(0.05)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_clip(tmp_path_factory.mktemp("cli") / "clip.mp4", 90, (320, 240))


@contextlib.contextmanager
def commands(*made: Command) -> Iterator[None]:
    """Side by side, since starting is most of what they do; none outlives the block."""
    try:
        yield
    finally:
        for command in made:
            if command.process.poll() is None:
                command.process.kill()
            command.process.communicate()  # closes the pipes


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
    with commands(live, offline, paper, training, phase, device):
        for command in (live, offline):
            code, _, error = command.end()
            assert code == 0, error
        for command in (paper, training, phase):
            command.says_one_line("needs torch", "pip install torch")
        device.says_one_line("torch cannot be imported")
    assert not (tmp_path / "paper.mkv").exists()


def test_a_training_says_in_a_log_how_far_it_is(tmp_path: Path) -> None:
    training = Command("train", "learned", "--steps", "50", "--out", tmp_path / "run")
    with commands(training):
        code, out, error = training.end()
    assert code == 0, error
    assert "50 of 50: loss" in error
    assert f"{tmp_path / 'run' / 'learned.safetensors'} after" in out


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
    with commands(gain, roi, lag, unseen, size, paper, linear, device, rate):
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
    live = Command("live", clip, "--method", "evm", *fast, tmp_path / "evm.mkv")
    offline = Command("magnify", f"file://{clip}", tmp_path / "vam.mkv", "--method", "vam")
    wrong = Command("live", clip, "--method", "magic", *fast, tmp_path / "none.mkv")
    with commands(live, offline, wrong):
        for command in (live, offline):
            code, _, error = command.end()
            assert code == 0, error
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


def test_a_full_disk_keeps_what_was_recorded_and_fails(tmp_path: Path, clip: Path) -> None:
    video, whole = tmp_path / "full.mkv", tmp_path / "whole.mkv"
    arguments = ("live", clip, "--pace", "max", "--lossless", "--roi", "full", "--record")
    command = Command(*arguments, video, before=SMALL_DISK.format(2_000_000))
    other = Command(*arguments, whole)
    with commands(command, other):
        command.says_one_line("the disk is full")
        assert other.end()[0] == 0
    assert pictures_in(whole) == 90  # one output frame for each input frame
    assert whole.stat().st_size > 2_000_000
    assert 0 < pictures_in(video) < 90


# A folder for temporary files on a disk of 4 MiB of its own.
SMALL_TEMPORARY = (
    'mount -t tmpfs -o size=4m none "$1" && TMPDIR="$1" exec "$2" -c "$3" magnify "$4" "$5" --roi full'
)


def test_a_full_temporary_folder_is_said_and_leaves_no_output(tmp_path: Path) -> None:
    """What is written through memory to a disk without room would kill the process."""
    own_mounts = ("unshare", "--user", "--map-root-user", "--mount", "bash", "-c")
    small, out = tmp_path / "small", tmp_path / "out.mkv"
    small.mkdir()
    try:
        subprocess.run([*own_mounts, 'mount -t tmpfs none "$1"', "", small], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no file system can be mounted here")
    done = subprocess.run(
        [*own_mounts, SMALL_TEMPORARY, "", small, sys.executable, MAIN, make_clip(tmp_path / "a.mkv", 150), out],
        capture_output=True, text=True, timeout=TIMEOUT, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert f"in {small}: No space left on device; free some space there or set TMPDIR" in done.stderr
    assert not out.exists()


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


def test_where_no_thread_can_be_had_one_line_says_so_and_no_empty_file_is_left(tmp_path: Path) -> None:
    video = tmp_path / "x.mkv"
    command = Command("live", "demo", "--show", "none", "--record", video, before=NO_ENGINE)
    with commands(command):
        command.says_one_line("no further thread", "ulimit -u")
    assert not video.exists()


def test_no_file_takes_the_place_of_a_closed_standard_stream(tmp_path: Path, clip: Path) -> None:
    """What libraries say there would be written into a recording."""
    video, told = tmp_path / "x.mkv", tmp_path / "told"
    command = Command(
        "live", clip, "--pace", "max", "--record", video, before=NO_STREAMS + TAKEN.replace("PATH", str(told))
    )
    with commands(command):
        assert command.end()[0] == 0
    assert told.read_text().splitlines() == 3 * ["/dev/null True"]
    assert pictures_in(video) == 90


def test_live_goes_on_where_nobody_takes_the_address_that_it_prints(tmp_path: Path) -> None:
    video = tmp_path / "x.mkv"
    command = Command(
        "live", "demo", "--port", "0", "--no-browser", "--record", video, "--duration", "2",
        before="import os; os.dup2(os.open('/dev/full', os.O_WRONLY), 1); ",
    )  # fmt: skip
    with commands(command):
        code, _, error = command.end()
    assert code == 0, error
    assert "address could not be printed: No space left on device" in error
    assert pictures_in(video) > 0


def test_help_that_cannot_be_written_is_one_line() -> None:
    command = Command("--help", before="import os; os.dup2(os.open('/dev/full', os.O_WRONLY), 1); ")
    with commands(command):
        command.says_one_line("the disk is full")


def test_help_is_shown_where_the_terminal_knows_ascii_only() -> None:
    command = Command("live", "--help", PYTHONIOENCODING="ascii")
    with commands(command):
        code, out, error = command.end()
    assert code == 0, error
    assert "--gain" in out


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


def test_the_first_process_of_a_container_is_ended_by_sigterm_also_before_a_command_has_begun() -> None:
    inside = ["unshare", "--pid", "--fork", "--mount-proc", "--"]
    if (
        not shutil.which("unshare")
        or subprocess.run([*inside, "true"], capture_output=True, check=False).returncode
    ):
        pytest.skip("needs unshare, and to be allowed a namespace of processes")
    # the kernel hands on what a process sends to itself as it does what comes from outside its container
    early = "import os, signal; from deepmag.stream import cli; "
    early += "cli.register_commands = lambda: os.kill(1, signal.SIGTERM); cli.main()"
    done = subprocess.run(
        [*inside, sys.executable, "-c", early], capture_output=True, text=True, timeout=TIMEOUT, check=False
    )
    assert (done.returncode, done.stdout) == (128 + signal.SIGTERM, ""), done.stderr


def test_more_connections_than_descriptors_keep_no_viewer_out_and_fill_no_log() -> None:
    few = "import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (40, 40)); "
    command = Command("live", "demo", "--port", "0", "--no-browser", before=few)
    with commands(command), contextlib.ExitStack() as silent:
        assert command.process.stdout is not None
        page = httpx.URL(command.process.stdout.readline().removeprefix("Open ").strip())
        assert page.port is not None
        for _ in range(60):
            silent.enter_context(socket.create_connection((page.host, page.port), TIMEOUT))
        assert httpx.get(page.join("/metrics"), timeout=TIMEOUT).status_code == 200
        command.process.send_signal(signal.SIGINT)
        code, _, error = command.end()
    assert code == 0, error
    assert "out of system resource" not in error
