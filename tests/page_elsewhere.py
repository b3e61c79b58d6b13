"""A feed's page that is in another process as far as the page of all feeds can tell."""

from __future__ import annotations

from contextlib import contextmanager
from types import SimpleNamespace
from typing import TYPE_CHECKING

from page_sockets import base

from deepmag.stream.page import PageRenderer
from deepmag.stream.ward.gateway import Gateway

if TYPE_CHECKING:
    from collections.abc import Iterator

    from page_scene import FakeControl


@contextmanager
def page_elsewhere(control: FakeControl) -> Iterator[tuple[PageRenderer, Gateway]]:
    """The feed's own page, and the one that hands it through as feed ``bed``."""
    page = PageRenderer(control, port=0, token="of-the-feed")
    page.open()

    class Elsewhere:
        specs = (SimpleNamespace(slug="bed", name="bed"),)
        token = "of-the-feed"

        def url_of(self, _slug: str) -> str:
            return base(page) + "/"

    gateway = Gateway(Elsewhere(), port=0)  # type: ignore[arg-type]
    gateway.open()
    try:
        yield page, gateway
    finally:
        gateway.close()
        page.close()
