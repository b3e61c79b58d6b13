"""Pushing to an RTSP server: to GStreamer's, which is not ours, and to servers that fail."""

from __future__ import annotations

import contextlib
import fcntl
import json
import logging
import re
import resource
import shutil
import socket
import struct
import subprocess
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from made_clip import make_clip
from render_frames import Panel, magnified, numbered

from deepmag.stream.capture.address import parse_address as parse_source
from deepmag.stream.capture.open import open_source
from deepmag.stream.capture.redact import redact
from deepmag.stream.outputs import push as push_of
from deepmag.stream.pipeline import Pipeline
from deepmag.stream.render.renderer import RendererError
from deepmag.stream.render.rtsp_messages import parse_address
from deepmag.stream.render.rtsp_publisher import PublishError, RtspPublisher
from deepmag.stream.render.rtsp_push import RtspPush
from deepmag.stream.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SINK = Path(__file__).parent / "rtsp_sink.py"
SYSTEM_PYTHON = "/usr/bin/python3"  # GStreamer's bindings are the system's
PATIENCE = 30.0  # s
IMPORTS = "import gi; gi.require_version('GstRtspServer', '1.0'); from gi.repository import GstRtspServer"


class Sink:
    """A GStreamer RTSP server that decodes what is pushed to it."""

    def __init__(self, *options: str) -> None:
        self._process = subprocess.Popen(
            [SYSTEM_PYTHON, str(SINK), *options],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self._watch = threading.Timer(PATIENCE, self._process.kill)  # so that no read waits for ever
        self._watch.start()
        self.port = self.said()["port"]

    def url(self, login: str = "") -> str:
        return f"rtsp://{login}127.0.0.1:{self.port}/live"

    def said(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, "the server ended, or said nothing in time"
        answer: dict[str, Any] = json.loads(line)
        return answer

    def kill(self) -> None:
        self._watch.cancel()
        self._process.kill()
        self._process.communicate()


@pytest.fixture(scope="module")
def gstreamer() -> None:
    if (
        shutil.which(SYSTEM_PYTHON) is None
        or subprocess.run([SYSTEM_PYTHON, "-c", IMPORTS], capture_output=True, check=False).returncode
    ):
        pytest.skip("GStreamer's RTSP server (gir1.2-gst-rtsp-server-1.0) is not installed")


@pytest.fixture
def sinks(gstreamer: None) -> Iterator[list[Sink]]:
    running: list[Sink] = []
    yield running
    for sink in running:
        sink.kill()


class Clock:
    """Monotonic time in the test's hand."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Scripted:
    """A server whose answers the test writes. answer: of a request, its status and headers. asked: the requests.

    reads_on: otherwise it takes nothing of the stream, and next to nothing into its buffer, until the block ends.
    """

    def __init__(self, answer: Callable[[str], tuple[str, dict[str, str]]], *, reads_on: bool = True) -> None:
        self.asked: list[str] = []
        self._answer = answer
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._ended = threading.Event()
        if reads_on:
            self._ended.set()
        else:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Scripted:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join(PATIENCE)
        self._socket.close()

    @property
    def url(self) -> str:
        return f"rtsp://u:hush@127.0.0.1:{self._socket.getsockname()[1]}/x"

    @property
    def methods(self) -> list[str]:
        return [head.split()[0] for head in self.asked]

    def _run(self) -> None:
        """One connection, from its first request to its end."""
        with (
            self._socket.accept()[0] as peer,
            peer.makefile("rb") as stream,
            contextlib.suppress(ConnectionError),  # the last answer comes when nobody waits for it
        ):
            while first := stream.read(1):
                if first == b"$":  # RTP
                    self._ended.wait(PATIENCE)
                    _, length = struct.unpack(">BH", stream.read(3))
                    stream.read(length)
                    continue
                head = first.decode()
                while not head.endswith("\r\n\r\n"):
                    head += stream.readline().decode()
                length = re.search(r"Content-Length: (\d+)", head)
                stream.read(int(length[1]) if length else 0)
                self.asked.append(head)
                status, headers = self._answer(head)
                headers = {"CSeq": re.search(r"CSeq: (\d+)", head)[1], **headers}  # type: ignore[index]
                lines = [f"RTSP/1.0 {status}", *(f"{name}: {value}" for name, value in headers.items())]
                peer.sendall("\r\n".join([*lines, "", ""]).encode())


@pytest.mark.parametrize(
    ("options", "login"),
    [
        ((), ""),
        (("--user", "nurse", "--password", "p@ss w/rd"), "nurse:p%40ss%20w%2Frd@"),
        (("--user", "nurse", "--password", "p@ss w/rd", "--digest"), "nurse:p%40ss%20w%2Frd@"),
    ],
    ids=["open", "basic", "digest"],
)
def test_a_real_server_decodes_every_frame_in_order(
    sinks: list[Sink], options: tuple[str, ...], login: str
) -> None:
    sinks.append(Sink(*options))
    push = RtspPush(sinks[0].url(login), rate=30)
    push.open()
    for number in range(90):
        push.render(magnified(number))
    heard = [sinks[0].said() for _ in range(85)]
    push.close()
    assert [picture["number"] for picture in heard] == list(range(85))
    assert {tuple(picture["size"]) for picture in heard} == {(160, 120)}
    assert push.lost == 0


def test_a_large_picture_arrives_whole_and_a_change_of_size_is_announced(sinks: list[Sink]) -> None:
    sinks.append(Sink())
    push = RtspPush(sinks[0].url(), rate=30)
    push.open()
    for number in range(8):  # noise at 640x480: a keyframe of some 200 packets
        push.render(magnified(number, image=numbered(number, 480, 640)))
    heard = [sinks[0].said() for _ in range(4)]
    assert [(p["number"], p["size"]) for p in heard] == [(n, [640, 480]) for n in range(4)]
    for number in range(100, 120):
        push.render(magnified(number, session=1))
    while (heard := [sinks[0].said()])[0]["number"] < 100:
        pass
    assert heard[0]["size"] == [160, 120]
    push.close()


def test_pictures_whose_size_keeps_changing_do_not_connect_each_time() -> None:
    clock, connections = Clock(), 0

    def serve() -> None:
        nonlocal connections
        with contextlib.suppress(OSError):
            while True:
                peer, _ = server.accept()
                connections += 1
                with peer, peer.makefile("rb") as stream:
                    while (line := stream.readline()) and (first := line.split()[0]) != b"TEARDOWN":
                        length = 0
                        while (header := stream.readline().strip().lower()) != b"":
                            length = int(header[15:]) if header.startswith(b"content-length:") else length
                        stream.read(length)
                        peer.sendall(b"RTSP/1.0 200 OK\r\nSession: 1\r\n\r\n")
                        if first == b"RECORD":
                            stream.read()  # to its end
                            break

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=serve)
        thread.start()
        push = RtspPush(
            f"rtsp://127.0.0.1:{server.getsockname()[1]}/x", rate=30, clock=clock, chance=lambda: 0.5
        )
        for number in range(300):
            push.render(magnified(number, image=numbered(number, 120 + 2 * (number % 2))))
            clock.now += 1 / 30
        assert "keeps changing" in push.trouble
        push.close()
        server.shutdown(socket.SHUT_RDWR)
        thread.join(PATIENCE)
    assert 4 <= connections < 12  # in ten seconds


def test_a_server_that_goes_away_is_waited_for_and_found_again(
    sinks: list[Sink], caplog: pytest.LogCaptureFixture
) -> None:
    clock = Clock()
    sinks.append(Sink("--user", "nurse", "--password", "hush", "--digest"))
    port = str(sinks[0].port)
    with caplog.at_level(logging.DEBUG):
        push = RtspPush(sinks[0].url("nurse:hush@"), rate=30, clock=clock, chance=lambda: 0.5)
        push.open()
        push.render(magnified(0))
        assert push.connected
        sinks[0].kill()
        push.render(magnified(1))
        assert not push.connected
        waits = []
        for number in range(2, 7):  # each try is made as soon as it is due, and not before
            due = clock.now + float(caplog.records[-1].getMessage().split()[-2])
            waits.append(due - clock.now)
            clock.now = due - 0.06  # the log rounds to 0.1 s
            tries = len(caplog.records)
            push.render(magnified(number))
            assert len(caplog.records) == tries
            clock.now = due + 0.06
            push.render(magnified(number))
            assert len(caplog.records) == tries + 1
        assert waits == [0.5, 1.0, 2.0, 4.0, 8.0]
        assert push.lost == 11
        sinks.append(Sink("--user", "nurse", "--password", "hush", "--digest", "--port", port))
        clock.now += 60
        for number in range(500, 530):
            push.render(magnified(number, session=1))
        assert push.connected
        assert [sinks[1].said()["number"] for _ in range(20)] == list(range(500, 520))
        push.close()
    assert "nurse" not in caplog.text
    assert "hush" not in caplog.text


@pytest.mark.parametrize("login", ["", "nurse:wrong@"])
def test_a_server_that_refuses_the_first_connection_ends_the_push(
    sinks: list[Sink], login: str, caplog: pytest.LogCaptureFixture
) -> None:
    sinks.append(Sink("--user", "nurse", "--password", "hush"))
    push = RtspPush(sinks[0].url(login), rate=30)
    push.open()
    with caplog.at_level(logging.DEBUG), pytest.raises(RendererError, match="password is wrong") as caught:
        push.render(magnified(0))
    push.close()
    assert "nurse:" not in str(caught.value) + caplog.text
    assert sinks[0].url() in str(caught.value)


def test_an_unknown_path_ends_the_push(sinks: list[Sink]) -> None:
    sinks.append(Sink())
    push = RtspPush(sinks[0].url().replace("/live", "/elsewhere"), rate=30)
    with pytest.raises(RendererError, match="no such path"):
        push.render(magnified(0))


def test_a_server_that_never_answers_holds_up_neither_the_push_nor_the_process() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        push = RtspPush(f"rtsp://u:hush@127.0.0.1:{server.getsockname()[1]}/x", rate=30, timeout=0.5)
        done = threading.Event()

        def render() -> None:
            push.render(magnified(0))
            done.set()

        thread = threading.Thread(target=render)
        thread.start()
        beats = 0
        while not done.wait(0.01):  # another thread goes on meanwhile; libav's own push would stop it
            beats += 1
        thread.join(PATIENCE)
    assert beats > 5
    assert push.lost == 1
    assert not push.connected


@pytest.mark.parametrize("piece", [b"a", b"$\0\0\1x"], ids=["of a header", "of what nobody asked for"])
def test_nor_does_one_that_answers_a_byte_at_a_time(piece: bytes) -> None:
    pause = threading.Event()

    def drip() -> None:
        with server.accept()[0] as peer, contextlib.suppress(ConnectionError):
            for part in (b"" if piece[:1] == b"$" else b"RTSP/1.0 200 OK\r\nX: ", *[piece] * 300):
                peer.sendall(part)
                pause.wait(0.01)

    with socket.create_server(("127.0.0.1", 0)) as server:
        push = RtspPush(f"rtsp://u:hush@127.0.0.1:{server.getsockname()[1]}/x", rate=30, timeout=0.3)
        thread = threading.Thread(target=drip)
        thread.start()
        push.render(magnified(0))
        pause.set()
        thread.join(PATIENCE)
    assert "the server does not answer" in push.trouble
    assert push.lost == 1


def test_no_request_repeats_a_count_of_its_nonce_also_where_the_server_renews_that_unsaid() -> None:
    used: list[tuple[str, str]] = []
    nonce = 1

    def answer(head: str) -> tuple[str, dict[str, str]]:
        nonlocal nonce
        given = re.search(r'nonce="(\w+)".* nc=(\w+)', head)
        if len(used) == 2:
            nonce = 2
        if given and given[1] == str(nonce) and given.groups() not in used:
            used.append((given[1], given[2]))
            return "200 OK", {"Session": "1"}
        challenge = f'Digest realm="r", qop="auth", nonce="{nonce}"'
        return "401 Unauthorized", {"WWW-Authenticate": challenge}

    with Scripted(answer) as server:
        push = RtspPush(server.url, rate=30)
        push.render(magnified(0))
        assert push.connected
        push.close()
    assert used == [("1", "00000001"), ("1", "00000002")] + [("2", f"{n:08x}") for n in (1, 2, 3)]
    assert server.methods == ["OPTIONS"] * 2 + ["ANNOUNCE"] + ["SETUP"] * 2 + ["RECORD", "TEARDOWN"]


@pytest.mark.parametrize(("session", "period"), [("1", 25.0), ("1;timeout=60", 25.0), ("1; timeout=10", 5.0)])
def test_a_session_is_kept_alive_in_half_of_the_time_that_the_server_gives(
    session: str, period: float
) -> None:
    clock = Clock()
    with Scripted(lambda _: ("200 OK", {"Session": session})) as server:
        push = RtspPush(server.url, rate=30, clock=clock)
        push.render(magnified(0))
        for number in (1, 2):
            clock.now += 0.99 * period if number == 1 else 0.02 * period
            push.render(magnified(number))
        push.close()
    assert server.methods == ["OPTIONS", "ANNOUNCE", "SETUP", "RECORD", "OPTIONS", "TEARDOWN"]
    assert all("Session: 1\r\n" in head for head in server.asked[3:])


@pytest.mark.skipif(not hasattr(socket, "TCP_NOTSENT_LOWAT"), reason="this system cannot bound it")
def test_a_network_that_is_too_slow_holds_few_old_pictures() -> None:
    picture = b"\0\0\0\1\x65" + 20_000 * b"\xff"
    left = 0
    with Scripted(lambda _: ("200 OK", {"Session": "1"}), reads_on=False) as server:
        publisher = RtspPublisher(parse_address(server.url), b"\x67\x42\0\x1e", b"\x68", now=0.0, timeout=0.2)
        with contextlib.suppress(PublishError):  # it takes nothing more
            for left in range(500):
                publisher.send(picture, 3000 * left, now=0.0, wall=0.0)
        publisher.close()
    assert left < 20  # it was 99: minutes of a stream at 10 kB/s


def test_a_process_with_more_than_a_thousand_files_pushes_too(monkeypatch: pytest.MonkeyPatch) -> None:
    connect = socket.create_connection

    def high(*arguments: Any) -> socket.socket:
        with connect(*arguments) as made:
            same = socket.socket(fileno=fcntl.fcntl(made.fileno(), fcntl.F_DUPFD, 1100))
            same.settimeout(made.gettimeout())
            return same

    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(limits[0], 1200), limits[1]))
    try:
        with Scripted(lambda _: ("200 OK", {"Session": "1"})) as server:
            monkeypatch.setattr(socket, "create_connection", high)
            push = RtspPush(server.url, rate=30)
            for number in range(3):
                push.render(magnified(number))
            assert push.connected
            push.close()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert push.lost == 0


def test_a_name_that_no_host_can_have_ends_the_push_in_words() -> None:
    push = RtspPush("rtsp://cam..local/x", rate=30)
    with pytest.raises(RendererError, match=r"cam\.\.local is no name of a host"):
        push.render(magnified(0))


def test_a_peer_that_speaks_something_else_is_a_failed_try(caplog: pytest.LogCaptureFixture) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def greet() -> None:
            with server.accept()[0] as peer:
                peer.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        thread = threading.Thread(target=greet)
        thread.start()
        push = RtspPush(f"rtsp://127.0.0.1:{server.getsockname()[1]}/x", rate=30)
        push.render(magnified(0))
        thread.join(PATIENCE)
    assert push.lost == 1
    assert "does not speak RTSP" in caplog.text


def test_a_stale_picture_is_sent_on_with_its_state_on_it(sinks: list[Sink]) -> None:
    clock = Clock()
    sinks.append(Sink())
    push = RtspPush(sinks[0].url(), rate=30, overlay=Panel(), clock=clock)  # type: ignore[arg-type]
    push.render(magnified(1023))
    for _ in range(3):
        clock.now += 0.25
        push.idle()  # less than a second: nothing is said yet
    sent = push._publisher._rtp.packets  # type: ignore[union-attr]
    for _ in range(60):
        clock.now += 0.25
        push.idle()
    assert push._publisher._rtp.packets >= sent + 57  # type: ignore[union-attr]
    assert sinks[0].said()["size"] == [480, 360]  # what the overlay needs to be read
    push.close()


def test_a_source_that_is_over_or_lost_is_not_pushed_as_if_it_were_there(
    sinks: list[Sink], tmp_path: Path
) -> None:
    sinks.append(Sink())
    clip = make_clip(tmp_path / "clip.mp4", 20)
    source = open_source(parse_source(str(clip)))
    pipeline = Pipeline(source, None, None, Settings(method="evm"))
    try:
        pipeline.add(push_of(pipeline, sinks[0].url()))
        pipeline.start()
        assert pipeline.wait(PATIENCE)
        heard = [sinks[0].said()["size"] for _ in range(22)]  # more than there were
        assert heard == 22 * [[480, 360]]  # with words on them
    finally:
        pipeline.stop()


@pytest.mark.parametrize(
    "url",
    [
        "http://a/b",
        "rtsp:///x",
        "rtsp://h:port/x",
        "a.mp4",
        "rtsp://u:hush@h:99999/",
        "rtsp://u:hush@h/bed 1",
    ],
)
def test_an_address_that_is_none_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(RendererError, match="rtsp://") as caught:
        RtspPush(url, rate=30)
    assert "hush" not in str(caught.value)
    assert redact(str(caught.value)) == str(caught.value)  # nor is the form of an address taken for one
