"""GStreamer's RTSP server, which is none of ours, as a subprocess that lives as long as its ``with`` block.

Run as a script, by the interpreter that has the GStreamer bindings, this file is the server; imported, it
starts one. The server ends when its standard input does, so none outlives the tests.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

INTERPRETER = "/usr/bin/python3"  # Debian's: the bindings (python3-gi) are in no virtual environment
START_TIMEOUT = 20  # s
GOP = 10  # frames between key frames: nobody waits long for the first
Auth = Literal["none", "basic", "digest"]


@dataclass(frozen=True, slots=True)
class RtspServer:
    """A running server. process: to kill it in mid stream."""

    port: int
    user: str
    password: str
    process: subprocess.Popen[str]

    def url(self, path: str = "/test", *, user: str | None = None, password: str | None = None) -> str:
        """Address of a mount, with the credentials where the server wants any."""
        user, password = user or self.user, password or self.password
        login = f"{user}:{quote(password, safe='')}@" if user else ""
        return f"rtsp://{login}127.0.0.1:{self.port}{path}"


def available() -> bool:
    """Whether the bindings are here: a test that needs the server skips without them."""
    probe = "import gi; gi.require_version('GstRtspServer', '1.0'); from gi.repository import GstRtspServer"
    try:
        return subprocess.run([INTERPRETER, "-c", probe], capture_output=True, check=False).returncode == 0
    except OSError:
        return False


@contextlib.contextmanager
def rtsp_server(
    *,
    auth: Auth = "none",
    user: str = "",
    password: str = "",
    size: tuple[int, int] = (320, 240),
    fps: int = 30,
    codec: Literal["h264", "jpeg"] = "h264",
    file: Path | None = None,
    port: int = 0,
    only: Literal["", "tcp", "udp"] = "",
) -> Iterator[RtspServer]:
    """Serve a moving test pattern, or the H.264 in an MP4 ``file``, at /test, over TCP and UDP, or ``only`` one.

    port: 0 for any free one; a fixed one to come back after an outage.
    """
    options = {
        "auth": auth,
        "user": user,
        "password": password,
        "size": size,
        "fps": fps,
        "codec": codec,
        "file": str(file) if file else "",
        "port": port,
        "only": only,
    }
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    process = subprocess.Popen(
        [INTERPRETER, __file__, json.dumps(options)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            raise RuntimeError("the RTSP server did not start")
        yield RtspServer(json.loads(line)["port"], user, password, process)
    finally:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.close()
        try:
            process.wait(START_TIMEOUT)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()


def _pipeline(options: dict[str, Any]) -> str:
    if options["file"]:
        demuxed = f'filesrc location="{options["file"]}" ! qtdemux'
        return f"{demuxed} ! h264parse ! rtph264pay name=pay0 config-interval=-1"
    width, height = options["size"]
    source = (
        "videotestsrc is-live=true pattern=ball ! "
        f"video/x-raw,format=I420,width={width},height={height},framerate={options['fps']}/1 ! "
    )
    if options["codec"] == "jpeg":
        return source + "jpegenc ! rtpjpegpay name=pay0"
    return source + (f"openh264enc gop-size={GOP} ! h264parse ! rtph264pay name=pay0 config-interval=-1")


def _serve(options: dict[str, Any]) -> None:
    import gi

    for module in ("Gst", "GstRtsp", "GstRtspServer"):
        gi.require_version(module, "1.0")
    from gi.repository import GLib, Gst, GstRtsp, GstRtspServer

    Gst.init(None)
    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service(str(options["port"]))
    factory = GstRtspServer.RTSPMediaFactory()
    factory.set_launch(f"( {_pipeline(options)} )")
    factory.set_shared(not options["file"])
    factory.set_latency(0)
    if options["only"]:
        factory.set_protocols(getattr(GstRtsp.RTSPLowerTrans, options["only"].upper()))

    if options["auth"] != "none":
        user, password = options["user"], options["password"]
        auth = GstRtspServer.RTSPAuth()
        token = GstRtspServer.RTSPToken()
        token.set_string("media.factory.role", "viewer")
        if options["auth"] == "basic":
            auth.set_supported_methods(GstRtsp.RTSPAuthMethod.BASIC)
            auth.add_basic(GstRtspServer.RTSPAuth.make_basic(user, password), token)
        else:
            auth.set_supported_methods(GstRtsp.RTSPAuthMethod.DIGEST)
            auth.add_digest(user, password, token)
        server.set_auth(auth)
        permissions = GstRtspServer.RTSPPermissions()
        permissions.add_permission_for_role("viewer", "media.factory.access", True)
        permissions.add_permission_for_role("viewer", "media.factory.construct", True)
        factory.set_permissions(permissions)

    server.get_mount_points().add_factory("/test", factory)
    loop = GLib.MainLoop()
    server.attach(None)
    GLib.io_add_watch(sys.stdin, GLib.IO_HUP | GLib.IO_IN, lambda *_: loop.quit())
    sys.stdout.write(json.dumps({"port": server.get_bound_port()}) + "\n")
    sys.stdout.flush()
    loop.run()


if __name__ == "__main__":
    _serve(json.loads(sys.argv[1]))
