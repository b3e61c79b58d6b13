"""What a person may name as a source, and what it means."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Literal
from urllib.parse import unquote, urlsplit

from deepmag.stream.capture.cameras import list_cameras
from deepmag.stream.capture.redact import redact

Kind = Literal["camera", "rtsp", "url", "file", "demo"]

_SCHEME = re.compile(r"([a-z][a-z0-9+.\-]*)://", re.IGNORECASE)
_RTSP_SCHEMES = {"rtsp", "rtsps"}
_WEB_SCHEMES = {"http", "https", "ftp", "sftp"}
_FINITE_SUFFIXES = {".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi"}


@dataclass(frozen=True, slots=True)
class Address:
    """Where pictures come from.

    text: what is opened: a device, a path, a URL with its password (so it is not in the repr), or "demo".
    name: the same for people and logs, without a password.
    """

    kind: Kind
    text: str = field(repr=False)

    @property
    def name(self) -> str:
        """For the screen and the log."""
        return redact(self.text)

    @property
    def live(self) -> bool:
        """Whether the pictures happen now, so that losing them means waiting for them to come back.

        A video file on a web server is not live; a stream from one (any other path) is, unless it turns out to be one.
        """
        if self.kind != "url":
            return self.kind != "file"
        return urlsplit(self.text).scheme not in _WEB_SCHEMES or self._suffix not in _FINITE_SUFFIXES

    @property
    def segmented(self) -> bool:
        """Whether pictures come some seconds of them at a time, as of HLS."""
        return self.kind == "url" and self._suffix == ".m3u8"

    @property
    def _suffix(self) -> str:
        return PurePosixPath(urlsplit(self.text).path).suffix.lower()


def parse_address(text: str) -> Address:
    """Read a SOURCE: a camera's number or device, ``rtsp://...`` or another URL, a file, or ``demo``.

    Nothing is opened or looked for. Raises ValueError, in words for the person who typed it.
    """
    text = text.strip()
    if not text:
        raise ValueError("the source is empty; name a camera (0), a file, a URL or demo")
    if text == "demo":
        return Address("demo", text)
    if text.isascii() and text.isdigit():
        return Address("camera", f"/dev/video{int(text)}")
    if text.startswith(("/dev/video", "/dev/v4l/")):
        return Address("camera", text)
    match = _SCHEME.match(text)
    if match is None:
        return Address("file", text)
    scheme = match[1].lower()
    if re.search(r"\s", text):
        # Not shown: where a password ends cannot be told when it holds a blank.
        raise ValueError(f"the {scheme} address holds a blank; write it as %20")
    if scheme == "file":
        host, _, path = text.partition("://")[2].partition("/")
        if host.lower() not in ("", "localhost"):
            raise ValueError(f"{redact(text)} names another machine; a file of this one is file:///PATH")
        return Address("file", unquote(urlsplit(f"file:///{path}").path))
    try:
        url = urlsplit(text)
        _ = url.port
    except ValueError:
        raise ValueError(
            f"{redact(text)} is no valid URL: check host and port, and write / # ? @ [ in a password as %XX"
        ) from None
    if scheme in _RTSP_SCHEMES | _WEB_SCHEMES and not url.hostname:  # one of UDP or SRT may listen
        raise ValueError(f"{redact(text)} names no host")
    if scheme in _RTSP_SCHEMES:
        return Address("rtsp", text)
    if url.path.lower().endswith(".mpd"):  # PyAV's FFmpeg is built without
        raise ValueError(
            f"{redact(text)}: DASH cannot be read; name the camera's HLS (.m3u8) or RTSP address"
        )
    return Address("url", text)


def default_address() -> Address:
    """Name the first webcam, else the demo."""
    cameras = list_cameras()
    return Address("camera", cameras[0].path) if cameras else Address("demo", "demo")
