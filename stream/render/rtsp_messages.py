"""RTSP/1.0 messages (RFC 2326) and their authentication (RFC 7617, RFC 7616), as plain functions."""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

DEFAULT_PORT = 554
# without a login in its place, which would be taken for one and hidden
FORM = "rtsp://HOST[:PORT]/PATH, with USER:PASSWORD@ before HOST where the server asks for them"
HEADER_LIMIT = 64 * 1024  # bytes; a peer that sends more speaks something else

# One parameter of a challenge: name="quoted" or name=token.
PARAMETER = re.compile(r'([A-Za-z-]+)\s*=\s*(?:"([^"]*)"|([^\s,]+))')


@dataclass(frozen=True, slots=True)
class RtspAddress:
    """Where to push to; ``url`` is without the user and the password, and may be shown."""

    host: str
    port: int
    url: str
    user: str | None = None
    password: str = field(default="", repr=False)


def parse_address(url: str) -> RtspAddress:
    """Take an rtsp:// URL apart. Raises ValueError, without the password, where it is none."""
    try:
        parts = urlsplit(url)
        port = parts.port or DEFAULT_PORT
        host = parts.hostname
    except ValueError:
        raise ValueError(f"the address to push to is not a URL: it must be {FORM}") from None
    if parts.scheme != "rtsp" or not host:
        raise ValueError(f"the address to push to must be {FORM}")
    shown_host = f"[{host}]" if ":" in host else host
    path = parts.path + (f"?{parts.query}" if parts.query else "")
    if re.search(r"\s", host + path):  # what a request line holds ends there
        raise ValueError("the address to push to, rtsp://HOST/PATH, holds a blank; write it as %20")
    user = None if parts.username is None else unquote(parts.username)
    return RtspAddress(host, port, f"rtsp://{shown_host}:{port}{path}", user, unquote(parts.password or ""))


@dataclass(frozen=True, slots=True)
class Response:
    """A server's answer; header names in lower case. A header that came twice is a list of both."""

    status: int
    reason: str
    headers: dict[str, list[str]]

    def header(self, name: str) -> str | None:
        """Return the first header of that name, or None."""
        values = self.headers.get(name.lower())
        return values[0] if values else None


def request(method: str, url: str, sequence: int, headers: dict[str, str], body: str = "") -> bytes:
    """Write one request."""
    lines = [f"{method} {url} RTSP/1.0", f"CSeq: {sequence}", "User-Agent: deepmag"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    payload = body.encode("utf-8")
    if payload:
        lines.append(f"Content-Length: {len(payload)}")
    return "\r\n".join([*lines, "", ""]).encode("utf-8") + payload


def parse_response(data: bytes) -> tuple[Response, int] | None:
    """Read the answer at the front of ``data`` and its length, bytes; None while it is not complete.

    Raises ValueError where it is no RTSP.
    """
    head, separator, _ = data.partition(b"\r\n\r\n")
    if not separator:
        if len(data) > HEADER_LIMIT or (len(data) >= 5 and not data.startswith(b"RTSP/")):
            raise ValueError("the server does not speak RTSP")
        return None
    lines = head.decode("utf-8", "replace").split("\r\n")
    version, _, rest = lines[0].partition(" ")
    code, _, reason = rest.partition(" ")
    if not version.startswith("RTSP/") or not code.isdigit():
        raise ValueError("the server does not speak RTSP")
    headers: dict[str, list[str]] = {}
    for line in lines[1:]:
        name, _, value = line.partition(":")
        headers.setdefault(name.strip().lower(), []).append(value.strip())
    length = headers.get("content-length", ["0"])[0]
    total = len(head) + 4 + (int(length) if length.isdigit() else 0)
    if total > HEADER_LIMIT:
        raise ValueError("the server does not speak RTSP")
    return None if len(data) < total else (Response(int(code), reason, headers), total)


def nonces(challenges: list[str]) -> list[str]:
    """What the answers to a server's challenges are computed from, of those that are Digest."""
    return [
        quoted or token
        for c in challenges
        for name, quoted, token in PARAMETER.findall(c)
        if name.lower() == "nonce"
    ]


def authorization(
    challenges: list[str], address: RtspAddress, method: str, url: str, count: int = 1
) -> str | None:
    """Make the Authorization header that answers a server's challenges; None where nothing here can.

    count: of the requests with these nonces, from 1: a server may refuse one that does not rise (RFC 7616, 3.4).
    Digest (MD5 or SHA-256) is preferred to Basic, which shows the password to the network.
    """
    if address.user is None:
        return None
    for challenge in challenges:
        scheme, _, rest = challenge.partition(" ")
        if scheme.lower() == "digest":
            answer = _digest(rest, address.user, address.password, method, url, count)
            if answer is not None:
                return answer
    if any(challenge.lower().startswith("basic") for challenge in challenges):
        secret = f"{address.user}:{address.password}".encode()
        return "Basic " + base64.b64encode(secret).decode("ascii")
    return None


def _digest(parameters: str, user: str, password: str, method: str, url: str, number: int) -> str | None:
    given = {name.lower(): quoted or token for name, quoted, token in PARAMETER.findall(parameters)}
    name = given.get("algorithm", "MD5").upper()
    if name not in ("MD5", "SHA-256") or "nonce" not in given:
        return None

    def digest(text: str) -> str:
        # Not a choice: the protocol's own. Nothing is stored under it.
        return hashlib.new(name.replace("-", "").lower(), text.encode(), usedforsecurity=False).hexdigest()

    realm, nonce = given.get("realm", ""), given["nonce"]
    secret = digest(f"{user}:{realm}:{password}")
    fields = {"username": user, "realm": realm, "nonce": nonce, "uri": url}
    if "auth" in given.get("qop", "").split(","):
        count, client = f"{number:08x}", digest(f"{nonce}:{method}:{url}")[:16]
        response = digest(f"{secret}:{nonce}:{count}:{client}:auth:{digest(f'{method}:{url}')}")
        extra = f', qop=auth, nc={count}, cnonce="{client}"'
    else:
        response = digest(f"{secret}:{nonce}:{digest(f'{method}:{url}')}")
        extra = ""
    fields["response"] = response
    if "opaque" in given:
        fields["opaque"] = given["opaque"]
    quoted_fields = ", ".join(f'{key}="{value}"' for key, value in fields.items())
    algorithm = f", algorithm={name}" if "algorithm" in given else ""
    return f"Digest {quoted_fields}{algorithm}{extra}"
