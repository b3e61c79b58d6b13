"""Which V4L2 cameras this machine has."""

from __future__ import annotations

import fcntl
import os
import re
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from deepmag.stream.capture.redact import plain

SYSFS = Path("/sys/class/video4linux")

_QUERY_CAPABILITIES = 0x80685600  # VIDIOC_QUERYCAP, linux/videodev2.h
_CAPABILITY = struct.Struct("16s32s32sIII12x")  # struct v4l2_capability
_HAS_DEVICE_CAPABILITIES = 0x80000000
_CAPTURES = 0x00000001 | 0x00001000  # single- and multi-planar video capture


@dataclass(frozen=True, slots=True)
class Camera:
    """path: of its device. name: as its driver tells it."""

    path: str
    name: str


def can_capture(device: str) -> bool | None:
    """Ask the driver whether this node delivers pictures; None where it cannot be asked.

    A USB camera has a second node, for metadata, which looks the same in sysfs.
    """
    try:
        handle = os.open(device, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        answer = fcntl.ioctl(handle, _QUERY_CAPABILITIES, bytes(_CAPABILITY.size))
    except OSError:
        return None
    finally:
        os.close(handle)
    *_, whole, node = _CAPABILITY.unpack(answer)
    return bool((node if whole & _HAS_DEVICE_CAPABILITIES else whole) & _CAPTURES)


def list_cameras(sysfs: Path = SYSFS, ask: Callable[[str], bool | None] = can_capture) -> list[Camera]:
    """List the nodes that can capture, in the order of their numbers; empty where there is no V4L2.

    Where the driver cannot be asked (no permission), a camera's first node is taken to be the one.
    """
    found = []
    for node in sysfs.glob("video*") if sysfs.is_dir() else ():
        number = re.fullmatch(r"video(\d+)", node.name)
        if number is None:
            continue
        device = f"/dev/{node.name}"
        answer = ask(device)
        if answer or (answer is None and _read(node / "index") in ("0", "")):
            found.append((int(number[1]), Camera(device, _read(node / "name") or node.name)))
    return [camera for _, camera in sorted(found, key=lambda pair: pair[0])]


def _read(path: Path) -> str:
    try:
        return plain(path.read_text(errors="replace").strip())  # whoever made the camera wrote it
    except OSError:
        return ""
