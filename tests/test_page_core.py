"""The page's pure parts: the credit, the waveform's memory, the messages, the pictures."""

from __future__ import annotations

import json
import math
import struct
from dataclasses import replace
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest
from page_scene import CALM, GOOD, magnified

from deepmag.stream import breath_rate, vitals
from deepmag.stream.frames import Reading, Signal
from deepmag.stream.page.app import STATIC
from deepmag.stream.page.feed import HISTORY, Feed, Timeline
from deepmag.stream.page.messages import (
    parse_changes,
    parse_message,
    picture_message,
    shown_reading,
    state_message,
)
from deepmag.stream.page.metrics import PageMetrics
from deepmag.stream.page.picture import jpeg, png, shown_size
from deepmag.stream.page.viewer import Viewer
from deepmag.stream.settings import GAIN_RANGE, Settings
from deepmag.stream.status import Status

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from deepmag.stream.frames import SignalName

# ---- the credit ----


def test_the_next_picture_waits_until_the_last_is_drawn() -> None:
    viewer = Viewer()
    assert viewer.due(1)
    viewer.take(1, 0.0, 0.0)
    assert not viewer.due(5)
    viewer.drawn(1, 0.0)
    assert viewer.due(5)


def test_frames_that_went_by_meanwhile_are_counted() -> None:
    viewer = Viewer()
    assert viewer.take(40, 0.0, 0.0) == 0  # those before it came were not meant for it
    viewer.drawn(40, 0.0)
    assert viewer.take(44, 0.0, 0.0) == 3
    assert viewer.passed_over == 3


def test_a_late_answer_to_an_older_picture_gives_no_credit() -> None:
    viewer = Viewer()
    viewer.take(1, 0.0, 0.0)
    viewer.drawn(1, 0.0)
    viewer.take(2, 0.0, 0.0)
    viewer.drawn(1, 0.0)
    assert not viewer.due(3)


def test_a_hidden_tab_gets_nothing_and_drops_nothing() -> None:
    viewer = Viewer()
    viewer.take(1, 0.0, 0.0)
    viewer.drawn(1, 0.0)
    viewer.show(False)
    assert not viewer.due(100)
    viewer.show(True)
    assert viewer.take(100, 0.0, 0.0) == 0


def test_latency_is_until_the_answer_that_it_was_drawn() -> None:
    viewer = Viewer()
    viewer.take(1, arrived=10.0, now=10.3)
    assert viewer.latency.quantiles(10.4) is None
    viewer.drawn(1, now=10.5)
    viewer.drawn(1, now=19.0)  # said twice: not the answer
    assert viewer.way == pytest.approx(0.2)
    assert viewer.latency.quantiles(10.6) == pytest.approx((0.5, 0.5))


def test_what_a_hidden_tab_draws_late_says_nothing_of_the_connection() -> None:
    viewer = Viewer()
    viewer.take(1, arrived=0.0, now=0.1)
    viewer.show(False)
    viewer.show(True)
    viewer.drawn(1, now=60.0)
    assert viewer.due(2)
    assert viewer.way is None
    assert viewer.latency.quantiles(60.0) is None


def test_a_slow_socket_gets_the_newest_state_only() -> None:
    viewer = Viewer()
    viewer.state = "old"
    viewer.notices.append("notice")
    viewer.state = "new"
    assert [viewer.next_text() for _ in range(3)] == ["notice", "new", None]


# ---- the feed ----


def test_no_sample_is_lost_when_pictures_are_passed_over() -> None:
    feed = Feed()
    for seq in range(10):
        feed.publish(magnified(seq), now=seq / 30)
    first = feed.samples(after=0, up_to=4)
    rest = feed.samples(after=4, up_to=10)
    assert [sample.number for sample in first + rest] == list(range(1, 11))
    assert [sample.t for sample in first + rest] == pytest.approx([seq / 30 for seq in range(10)])


def test_the_feed_forgets_the_oldest_samples() -> None:
    feed = Feed()
    for seq in range(HISTORY + 50):
        feed.publish(magnified(seq, size=(260, 20)), now=0.0)
    assert len(feed.samples(after=0, up_to=HISTORY + 50)) == HISTORY


