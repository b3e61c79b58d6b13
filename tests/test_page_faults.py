"""What the page does when something goes wrong with the source, the server, an output or a picture. Real Chromium."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

from chromium import HIDE, hide_for, needs_chromium, opened, wait_drawn, wait_for, wait_text
from page_scene import Camera, FakeControl, magnified

from deepmag.stream.page import PageRenderer

if TYPE_CHECKING:
    from playwright.sync_api import Browser, WebSocketRoute

pytestmark = needs_chromium

# A link over a connection in the test's hand: how long a silence it bears, ms, after what it has heard.
SILENCES = """async () => {
    const { Link } = await import("/static/link.js");
    let now = 0;
    performance.now = () => now;
    window.WebSocket = class { send() {} close() {} };
    const handlers = { picture() {}, state() {}, notice() {}, change() {} };
    const link = new Link("", () => ({}), handlers);
    const hear = (data) => link.socket.onmessage({ data });
    const header = new TextEncoder().encode('{"jpeg":[]}');
    const picture = new Uint8Array([header.length, 0, 0, 0, ...header]).buffer;
    const silence = () => {
        const from = now;
        while (link.socket) link.check((now += 100));
        clearTimeout(link.timer);
        link.connect();
        return now - from;
    };
    const seen = { unanswered: [silence(), silence()], open: [] };
    for (let i = 0; i < 5; i += 1) { hear('{"type":"notice"}'); seen.open.push(silence()); }
    hear('{"type":"notice"}'); now += 6000; hear(picture);
    seen.slow = silence();
    hear('{"type":"notice"}'); now += 2000; hear(picture);
    seen.quick = silence();
    return seen;
}"""


def test_when_frames_stop_the_numbers_are_withdrawn(browser: Browser, server: PageRenderer) -> None:
    with opened(browser, server.url) as tab:
        with Camera(server):
            wait_text(tab, "#rate", "72")
            wait_text(tab, "#state", "live")
        wait_text(tab, "#state", "stale")
        wait_text(tab, "#rate", "--")
        wait_text(tab, "#reason", "no new picture for over a second")
        assert tab.locator("#veil").is_visible()


def test_latency_counts_the_way_to_the_browser_and_pictures_that_take_long_are_stale(
    browser: Browser, control: FakeControl
) -> None:
    late, offset = 3.0, 0.0  # s by which the server's clock goes on while a picture is on its way, and in all

    def on_its_way(socket: WebSocketRoute) -> None:
        server_side = socket.connect_to_server()

        def answer(message: str | bytes) -> None:
            nonlocal offset
            if "drawn" in str(message):
                offset += late
            server_side.send(message)

        socket.on_message(answer)

    page = PageRenderer(control, port=0, clock=lambda: time.monotonic() + offset)
    page.open()
    try:
        context = browser.new_context()
        tab = context.new_page()
        tab.route_web_socket("**/live", on_its_way)
        with Camera(page):
            tab.goto(page.url)
            wait_for(tab, "document.getElementById('veil').textContent.includes('a picture takes 3 s')")
            wait_text(tab, "#state", "stale")
            wait_text(tab, "#rate", "--")
            late = 0.4
            wait_text(tab, "#state", "live")
            wait_for(tab, "parseInt(document.getElementById('latency').textContent) >= 400")
        context.close()
    finally:
        page.close()


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


SHOW = """() => {
    delete document.hidden;
    document.dispatchEvent(new Event("visibilitychange"));
    const text = (id) => document.getElementById(id).textContent;
    return [text("state"), text("rate"), document.getElementById("stage").dataset.dim];
}"""


def test_the_picture_from_before_a_tab_was_hidden_is_stale_until_the_next(
    browser: Browser, server: PageRenderer
) -> None:
    with Camera(server), opened(browser, server.url) as tab:
        wait_text(tab, "#rate", "72")
        hide_for(tab, 600, 600)
        seq = tab.evaluate("document.getElementById('magnified').header.seq")
        assert tab.title().startswith("72 bpm")  # the numbers are of now, also in a hidden tab
        assert tab.evaluate(SHOW) == ["stale", "--", "true"]
        wait_drawn(tab, seq + 30)
        wait_text(tab, "#state", "live")
        wait_text(tab, "#rate", "72")


def test_a_hidden_tab_whose_timers_rest_has_no_old_rate_in_its_title(
    browser: Browser, server: PageRenderer
) -> None:
    with opened(browser, server.url) as tab:
        with Camera(server):
            wait_text(tab, "#rate", "72")
            tab.evaluate("() => { for (let timer = 1; timer < 10000; timer += 1) clearInterval(timer); }")
            tab.evaluate(HIDE)
        wait_for(tab, "document.title === 'deepmag'")


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


def test_the_first_picture_over_a_slow_link_is_waited_for_in_the_end(
    browser: Browser, server: PageRenderer
) -> None:
    tab = browser.new_page()
    tab.goto(f"{server.url}static/link.js")  # not the page, whose own link has the real clock
    seen = tab.evaluate(SILENCES)
    tab.close()
    assert seen["unanswered"] == [2600, 2600]
    assert seen["open"] == [2600, 5100, 10100, 20100, 20100]
    assert seen["slow"] == 20100
    assert seen["quick"] == 2600


def test_a_tab_that_is_opened_before_a_picture_that_stands_still_never_calls_it_live(
    browser: Browser, control: FakeControl
) -> None:
    passed = 0.0
    server = PageRenderer(control, port=0, clock=lambda: time.monotonic() + passed)
    server.open()
    server.render(magnified(0))
    passed = 3.0
    context = browser.new_context()
    context.add_init_script(
        "addEventListener('DOMContentLoaded', () => { const badge = document.getElementById('state');"
        " window.seen = []; new MutationObserver(() => seen.push(badge.textContent)).observe("
        "badge, { childList: true, characterData: true, subtree: true }); })"
    )
    tab = context.new_page()
    tab.goto(server.url)
    wait_drawn(tab)
    wait_text(tab, "#state", "stale")
    assert "live" not in tab.evaluate("seen")
    assert tab.evaluate("document.getElementById('magnified').header.signals.pulse.rate") is None
    context.close()
    server.close()


def test_without_storage_the_page_works_and_its_address_keeps_the_token(
    browser: Browser, control: FakeControl
) -> None:
    server = PageRenderer(control, port=0, token="letmein")
    server.open()
    context = browser.new_context()
    context.add_init_script(
        "Object.defineProperty(window, 'sessionStorage', { get() { throw new DOMException('no') } })"
    )
    tab = context.new_page()
    with Camera(server):
        tab.goto(server.url)
        wait_text(tab, "#rate", "72")
        tab.reload()
        wait_text(tab, "#rate", "72")
    context.close()
    server.close()


def test_a_server_that_comes_back_is_found_again(browser: Browser, control: FakeControl) -> None:
    control.start_recording()
    first = PageRenderer(control, port=0)
    first.open()
    port = int(first.url.rsplit(":", 1)[1].strip("/"))
    with opened(browser, first.url) as tab:
        with Camera(first):
            wait_text(tab, "#rate", "72")
            assert tab.locator("#recording").is_visible()
            wait_text(tab, "#record", "Stop")
        first.close()
        wait_text(tab, "#state", "connection lost")
        wait_text(tab, "#record", "Record")  # nobody knows whether it goes on
        assert tab.locator("#recording").is_hidden()
        tab.keyboard.press("r")
        tab.get_by_text("No recording: no connection to deepmag").wait_for()
        tab.keyboard.press("s")
        tab.get_by_text("No snapshot: no connection to deepmag").wait_for()
        second = PageRenderer(control, port=port)
        second.open()
        with Camera(second):
            wait_text(tab, "#rate", "72")
            wait_text(tab, "#record", "Stop")
        second.close()
