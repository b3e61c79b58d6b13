"""Who may talk to the page."""

from __future__ import annotations

import pytest

from deepmag.stream.page.access import Access, allow, host_name, is_local
from deepmag.stream.page.guard import content_security_policy

LOCAL = allow("127.0.0.1", None)


@pytest.mark.parametrize(
    "header", ["localhost:8765", "127.0.0.1", "127.0.0.1:1", "[::1]:8765", "LOCALHOST:8765"]
)
def test_names_of_this_machine_are_served(header: str) -> None:
    assert LOCAL.host_allowed(header, "127.0.0.1")


@pytest.mark.parametrize(
    "header",
    [
        "",
        "evil.example",
        "evil.example:8765",
        "127.0.0.1.evil.example",
        "localhost.",
        "localhost:8765@evil",
        "a b",
    ],
)
def test_a_name_that_another_page_could_point_here_is_refused(header: str) -> None:
    assert not LOCAL.host_allowed(header, "127.0.0.1")


def test_the_address_a_connection_came_in_by_is_served_and_no_other() -> None:
    everywhere = allow("0.0.0.0", None)
    assert everywhere.host_allowed("192.0.2.7:8765", "192.0.2.7")
    assert not everywhere.host_allowed("192.0.2.8:8765", "192.0.2.7")
    assert allow("::", None).host_allowed("192.0.2.7:8765", "::ffff:192.0.2.7")  # a socket of both protocols
    assert allow("::", None).host_allowed("[2001:db8::7]:8765", "2001:db8::7")


def test_a_further_name_is_served_when_it_was_given() -> None:
    assert allow("0.0.0.0", None, ("Monitor.example",)).host_allowed("monitor.example:80", "192.0.2.7")


def test_an_origin_is_this_page_or_it_is_refused() -> None:
    assert LOCAL.origin_allowed("http://localhost:8765", "localhost:8765")
    for foreign in ("", "null", "http://evil.example", "http://localhost:9999", "http://127.0.0.1:8765"):
        assert not LOCAL.origin_allowed(foreign, "localhost:8765")


def test_only_an_address_that_others_can_reach_gets_a_token() -> None:
    assert allow("127.0.0.1", None).token is None
    assert allow("localhost", None).token is None
    tokens = {allow("0.0.0.0", None).token for _ in range(3)}
    assert len(tokens) == 3
    assert all(token and len(token) >= 32 for token in tokens)
    assert allow("0.0.0.0", "chosen").token == "chosen"
    assert allow("127.0.0.1", "chosen").token == "chosen"
    assert len(allow("0.0.0.0", "").token or "") >= 32  # of a variable that is not set
    assert allow("127.0.0.1", "").token is None


@pytest.mark.parametrize("token", ["ü", "a b", " ", "a\n", "a\tb", "\x7f", "\ud800"])
def test_a_token_that_http_cannot_carry_is_refused_without_being_shown(token: str) -> None:
    with pytest.raises(ValueError, match="may hold letters, digits and signs of ASCII only") as caught:
        allow("0.0.0.0", f"secret{token}")
    assert "secret" not in str(caught.value)


def test_a_token_is_asked_and_not_printed() -> None:
    access = Access(frozenset(), "secret-token")
    assert access.token_allowed("secret-token")
    assert not access.token_allowed("secret-tokem")
    assert not access.token_allowed("")
    assert not access.token_allowed("sécret")
    assert not access.token_allowed("\ud800")  # which JSON can hold, and UTF-8 cannot
    assert access.bearer_allowed("Bearer secret-token")
    assert not access.bearer_allowed("Basic secret-token")
    assert "secret" not in repr(access)


def test_host_names_and_local_addresses() -> None:
    assert host_name("Example.COM:80") == "example.com"
    assert host_name("[fe80::1]:80") == "[fe80::1]"
    assert is_local("127.0.0.9")
    assert is_local("::1")
    assert not is_local("0.0.0.0")
    assert not is_local("example.com")


def test_the_policy_allows_nothing_inline_and_nothing_from_elsewhere() -> None:
    policy = content_security_policy("localhost:8765")
    assert "unsafe" not in policy
    assert "default-src 'none'" in policy
    assert "ws://localhost:8765" in policy
