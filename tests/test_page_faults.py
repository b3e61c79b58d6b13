"""What the page does when something goes wrong with the source, the server, an output or a picture. Real Chromium."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from chromium import needs_chromium, opened, wait_drawn, wait_for, wait_text
from page_scene import Camera, FakeControl

from deepmag.stream.page import PageRenderer

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = needs_chromium


def test_when_frames_stop_the_numbers_are_withdrawn(browser: Browser, server: PageRenderer) -> None:
    with opened(browser, server.url) as tab:
        with Camera(server):
            wait_text(tab, "#rate", "72")
            wait_text(tab, "#state", "live")
        wait_text(tab, "#state", "stale")
        wait_text(tab, "#rate", "--")
        wait_text(tab, "#reason", "no new picture for over a second")
        assert tab.locator("#veil").is_visible()


def test_the_source_s_own_state_is_shown(
    browser: Browser, server: PageRenderer, control: FakeControl
) -> None:
    with Camera(server), opened(browser, server.url) as tab:
        wait_text(tab, "#rate", "72")
        control.state = replace(control.state, state="lost", detail="no answer; next try in 4 s")
        wait_text(tab, "#state", "lost")
        wait_text(tab, "#rate", "--")
        assert "next try in 4 s" in (tab.locator("#veil").text_content() or "")


def test_what_an_output_cannot_do_stays_on_the_page_while_it_lasts(
    browser: Browser, server: PageRenderer, control: FakeControl
) -> None:
    with Camera(server), opened(browser, server.url) as tab:
        wait_drawn(tab)
        assert tab.locator("#troubles").is_hidden()
        control.state = replace(control.state, troubles=("recording to a.mkv stopped: the disk is full",))
        wait_text(tab, "#troubles", "recording to a.mkv stopped: the disk is full")
        wait_text(tab, "#state", "live")
        control.state = replace(control.state, troubles=())
        wait_for(tab, "document.getElementById('troubles').hidden")


def test_a_picture_that_cannot_be_drawn_or_decoded_costs_only_itself(
    browser: Browser, server: PageRenderer
) -> None:
    with Camera(server), opened(browser, server.url) as tab:
        for broken in (
            "const was = CanvasRenderingContext2D.prototype.drawImage;"
            "CanvasRenderingContext2D.prototype.drawImage = function () {"
            " CanvasRenderingContext2D.prototype.drawImage = was; throw new Error('lost'); }",
            "const was = window.createImageBitmap;"
            "window.createImageBitmap = () => { window.createImageBitmap = was; return new Promise(() => {}); }",
        ):
            wait_drawn(tab)
            tab.evaluate(f"() => {{ {broken} }}")
            seq = tab.evaluate("document.getElementById('magnified').header.seq")
            wait_drawn(tab, seq + 3)


def test_a_picture_that_stands_still_is_stale_whatever_the_server_says(
    browser: Browser, server: PageRenderer
) -> None:
    with Camera(server), opened(browser, server.url) as tab:
        wait_drawn(tab)
        wait_text(tab, "#state", "live")
        tab.evaluate(
            "() => { const send = WebSocket.prototype.send; WebSocket.prototype.send = function (text) {"
            " if (!text.includes('drawn')) send.call(this, text); } }"
        )
        wait_text(tab, "#state", "stale")
        wait_text(tab, "#rate", "--")
        assert server.clients == 1  # the server still speaks with it


def test_a_server_that_hangs_is_noticed_and_found_again(
    browser: Browser, server: PageRenderer, control: FakeControl
) -> None:
    with Camera(server), opened(browser, server.url) as tab:
        wait_text(tab, "#rate", "72")
        control.hang.clear()
        wait_text(tab, "#state", "connection lost")
        wait_text(tab, "#rate", "--")
        control.hang.set()
        wait_text(tab, "#state", "live")
        wait_text(tab, "#rate", "72")


def test_a_server_that_comes_back_is_found_again(browser: Browser, control: FakeControl) -> None:
    first = PageRenderer(control, port=0)
    first.open()
    port = int(first.url.rsplit(":", 1)[1].strip("/"))
    with opened(browser, first.url) as tab:
        with Camera(first):
            wait_text(tab, "#rate", "72")
        first.close()
        wait_text(tab, "#state", "connection lost")
        second = PageRenderer(control, port=port)
        second.open()
        with Camera(second):
            wait_text(tab, "#rate", "72")
        second.close()
