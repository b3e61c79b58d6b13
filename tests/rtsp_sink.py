"""An RTSP server that takes a stream (GStreamer, not ours) and says what arrives, one JSON object a line.

Run by the system's Python, which has GStreamer: ``rtsp_sink.py [--user U --password P --digest] [--port N]``.
Prints {"port": N} once it listens, then for each decoded picture {"number", "size", "time"}.
It ends when its standard input does.
"""

from __future__ import annotations

import argparse
import json
import sys
import threading

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
gi.require_version("GstRtsp", "1.0")
from gi.repository import GLib, Gst, GstRtsp, GstRtspServer  # noqa: E402

BITS, SQUARE = 10, 8  # as in render_frames.py
LAUNCH = (
    "( rtph264depay name=depay0 ! h264parse ! avdec_h264 max-threads=1 ! videoconvert "
    "! video/x-raw,format=GRAY8 ! appsink name=pictures emit-signals=true sync=false )"
)


def say(**what: object) -> None:
    print(json.dumps(what), flush=True)  # noqa: T201


def on_picture(sink: Gst.Element) -> Gst.FlowReturn:
    sample = sink.emit("pull-sample")
    caps = sample.get_caps().get_structure(0)
    width, height = caps.get_value("width"), caps.get_value("height")
    buffer = sample.get_buffer()
    ok, mapped = buffer.map(Gst.MapFlags.READ)
    if not ok:
        return Gst.FlowReturn.ERROR
    stride = (width + 3) // 4 * 4
    centre = SQUARE // 2
    bits = [mapped.data[centre * stride + bit * SQUARE + centre] > 128 for bit in range(BITS)]
    buffer.unmap(mapped)
    number = sum(1 << bit for bit, value in enumerate(bits) if value)
    say(number=number, size=[width, height], time=buffer.pts / Gst.SECOND)
    return Gst.FlowReturn.OK


def on_media(_factory: GstRtspServer.RTSPMediaFactory, media: GstRtspServer.RTSPMedia) -> None:
    media.get_element().get_by_name_recurse_up("pictures").connect("new-sample", on_picture)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", default="0")
    parser.add_argument("--user")
    parser.add_argument("--password")
    parser.add_argument("--digest", action="store_true")
    given = parser.parse_args()
    Gst.init(None)
    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service(given.port)
    factory = GstRtspServer.RTSPMediaFactory()
    factory.set_launch(LAUNCH)
    factory.set_transport_mode(GstRtspServer.RTSPTransportMode.RECORD)
    factory.set_latency(0)
    factory.connect("media-constructed", on_media)
    if given.user:
        auth = GstRtspServer.RTSPAuth()
        token = GstRtspServer.RTSPToken()
        token.set_string("media.factory.role", "user")
        if given.digest:
            auth.set_supported_methods(GstRtsp.RTSPAuthMethod.DIGEST)
            auth.add_digest(given.user, given.password, token)
        else:
            auth.add_basic(GstRtspServer.RTSPAuth.make_basic(given.user, given.password), token)
        server.set_auth(auth)
        permissions = GstRtspServer.RTSPPermissions()
        permissions.add_permission_for_role("user", "media.factory.access", True)
        permissions.add_permission_for_role("user", "media.factory.construct", True)
        factory.set_permissions(permissions)
    server.get_mount_points().add_factory("/live", factory)
    if not server.attach(None):
        sys.exit("cannot listen")
    say(port=server.get_bound_port())
    loop = GLib.MainLoop()
    threading.Thread(target=lambda: (sys.stdin.read(), loop.quit()), daemon=True).start()
    loop.run()


main()