def test_the_timeline_goes_by_pts_and_never_back_over_sessions() -> None:
    timeline = Timeline()
    times = [
        timeline.place(magnified(0, session=0, pts=7.0, arrived=100.0).frame),
        timeline.place(magnified(1, session=0, pts=7.5, arrived=100.1).frame),  # arrival jitters
        timeline.place(magnified(2, session=1, pts=0.0, arrived=104.0).frame),  # the camera came back
        timeline.place(magnified(3, session=1, pts=0.5, arrived=104.9).frame),
        timeline.place(magnified(4, session=2, pts=0.0, arrived=100.2).frame),
    ]
    assert times[:4] == pytest.approx([0.0, 0.5, 4.0, 4.5])
    assert times[4] > times[3]


# ---- what may be shown ----


@pytest.mark.parametrize("state", ["connecting", "stale", "lost", "ended"])
def test_a_source_that_is_not_live_shows_no_rate(state: str) -> None:
    shown = shown_reading(GOOD, state, silence=0.1)  # type: ignore[arg-type]
    assert shown.rate is None
    assert shown.reason


def test_a_second_of_silence_withdraws_the_rate() -> None:
    assert shown_reading(GOOD, "live", silence=0.9) == GOOD
    withdrawn = shown_reading(GOOD, "live", silence=1.1)
    assert withdrawn == Reading(None, 0.0, "no new picture for over a second")


# ---- messages ----


def test_a_picture_message_holds_header_samples_and_both_pictures() -> None:
    feed = Feed()
    published = feed.publish(magnified(0, arrived=5.0), now=5.2)
    data = picture_message(
        published, [b"one", b"three"], feed.samples(0, 1), shown=(640, 480), state="live", now=5.25,
        drawn=(0.3, 0.4), way=0.05,
    )  # fmt: skip
    (length,) = struct.unpack_from("<I", data)
    header = json.loads(data[4 : 4 + length])
    assert data[4 + length :] == b"onethree"
    assert header["jpeg"] == [3, 5]
    assert header["latency"] == pytest.approx(0.25)
    assert (header["drawn"], header["way"]) == ([0.3, 0.4], 0.05)
    assert header["signals"] == {"pulse": {"rate": 72.4, "quality": 0.86, "reason": ""}}
    assert header["samples"] == [[0.0, 0.0, None]]
    assert header["roi"] == [200, 120, 240, 240]
    assert header["pixel"] == 1.0


def test_the_signals_of_a_frame_are_named_with_a_wave_and_a_reading_each() -> None:
    feed = Feed()
    published = feed.publish(magnified(30, breath=CALM), now=0.0)
    data = picture_message(published, [], feed.samples(0, 1), shown=(1, 1), state="live", now=0.0)
    (length,) = struct.unpack_from("<I", data)
    header = json.loads(data[4 : 4 + length])
    assert list(header["signals"]) == ["pulse", "respiration"]
    assert header["signals"]["respiration"] == {"rate": 14.6, "quality": 0.7, "reason": ""}
    ((_, pulse, breath),) = header["samples"]
    assert pulse == pytest.approx(published.frame.pulse.wave, rel=1e-5)
    assert breath == pytest.approx(published.frame.respiration.wave, rel=1e-5)


def test_both_rates_are_withdrawn_from_the_state_of_a_source_that_is_lost() -> None:
    text = state_message(
        Status("lost", "camera"),
        Settings(target="both"),
        {"pulse": GOOD, "respiration": CALM},
        silence=0.1,
        sent=None,
        dropped=0,
        clients=1,
    )
    signals = json.loads(text)["signals"]
    assert [signals[name]["rate"] for name in ("pulse", "respiration")] == [None, None]
    assert all(signal["reason"] and signal["quality"] == 0 for signal in signals.values())


