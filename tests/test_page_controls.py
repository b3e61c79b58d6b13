"""What the page's controls do, in a real Chromium."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest
from chromium import TIMEOUT, needs_chromium, opened, sync_api, wait_connected, wait_drawn, wait_text
from page_scene import Camera, FakeControl, magnified

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.sync_api import Browser

    from deepmag.stream.page import PageRenderer

pytestmark = needs_chromium

GAIN_100 = "\N{MULTIPLICATION SIGN}100"


def test_the_gain_slider_acts_and_the_other_browser_shows_it(
    browser: Browser, server: PageRenderer, control: FakeControl
) -> None:
    with Camera(server), opened(browser, server.url) as tab, opened(browser, server.url) as other:
        wait_drawn(tab)
        wait_drawn(other)
        tab.get_by_label("Gain").fill("1000")
        assert control.wait_until(lambda settings: settings.gain == 100)
        wait_text(tab, "#gain-value", GAIN_100)
        wait_text(other, "#gain-value", GAIN_100)


def test_the_keyboard_sets_gain_mode_lag_and_region(
    browser: Browser, server: PageRenderer, control: FakeControl
) -> None:
    with Camera(server), opened(browser, server.url) as tab:
        wait_drawn(tab)
        for key, holds in (
            ("+", lambda s: s.gain == 12.5),
            ("-", lambda s: s.gain == 10),
            ("m", lambda s: s.mode == "paper"),
            ("]", lambda s: s.lag == 0.3),
            ("[", lambda s: s.lag == 0.25),
            ("w", lambda s: s.roi == "full"),
            ("a", lambda s: s.roi == "auto"),
        ):
            tab.keyboard.press(key)
            assert control.wait_until(holds), (key, control.settings)
        tab.keyboard.press("?")
        assert tab.locator("dialog").is_visible()
        tab.keyboard.press("Escape")
        assert tab.locator("dialog").is_hidden()


def test_a_key_that_is_held_goes_on_only_where_it_moves_something(
    browser: Browser, server: PageRenderer, control: FakeControl
) -> None:
    with Camera(server), opened(browser, server.url) as tab:
        wait_drawn(tab)
        tab.evaluate(
            "() => { window.asked = []; const send = WebSocket.prototype.send;"
            " WebSocket.prototype.send = function (text) {"
            " asked.push(JSON.parse(text).type); send.call(this, text); } }"
        )
        for key in ("r", "o", "+"):
            for _ in range(3):
                tab.keyboard.down(key)
            tab.keyboard.up(key)
        assert control.wait_until(lambda settings: settings.gain == 19.5)  # 12.5, 15.6
        asked = tab.evaluate("asked")
        assert (asked.count("record"), asked.count("original")) == (1, 1)


@pytest.mark.parametrize(("width", "height"), [(360, 740), (740, 360)])
def test_the_help_begins_at_its_beginning_and_can_be_closed_on_a_phone(
    browser: Browser, server: PageRenderer, width: int, height: int
) -> None:
    with opened(browser, server.url, viewport={"width": width, "height": height}) as tab:
        tab.locator("#help-button").click()
        assert tab.evaluate("document.getElementById('help').scrollTop") == 0
        close = tab.get_by_text("Close", exact=True)
        for part in (tab.locator("#help-title"), tab.locator("#keys dt").first, close):
            box = part.bounding_box()
            assert box is not None
            assert 0 <= box["y"] < box["y"] + box["height"] <= height
        tab.locator("#help p").last.scroll_into_view_if_needed()
        close.click()
        assert tab.locator("#help").is_hidden()


def test_mode_and_lag_have_controls(browser: Browser, server: PageRenderer, control: FakeControl) -> None:
    with Camera(server), opened(browser, server.url) as tab:
        wait_drawn(tab)
        tab.get_by_text("paper", exact=True).click()
        assert control.wait_until(lambda settings: settings.mode == "paper")
        tab.get_by_label("Lag").fill("1")
        assert control.wait_until(lambda settings: settings.lag == 1.0)


def test_a_dragged_box_becomes_the_region_and_a_click_the_column(
    browser: Browser, server: PageRenderer, control: FakeControl
) -> None:
    with Camera(server), opened(browser, server.url) as tab:
        wait_drawn(tab)
        box = tab.locator("#overlay").bounding_box()
        assert box is not None

        def at(x: float, y: float) -> tuple[float, float]:
            return box["x"] + x / 640 * box["width"], box["y"] + y / 480 * box["height"]

        tab.mouse.move(*at(400, 300))
        tab.mouse.down()
        tab.mouse.move(*at(300, 200), steps=3)
        tab.mouse.move(*at(160, 120), steps=3)
        tab.mouse.up()
        assert control.wait_until(lambda settings: isinstance(settings.roi, tuple))
        assert control.settings.roi == pytest.approx((160, 120, 240, 180), abs=2)

        tab.mouse.click(*at(480, 240))
        assert tab.evaluate("parseFloat(document.getElementById('column').style.left)") == pytest.approx(
            75, abs=0.5
        )

        tab.mouse.move(*at(100, 100))
        tab.mouse.down()
        tab.mouse.move(*at(120, 120), steps=2)
        tab.mouse.up()
        tab.get_by_text("too small").wait_for()


def test_escape_in_the_middle_of_a_box_draws_none(
    browser: Browser, server: PageRenderer, control: FakeControl
) -> None:
    with Camera(server), opened(browser, server.url) as tab:
        wait_drawn(tab)
        tab.locator("#overlay").hover(position={"x": 50, "y": 50})
        tab.mouse.down()
        tab.locator("#overlay").hover(position={"x": 250, "y": 250})
        assert tab.locator("#rubber").is_visible()
        tab.keyboard.press("Escape")
        assert tab.locator("#rubber").is_hidden()
        tab.mouse.up()
        tab.keyboard.press("m")  # messages keep their order
        assert control.wait_until(lambda settings: settings.mode == "paper")
        assert control.settings.roi == "auto"


def test_the_arrow_keys_draw_a_box(browser: Browser, server: PageRenderer, control: FakeControl) -> None:
    with Camera(server), opened(browser, server.url) as tab:
        wait_drawn(tab)
        tab.locator("#roi-box").focus()
        tab.keyboard.press("Enter")
        tab.keyboard.press("ArrowLeft")  # the first shows it, in the middle
        for key in ("ArrowLeft", "ArrowDown", "ArrowDown", "Shift+ArrowRight", "Shift+ArrowUp"):
            tab.keyboard.press(key)
        assert tab.locator("#rubber").is_visible()
        assert control.settings.roi == "auto"
        tab.keyboard.press("Enter")
        assert control.wait_until(lambda settings: isinstance(settings.roi, tuple))
        assert control.settings.roi == pytest.approx((0.28 * 640, 0.34 * 480, 0.42 * 640, 0.38 * 480), abs=1)
        assert tab.locator("#rubber").is_hidden()
        assert tab.evaluate("document.activeElement.id") == "roi-box"


def test_snapshot_saves_the_exact_picture(browser: Browser, server: PageRenderer, tmp_path: Path) -> None:
    with opened(browser, server.url) as tab:
        wait_connected(tab, server)
        frame = magnified(321)
        server.render(frame)
        with tab.expect_download() as download:
            tab.get_by_role("button", name="Snapshot").click()
        path = tmp_path / download.value.suggested_filename
        download.value.save_as(path)
    assert path.name.startswith("deepmag-20")
    assert path.suffix == ".png"
    saved = cv2.imread(str(path))
    assert saved is not None
    assert np.array_equal(saved[..., ::-1], frame.image)


def test_record_starts_and_stops(browser: Browser, server: PageRenderer) -> None:
    with Camera(server), opened(browser, server.url) as tab:
        wait_drawn(tab)
        tab.get_by_role("button", name="Record").click()
        wait_text(tab, "#recording", "REC deepmag-test.mp4")
        tab.get_by_role("button", name="Stop").click()
        tab.get_by_text("Saved deepmag-test.mp4").wait_for()
        sync_api.expect(tab.locator("#recording")).to_be_hidden(timeout=TIMEOUT)


def test_a_finger_draws_a_box_once_that_was_asked(
    browser: Browser, server: PageRenderer, control: FakeControl
) -> None:
    phone = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
    with Camera(server), opened(browser, server.url, **phone) as tab:
        wait_drawn(tab)
        tab.get_by_role("button", name="box").tap()
        tab.locator("#overlay").scroll_into_view_if_needed()
        box = tab.locator("#overlay").bounding_box()
        assert box is not None
        session = tab.context.new_cdp_session(tab)

        def touch(kind: str, x: float = 0, y: float = 0) -> None:
            points = [{"x": box["x"] + x * box["width"], "y": box["y"] + y * box["height"]}]
            session.send(
                "Input.dispatchTouchEvent",
                {"type": kind, "touchPoints": [] if kind == "touchEnd" else points},
            )

        touch("touchStart", 0.25, 0.25)
        for step in range(1, 6):
            touch("touchMove", 0.25 + step * 0.1, 0.25 + step * 0.1)
        tab.evaluate("""() => {
            for (const type of ["pointermove", "pointerup"]) {
                const event = new PointerEvent(type, { pointerId: 99, clientX: 300, pointerType: "touch" });
                document.getElementById("overlay").dispatchEvent(event);  // another finger, or a palm
            }
        }""")
        touch("touchEnd")
        assert control.wait_until(lambda settings: isinstance(settings.roi, tuple))
        assert control.settings.roi == pytest.approx((160, 120, 320, 240), abs=4)
