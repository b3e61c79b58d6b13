"""One page for many feeds: tiles, tokens, recordings, and a click that opens one."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from chromium import hide_for, needs_chromium, opened, wait_for
from made_clip import pictures_in
from page_scene import POOR, Camera, FakeControl
from ward_feeds import TIMEOUT, feed, specs, until

from deepmag.stream.ward.page import WardPage
from deepmag.stream.ward.ward import Ward


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Ward, WardPage, Path]]:
    """Two demos, one of them breathing, and a camera that is not there, on a page that asks for a token."""
    folder = tmp_path_factory.mktemp("ward")
    text = feed("bed 1", "demo", 'roi = "full"') + feed("cot", "demo", 'target = "respiration"')
    ward = Ward(specs(folder, text + feed("gone", "rtsp://u:hush@127.0.0.1:9/x")), device="cpu", threads=1)
    page = WardPage(ward.feeds, port=0, token="letmein")
    page.open()
    ward.start(page.pages)
    yield ward, page, folder
    ward.stop()
    page.close()


def asked(page: WardPage, path: str, token: str | None = "letmein") -> tuple[int, Any]:
    request = urllib.request.Request(page.url.partition("#")[0] + path)
    if token is not None:
        request.add_header("Authorization", f"Bearer {token}")
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:
            return answer.status, json.loads(answer.read() or b"null")
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.loads(error.read() or b"null")


def test_the_page_lists_the_feeds_to_who_has_the_token(running: tuple[Ward, WardPage, Path]) -> None:
    _, page, _ = running
    assert asked(page, "feeds", None)[0] == 401
    assert asked(page, "feeds/bed-1/metrics", None)[0] == 401
    assert asked(page, "feeds") == (
        200, [{"slug": "bed-1", "name": "bed 1"}, {"slug": "cot", "name": "cot"}, {"slug": "gone", "name": "gone"}],
    )  # fmt: skip


def test_a_camera_that_is_not_there_keeps_no_other_from_running(running: tuple[Ward, WardPage, Path]) -> None:
    ward, page, _ = running
    for slug in ("bed-1", "cot"):
        until(lambda slug=slug: ward.feeds[slug].pipeline.first_picture is not None, slug)
    gone = ward.feeds["gone"].status()
    assert gone.state == "connecting"
    assert "hush" not in gone.source + gone.detail
    code, told = asked(page, "healthz")
    assert code == 503
    assert told["feeds"]["gone"] == "connecting"
    lines = list(ward.describe())
    assert len(lines) == 3
    assert not any("hush" in line for line in lines)


def test_each_feed_has_its_own_gain(running: tuple[Ward, WardPage, Path]) -> None:
    ward, _, _ = running
    ward.feeds["bed-1"].change(gain=33.0)
    assert ward.feeds["bed-1"].settings.gain == 33.0
    assert ward.feeds["cot"].settings.gain != 33.0


def test_a_recording_is_named_for_its_feed(
    running: tuple[Ward, WardPage, Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    ward, _, _ = running
    monkeypatch.chdir(tmp_path)
    bed = ward.feeds["bed-1"]
    name = bed.start_recording()
    shown = bed.pipeline.engine.frames
    until(lambda: bed.pipeline.engine.frames > shown + 5, "pictures to record")
    assert bed.stop_recording() == name
    assert name.startswith("deepmag-bed-1-")
    assert pictures_in(tmp_path / name)


@needs_chromium
def test_the_tiles_show_all_and_a_click_opens_one(running: tuple[Ward, WardPage, Path], browser: Any) -> None:
    ward, page, _ = running
    until(lambda: ward.feeds["cot"].pipeline.first_picture is not None, "the breathing demo")
    with opened(browser, page.url) as tab:
        wait_for(tab, "document.querySelectorAll('.tile').length === 3")
        wait_for(tab, "document.querySelectorAll('.tile[data-state=live]').length === 2")
        wait_for(tab, "document.getElementById('summary').textContent === '2 of 3 feeds live'")
        wait_for(tab, "document.querySelector('.tile canvas').width === 640")  # a picture was drawn
        assert tab.locator(".tile h2").all_inner_texts() == ["bed 1", "cot", "gone"]
        wait_for(tab, "document.querySelectorAll('.veil')[2].textContent.includes('connection refused')")
        assert "hush" not in tab.content()
        hide_for(tab, 600, 600)
        assert "live" not in tab.evaluate("""() => {
            delete document.hidden;
            document.dispatchEvent(new Event("visibilitychange"));
            return [...document.querySelectorAll(".tile")].map((tile) => tile.dataset.state);
        }""")  # its pictures are of before
        wait_for(tab, "document.querySelectorAll('.tile[data-state=live]').length === 2")
        tab.click(".tile >> nth=0")
        wait_for(tab, "(document.getElementById('magnified')?.header?.seq ?? -1) > 0")
        assert tab.url.endswith("/feeds/bed-1/")
        wait_for(tab, "document.getElementById('feed').textContent === 'bed 1'")
        wait_for(tab, "document.title.endsWith('bed 1 \N{EN DASH} deepmag')")
        tab.click("#all-feeds")
        wait_for(tab, "document.querySelectorAll('.tile[data-state=live]').length === 2")


@needs_chromium
def test_a_tile_shows_no_number_without_its_quality(browser: Any) -> None:
    bed = FakeControl()
    bed.spec = SimpleNamespace(name="bed 1")  # type: ignore[attr-defined]
    page = WardPage({"bed-1": bed}, port=0)  # type: ignore[dict-item]
    page.open()
    try:
        with Camera(page.pages["bed-1"]) as camera, opened(browser, page.url) as tab:  # type: ignore[arg-type]
            numbers = "document.querySelector('.numbers')?.innerText"
            wait_for(tab, f"/^72\\s+bpm\\s+86 %$/.test({numbers})")
            camera.reading = POOR
            wait_for(tab, f"/^--\\s+bpm$/.test({numbers})")
    finally:
        page.close()


@needs_chromium
def test_a_long_name_is_shown_whole_and_the_pictures_of_many_feeds_stay_to_be_seen(
    running: tuple[Ward, WardPage, Path], browser: Any
) -> None:
    _, page, _ = running
    with opened(browser, page.url) as tab:
        wait_for(tab, "document.querySelectorAll('.tile').length === 3")
        cut, height = tab.evaluate("""() => {
            const tiles = document.getElementById("tiles"), tile = tiles.firstElementChild;
            const name = tile.querySelector("h2");
            name.textContent = "Neonatal ward on the north side, bed 10";
            for (let more = 0; more < 27; more += 1) tiles.append(tile.cloneNode(true));
            return [name.scrollWidth > name.clientWidth, tiles.lastElementChild.querySelector("canvas").clientHeight];
        }""")
        assert not cut
        assert height > 50
