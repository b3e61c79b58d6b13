"""The page's server over real sockets, without a browser."""

from __future__ import annotations

import json
import logging
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

import cv2
import httpx
import numpy as np
import pytest
from page_scene import POOR, FakeControl, magnified
from page_sockets import TIMEOUT, base, close_code, next_picture, next_text, port_of, watch
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect
from websockets.typing import Origin

from deepmag.stream.page import PageRenderer, stream_page
from deepmag.stream.page.greeting import CLOSE_NONSENSE, CLOSE_TOKEN
from deepmag.stream.page.server import MAX_MESSAGE
from deepmag.stream.page_client import PageClient
from deepmag.stream.render.renderer import RendererError

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def page(control: FakeControl) -> Iterator[PageRenderer]:
    renderer = PageRenderer(control, port=0)
    renderer.open()
    yield renderer
    renderer.close()


@pytest.fixture
def guarded(control: FakeControl) -> Iterator[PageRenderer]:
    renderer = PageRenderer(control, host="0.0.0.0", port=0)
    renderer.open()
    yield renderer
    renderer.close()


def test_the_page_and_its_files_come_with_safe_headers(page: PageRenderer) -> None:
    for path in ("/", "/static/main.js", "/static/style.css"):
        answer = httpx.get(base(page) + path)
        assert answer.status_code == 200
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert "server" not in answer.headers
    assert "http" not in httpx.get(base(page)).text.replace("http-equiv", "")  # nothing from elsewhere


def test_a_foreign_host_is_refused_everywhere(page: PageRenderer) -> None:
    for path in ("/", "/static/main.js", "/metrics", "/healthz"):
        assert httpx.get(base(page) + path, headers={"Host": "evil.example"}).status_code == 403
    upgrade = {
        "Host": "evil.example",
        "Origin": "http://evil.example",
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
        "Sec-WebSocket-Version": "13",
    }
    assert httpx.get(base(page) + "/live", headers=upgrade).status_code == 403


@pytest.mark.parametrize("origin", ["http://evil.example", None])
def test_a_foreign_origin_is_refused(page: PageRenderer, origin: str | None) -> None:
    with (
        pytest.raises(InvalidStatus, match="403"),
        connect(f"ws://127.0.0.1:{port_of(page)}/live", origin=Origin(origin) if origin else None),
    ):
        pass
    headers = {"Origin": origin} if origin else {}
    assert httpx.post(base(page) + "/snapshot", json={}, headers=headers).status_code == 403


def test_get_changes_nothing(page: PageRenderer) -> None:
    assert httpx.get(base(page) + "/snapshot").status_code == 405


