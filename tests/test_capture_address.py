"""What a person may type as a source."""

from __future__ import annotations

from pathlib import Path

import pytest

from deepmag.stream.capture.address import default_address, parse_address
from deepmag.stream.capture.cameras import list_cameras
from deepmag.stream.capture.open import open_source


@pytest.mark.parametrize(
    ("text", "kind", "opened"),
    [
        ("0", "camera", "/dev/video0"),
        ("12", "camera", "/dev/video12"),
        ("/dev/video1", "camera", "/dev/video1"),
        ("/dev/v4l/by-id/usb-cam", "camera", "/dev/v4l/by-id/usb-cam"),
        ("rtsp://host/live", "rtsp", "rtsp://host/live"),
        ("RTSP://u:p@host:8554/live", "rtsp", "RTSP://u:p@host:8554/live"),
        ("rtsps://host/live", "rtsp", "rtsps://host/live"),
        ("http://host/stream", "url", "http://host/stream"),
        ("tcp://127.0.0.1:99", "url", "tcp://127.0.0.1:99"),
        ("udp://@239.0.0.1:1234", "url", "udp://@239.0.0.1:1234"),
        ("clip.mp4", "file", "clip.mp4"),
        ("./demo", "file", "./demo"),
        ("a:b.mp4", "file", "a:b.mp4"),
        ("file:///tmp/a%20b.mp4", "file", "/tmp/a b.mp4"),
        ("file://localhost/tmp/a.mp4", "file", "/tmp/a.mp4"),
        (" demo ", "demo", "demo"),
    ],
)
def test_each_kind_of_source_is_told_from_the_others(text: str, kind: str, opened: str) -> None:
    address = parse_address(text)
    assert (address.kind, address.text) == (kind, opened)


@pytest.mark.parametrize(
    ("text", "live"),
    [
        ("0", True),
        ("demo", True),
        ("rtsp://h/x.mp4", True),
        ("tcp://h:1", True),
        ("udp://:1234", True),
        ("http://h/stream.mjpg?x=1", True),
        ("https://h/clip.MP4?x=1", False),
        ("clip.mp4", False),
    ],
)
def test_only_what_happens_now_is_live(text: str, live: bool) -> None:
    assert parse_address(text).live is live


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "empty"),
        ("   ", "empty"),
        ("rtsp://", "no host"),
        ("http://", "no host"),
        ("https:///live.m3u8", "no host"),
        ("file://clip.mp4", "another machine; a file of this one is file:///PATH"),
        ("file://user:secret@[host/a.mp4", "another machine"),
        ("rtsp://user:secret word@host/x", "blank"),
        ("rtsp://host:port/x", "no valid URL"),
        ("rtsp://user:sec/ret@host/x", "no valid URL"),
        ("https://user:secret@host/live.MPD?x=1", "DASH cannot be read; name the camera.s HLS"),
    ],
)
def test_what_cannot_be_a_source_is_refused_in_words_and_without_the_password(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=says) as caught:
        parse_address(text)
    assert "sec" not in str(caught.value)


def test_neither_name_nor_repr_holds_the_password() -> None:
    address = parse_address("rtsp://user:secret@host/x?token=secret")
    assert address.name == "rtsp://user:***@host/x?token=***"
    assert "secret" not in f"{address!r} {address}"


def camera_tree(root: Path, nodes: dict[str, tuple[str, str]]) -> Path:
    for node, (index, name) in nodes.items():
        (root / node).mkdir()
        (root / node / "index").write_text(index + "\n")
        (root / node / "name").write_text(name + "\n")
    return root


def test_cameras_are_listed_by_number_without_the_nodes_that_cannot_capture(tmp_path: Path) -> None:
    nodes = {
        "video10": ("0", "Third"),
        "video0": ("0", "First"),
        "video1": ("1", "First"),
        "video2": ("0", "Second"),
    }
    answers = {"/dev/video0": True, "/dev/video1": False, "/dev/video2": True, "/dev/video10": True}
    cameras = list_cameras(camera_tree(tmp_path, nodes), answers.__getitem__)
    assert [(c.path, c.name) for c in cameras] == [
        ("/dev/video0", "First"),
        ("/dev/video2", "Second"),
        ("/dev/video10", "Third"),
    ]


def test_a_camera_that_cannot_be_asked_is_listed_by_its_first_node(tmp_path: Path) -> None:
    nodes = {"video0": ("0", "Cam"), "video1": ("1", "Cam")}
    assert [c.path for c in list_cameras(camera_tree(tmp_path, nodes), lambda _: None)] == ["/dev/video0"]


def test_without_video4linux_there_is_no_camera(tmp_path: Path) -> None:
    assert list_cameras(tmp_path / "absent") == []


def test_the_default_is_the_first_camera_else_the_demo() -> None:
    cameras = list_cameras()
    address = default_address()
    assert (address.kind, address.text) == (("camera", cameras[0].path) if cameras else ("demo", "demo"))


@pytest.mark.parametrize(
    ("choice", "says"),
    [
        ({"transport": "sctp"}, "transport must be tcp or udp, not sctp"),
        ({"timestamps": "clock"}, "timestamps must be stream or arrival, not clock"),
        ({"pace": "fast"}, "pace must be file or max, not fast"),
    ],
)
@pytest.mark.parametrize("source", ["demo", "clip.mp4"])
def test_a_choice_that_there_is_not_is_refused(source: str, choice: dict[str, str], says: str) -> None:
    """A file was read at full speed, and the demo had no end of its own."""
    with pytest.raises(ValueError, match=says):
        open_source(parse_address(source), **choice)  # type: ignore[arg-type]
