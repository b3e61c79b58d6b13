"""How PyAV is asked to open each kind of source."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from deepmag.stream.capture.source import SourceError

if TYPE_CHECKING:
    from deepmag.stream.capture.address import Address

Transport = Literal["tcp", "udp"]

OPEN_TIMEOUT = 6.0  # s; a server that starts its encoder on demand takes 1 to 3
RAW_RATE = 24.0  # frames/s below which a camera's raw pictures are too few
CAMERA_OPEN_TIMEOUT = 3.0  # s; in this time FFmpeg asks again and again for the first picture, at full load
POLL = 0.5  # s, after which a silent read comes back to ask whether to stop
STALL = 5.0  # s of silence that are a loss
SEGMENT_STALL = 20.0  # s; HLS delivers nothing for the length of a segment

# With FFmpeg's default probing the first frames wait until it is over, and every later frame behind them:
# 0.9 s of delay that never goes away.
_LIVE = {"fflags": "nobuffer", "fpsprobesize": "0", "probesize": "32768", "analyzeduration": "0"}
_NONBLOCKING = "4"  # AVFMT_FLAG_NONBLOCK, which has no name among the fflags


@dataclass(frozen=True, slots=True)
class Opening:
    """What to hand to ``av.open``, and how to read afterwards.

    open_timeout, read_timeout: s that opening and one read may block. stall: s of silence that end it.
    resumable: a read that timed out can just be repeated (FFmpeg's buffered protocols stay broken after one).
    least_rate: frames/s, as it states them, below which the next way is the better one.
    """

    url: str
    format: str | None = None
    open_timeout: float = OPEN_TIMEOUT
    options: dict[str, str] = field(default_factory=dict)
    read_timeout: float | None = None
    stall: float = STALL
    resumable: bool = False
    least_rate: float = 0.0


def openings(
    address: Address, transport: Transport = "tcp", stall: float | None = None, *, clip: bool = False
) -> Iterator[Opening]:
    """List the ways to open ``address``, the best first; the next is for when a camera refuses one, or is slow so.

    stall: s, instead of the default. clip: what a web server sends is known to have an end. Raises
    SourceError for a file that cannot be one.
    """
    if address.kind == "file":
        check_file(address)
        yield Opening(f"file:{address.text}")  # with its protocol: no name of a file can pass for a URL
    elif address.kind == "camera":
        # Raw, because JPEG takes a pulse for noise: of a quality of 80 it leaves so little that a rate may come after
        # 22 s in place of 9. Compressed where there is no raw, or only at 10 fps as of a camera without room for it, or
        # none left on a bus: USB 2 carries 640x480 raw at 30 fps for one camera. A read must not block: V4L2 never
        # looks whether it should stop.
        live = {**_LIVE, "fflags": f"nobuffer+{_NONBLOCKING}"}
        shape = {"video_size": "640x480", "framerate": "30"}
        raw, jpeg = ({"input_format": name, **shape} for name in ("yuyv422", "mjpeg"))
        for extra in (raw, jpeg, shape, {}):
            yield Opening(
                address.text,
                "v4l2",
                CAMERA_OPEN_TIMEOUT,
                {**live, **extra},
                stall=stall or STALL,
                resumable=True,
                least_rate=RAW_RATE if extra is raw else 0.0,
            )
    elif address.kind == "rtsp":
        options = {**_LIVE, "rtsp_transport": transport, "allowed_media_types": "video"}
        yield Opening(address.text, options=options, read_timeout=POLL, stall=stall or STALL, resumable=True)
    elif address.live and not clip:
        stall = stall or (SEGMENT_STALL if address.segmented else STALL)
        # Half of it: FFmpeg first hands over what its parser still holds, then times out once more.
        yield Opening(address.text, options=dict(_LIVE), read_timeout=stall / 2, stall=stall)
    else:
        yield Opening(address.text, read_timeout=SEGMENT_STALL)


def check_file(address: Address) -> None:
    """Raise SourceError for an address of a file that cannot be one."""
    path, name = Path(address.text), address.name
    try:
        if path.is_dir():
            raise SourceError(f"{name} is a folder; name a video file", retry=False)
        if not path.exists():
            raise SourceError(f"{name}: no such file", retry=False)
        if not path.is_file():
            raise SourceError(f"{name} is neither a file nor a camera", retry=False)  # a pipe would block
        if not path.stat().st_size:
            raise SourceError(f"{name} is empty", retry=False)
    except (OSError, ValueError) as error:
        raise SourceError(
            f"{name} cannot be opened: {getattr(error, 'strerror', None) or error}", retry=False
        ) from None
