"""Who may talk to the page: pure checks of host names, origins and tokens.

A server on 127.0.0.1 is not private by itself: any web page the person visits can point a name of its own at
127.0.0.1 (DNS rebinding) or open a WebSocket to it. The Host header gives away the first, Origin the second.
"""

from __future__ import annotations

import hmac
import ipaddress
import re
import secrets
from dataclasses import dataclass, field

LOCAL_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]"})
WILDCARDS = frozenset({"", "0.0.0.0", "::"})

_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(:\d{1,5})?")
_TOKEN = re.compile(r"[!-~]+")  # what ASCII can print, without the blank


def is_local(host: str) -> bool:
    """Whether an address to bind can be reached from this machine only."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def bracketed(address: str) -> str:
    """Write an address as it stands in a URL: IPv6 in brackets."""
    return f"[{address}]" if ":" in address else address


def host_name(header: str) -> str:
    """Take the name from a Host header, lower case, without its port; "" where it is malformed."""
    match = _HOST.fullmatch(header.strip().lower())
    return match[1] if match else ""


def check_token(token: str | None) -> None:
    """Raise ValueError, in words for a person, for a token that cannot be sent in an ``Authorization`` header."""
    if token and not _TOKEN.fullmatch(token):
        raise ValueError(
            "the token of the page (--token or DEEPMAG_TOKEN) may hold letters, digits and signs of ASCII only, and no "
            "blank: HTTP cannot carry any other"
        )


def new_token() -> str:
    """Make a token nobody can guess: 24 random bytes, safe in a URL."""
    return secrets.token_urlsafe(24)


@dataclass(frozen=True, slots=True)
class Access:
    """names: host names under which the page may be opened. token: the secret, None where none is asked."""

    names: frozenset[str]
    token: str | None = field(repr=False)

    def host_allowed(self, header: str, local_address: str) -> bool:
        """Whether a request meant this server. local_address: where its connection was accepted."""
        name = host_name(header)
        if "." in local_address:  # IPv4, which a socket of both protocols writes as ::ffff:192.0.2.7
            local_address = local_address.lower().removeprefix("::ffff:")
        return bool(name) and (
            name in LOCAL_NAMES or name in self.names or name == bracketed(local_address).lower()
        )

    def origin_allowed(self, origin: str, host: str) -> bool:
        """Whether a request comes from this page itself: its Origin is the Host it is sent to.

        A missing Origin is refused too: browsers send it with every WebSocket and POST.
        """
        return origin.lower() in (f"http://{host.lower()}", f"https://{host.lower()}")

    def token_allowed(self, given: str) -> bool:
        """Whether the token is right, compared in constant time; always so where none is asked."""
        # JSON can hold half a surrogate pair, which cannot be encoded otherwise
        return self.token is None or hmac.compare_digest(
            given.encode("utf-8", "surrogatepass"), self.token.encode("utf-8", "surrogatepass")
        )

    def bearer_allowed(self, authorization: str) -> bool:
        """Check the token of an ``Authorization: Bearer`` header."""
        scheme, _, given = authorization.partition(" ")
        return self.token is None or (scheme.lower() == "bearer" and self.token_allowed(given.strip()))


def allow(host: str, token: str | None, extra_names: tuple[str, ...] = ()) -> Access:
    """Set the rules for a server bound to ``host``: one that others can reach always has a token.

    Raises ValueError for a token that cannot be used.
    """
    check_token(token)
    names = {bracketed(host).lower()} if host not in WILDCARDS else set()
    names.update(name.lower() for name in extra_names)
    if not token:  # an empty one, of a variable that is not set, would let everybody in
        token = None if is_local(host) else new_token()
    return Access(frozenset(names), token)