def test_the_metrics_of_respiration_are_there_where_it_is_measured_and_its_rate_where_it_is_trusted() -> None:
    def text(readings: dict[SignalName, Reading]) -> str:
        counts = {"frames": 1, "sent": 1, "dropped": 0, "clients": 1}
        return (
            PageMetrics(lambda: Status("live", "camera"), lambda _: readings, lambda: counts).text().decode()
        )

    both = text({"pulse": GOOD, "respiration": CALM})
    assert "deepmag_respiration_rate_per_minute 14.6\n" in both
    assert "deepmag_respiration_quality 0.7\n" in both
    assert "deepmag_pulse_rate_bpm 72.4\n" in both
    faint = text({"respiration": Reading(None, 0.2, "breathing too faint")})
    assert "\ndeepmag_respiration_rate_per_minute" not in faint
    assert "deepmag_respiration_quality 0.2\n" in faint
    assert "deepmag_pulse" not in faint
    assert "deepmag_respiration" not in text({"pulse": GOOD})


def test_each_metric_tells_its_own_number() -> None:
    status = Status(
        "stale",
        "camera",
        fps=29.5,
        age=1.25,
        latency_p50=0.25,
        latency_p95=0.375,
        lag=0.125,
        dropped={"engine": 3, "window": 4},
        recording="deepmag-test.mkv",
        troubles=("the window is closed", "the disk is full"),
    )
    counts = {"frames": 11, "sent": 12, "dropped": 13, "clients": 14}
    metrics = PageMetrics(lambda: status, lambda _: {}, lambda: counts)
    metrics.observe_sent(0.05)
    said = [line for line in metrics.text().decode().splitlines() if not line.startswith("#")]
    assert [line for line in said if "sent_latency" not in line] == [
        "deepmag_frames_total 11.0",
        "deepmag_page_pictures_total 12.0",
        'deepmag_dropped_frames_total{stage="engine"} 3.0',
        'deepmag_dropped_frames_total{stage="window"} 4.0',
        'deepmag_dropped_frames_total{stage="browsers"} 13.0',
        'deepmag_source_state{state="connecting"} 0.0',
        'deepmag_source_state{state="live"} 0.0',
        'deepmag_source_state{state="stale"} 1.0',
        'deepmag_source_state{state="lost"} 0.0',
        'deepmag_source_state{state="ended"} 0.0',
        "deepmag_source_fps 29.5",
        "deepmag_source_age_seconds 1.25",
        "deepmag_lag_seconds 0.125",
        'deepmag_latency_seconds{quantile="0.5"} 0.25',
        'deepmag_latency_seconds{quantile="0.95"} 0.375',
        "deepmag_recording 1.0",
        "deepmag_output_troubles 2.0",
        "deepmag_page_clients 14.0",
    ]
    assert 'deepmag_sent_latency_seconds_bucket{le="0.04"} 0.0' in said
    assert 'deepmag_sent_latency_seconds_bucket{le="0.06"} 1.0' in said
    assert "deepmag_sent_latency_seconds_sum 0.05" in said


def test_an_old_picture_says_how_old_it_is_and_has_no_rate() -> None:
    feed = Feed()
    published = feed.publish(magnified(0), now=10.0)
    data = picture_message(published, [], feed.samples(0, 1), shown=(1, 1), state="live", now=13.5)
    header = json.loads(data[4:])
    assert header["silence"] == 3.5
    assert header["signals"]["pulse"]["rate"] is None
    assert header["signals"]["pulse"]["reason"] == "no new picture for over a second"


def test_a_value_that_is_no_number_becomes_null() -> None:
    feed = Feed()
    published = feed.publish(replace(magnified(0), pulse=Signal(math.nan, GOOD)), now=0.0)
    data = picture_message(published, [], feed.samples(0, 1), shown=(1, 1), state="live", now=0.0)
    assert json.loads(data[4:])["samples"] == [[0.0, None, None]]


def test_a_state_message_reports_settings_drops_and_the_withdrawn_rate() -> None:
    status = Status("stale", "camera", dropped={"ring": 3}, lag=0.5)
    text = state_message(
        status, Settings(gain=20), {"pulse": GOOD}, silence=0.1, sent=(0.26, 0.28), dropped=2, clients=1
    )
    message = json.loads(text)
    assert message["settings"]["gain"] == 20
    assert message["dropped"] == {"ring": 3, "browsers": 2}
    assert list(message["signals"]) == ["pulse"]
    assert message["signals"]["pulse"]["rate"] is None
    assert message["sent"] == [0.26, 0.28]
    assert message["lag"] == 0.5


