"""A connection that publishes one H.264 stream to an RTSP server (ANNOUNCE, SETUP, RECORD; RTP inside TCP).

Not libav's RTSP muxer: PyAV holds the interpreter's lock while libav connects and says goodbye, without a
limit. A server that accepts and never answers stopped every thread of the process (measured: for ever), the
engine's and the page's too. Here every wait is on a Python socket with a timeout, and frees the lock.
"""

from __future__ import annotations

import contextlib
import logging
import re
import select
import socket
import struct
import time
from secrets import randbits
from typing import TYPE_CHECKING

from deepmag.stream.render.rtp_h264 import Packetizer, session_description
from deepmag.stream.render.rtsp_messages import (
    HEADER_LIMIT,
    Response,
    authorization,
    nonces,
    parse_response,
    request,
)

if TYPE_CHECKING:
    from deepmag.stream.render.rtsp_messages import RtspAddress

TIMEOUT = 5.0  # s for each exchange, and for a frame to leave
KEEP_ALIVE = 25.0  # s, or half of what the server says; most end a session after 60 s without a request
UNSENT = 32_768  # bytes that wait in the kernel for the network: else megabytes do, minutes of what a slow one takes
REPORT_PERIOD = 5.0  # s between sender reports
CONTROL = "streamid=0"
INTERLEAVED = b"$"
RTP_CHANNEL, RTCP_CHANNEL = 0, 1

REFUSALS = {
    401: "the user name or the password is wrong, or one is needed",
    403: "the server does not allow publishing at this address",
    404: "the server knows no such path",
    405: "the server does not take streams at this address",
    461: "the server does not take RTP over TCP",
}

log = logging.getLogger("deepmag.render.rtsp")


class PublishError(Exception):
    """The connection failed or broke. refused: the server said no, and would say it again."""

    def __init__(self, message: str, *, refused: bool = False) -> None:
        super().__init__(message)
        self.refused = refused


