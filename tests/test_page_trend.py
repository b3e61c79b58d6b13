"""The rates of the last day: what is kept, what the server tells, and what a real Chromium draws of it."""

from __future__ import annotations

import asyncio
import sys
import time
from itertools import pairwise
from types import SimpleNamespace
from typing import TYPE_CHECKING

import httpx
import pytest
from chromium import needs_chromium, opened, wait_drawn, wait_for, wait_text
from page_elsewhere import page_elsewhere
from page_scene import CALM, GOOD, POOR, Camera, FakeControl, magnified
from page_sockets import base

from deepmag.stream.frames import Reading
from deepmag.stream.page import PageRenderer, stream_page
from deepmag.stream.page.server import PageServer
from deepmag.stream.page.stream_page import StreamPage, awake_or_asleep
from deepmag.stream.page.trend import PERIOD, POINTS, Trend

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Route

LOOK = 0.5  # s between two looks at what is shown


def looked(trend: Trend, reading: Reading, since: float, until: float) -> None:
    """Add a pulse, evenly."""
    for number in range(round((until - since) / LOOK)):
        trend.add({"pulse": reading}, since + (number + 0.5) * LOOK)


def test_a_point_is_the_mean_of_what_was_shown_for_ten_seconds() -> None:
    trend = Trend(1000.0)
    looked(trend, Reading(60.0, 0.5, ""), 1000, 1005)
    looked(trend, Reading(70.0, 0.9, ""), 1005, 1010)
    looked(trend, Reading(80.0, 1.0, ""), 1010, 1023)
    assert trend.message(1023.0) == {
        "period": PERIOD,
        "ended": 3.0,
        "signals": {"pulse": {"rate": [65.0, 80.0], "quality": [0.7, 1.0]}},
    }


@pytest.mark.parametrize(("shown", "rate"), [(5.5, 60.0), (5.0, 60.0), (4.5, None)])
def test_there_is_none_where_for_half_of_the_time_none_was_shown(shown: float, rate: float | None) -> None:
    trend = Trend(0.0)
    looked(trend, Reading(60.0, 0.5, ""), 0, shown)
    looked(trend, POOR, shown, 10)
    assert trend.message(10.0)["signals"]["pulse"]["rate"] == [rate]


@pytest.mark.parametrize("away", [60.0, 86_000.0, 86_400.0, 200_000.0, 1e8])
def test_time_in_which_nobody_looked_is_empty(away: float) -> None:
    trend = Trend(0.0)
    looked(trend, Reading(60.0, 0.5, ""), 0, 30)
    looked(trend, Reading(70.0, 0.5, ""), 30 + away, 60 + away)
    rates = trend.message(60 + away)["signals"]["pulse"]["rate"]
    assert len(rates) == min(6 + away / PERIOD, POINTS)
    assert rates[-3:] == [70.0] * 3
    kept = max(0, min(3, len(rates) - 3 - round(away / PERIOD)))  # of those before
    assert [rate for rate in rates[:-3] if rate is not None] == [60.0] * kept


def test_it_keeps_a_day_and_no_more() -> None:
    trend = Trend(0.0)
    for point in range(POINTS + 500):
        trend.add({"pulse": Reading(float(point % 200), 0.5, "")}, (point + 0.5) * PERIOD)
    message = trend.message((POINTS + 500) * PERIOD)
    assert message["signals"]["pulse"]["rate"] == [float(point % 200) for point in range(500, POINTS + 500)]


def test_a_signal_that_is_measured_later_has_nothing_before() -> None:
    trend = Trend(0.0)
    looked(trend, GOOD, 0, 20)
    trend.add({"pulse": GOOD, "respiration": CALM}, 25.0)
    signals = trend.message(30.0)["signals"]
    assert signals["respiration"]["rate"] == [None, None, CALM.rate]
    assert signals["pulse"]["rate"] == [GOOD.rate] * 3


def test_the_server_tells_it_to_who_has_the_token() -> None:
    page = PageRenderer(FakeControl("both"), host="0.0.0.0", port=0)
    page._page._trend = trend = Trend(awake_or_asleep() - 40)
    began = trend._began
    looked(trend, GOOD, began, began + 30)
    page.open()
    try:
        assert httpx.get(base(page) + "/trend").status_code == 401
        headers = {"Authorization": f"Bearer {page._server.access.token}"}
        answer = httpx.get(base(page) + "/trend", headers=headers)
    finally:
        page.close()
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    assert answer.json()["signals"]["pulse"]["rate"][:3] == [GOOD.rate] * 3