def test_changes_are_read_as_settings_take_them() -> None:
    changes = parse_changes({"type": "change", "gain": 25, "roi": [10, 20.4, 100, 100], "mode": "paper"})
    assert changes == {"gain": 25.0, "roi": (10, 20, 100, 100), "mode": "paper"}
    assert Settings(**changes).roi == (10, 20, 100, 100)


@pytest.mark.parametrize(
    "message",
    [
        {},
        {"gain": "10"},
        {"gain": True},
        {"lag": math.inf},
        {"gain": math.nan},
        {"gain": 10**400},
        {"roi": 5},
        {"roi": [1, "x"]},
        {"roi": [1, 2, 3]},
        {"roi": []},
        {"roi": [-1e308, 0, 1e308, 100]},
    ],
)
def test_a_change_that_makes_no_sense_is_refused_in_words(message: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"must be|does not know"):
        parse_changes(message)


@pytest.mark.parametrize("text", ["", "[]", "3", '{"type": 1}', "not json", "[" * 4000])
def test_what_is_no_message_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="the page sent"):
        parse_message(text)


# ---- pictures and latencies ----


def test_a_jpeg_keeps_colours_in_order_and_size_within_bounds() -> None:
    image = np.zeros((1080, 1920, 3), np.uint8)
    image[:] = (200, 100, 30)
    decoded = cv2.imdecode(np.frombuffer(jpeg(image), np.uint8), cv2.IMREAD_COLOR)
    assert decoded is not None
    assert decoded.shape == (720, 1280, 3)
    assert decoded[300, 300, ::-1].astype(int) == pytest.approx([200, 100, 30], abs=3)
    assert shown_size(640, 480) == (640, 480)


def test_a_jpeg_keeps_a_tint_of_one_grey_level() -> None:
    rng = np.random.default_rng(1)
    shade = (
        np.linspace(-20, 20, 320)[None, :, None] + np.linspace(-15, 15, 240)[:, None, None]
    )  # as on a face
    scene = rng.normal(0, 2, (240, 320, 3)) + shade + np.array([190, 140, 120])

    def blocks(tint: float) -> NDArray[np.float64]:
        image = np.clip(scene + np.array([0.43, 1, 0.69]) * tint, 0, 255).round().astype(np.uint8)
        decoded = cv2.imdecode(np.frombuffer(jpeg(image), np.uint8), cv2.IMREAD_COLOR)
        assert decoded is not None
        green: NDArray[np.float64] = decoded[..., 1].astype(float).reshape(6, 40, 8, 40).mean((1, 3))
        return green

    plain = blocks(0.0)
    for tint in (1.0, 2.0, 3.0):
        assert np.abs(blocks(tint) - plain - tint).mean() < 0.3


def test_a_png_is_exact() -> None:
    image = np.random.default_rng(2).integers(0, 256, (50, 70, 3), np.uint8)
    decoded = cv2.imdecode(np.frombuffer(png(image), np.uint8), cv2.IMREAD_COLOR)
    assert decoded is not None
    assert np.array_equal(decoded[..., ::-1], image)


def test_before_the_first_state_the_page_shows_the_defaults_and_its_words_name_the_thresholds_in_force() -> (
    None
):
    text = (STATIC / "index.html").read_text()
    settings = Settings()
    low, high = GAIN_RANGE
    assert f"\N{MULTIPLICATION SIGN}{settings.gain:g}</output>" in text
    assert f'value="{round(1000 * math.log(settings.gain / low, high / low))}"' in text
    assert f"gain: {settings.gain:g}, mode" in (STATIC / "controls.js").read_text()
    for module in (vitals, breath_rate):
        assert f"from {100 * module.SHOW:.0f} % on, and goes below {100 * module.KEEP:.0f} %" in text