class RtspPublisher:
    """Connects in the constructor. Every method raises PublishError; ``close`` never raises.

    sps, pps: the stream's parameter sets. now: monotonic, s.
    """

    def __init__(
        self, address: RtspAddress, sps: bytes, pps: bytes, *, now: float, timeout: float = TIMEOUT
    ) -> None:
        self._address = address
        self._timeout = timeout
        self._sequence = 0
        self._received = b""
        self._challenges: list[str] = []
        self._answered = 0  # requests, with the challenges' nonces
        self._session = ""
        self._keep_alive = KEEP_ALIVE
        self._rtp = Packetizer(sequence=randbits(16), ssrc=randbits(32), offset=randbits(32))
        self._reported = float("-inf")
        self._asked = now
        try:
            self._socket = socket.create_connection((address.host, address.port), timeout)
        except OSError as error:
            raise PublishError(f"no connection: {error.strerror or error}") from None
        except UnicodeError:  # of a name with an empty part, or one of more than 63 letters
            raise PublishError(f"{address.host} is no name of a host", refused=True) from None
        try:
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with contextlib.suppress(AttributeError, OSError):  # not every system has it
                self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT)
            self._publish(sps, pps)
        except BaseException:
            self._socket.close()
            raise

    def send(self, access_unit: bytes, ticks: int, *, now: float, wall: float) -> None:
        """Send one encoded picture. ticks: its time, 1/90000 s. now: monotonic s. wall: s since 1970."""
        data = b"".join(_framed(RTP_CHANNEL, p) for p in self._rtp.packets_of(access_unit, ticks))
        if now - self._reported >= REPORT_PERIOD:
            self._reported = now
            data += _framed(RTCP_CHANNEL, self._rtp.sender_report(ticks, wall))
        if now - self._asked >= self._keep_alive:
            self._asked = now
            data += self._request("OPTIONS", self._address.url, {})
        self._send(data)
        self._drain()

    def close(self) -> None:
        """Say goodbye where that needs no waiting, and disconnect."""
        try:
            self._socket.settimeout(0.2)
            self._socket.sendall(self._request("TEARDOWN", self._address.url, {}))
        except OSError as error:
            log.debug("no goodbye: %s", error)
        self._socket.close()

    def _publish(self, sps: bytes, pps: bytes) -> None:
        description = session_description(sps, pps, control=CONTROL)
        url = self._address.url
        self._ask("OPTIONS", url)
        self._ask("ANNOUNCE", url, {"Content-Type": "application/sdp"}, description)
        transport = f"RTP/AVP/TCP;unicast;interleaved={RTP_CHANNEL}-{RTCP_CHANNEL};mode=record"
        answer = self._ask("SETUP", f"{url.rstrip('/')}/{CONTROL}", {"Transport": transport})
        session, _, parameters = (answer.header("session") or "").partition(";")
        self._session = session.strip()
        if limit := re.search(r"timeout\s*=\s*([1-9]\d{0,5})", parameters, re.IGNORECASE):
            self._keep_alive = min(KEEP_ALIVE, int(limit[1]) / 2)
        self._ask("RECORD", url, {"Range": "npt=0.000-"})

    def _ask(self, method: str, url: str, headers: dict[str, str] | None = None, body: str = "") -> Response:
        """Send a request and wait for its answer, once more with credentials where the server wants them."""
        known = bool(self._challenges)
        self._send(self._request(method, url, headers or {}, body))
        answer = self._answer()
        if answer.status == 401:
            before, self._challenges = self._challenges, answer.headers.get("www-authenticate", [])
            # Once more even with known challenges: a server may have renewed its nonce.
            renewed = nonces(self._challenges) != nonces(before)
            if renewed:
                self._answered = 0
            stale = any("stale=true" in c.replace('"', "").lower() for c in self._challenges)
            if (not known or renewed or stale) and authorization(
                self._challenges, self._address, method, url
            ):
                self._send(self._request(method, url, headers or {}, body))
                answer = self._answer()
        if answer.status != 200:
            why = REFUSALS.get(answer.status)
            said = f"{answer.status} {answer.reason[:200]}".strip()
            raise PublishError(why or f"the server answered {said} to {method}", refused=why is not None)
        return answer

    def _request(self, method: str, url: str, headers: dict[str, str], body: str = "") -> bytes:
        self._sequence += 1
        headers = dict(headers)
        if self._session:
            headers["Session"] = self._session
        credentials = authorization(self._challenges, self._address, method, url, self._answered + 1)
        if credentials:
            self._answered += 1
            headers["Authorization"] = credentials
        return request(method, url, self._sequence, headers, body)

    def _send(self, data: bytes) -> None:
        try:
            self._socket.sendall(data)
        except TimeoutError:
            raise PublishError("the server takes nothing more: the network is too slow, or gone") from None
        except OSError as error:
            raise PublishError(f"the connection broke: {error.strerror or error}") from None

    def _answer(self) -> Response:
        # in all: a server that sends a byte now and then, or what nobody asked for, held the push for hours, untold
        until = time.monotonic() + self._timeout
        while True:
            self._drop_interleaved()
            try:
                found = None if self._received[:1] == INTERLEAVED else parse_response(self._received)
            except ValueError as error:
                raise PublishError(str(error)) from None
            if found is not None:
                answer, length = found
                self._received = self._received[length:]
                return answer
            self._receive(until - time.monotonic())

    def _readable(self) -> bool:
        if not hasattr(select, "poll"):  # Windows
            return bool(select.select([self._socket], [], [], 0)[0])
        poll = select.poll()  # not select.select, which knows no descriptor above 1023
        poll.register(self._socket, select.POLLIN)
        return bool(poll.poll(0))

    def _drain(self) -> None:
        """Read and forget what the server sends meanwhile (receiver reports, answers to keep-alives)."""
        while self._readable():
            self._receive(self._timeout)
            self._received = self._received[-HEADER_LIMIT:]
        self._drop_interleaved()
        try:
            while self._received[:1] not in (b"", INTERLEAVED):
                found = parse_response(self._received)
                if found is None:
                    return
                self._received = self._received[found[1] :]
                self._drop_interleaved()
        except ValueError:
            self._received = b""  # a request of the server's own; nothing here answers one

    def _receive(self, patience: float) -> None:
        try:
            if patience <= 0:  # of the socket it would mean not to wait
                raise TimeoutError
            self._socket.settimeout(patience)
            data = self._socket.recv(65536)
        except TimeoutError:
            raise PublishError("the server does not answer") from None
        except OSError as error:
            raise PublishError(f"the connection broke: {error.strerror or error}") from None
        finally:
            self._socket.settimeout(self._timeout)
        if not data:
            raise PublishError("the server closed the connection")
        self._received += data

    def _drop_interleaved(self) -> None:
        while self._received[:1] == INTERLEAVED and len(self._received) >= 4:
            length = 4 + int.from_bytes(self._received[2:4], "big")
            if len(self._received) < length:
                return
            self._received = self._received[length:]


def _framed(channel: int, packet: bytes) -> bytes:
    """One RTP or RTCP packet inside the RTSP connection (RFC 2326, 10.12)."""
    return struct.pack(">cBH", INTERLEAVED, channel, len(packet)) + packet
