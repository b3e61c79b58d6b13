"""A web server, and video in segments for it to serve."""

from __future__ import annotations

import functools
import http.server
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import av
from scripted_camera import painted

END_OF_LIST = "#EXT-X-ENDLIST\n"


@contextmanager
def web_server(folder: Path) -> Iterator[str]:
    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None: ...

    with http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(Quiet, directory=folder)
    ) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


def segments(folder: Path, *, finished: bool) -> None:
    """Three of one second, and their list, live.m3u8: 75 numbered pictures."""
    list_ = folder / "live.m3u8"
    with av.open(str(list_), "w", format="hls", options={"hls_time": "1"}) as out:
        stream = out.add_stream("libx264", rate=25, options={"preset": "ultrafast", "tune": "zerolatency"})
        stream.width, stream.height, stream.pix_fmt, stream.gop_size = 160, 120, "yuv420p", 25
        for number in range(75):
            picture = av.VideoFrame.from_ndarray(painted(number), format="rgb24")
            picture.pts = number
            out.mux(stream.encode(picture))
        out.mux(stream.encode(None))
    assert len(list(folder.glob("*.ts"))) == 3
    assert END_OF_LIST in list_.read_text()
    if not finished:
        list_.write_text(list_.read_text().replace(END_OF_LIST, ""))


def segments_of_sound(folder: Path) -> None:
    """Three of one second of silence, and their list, live.m3u8, which is not finished."""
    options = {"hls_time": "1", "hls_flags": "omit_endlist"}
    with av.open(str(folder / "live.m3u8"), "w", format="hls", options=options) as out:
        stream = out.add_stream("aac", rate=8000)
        for number in range(30):
            sound = av.AudioFrame(format="fltp", layout="mono", samples=800)
            sound.planes[0].update(bytes(sound.planes[0].buffer_size))
            sound.rate, sound.pts = 8000, 800 * number
            out.mux(stream.encode(sound))
        out.mux(stream.encode(None))
