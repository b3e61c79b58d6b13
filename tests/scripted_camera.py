"""A camera that misbehaves on cue: MPEG-TS over TCP, by script. Each picture has its number painted in."""

from __future__ import annotations

import io
import random
import select
import socket
import threading
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import av
import numpy as np
from numpy.typing import NDArray

BITS = 8
TS_PACKET = 188  # bytes
VIDEO_PID = 0x100  # where FFmpeg's muxer puts the first stream

Step = bytes | threading.Event
"""What a connection does next: send these bytes, or stall until this event."""


def painted(number: int, size: tuple[int, int] = (160, 120)) -> NDArray[np.uint8]:
    """(H, W, 3) uint8: ``number`` (below 256) as eight vertical bars over a grey ground that follows it."""
    width, height = size
    image = np.full((height, width, 3), 60 + number % 100, np.uint8)
    for bit in range(BITS):
        image[: height // 2, bit * width // BITS : (bit + 1) * width // BITS] = (
            235 if number >> bit & 1 else 20
        )
    return image


def number_of(image: NDArray[np.uint8]) -> int:
    """Read what ``painted`` painted."""
    height, width, _ = image.shape
    bars = [
        image[height // 8 : height // 3, int((b + 0.3) * width / BITS) : int((b + 0.7) * width / BITS)]
        for b in range(BITS)
    ]
    return sum(1 << bit for bit, bar in enumerate(bars) if bar.mean() > 128)


def encode(
    numbers: Iterable[int],
    *,
    size: tuple[int, int] = (160, 120),
    rate: int = 30,
    start: float = 0.0,
    lost: Iterable[int] = (),
    to: Path | None = None,
    container: str = "mpegts",
    codec: str = "libx264",
    intra: bool = True,
) -> bytes:
    """A stream of painted pictures, every one a key frame, from ``start`` s on; to a file where one is named.

    lost: numbers that are encoded and then not sent, so that only their timestamps are missed.
    """
    target = io.BytesIO()
    lost = set(lost)
    with av.open(str(to) if to else target, "w", format=container) as out:
        stream = out.add_stream(codec, rate=rate)
        stream.width, stream.height = size
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        stream.bit_rate = 4_000_000
        if intra:
            stream.gop_size = 1
        if codec == "libx264":
            stream.options = {"preset": "ultrafast", "tune": "zerolatency"}
        ticks = {}
        packets = []
        for position, number in enumerate(numbers):
            frame = av.VideoFrame.from_ndarray(painted(number, size), format="rgb24")
            frame.pts = round(start * rate) + position
            ticks[frame.pts] = number
            packets += stream.encode(frame)
        for packet in packets + stream.encode(None):
            if packet.pts is None or ticks[packet.pts] not in lost:
                out.mux(packet)
    return b"" if to else target.getvalue()


def lose_packets(stream: bytes, share: float, seed: int = 1) -> bytes:
    """Leave out a share of the transport packets that carry video, as a bad network does."""
    chance = random.Random(seed)
    packets = [stream[at : at + TS_PACKET] for at in range(0, len(stream), TS_PACKET)]
    return b"".join(
        packet
        for packet in packets
        if (int.from_bytes(packet[1:3], "big") & 0x1FFF) != VIDEO_PID or chance.random() >= share
    )


class ScriptedCamera:
    """Serves one connection after the other, each by its own list of steps; at a list's end it is cut.

    After the last list it refuses connections, until ``resume``. served: connections accepted so far.
    """

    def __init__(self, *connections: Sequence[Step]) -> None:
        self.served = 0
        self.accepted = threading.Semaphore(0)  # released once per connection
        self._scripts = list(connections)
        self._closing = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)

    @property
    def url(self) -> str:
        return f"tcp://127.0.0.1:{self.port}"

    def resume(self, *connections: Sequence[Step]) -> None:
        """Accept connections again, on the same port."""
        self._thread.join()
        self._scripts = list(connections)
        self._listener = socket.create_server(("127.0.0.1", self.port))
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        self._closing.set()
        self._thread.join(10)

    def _serve(self) -> None:
        with self._listener as listener:
            listener.settimeout(0.05)
            for script in self._scripts:
                connection = self._accept(listener)
                if connection is None:
                    return
                self.served += 1
                self.accepted.release()
                with connection:
                    self._play(connection, script)

    def _accept(self, listener: socket.socket) -> socket.socket | None:
        while not self._closing.is_set():
            try:
                return listener.accept()[0]
            except TimeoutError:
                continue
        return None

    def _play(self, connection: socket.socket, script: Sequence[Step]) -> None:
        connection.settimeout(10)
        for step in script:
            if isinstance(step, threading.Event):
                while not step.wait(0.05):
                    if self._closing.is_set() or self._gone(connection):
                        return
            else:
                try:
                    connection.sendall(step)
                except OSError:  # the other side has gone
                    return

    @staticmethod
    def _gone(connection: socket.socket) -> bool:
        """Tell whether the other side has hung up: the next connection is not kept waiting for this one."""
        if not select.select([connection], [], [], 0)[0]:
            return False
        try:
            return not connection.recv(4096)
        except OSError:
            return True