def test_an_outside_address_asks_for_its_token(
    guarded: PageRenderer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    token = guarded.url.partition("#token=")[2]
    assert len(token) >= 32
    for wrong in ("", "wrong"):
        with watch(guarded, token=wrong) as socket:
            assert close_code(socket) == CLOSE_TOKEN
    with watch(guarded, token=token) as socket:
        assert next_text(socket, "state")["state"] == "live"
    for path in ("/metrics", "/healthz"):
        assert httpx.get(base(guarded) + path).status_code == 401
        allowed = httpx.get(base(guarded) + path, headers={"Authorization": f"Bearer {token}"})
        assert allowed.status_code == 200
    assert (
        httpx.post(base(guarded) + "/snapshot", json={}, headers={"Origin": base(guarded)}).status_code == 401
    )
    # The clients that these tests use log what they send; the server must not.
    served = [record for record in caplog.records if record.name.partition(".")[0] in ("uvicorn", "deepmag")]
    assert token not in "".join(record.getMessage() for record in served)


@pytest.mark.parametrize("token", ["a+b/c=", "a%41b", "a&b#c", "!~\"'"])
def test_any_token_stands_in_the_address_as_a_viewer_reads_it(control: FakeControl, token: str) -> None:
    page = PageRenderer(control, port=0, token=token)
    page.open()
    assert parse_qs(urlsplit(page.url).fragment) == {"token": [token]}  # as the page's URLSearchParams does
    client = PageClient(page.url)
    client.start()
    try:
        assert client.wait(lambda: client.state is not None, TIMEOUT), client.error
        answer = httpx.get(base(page) + "/metrics", headers={"Authorization": f"Bearer {token}"})
        assert answer.status_code == 200
    finally:
        client.stop()
        page.close()


def test_a_measurement_s_viewer_asks_no_proxy_for_a_page_of_this_machine(
    page: PageRenderer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    client = PageClient(page.url)
    client.start()
    try:
        assert client.wait(lambda: client.state is not None, TIMEOUT), client.error
    finally:
        client.stop()


def test_all_addresses_are_those_of_both_protocols(control: FakeControl) -> None:
    page = PageRenderer(control, host="::", port=0, token="t")
    try:
        page.open()
    except RendererError:
        pytest.skip("this machine has no IPv6")
    try:
        for host in ("127.0.0.1", "[::1]", httpx.URL(page.url).host):
            assert httpx.get(f"http://{host}:{port_of(page)}/").status_code == 200
    finally:
        page.close()


def test_one_picture_at_a_time_and_always_the_newest(page: PageRenderer) -> None:
    with watch(page) as socket:
        next_text(socket, "state")
        page.render(magnified(0))
        header, _ = next_picture(socket)
        assert header["seq"] == 0
        for seq in range(1, 8):
            page.render(magnified(seq))
        next_text(socket, "state")  # states keep coming, pictures do not
        next_text(socket, "state")
        socket.send(json.dumps({"type": "drawn", "number": header["number"]}))
        header, _ = next_picture(socket)
        assert header["seq"] == 7
        assert len(header["samples"]) == 7  # the waveform lost nothing
        assert page.dropped == 6


def test_each_picture_wakes_a_viewer_that_waits_for_it(
    control: FakeControl, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream_page, "STATE_PERIOD", 3600.0)  # whose tick would wake it, too
    page = PageRenderer(control, port=0)
    page.open()
    try:
        with watch(page) as socket:
            next_text(socket, "state")
            for seq in range(4):
                page.render(magnified(seq))
                header, _ = next_picture(socket)
                assert header["seq"] == seq
                socket.send(json.dumps({"type": "drawn", "number": header["number"]}))
                socket.send(json.dumps({"type": "change"}))
                next_text(socket, "notice")  # so the credit has come, which would wake it as well
    finally:
        page.close()


def test_original_and_magnified_are_the_same_frame(page: PageRenderer) -> None:
    with watch(page, original=True) as socket:
        next_text(socket, "state")
        frame = magnified(1234)
        page.render(frame)
        header, jpegs = next_picture(socket)
    assert header["seq"] == 1234
    for data, image in zip(jpegs, (frame.image, frame.frame.image), strict=True):
        decoded = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
        assert decoded is not None
        assert np.abs(decoded[..., ::-1].astype(float) - image).mean() < 3


def test_a_change_acts_and_every_browser_sees_it(page: PageRenderer, control: FakeControl) -> None:
    with watch(page) as one, watch(page) as other:
        next_text(other, "state")
        one.send(json.dumps({"type": "change", "gain": 33, "roi": [10, 10, 80, 80]}))
        for socket in (one, other):
            settings = next_text(socket, "state", lambda m: m["settings"]["gain"] == 33)["settings"]
            assert settings["roi"] == [10, 10, 80, 80]
    assert control.settings.gain == 33


def test_a_wrong_value_comes_back_in_words_and_changes_nothing(
    page: PageRenderer, control: FakeControl
) -> None:
    with watch(page) as socket:
        socket.send(json.dumps({"type": "change", "gain": 1000}))
        notice = next_text(socket, "notice")
    assert notice["error"]
    assert "between 1 and 100" in notice["text"]
    assert control.settings.gain == 10


def test_recording_starts_and_stops_and_says_so(page: PageRenderer, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "deepmag.page")
    with watch(page) as socket:
        socket.send(json.dumps({"type": "record", "on": True}))
        assert "deepmag-test.mp4" in next_text(socket, "notice")["text"]
        next_text(socket, "state", lambda m: m["recording"] == "deepmag-test.mp4")
        socket.send(json.dumps({"type": "record", "on": False}))
        next_text(socket, "state", lambda m: m["recording"] == "")
        socket.send(json.dumps({"type": "record", "on": False}))
        assert next_text(socket, "notice", lambda m: m["error"])["text"] == "no recording runs"
    assert [record.getMessage() for record in caplog.records if record.name == "deepmag.page"] == [
        "Recording to deepmag-test.mp4, as asked for on the page",
        "Saved deepmag-test.mp4, as asked for on the page",
        "a recording asked for on the page: no recording runs",
    ]


def test_every_viewer_is_told_of_a_recording(page: PageRenderer) -> None:
    with watch(page) as one, watch(page) as other:
        next_text(other, "state")
        for on, said in ((True, "Recording to deepmag-test.mp4"), (False, "Saved deepmag-test.mp4")):
            one.send(json.dumps({"type": "record", "on": on}))
            assert [next_text(socket, "notice")["text"] for socket in (one, other)] == [said, said]


def test_nonsense_closes_only_the_one_who_sent_it(page: PageRenderer) -> None:
    with watch(page) as good, watch(page) as bad:
        bad.send(b"\x00\x01")
        assert close_code(bad) == CLOSE_NONSENSE
        next_text(good, "state")


def test_bytes_that_are_no_text_close_a_socket_and_fill_no_log(
    page: PageRenderer, caplog: pytest.LogCaptureFixture
) -> None:
    with connect(f"ws://127.0.0.1:{port_of(page)}/live", origin=Origin(base(page))) as socket:
        socket.send(b"\xff\xfe", text=True)
        assert close_code(socket) == 1007
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


def test_a_message_longer_than_any_of_the_pages_is_not_taken(page: PageRenderer) -> None:
    with watch(page) as socket:
        next_text(socket, "state")
        socket.send(json.dumps({"type": "change", "padding": " " * MAX_MESSAGE}))
        with pytest.raises(ConnectionClosed, match="1009"):  # message too big
            next_text(socket, "notice")


def test_a_snapshot_is_the_exact_newest_picture(page: PageRenderer) -> None:
    headers = {"Origin": base(page)}
    assert httpx.post(base(page) + "/snapshot", json={}, headers=headers).status_code == 409
    frame = magnified(77, size=(1920, 1080))
    page.render(frame)
    assert httpx.post(base(page) + "/snapshot", content="{}", headers=headers).status_code == 415
    answer = httpx.post(base(page) + "/snapshot", json={}, headers=headers)
    assert answer.status_code == 200
    assert 'filename="deepmag-20' in answer.headers["content-disposition"]
    decoded = cv2.imdecode(np.frombuffer(answer.content, np.uint8), cv2.IMREAD_COLOR)
    assert decoded is not None
    assert np.array_equal(decoded[..., ::-1], frame.image)


def test_a_snapshot_of_squeezed_pixels_is_as_wide_as_it_is_shown(page: PageRenderer) -> None:
    frame = magnified(77, size=(720, 576))
    page.render(replace(frame, frame=replace(frame.frame, pixel_aspect=64 / 45)))
    answer = httpx.post(base(page) + "/snapshot", json={}, headers={"Origin": base(page)})
    decoded = cv2.imdecode(np.frombuffer(answer.content, np.uint8), cv2.IMREAD_COLOR)
    assert decoded is not None
    assert decoded.shape == (576, 1024, 3)


def test_metrics_and_health_tell_the_state_and_only_a_trusted_rate(
    page: PageRenderer, control: FakeControl
) -> None:
    page.render(magnified(0))
    text = httpx.get(base(page) + "/metrics").text
    assert "deepmag_frames_total 1.0" in text
    assert "deepmag_pulse_rate_bpm 72.4" in text
    assert 'deepmag_source_state{state="live"} 1.0' in text
    assert 'deepmag_dropped_frames_total{stage="browsers"} 0.0' in text
    assert "deepmag_sent_latency_seconds_bucket" in text
    page.render(magnified(1, reading=POOR))
    assert "deepmag_pulse_rate_bpm 7" not in httpx.get(base(page) + "/metrics").text
    assert httpx.get(base(page) + "/healthz").json() == {"state": "live"}
    control.state = control.state.__class__("lost", "camera")
    assert httpx.get(base(page) + "/healthz").status_code == 503


def test_the_sent_latency_counts_from_the_frames_arrival(control: FakeControl) -> None:
    page = PageRenderer(control, port=0, clock=lambda: 100.0)
    page.open()
    try:
        with watch(page) as socket:
            next_text(socket, "state")
            page.render(magnified(0, arrived=99.7))
            next_picture(socket)
            next_text(socket, "state")
            assert page.sent_latency() == pytest.approx((0.3, 0.3))
    finally:
        page.close()


def test_a_port_in_use_is_said_in_one_line(page: PageRenderer, control: FakeControl) -> None:
    port = port_of(page)
    second = PageRenderer(control, port=port)
    with pytest.raises(RendererError, match=f"port {port} is in use"):
        second.open()
    second.close()


@pytest.mark.parametrize(
    ("host", "port"), [("192.0.2.1", 0), ("no.such.host.invalid", 0), ("127.0.0.1", 70000)]
)
def test_an_address_that_cannot_be_bound_is_said_in_one_line(
    control: FakeControl, host: str, port: int
) -> None:
    page = PageRenderer(control, host=host, port=port)
    with pytest.raises(RendererError) as caught:
        page.open()
    assert "\n" not in str(caught.value)
    page.close()


def test_close_leaves_no_thread_and_the_port_free(control: FakeControl) -> None:
    before = set(threading.enumerate())
    page = PageRenderer(control, port=0)
    page.open()
    port = port_of(page)
    with watch(page) as socket:
        next_text(socket, "state")
        page.render(magnified(0))
        next_picture(socket)
        page.close()
        close_code(socket)
    page.render(magnified(1))  # late frames are ignored
    page.close()
    assert {thread for thread in threading.enumerate() if "deepmag" in thread.name} <= before
    again = PageRenderer(control, port=port)
    again.open()
    again.close()


def test_render_returns_at_once_while_the_server_hangs(page: PageRenderer, control: FakeControl) -> None:
    with watch(page) as socket:
        next_text(socket, "state")
        control.hang.clear()
        start = time.monotonic()
        for seq in range(300):
            page.render(magnified(seq, size=(260, 20)))
        assert time.monotonic() - start < 2.0
        control.hang.set()
        header, _ = next_picture(socket)
        assert header["seq"] >= 0


def test_a_server_that_ends_by_itself_is_told(page: PageRenderer, caplog: pytest.LogCaptureFixture) -> None:
    page.render(magnified(0))
    thread, loop = page._server._thread, page._server.loop
    assert thread is not None
    assert loop is not None
    loop.call_soon_threadsafe(loop.stop)
    thread.join(TIMEOUT)
    with pytest.raises(RendererError, match="the page's server stopped"):
        page.render(magnified(1))
    assert "the page's server stopped" in caplog.text
