"""What the page shows, in a real Chromium."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest
from chromium import (
    needs_chromium,
    opened,
    wait_connected,
    wait_drawn,
    wait_for,
    wait_text,
)
from page_scene import CALM, POOR, READ_NUMBER, Camera, FakeControl, magnified

from deepmag.stream.frames import Reading
from deepmag.stream.page import PageRenderer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, Page

    from deepmag.stream.frames import MagnifiedFrame
    from deepmag.stream.settings import Method, Target

pytestmark = needs_chromium

# The picture that is drawn, its number and its original's, all in one turn of the browser's loop.
DRAWN = f"""() => {{
    const read = {READ_NUMBER};
    const header = document.getElementById("magnified").header;
    return header && {{ seq: header.seq, magnified: read("magnified"), original: read("original") }};
}}"""


# How much of a waveform's canvas, by its id, has a bright line on it: [of the width, of the height].
INK = """(id) => {
    const canvas = document.getElementById(id);
    const { width, height } = canvas;
    const data = canvas.getContext("2d").getImageData(0, 0, width, height).data;
    let columns = 0, top = height, bottom = 0;
    for (let x = 0; x < width; x += 1) {
        let ink = false;
        for (let y = 0; y < height; y += 1) {
            if (data[4 * (y * width + x) + 1] < 150) continue;
            ink = true; top = Math.min(top, y); bottom = Math.max(bottom, y);
        }
        columns += ink;
    }
    return [columns / width, (bottom - top) / height];
}"""


@contextmanager
def served(target: Target, method: Method = "deepmag") -> Iterator[PageRenderer]:
    page = PageRenderer(FakeControl(target, method), port=0)
    page.open()
    yield page
    page.close()


def test_frames_advance_and_their_header_is_their_own(browser: Browser, server: PageRenderer) -> None:
    with Camera(server), opened(browser, server.url) as tab:
        seen = []
        for _ in range(5):
            wait_drawn(tab, seen[-1] if seen else -1)
            drawn = tab.evaluate(DRAWN)
            assert drawn["magnified"] == drawn["seq"] & 0xFFFF
            seen.append(drawn["seq"])
        assert seen == sorted(set(seen))
        assert server.clients == 1


def test_the_original_beside_it_is_the_same_frame(browser: Browser, server: PageRenderer) -> None:
    with Camera(server), opened(browser, server.url) as tab:
        wait_drawn(tab)
        assert tab.locator("#original-figure").is_hidden()
        tab.keyboard.press("o")
        wait_for(tab, "document.getElementById('magnified').header.jpeg.length === 2")
        for _ in range(5):
            drawn = tab.evaluate(DRAWN)
            assert drawn["original"] == drawn["magnified"] == drawn["seq"] & 0xFFFF
            wait_drawn(tab, drawn["seq"])
        assert tab.locator("#original-figure").is_visible()
        tab.get_by_role("button", name="Original").click()
        assert tab.locator("#original-figure").is_hidden()


def test_the_rate_is_shown_while_trusted_and_its_reason_when_not(
    browser: Browser, server: PageRenderer
) -> None:
    with Camera(server) as camera, opened(browser, server.url) as tab:
        wait_text(tab, "#rate", "72")
        wait_text(tab, "#quality-text", "quality 86 %")
        wait_text(tab, "#spoken", "Pulse 72 beats per minute")
        camera.reading = POOR
        wait_text(tab, "#rate", "--")
        wait_text(tab, "#reason", "the signal is too weak")
        wait_text(tab, "#spoken", "No pulse rate: the signal is too weak")
        assert tab.get_by_text("Not a medical device").is_visible()


@pytest.mark.parametrize("viewport", [(1280, 800), (390, 844)])
def test_the_page_s_parts_stand_one_below_the_other_with_and_without_troubles(
    browser: Browser, server: PageRenderer, control: FakeControl, viewport: tuple[int, int]
) -> None:
    size = {"width": viewport[0], "height": viewport[1]}
    edges = """() => ["header", "#troubles", "main", "footer"].map((part) => {
        const box = document.querySelector(part).getBoundingClientRect(); return [box.top, box.bottom]; })"""
    with Camera(server), opened(browser, server.url, viewport=size) as tab:
        wait_drawn(tab)
        for troubles in ((), ("recording to a.mkv stopped: the disk is full",)):
            control.state = replace(control.state, troubles=troubles)
            wait_for(tab, f"document.getElementById('troubles').hidden === {str(not troubles).lower()}")
            header, line, main, footer = tab.evaluate(edges)
            assert header[1] <= main[0]
            assert main[1] <= footer[0]
            assert not troubles or header[1] <= line[0] < line[1] <= main[0]
        control.state = replace(control.state, recording=f"deepmag-{'long-' * 12}20261128-161220.mp4")
        wait_text(tab, "#record", "Stop")
        assert tab.evaluate("document.documentElement.scrollWidth") == viewport[0]


def test_the_scan_line_shows_the_chosen_column_over_time(browser: Browser, server: PageRenderer) -> None:
    with opened(browser, server.url) as tab:
        wait_connected(tab, server)
        last = -1
        for seq in range(4):  # 0.5 s apart in the stream's time, whatever the clock says
            server.render(magnified(seq, pts=seq * 0.45))
            wait_drawn(tab, last)
            last = seq
        columns = tab.evaluate("""() => {
            const canvas = document.getElementById("scan");
            const data = canvas.getContext("2d").getImageData(0, 100, canvas.width, 1).data;
            let drawn = 0;
            for (let x = 0; x < canvas.width; x += 1) drawn += data[4 * x] > 100;
            return [drawn, canvas.width, data[4 * (canvas.width - 1)]];
        }""")
    drawn, width, newest = columns
    # One column for the first picture, then 3 x 0.45 s of 10 s.
    assert drawn == pytest.approx(1 + 3 * 0.45 / 10 * width, abs=3)
    assert newest == pytest.approx(160, abs=6)


def test_the_waveform_is_drawn_with_every_sample(browser: Browser, server: PageRenderer) -> None:
    with opened(browser, server.url) as tab:
        wait_connected(tab, server)
        for seq in range(240):  # 8 s at once: no more than a few of these pictures are drawn
            server.render(magnified(seq))
        wait_drawn(tab, 238)
        across, high = tab.evaluate(INK, "wave")
    assert across == pytest.approx(239 / 300, abs=0.03)
    assert 0.4 < high < 0.95


def test_a_gap_of_a_whole_sweep_leaves_nothing_of_the_old_waveform(
    browser: Browser, server: PageRenderer
) -> None:
    def faint(seq: int) -> MagnifiedFrame:  # so that the scale stays, for which all would be drawn again
        frame = magnified(seq)
        return replace(frame, pulse=replace(frame.pulse, wave=0.1 * frame.pulse.wave))

    with opened(browser, server.url) as tab:
        wait_connected(tab, server)
        for seq in range(240):
            server.render(faint(seq))
        wait_drawn(tab, 238)
        assert tab.evaluate(INK, "wave")[0] > 0.7
        for seq in range(1050, 1081):  # 27 s later, a second in the middle
            server.render(faint(seq))
        wait_drawn(tab, 1079)
        assert tab.evaluate(INK, "wave")[0] == pytest.approx(0.1, abs=0.03)


def test_pulse_and_respiration_have_a_readout_and_a_sweep_each(browser: Browser) -> None:
    with served("both") as server, opened(browser, server.url) as tab:
        wait_connected(tab, server)
        for seq in range(240):
            server.render(magnified(seq, breath=CALM))
        wait_drawn(tab, 238)
        wait_text(tab, "#rate", "72")
        wait_text(tab, "#breaths", "15")
        wait_text(tab, "#breath-quality-text", "quality 70 %")
        wait_text(tab, "#breath-spoken", "Respiration 15 breaths per minute")
        pulse, breath = (tab.evaluate(INK, name) for name in ("wave", "breath-wave"))
        # the same eight seconds, of ten across and of thirty
        assert pulse[0] == pytest.approx(239 / 300, abs=0.03)
        assert breath[0] == pytest.approx(239 / 900, abs=0.03)
        assert 0.4 < breath[1] < 0.95
        assert tab.title() == "72 bpm \N{EN DASH} 15 breaths/min \N{EN DASH} deepmag"


def test_each_rate_has_its_own_trust_and_both_are_withdrawn_when_frames_stop(browser: Browser) -> None:
    faint = Reading(None, 0.2, "breathing too faint")
    with served("both") as server, opened(browser, server.url) as tab:
        with Camera(server, breath=faint):
            wait_text(tab, "#rate", "72")
            wait_text(tab, "#breaths", "--")
            wait_text(tab, "#breath-reason", "breathing too faint")
        with Camera(server, reading=POOR, breath=CALM):
            wait_text(tab, "#rate", "--")
            wait_text(tab, "#breaths", "15")
        wait_text(tab, "#breaths", "--")
        wait_text(tab, "#breath-reason", "no new picture for over a second")


def test_only_what_is_measured_is_shown(browser: Browser, server: PageRenderer) -> None:
    def shown(tab: Page) -> list[bool]:
        return [tab.locator(f"#{name}").is_visible() for name in ("rate", "wave", "breaths", "breath-wave")]

    with Camera(server), opened(browser, server.url) as tab:
        wait_text(tab, "#rate", "72")
        assert shown(tab) == [True, True, False, False]
        assert tab.locator("#mode").is_visible()
    with (
        served("respiration") as breathing,
        Camera(breathing, reading=None, breath=CALM),
        opened(browser, breathing.url) as tab,
    ):
        wait_text(tab, "#breaths", "15")
        assert shown(tab) == [False, False, True, True]
        # it has one mode, no face to find, and a scan line as slow as its sweep
        assert tab.locator("#mode").is_hidden()
        assert tab.locator("#roi-auto").is_hidden()
        wait_text(tab, "#magnified-strip .scan-span", "30 s")


def test_a_method_without_modes_shows_none_to_choose_from(browser: Browser) -> None:
    with served("pulse", "evm") as page, Camera(page), opened(browser, page.url) as tab:
        wait_drawn(tab)
        tab.wait_for_function("document.getElementById('mode').hidden")
        tab.keyboard.press("m")
        tab.keyboard.press("+")  # messages keep their order
        wait_text(tab, "#gain-value", "\u00d712.5")
        assert tab.locator("#notices").text_content() == ""


def test_a_hidden_tab_is_sent_no_pictures(
    browser: Browser, server: PageRenderer, control: FakeControl
) -> None:
    with opened(browser, server.url) as tab:
        wait_connected(tab, server)
        server.render(magnified(0))
        wait_drawn(tab)
        tab.evaluate("""() => {
            Object.defineProperty(document, "hidden", { get: () => true, configurable: true });
            document.dispatchEvent(new Event("visibilitychange"));
        }""")
        tab.keyboard.press("m")  # messages keep their order: once this one acts, the other was heard
        assert control.wait_until(lambda settings: settings.mode == "paper")
        for seq in range(1, 30):
            server.render(magnified(seq))
        control.change(gain=50)
        wait_text(tab, "#gain-value", "\N{MULTIPLICATION SIGN}50")  # the state came, and no picture before it
        assert tab.evaluate("document.getElementById('magnified').header.seq") == 0
        tab.evaluate("""() => {
            delete document.hidden;
            document.dispatchEvent(new Event("visibilitychange"));
        }""")
        wait_drawn(tab, 28)
        assert server.dropped == 0


def test_the_token_opens_the_page_and_leaves_the_address_bar(browser: Browser, control: FakeControl) -> None:
    server = PageRenderer(control, host="0.0.0.0", port=0)
    server.open()
    port, token = server.url.rsplit(":", 1)[1].split("/#token=")
    local = f"http://127.0.0.1:{port}/"
    try:
        with Camera(server), opened(browser, f"{local}#token={token}") as tab:
            wait_text(tab, "#rate", "72")
            assert tab.url == local
            tab.reload()
            wait_text(tab, "#rate", "72")
            with tab.expect_download():
                tab.keyboard.press("s")
        with Camera(server), opened(browser, local) as tab:
            tab.get_by_text("This page needs its token").first.wait_for()
            assert tab.locator("#rate").text_content() == "--"
            tab.evaluate(
                "(token) => { location.hash = `token=${token}`; }", token
            )  # as who pastes the address
            wait_text(tab, "#state", "live")
    finally:
        server.close()


def test_another_site_can_neither_watch_nor_act(
    browser: Browser, server: PageRenderer, control: FakeControl
) -> None:
    foreign = PageRenderer(FakeControl(), port=0)  # another origin: the port differs
    foreign.open()
    try:
        context = browser.new_context(bypass_csp=True)
        tab = context.new_page()
        tab.goto(foreign.url)
        outcome = tab.evaluate(
            """async (url) => {
                const socket = new WebSocket(url.replace("http", "ws") + "live");
                const closed = await new Promise((done) => {
                    socket.onopen = () => done("opened");
                    socket.onerror = () => done("refused");
                });
                const post = await fetch(url + "snapshot", { method: "POST", body: "{}" }).then(
                    (answer) => "answered", () => "refused");
                return [closed, post];
            }""",
            server.url,
        )
        context.close()
    finally:
        foreign.close()
    assert outcome == ["refused", "refused"]
    assert control.settings.gain == 10


def test_a_phone_sees_everything_without_scrolling_sideways(browser: Browser, server: PageRenderer) -> None:
    phone = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
    with Camera(server), opened(browser, server.url, **phone) as tab:
        wait_text(tab, "#rate", "72")
        assert tab.evaluate("document.documentElement.scrollWidth") == 390
        for name in ("Original", "Snapshot", "Record"):
            tab.get_by_role("button", name=name).scroll_into_view_if_needed()
            assert tab.get_by_role("button", name=name).is_visible()


@pytest.mark.parametrize("width", [390, 1024])
def test_two_signals_and_a_long_name_do_not_widen_the_page(browser: Browser, width: int) -> None:
    control = FakeControl("both")
    control.state = replace(control.state, source="/a/long/way/down/" * 8 + "clip.mp4", lag=2.0)
    server = PageRenderer(control, port=0)
    server.open()
    view = {"viewport": {"width": width, "height": 640}}
    with Camera(server, breath=CALM), opened(browser, server.url, **view) as tab:
        wait_text(tab, "#breaths", "15")
        wait_text(tab, "#lag-figure", "2000 ms")
        assert tab.evaluate("document.documentElement.scrollWidth") == width
        if width > 860:  # all of it on one screen
            assert tab.evaluate("document.documentElement.scrollHeight") == 640
            assert tab.get_by_role("button", name="Record").is_visible()
    server.close()


@pytest.mark.parametrize("size", [(740, 360), (915, 412), (960, 480)])  # phones on their side; 200 % of 1920
def test_in_a_low_window_nothing_lies_over_another_part(browser: Browser, size: tuple[int, int]) -> None:
    box = "document.querySelector('{}').getBoundingClientRect()"
    view = {"viewport": {"width": size[0], "height": size[1]}}
    with served("both") as server, Camera(server, breath=CALM), opened(browser, server.url, **view) as tab:
        wait_text(tab, "#breaths", "15")
        assert tab.evaluate("document.documentElement.scrollWidth") == size[0]
        assert tab.evaluate(f"{box.format('main')}.bottom <= {box.format('footer')}.top")
        assert tab.evaluate(f"{box.format('.waves')}.bottom <= {box.format('.controls')}.top")
        assert tab.evaluate(
            "(panel => panel.scrollHeight <= panel.clientHeight)(document.querySelector('.controls'))"
        )
        assert tab.evaluate(f"{box.format('#magnified')}.bottom") <= size[1]  # the whole picture can be seen
        # a canvas whose height follows its pixels, which follow its height, was three times as high here
        assert tab.evaluate(f"{box.format('.waves')}.height") < 300
        tab.set_viewport_size({"width": 390, "height": 844})
        wait_for(tab, f"{box.format('#wave')}.height < 128")


def test_with_colours_of_one_s_own_what_is_chosen_and_how_much_can_be_seen(
    browser: Browser, server: PageRenderer
) -> None:
    def colours(selector: str) -> int:
        image = cv2.imdecode(np.frombuffer(tab.locator(selector).screenshot(), np.uint8), cv2.IMREAD_COLOR)
        assert image is not None
        middle = image[image.shape[0] // 2 - 2 : image.shape[0] // 2 + 2, 4:-4]
        return len(np.unique(middle.reshape(-1, 3), axis=0))

    with Camera(server), opened(browser, server.url, forced_colors="active") as tab:
        wait_text(tab, "#quality-text", "quality 86 %")
        assert colours("#quality") > 1
        assert colours("#gain") > 1
        background = "getComputedStyle(document.getElementById('{}')).backgroundColor"
        assert tab.evaluate(f"{background.format('roi-auto')} !== {background.format('roi-full')}")


def test_the_picture_stays_close_behind_the_camera(browser: Browser, server: PageRenderer) -> None:
    with Camera(server) as camera, opened(browser, server.url) as tab:
        for beyond in (30, 60, 90):  # a backlog would grow from one to the next
            wait_drawn(tab, beyond)
            behind = camera.seq - tab.evaluate("document.getElementById('magnified').header.seq")
            assert behind < 30  # 1 s, on a machine that is busy with other things; a few on an idle one
        latency = server.sent_latency()
        assert latency is not None
        assert latency[0] < 0.5
