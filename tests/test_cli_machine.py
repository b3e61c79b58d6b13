"""The command line where the machine lacks something: one line says what, and nothing recorded is lost."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from made_clip import make_clip, pictures_in
from running_command import MAIN, TIMEOUT, Command, commands

# As if the disk had so many bytes: Python ignores the signal, and writing fails.
SMALL_DISK = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({0}, {0})); "
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


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_clip(tmp_path_factory.mktemp("cli") / "clip.mp4", 90, (320, 240))


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


# Memory for what processes share, in which there is room for nothing.
NO_SHARED = (
    'mount -t tmpfs -o nr_inodes=1 none /dev/shm && exec "$1" -c "$2" train learned --workers 1 --out "$3"'
)


@pytest.fixture
def own_mounts(tmp_path: Path) -> tuple[str, ...]:
    """What runs a shell's command where file systems can be mounted that nobody else sees."""
    prefix = ("unshare", "--user", "--map-root-user", "--mount", "bash", "-c")
    try:
        subprocess.run([*prefix, 'mount -t tmpfs none "$1"', "", tmp_path], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no file system can be mounted here")
    return prefix


def test_memory_to_share_that_is_full_is_called_no_disk(tmp_path: Path, own_mounts: tuple[str, ...]) -> None:
    done = subprocess.run(
        [*own_mounts, NO_SHARED, "", sys.executable, MAIN, tmp_path / "run"],
        capture_output=True, text=True, timeout=TIMEOUT, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert "training stopped: nothing more can be shared between processes, /dev/shm is full" in done.stderr


def test_a_full_temporary_folder_is_said_and_leaves_no_output(
    tmp_path: Path, own_mounts: tuple[str, ...]
) -> None:
    """What is written through memory to a disk without room would kill the process."""
    small, out = tmp_path / "small", tmp_path / "out.mkv"
    small.mkdir()
    done = subprocess.run(
        [*own_mounts, SMALL_TEMPORARY, "", small, sys.executable, MAIN, make_clip(tmp_path / "a.mkv", 150), out],
        capture_output=True, text=True, timeout=TIMEOUT, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert f"in {small}: No space left on device; free some space there or set TMPDIR" in done.stderr
    assert not out.exists()


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


NO_HOME = """
import contextlib, os, pwd, sys
def of_no_user(number):
    raise KeyError(number)
pwd.getpwuid = of_no_user
sys.argv = ["deepmag", "--version"]
from deepmag.stream.cli import main
with contextlib.suppress(SystemExit):
    main()
from deepmag.models.compiled import compiled
exec(compile("def one(): return 1", "/proc/version", "exec"))  # beside which nothing can be kept
assert compiled(one)() == 1
from deepmag.export.tensorrt import engine_cache
try:
    engine_cache(b"")
except OSError:
    sys.exit("nowhere to keep it")
"""


@pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")
def test_without_a_home_nothing_is_kept_where_the_command_was_started(tmp_path: Path) -> None:
    kept = {"HOME", "XDG_CACHE_HOME", "NUMBA_CACHE_DIR"}
    done = subprocess.run(
        [sys.executable, "-c", NO_HOME], cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False,
        env={name: value for name, value in os.environ.items() if name not in kept},
    )  # fmt: skip
    assert list(tmp_path.iterdir()) == []
    assert (done.returncode, done.stderr) == (1, "nowhere to keep it\n")
