"""What the page of feeds that run elsewhere hands through, and what it does not."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest
from page_elsewhere import page_elsewhere
from page_scene import FakeControl
from starlette.requests import Request

from deepmag.stream.ward import gateway as gateway_module
from deepmag.stream.ward.gateway import Gateway


@pytest.fixture
def gateway(control: FakeControl) -> Iterator[Gateway]:
    with page_elsewhere(control) as (_, made):
        yield made


def test_a_path_of_any_letters_is_handed_through_as_it_is(gateway: Gateway) -> None:
    for path, status in (("metrics", 200), ("%C3%A9", 404), ("a%20b%0d%0aX: y", 404), ("..%2f..%2fx", 404)):
        assert httpx.get(f"{gateway.url}feeds/bed/{path}").status_code == status


def test_a_body_without_end_is_not_read_to_it(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    """It was kept whole before it was measured: three hundred megabytes of it took six hundred."""
    read = 0
    stream = Request.stream

    async def counted(request: Request):  # type: ignore[no-untyped-def]
        nonlocal read
        async for part in stream(request):
            read += len(part)
            yield part

    monkeypatch.setattr(Request, "stream", counted)
    answer = httpx.post(
        f"{gateway.url}feeds/bed/snapshot",
        content=bytes(20_000_000),
        headers={"Origin": gateway.url.rstrip("/"), "Content-Type": "application/json"},
    )
    assert answer.status_code == 413
    assert gateway_module.LARGEST_BODY < read < 1_000_000
