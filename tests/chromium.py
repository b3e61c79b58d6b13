"""A tab of a real Chromium, and waiting for what it shows."""

from __future__ import annotations

import contextlib
import shutil
import time
from typing import TYPE_CHECKING, Any

import pytest

sync_api = pytest.importorskip("playwright.sync_api")

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, Page

    from deepmag.stream.page import PageRenderer

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome") or ""
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
]
TIMEOUT = 60_000  # ms

needs_chromium = pytest.mark.skipif(not CHROMIUM, reason="Chromium is not installed")


@contextlib.contextmanager
def launched() -> Iterator[Browser]:
    with sync_api.sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield running
        running.close()


@contextlib.contextmanager
def opened(browser: Browser, url: str, **options: Any) -> Iterator[Page]:
    """A tab in which nothing may go wrong unseen."""
    context = browser.new_context(**({"viewport": {"width": 1280, "height": 800}} | options))
    tab = context.new_page()
    tab.set_default_timeout(TIMEOUT)
    errors: list[str] = []
    tab.on("pageerror", lambda error: errors.append(str(error)))
    tab.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    tab.goto(url)
    yield tab
    context.close()
    # A refused reconnection is the browser's own complaint, and expected where a server is stopped.
    assert [error for error in errors if "ERR_CONNECTION_REFUSED" not in error] == []


def wait_for(tab: Page, expression: str) -> None:
    """Wait until an expression is true. Playwright's own way needs an eval that the page's policy bans."""
    end = time.monotonic() + TIMEOUT / 1000
    while not tab.evaluate(expression):
        assert time.monotonic() < end, expression
        tab.wait_for_timeout(15)


def wait_drawn(tab: Page, beyond: int = -1) -> None:
    wait_for(tab, f"(document.getElementById('magnified').header?.seq ?? -1) > {beyond}")


def wait_connected(tab: Page, server: PageRenderer) -> None:
    end = time.monotonic() + TIMEOUT / 1000
    while not server.clients:
        assert time.monotonic() < end
        tab.wait_for_timeout(15)


def wait_text(tab: Page, selector: str, text: str) -> None:
    sync_api.expect(tab.locator(selector)).to_have_text(text, timeout=TIMEOUT)


# As who looks at another tab. What is asked then is answered after the pictures that were on their way.
HIDE = """() => {
    const sockets = [], send = WebSocket.prototype.send;
    WebSocket.prototype.send = function (text) { sockets.push(this); send.call(this, text); };
    Object.defineProperty(document, "hidden", { get: () => true, configurable: true });
    document.dispatchEvent(new Event("visibilitychange"));
    WebSocket.prototype.send = send;
    window.told = sockets.map(() => ({ notice: 0, state: 0 }));
    sockets.forEach((socket, index) => {
        socket.addEventListener("message", ({ data }) => {
            if (typeof data === "string") told[index][JSON.parse(data).type] += 1;
        });
        socket.send('{"type":"change"}');
    });
}"""
PASS = """(ms) => {
    const now = performance.now.bind(performance);
    performance.now = () => now() + ms;
    for (const one of told) one.state = 0;
}"""


def hide_for(tab: Page, *parts: int) -> None:
    """Hide a tab for some ms by the page's clock, in which states come and no picture."""
    tab.evaluate(HIDE)
    wait_for(tab, "told.length > 0 && told.every((one) => one.notice > 0)")
    for part in parts:
        tab.evaluate(PASS, part)
        wait_for(tab, "told.every((one) => one.state > 0)")