def test_that_of_a_feed_elsewhere_is_handed_through(control: FakeControl) -> None:
    with page_elsewhere(control) as (page, gateway):
        page._page._trend = trend = Trend(awake_or_asleep() - 40)
        looked(trend, GOOD, trend._began, trend._began + 30)
        answer = httpx.get(gateway.url + "feeds/bed/trend")
    assert answer.status_code == 200
    assert answer.json()["signals"]["pulse"]["rate"][:3] == [GOOD.rate] * 3


def test_what_is_shown_is_remembered_and_what_is_withdrawn_is_not(
    control: FakeControl, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The newest picture has a rate all the time, and is of long ago after ten seconds; the machine sleeps by turns."""
    monkeypatch.setattr(stream_page, "STATE_PERIOD", 0.0)
    now = [0.0]
    page = StreamPage(control, PageServer(port=0), clock=lambda: now[0], hours=lambda: 2 * now[0])

    async def watched() -> None:
        reports = asyncio.create_task(page.report())
        for look in range(40):
            now[0] = look * LOOK
            if now[0] < 10:
                page._feed.publish(magnified(look), now[0])
            await asyncio.sleep(0)
        reports.cancel()

    asyncio.run(watched())
    now[0] = 20.0
    pulse = page.trend()["signals"]["pulse"]
    assert pulse == {"rate": 2 * [GOOD.rate] + 2 * [None], "quality": 2 * [GOOD.quality] + 2 * [None]}


def test_the_hours_in_which_the_machine_slept_have_passed(control: FakeControl) -> None:
    """Its monotonic clock stood still: the rates of before were drawn as of just now, eight hours late."""
    hours = [100.0]
    page = StreamPage(control, PageServer(port=0), clock=lambda: 7.0, hours=lambda: hours[0])
    looked(page._trend, GOOD, 100, 110)
    hours[0] += 10.0 + 8 * 3600
    assert page.trend()["signals"]["pulse"]["rate"] == [GOOD.rate] + 2880 * [None]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Linux counts them")
def test_the_clock_of_the_hours_counts_sleep(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "monotonic", lambda: -1e9)  # as of a machine that has slept for years
    assert awake_or_asleep() == pytest.approx(time.clock_gettime(time.CLOCK_BOOTTIME), abs=60)


# ---- in a browser ----

# Of a canvas: the share of its height at which each of 20 columns has a bright line; null where it has none.
LINE = """(id) => {
    const canvas = document.getElementById(id);
    const { width, height } = canvas;
    const data = canvas.getContext("2d").getImageData(0, 0, width, height).data;
    const left = 40, found = [];
    for (let part = 0; part < 20; part += 1) {
        const x = Math.floor(left + (part + 0.5) / 20 * (width - left));
        let ys = [];
        for (let y = 0; y < height - 16; y += 1) if (data[4 * (y * width + x) + 1] > 150) ys.push(y);
        found.push(ys.length ? ys.reduce((a, b) => a + b) / ys.length / height : null);
    }
    return found;
}"""


def remembered(hours: float) -> Trend:
    """Of a pulse that rises by 40 an hour, to 100, and was away for the third quarter of the last one."""
    now = awake_or_asleep()
    trend = Trend(now - hours * 3600)
    for point in range(round(hours * 360)):
        ago = hours * 3600 - (point + 0.5) * PERIOD
        away = 900 < ago < 1800
        trend.add({"pulse": POOR if away else Reading(100 - 40 * ago / 3600, 0.8, "")}, now - ago)
    return trend


@needs_chromium
def test_the_rate_of_the_last_hour_is_drawn_where_there_was_one(browser: Browser) -> None:
    page = PageRenderer(FakeControl(), port=0, token="of-this-page")
    page._page._trend = remembered(2.0)
    page.open()
    try:
        with Camera(page), opened(browser, page.url) as tab:
            wait_drawn(tab)
            wait_text(tab, "section[data-signal=pulse] .what", "waveform")
            tab.keyboard.press("t")
            wait_text(tab, "section[data-signal=pulse].wave .what", "rate")
            wait_text(
                tab,
                "section[data-signal=pulse].wave .words",
                "60 to 100 bpm, quality 80 %, for 75 % of the time",
            )
            assert not tab.locator("#wave").is_visible()
            heights = tab.evaluate(LINE, "trend")
            assert [height is None for height in heights] == [10 <= part < 15 for part in range(20)]
            known = [height for height in heights if height is not None]
            assert known == sorted(known, reverse=True)  # it rises
            assert known[0] - known[-1] > 0.5
            label = tab.locator("#trend").get_attribute("aria-label")
            assert label == "Rate of the last 1 h: 60 to 100 bpm, quality 80 %, for 75 % of the time"
    finally:
        page.close()


@needs_chromium
def test_the_panels_choose_for_themselves_and_a_key_for_both(browser: Browser) -> None:
    page = PageRenderer(FakeControl("both"), port=0)
    page.open()
    try:
        with Camera(page, breath=CALM), opened(browser, page.url) as tab:
            wait_drawn(tab)
            pulse, breath = (
                tab.locator(f"section[data-signal={name}].wave") for name in ("pulse", "respiration")
            )
            pulse.get_by_role("button", name="8 h").click()
            wait_for(tab, "!document.getElementById('trend').hidden")
            assert breath.locator("#breath-wave").is_visible()
            wait_text(tab, "section[data-signal=pulse].wave .words", "no rate")
            tab.keyboard.press("t")  # to the next of the first: a day
            for panel in (pulse, breath):
                assert panel.get_by_role("button", name="24 h").get_attribute("aria-pressed") == "true"
            tab.keyboard.press("t")
            assert tab.locator("#wave").is_visible()
            assert tab.locator("#breath-wave").is_visible()
    finally:
        page.close()


@needs_chromium
def test_what_has_come_since_is_drawn_by_itself(browser: Browser) -> None:
    page = PageRenderer(FakeControl(), port=0)
    page._page._trend = trend = Trend(awake_or_asleep() - 100)
    looked(trend, Reading(60.0, 0.8, ""), trend._began, trend._began + 50)
    page.open()
    try:
        with opened(browser, "about:blank") as tab:
            tab.add_init_script(
                "const { setInterval } = window; window.setInterval = (act, ms) => setInterval(act, ms / 50);"
            )
            tab.goto(page.url)
            tab.keyboard.press("t")
            text = "document.querySelector('section[data-signal=pulse].wave .words').textContent"
            wait_for(tab, f"{text}.startsWith('60 bpm')")
            page._page._trend = trend = Trend(awake_or_asleep() - 100)
            looked(trend, Reading(70.0, 0.8, ""), trend._began, trend._began + 50)
            wait_for(tab, f"{text}.startsWith('70 bpm')")
    finally:
        page.close()


@needs_chromium
def test_what_is_not_known_of_the_hours_is_not_spoken_for(browser: Browser) -> None:
    page = PageRenderer(FakeControl(), port=0)
    known = {"rate": [72.4] * 9 + [None] * 3, "quality": [0.86] * 9 + [None] * 3}
    told = {"period": PERIOD, "ended": 1.0, "signals": {"pulse": known}}
    page._page._trend = SimpleNamespace(add=lambda *_: None, message=lambda _: told)  # type: ignore[assignment]
    page.open()
    words = "section[data-signal=pulse].wave .words"
    with opened(browser, page.url) as tab, opened(browser, page.url) as other:
        tab.get_by_role("button", name="24 h").first.click()
        wait_text(tab, words, "72 bpm, quality 86 %, for 75 % of 2 min")
        page.close()
        other.get_by_role("button", name="24 h").first.click()
        assert other.locator(words).text_content() == ""
        assert other.locator("#trend").get_attribute("aria-label") == "Rate of the last 24 h"


@needs_chromium
def test_the_key_goes_on_from_the_panel_that_is_seen(browser: Browser) -> None:
    """Without a pulse its panel, which is the first, is hidden."""
    page = PageRenderer(FakeControl("respiration"), port=0)
    page.open()
    try:
        with Camera(page, reading=None, breath=CALM), opened(browser, page.url) as tab:
            wait_drawn(tab)
            panel = tab.locator("section[data-signal=respiration].wave")
            panel.get_by_role("button", name="8 h").click()
            tab.keyboard.press("t")
            assert panel.get_by_role("button", name="24 h").get_attribute("aria-pressed") == "true"
    finally:
        page.close()


# The texts of one drawing: what, and from where to where, px.
TEXTS = """() => {
    const found = [], { prototype } = CanvasRenderingContext2D, fill = prototype.fillText;
    prototype.fillText = function (text, x, y) {
        const half = this.measureText(text).width / 2;
        found.push([text, x - half, x + half]);
        fill.call(this, text, x, y);
    };
    document.dispatchEvent(new Event("visibilitychange"));
    prototype.fillText = fill;
    return found.filter(([text]) => text.includes(":"));
}"""


@needs_chromium
@pytest.mark.parametrize("width", [320, 860, 1920])
def test_the_times_do_not_run_into_one_another(browser: Browser, width: int) -> None:
    page = PageRenderer(FakeControl(), port=0)
    page.open()
    try:
        with opened(browser, page.url, viewport={"width": width, "height": 700}) as tab:
            for _ in range(3):  # an hour, eight, a day
                tab.keyboard.press("t")
                times = tab.evaluate(TEXTS)
                assert len(times) >= 2
                assert all(after[1] - before[2] > 4 for before, after in pairwise(times))
    finally:
        page.close()


# Half past midnight, as browsers of before 2024 write times in American English.
MIDNIGHT = """() => {
    Date.now = () => new Date(2026, 0, 1, 0, 35).getTime();
    const write = Date.prototype.toLocaleTimeString;
    Date.prototype.toLocaleTimeString = function (_, { hour12, ...how }) {
        return write.call(this, "en-US", hour12 === false ? { ...how, hourCycle: "h24" } : how);
    };
}"""


@needs_chromium
def test_after_midnight_comes_no_twenty_fifth_hour(browser: Browser) -> None:
    page = PageRenderer(FakeControl(), port=0)
    page.open()
    try:
        with opened(browser, page.url) as tab:
            tab.evaluate(MIDNIGHT)
            tab.keyboard.press("t")
            times = [text for text, *_ in tab.evaluate(TEXTS)]
            assert times == ["23:40", "23:50", "00:00", "00:10", "00:20", "00:30"]
    finally:
        page.close()


# Time runs out where the test says so.
PATIENCE = """() => {
    window.asked = [];
    AbortSignal.timeout = (ms) => {
        const controller = new AbortController();
        asked.push(() => controller.abort(new DOMException(`after ${ms} ms`, "TimeoutError")));
        return controller.signal;
    };
}"""


@needs_chromium
def test_an_answer_that_never_comes_is_not_waited_for(browser: Browser) -> None:
    """As where the network has forgotten the connection, and the page is served again."""
    page = PageRenderer(FakeControl(), port=0)
    page._page._trend = remembered(1.0)
    page.open()
    try:
        with opened(browser, page.url) as tab:
            tab.evaluate(PATIENCE)
            held: list[Route] = []
            tab.route("**/trend", lambda route: route.continue_() if held else held.append(route))
            tab.keyboard.press("t")
            wait_for(tab, "asked.length > 0")
            tab.evaluate("asked[0]()")
            words = "document.querySelector('section[data-signal=pulse].wave .words').textContent"
            look = "document.dispatchEvent(new Event('visibilitychange'))"  # the next that comes by itself is in 10 s
            wait_for(tab, f"{look}, {words}.startsWith('60 to 100 bpm')")
    finally:
        page.close()


@needs_chromium
def test_without_a_server_the_line_ends_before_now(browser: Browser) -> None:
    page = PageRenderer(FakeControl(), port=0)
    page._page._trend = remembered(1.0)
    page.open()
    with opened(browser, page.url) as tab:
        tab.keyboard.press("t")
        wait_text(
            tab, "section[data-signal=pulse].wave .words", "60 to 100 bpm, quality 80 %, for 75 % of the time"
        )
        page.close()
        tab.evaluate("() => { const now = Date.now; Date.now = () => now() + 1200e3; }")
        tab.evaluate("() => document.dispatchEvent(new Event('visibilitychange'))")
        heights = tab.evaluate(LINE, "trend")
        assert [height is not None for height in heights[-9:]] == [True] * 2 + [False] * 7
