"""What is left out of a stream that this machine is too slow to decode; and nothing of one that comes unevenly."""

from __future__ import annotations

import io
import itertools
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import av
import numpy as np
import pytest
from scripted_camera import ScriptedCamera, encode, number_of, painted

from deepmag.stream.capture.address import parse_address
from deepmag.stream.capture.arrival_clock import ArrivalClock
from deepmag.stream.capture.open import open_source
from deepmag.stream.capture.overload import TOO_LATE, Overload
from deepmag.stream.capture.video import VideoSource

PERIOD = 1 / 25  # s
NEVER = 150.0  # s: however late this test's thread comes to look, or the camera's to send
Load = Callable[[float], float]
"""How many times as long everything takes at a time, s."""


@dataclass
class Shown:
    """Of each picture that goes on: when, how long it had waited since it came, s, and its number."""

    at: list[float] = field(default_factory=list)
    waited: list[float] = field(default_factory=list)
    numbers: list[int] = field(default_factory=list)
    shortfalls: list[tuple[int, int] | None] = field(default_factory=list)

    def longest_gap(self) -> float:
        return float(np.diff(self.at).max())

    def told(self) -> list[bool]:
        """Whether it was said that the machine is too slow, each time that this changed."""
        slow = [shortfall is not None for shortfall in self.shortfalls]
        return [slow[0], *(after for before, after in pairwise(slow) if before != after)]


def decode(
    pictures: Iterable[tuple[float, float]],
    decoding: float,
    more: float = 0.0,
    *,
    gop: int = 25,
    load: Load = lambda _: 1.0,
) -> Shown:
    """Decode pictures, of (timestamp, arrival), s, in so many s each; of what goes on, each takes so many more."""
    timed, overload, shown, chance = list(pictures), Overload(), Shown(), np.random.default_rng(0)
    now, number = 0.0, 0
    while number < len(timed):
        stamp, came = timed[number]
        now = max(now, came)
        waiting = [k for k in range(number + 1, len(timed)) if timed[k][1] <= now and k < number + 2000]
        keys = [k for k in waiting if k % gop == 0]
        verdict = overload.judge(stamp, came, now, is_key=number % gop == 0, key_waits=bool(keys))
        if verdict == "go on at the key frame":
            overload.jumped(keys[-1] - number - 1)
            number = keys[-1]
            continue
        if verdict == "decode":
            took = (
                load(now)
                * decoding
                * chance.uniform(0.7, 1.3)
                * (1.5 if gop > 1 and number % gop == 0 else 1.0)
            )
            now += took
            if not overload.thins(now):
                now += load(now) * more
                shown.at.append(now)
                shown.waited.append(now - came)
                shown.numbers.append(number)
        shown.shortfalls.append(overload.shortfall)
        number += 1
    return shown


def steady(seconds: float, speed: float = 1.0) -> list[tuple[float, float]]:
    """A camera whose clock runs so many times as fast as time does."""
    return [(k * PERIOD * speed, k * PERIOD) for k in range(round(seconds / PERIOD))]


def hung(seconds: float, since: float, until: float) -> list[tuple[float, float]]:
    """A network that hands over all at once what came while it hung."""
    return [(pts, until if since < came < until else came) for pts, came in steady(seconds)]


def clumps(seconds: float, every: float) -> list[tuple[float, float]]:
    return [(pts, (came // every + 1) * every) for pts, came in steady(seconds)]


def jittery(seconds: float) -> list[tuple[float, float]]:
    late = np.random.default_rng(1).exponential(0.1, round(seconds / PERIOD))
    return [
        (pts, float(came))
        for (pts, _), came in zip(
            steady(seconds),
            np.maximum.accumulate(np.arange(len(late)) * PERIOD + late.clip(0, 1)),
            strict=True,
        )
    ]


@pytest.mark.parametrize("gop", [1, 25, 250])
@pytest.mark.parametrize(
    "pictures",
    [
        pytest.param(steady(60), id="evenly"),
        pytest.param(steady(60, 0.8), id="slow clock"),
        pytest.param(steady(60, 1.25), id="fast clock"),
        pytest.param(clumps(60, 0.9), id="clumps"),
        pytest.param(jittery(60), id="jitter"),
        pytest.param(hung(60, 20, 28), id="network that hung"),
        pytest.param(
            [(pts, max(came, 2.0)) for pts, came in steady(60)], id="what a server kept for the start"
        ),
        pytest.param([(pts % 12.0, came) for pts, came in steady(60)], id="file again and again"),
        pytest.param([(pts % 3.0, came) for pts, came in steady(60)], id="short file again and again"),
        pytest.param([(0.0, came) for _, came in steady(60)], id="stopped clock"),
    ],
)
def test_nothing_is_left_out_where_the_machine_is_fast_enough(
    pictures: list[tuple[float, float]], gop: int
) -> None:
    shown = decode(pictures, 0.018, 0.009, gop=gop)
    assert shown.numbers == list(range(len(pictures)))
    assert not any(shown.shortfalls)


@pytest.mark.parametrize("gop", [1, 25, 50, 100])
@pytest.mark.parametrize("enough", [0.9, 0.8, 0.5, 0.3])  # of what is needed
def test_what_is_shown_is_of_now_where_it_is_not_and_it_is_told(enough: float, gop: int) -> None:
    takes = PERIOD / enough
    shown = decode(steady(120), 0.6 * takes, 0.4 * takes, gop=gop)
    assert max(shown.waited) < TOO_LATE + 3 * takes
    assert np.median(shown.waited) < 0.6
    assert shown.told() == [False, True]
    left, of = next(shortfall for shortfall in shown.shortfalls if shortfall)
    assert 0.05 * of < left < of


@pytest.mark.parametrize(
    ("enough", "gop", "most"), [(0.9, 25, 0.8), (0.65, 25, 0.7), (0.5, 25, 0.93), (0.5, 50, 0.7)]
)
def test_most_of_what_could_be_decoded_is_shown(enough: float, gop: int, most: float) -> None:
    takes = PERIOD / enough
    assert len(decode(steady(120), 0.6 * takes, 0.4 * takes, gop=gop).at) > most * enough * 120 / PERIOD


@pytest.mark.parametrize("gop", [100, 250])
def test_pictures_are_thinned_out_evenly_where_to_decode_them_is_not_too_much(gop: int) -> None:
    shown = decode(steady(120), 0.6 * PERIOD / 0.8, 0.4 * PERIOD / 0.8, gop=gop)
    assert shown.longest_gap() < 0.2


def test_a_network_that_hung_leaves_nothing_late_on_a_machine_that_is_too_slow() -> None:
    shown = decode(hung(60, 20, 28), 0.05, gop=50)
    late = [waited for at, waited in zip(shown.at, shown.waited, strict=True) if at > 32]
    assert max(late) < 1.0


def test_a_minute_that_a_network_held_up_is_not_decoded_to_its_end() -> None:
    """Though it could be, faster than time goes: it would be shown for three quarters of a minute."""
    assert max(decode(hung(140, 20, 80), 0.03, gop=50).waited) < 11.0


def test_once_the_load_is_gone_all_is_shown_and_that_it_was_too_slow_is_told_once() -> None:
    shown = decode(steady(150), 0.015, 0.010, gop=50, load=lambda now: 3.0 if 20 < now < 70 else 1.0)
    assert shown.told() == [False, True, False]
    after = [number for at, number in zip(shown.at, shown.numbers, strict=True) if at > 72]
    assert after == list(range(after[0], round(150 / PERIOD)))


def test_a_load_that_comes_and_goes_does_not_make_it_come_and_go() -> None:
    shown = decode(steady(240), 0.015, 0.010, gop=50, load=lambda now: 3.0 if now % 54 < 25 else 1.0)
    assert shown.told() == [False, True]


@pytest.mark.parametrize("seconds", [0.5, 3.0])
def test_a_moment_in_which_another_program_ran_is_not_told(seconds: float) -> None:
    shown = decode(steady(120), 0.015, 0.010, load=lambda now: 6.0 if 0 < now - 40 < seconds else 1.0)
    assert not any(shown.shortfalls)
    assert max(shown.waited) < 1.0


def test_a_stream_without_key_frames_goes_on_after_a_while() -> None:
    shown = decode(steady(120), 0.08, gop=100_000)
    assert shown.longest_gap() < 16.0
    assert shown.at[-1] > 104.0
    assert max(shown.waited) < 1.0


@pytest.mark.parametrize("order", [(0, 3, 1, 2), (0, 2, 1, 3)])
@pytest.mark.parametrize("decoding", [0.02, 0.06])
def test_pictures_that_are_sent_in_another_order_than_shown_are_late_where_others_are(
    order: tuple[int, ...], decoding: float
) -> None:
    """As of a stream whose packets have but the times at which they are shown."""
    pictures = clumps(60, 0.9)
    mixed = [((k - k % 4 + order[k % 4]) * PERIOD, came) for k, (_, came) in enumerate(pictures)]
    assert len(decode(mixed, decoding).at) == pytest.approx(len(decode(pictures, decoding).at), rel=0.05)


def test_a_clock_that_is_fast_hides_no_load_that_comes_later() -> None:
    shown = decode(steady(150, 1.3), 0.025, gop=50, load=lambda now: 3.0 if now > 120 else 1.0)
    assert max(shown.waited) < 1.2


def test_a_machine_that_stops_for_a_moment_and_then_catches_up_leaves_nothing_out() -> None:
    pictures = steady(60)
    assert decode(pictures, 0.01, load=lambda now: 60.0 if 0 < now - 30 < PERIOD else 1.0).numbers == list(
        range(len(pictures))
    )


# ---- of a stream ----


def live(url: str, **options: Any) -> VideoSource:
    source = open_source(parse_address(url), **{"stall": NEVER, **options})
    assert isinstance(source, VideoSource)
    return source


def test_what_overload_leaves_out_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    decoded = itertools.count()
    monkeypatch.setattr(Overload, "thins", lambda _self, _now: next(decoded) % 3 > 0)
    with ScriptedCamera([encode(range(100)), threading.Event()]) as camera:
        source = live(camera.url, stall=1.0)
        shown = [number_of(f.image) for f in itertools.islice(source.frames(threading.Event()), 20)]
    assert shown == list(range(shown[0], shown[0] + 60, 3))
    assert source.skipped["too slow"] == 2 * 19


def test_all_that_is_left_out_before_a_key_frame_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    sent, jumps = itertools.count(), []

    def judge(*_: Any, key_waits: bool, **__: Any) -> str:
        return "go on at the key frame" if next(sent) >= 20 and key_waits and not jumps else "decode"

    monkeypatch.setattr(Overload, "judge", judge)
    monkeypatch.setattr(Overload, "jumped", lambda _, number: jumps.append(number))
    with ScriptedCamera([encode(range(200)), threading.Event()]) as camera:
        source = live(camera.url)
        frames = source.frames(threading.Event())
        shown = [number_of(next(frames).image)]
        while shown[-1] < 190:
            shown.append(number_of(next(frames).image))
    (hole,) = {after - before for before, after in pairwise(shown)} - {1}
    assert source.skipped["too slow"] == hole - 1 == 1 + jumps[0]


def test_that_this_machine_is_too_slow_is_told_of_the_connection_that_showed_it_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with ScriptedCamera([encode(range(100))]) as camera:
        source = live(camera.url)
        frames = source.frames(threading.Event())
        next(frames)
        monkeypatch.setattr(source._overload, "_count", lambda _now: None)
        source._overload.shortfall = 50, 250
        assert "50 of 250 pictures in 10 s" in source.trouble
        for _ in frames:  # until it is cut
            pass
    assert source.trouble == ""


def test_what_overload_leaves_out_for_long_is_not_taken_for_a_stream_without_pictures(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of the first packet after it a decoder may have no picture yet; that was said to be a source of no picture."""
    now, sent, decode, first = [0.0], itertools.count(), VideoSource._decode, [False]

    def judge(*_: Any, **__: Any) -> str:
        first[0] = (number := next(sent)) == 60
        if not 30 <= number < 60:
            return "decode"
        now[0] += 1.0
        return "pass over"

    def without_the_first(packet: Any) -> Any:
        pictures = decode(packet)
        return [] if first[0] else pictures

    monkeypatch.setattr(Overload, "judge", judge)
    monkeypatch.setattr(VideoSource, "_decode", staticmethod(without_the_first))
    with ScriptedCamera([encode(range(100)), threading.Event()]) as camera:
        frames = live(camera.url, clock=lambda: now[0]).frames(threading.Event())
        shown = [number_of(frame.image) for frame in itertools.islice(frames, 50)]
    assert shown[30] == shown[29] + 32
    assert {frame - shown[0] for frame in shown} == {*range(30), *range(61, 81)}


def test_the_clock_of_arrivals_hears_what_overload_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    decoded, missed, stamp = itertools.count(), [], ArrivalClock.stamp

    def noted(clock: ArrivalClock, arrived: float, **said: bool) -> float:
        missed.append(said["missed"])
        return stamp(clock, arrived, **said)

    monkeypatch.setattr(ArrivalClock, "stamp", noted)
    monkeypatch.setattr(Overload, "judge", lambda *_, **__: "decode")
    monkeypatch.setattr(Overload, "thins", lambda *_: next(decoded) % 9 in (2, 3))
    with ScriptedCamera([encode(range(100)), threading.Event()]) as camera:
        # each look at the clock takes 10 ms: what is sent at once does not come so
        clock = itertools.count(0.0, 0.01).__next__
        frames = live(camera.url, stall=1.0, timestamps="arrival", clock=clock).frames(threading.Event())
        assert len(list(itertools.islice(frames, 9))) == 9
    assert missed == [False, False, True, False, False, False, False, False, False]


def test_where_decoding_goes_on_after_pictures_were_left_out_no_picture_is_broken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of a stream whose pictures are renewed stripe by stripe: decoded on, it showed what lay between."""
    target, sent = io.BytesIO(), itertools.count()
    with av.open(target, "w", format="mpegts") as out:
        stream = out.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt, stream.bit_rate = 160, 120, "yuv420p", 2_000_000
        stream.options = {"x264-params": "keyint=25:intra-refresh=1:bframes=0"}
        for number in range(150):
            picture = av.VideoFrame.from_ndarray(painted(number), format="rgb24")
            picture.pts = number
            out.mux(stream.encode(picture))
        out.mux(stream.encode(None))
    passing = [False]

    def judge(_: Overload, *__: float, is_key: bool, key_waits: bool) -> str:
        number = next(sent)
        passing[0] = 37 <= number < 60 or (passing[0] and not is_key)
        return "pass over" if passing[0] else "decode"

    monkeypatch.setattr(Overload, "judge", judge)
    with ScriptedCamera([target.getvalue(), threading.Event()]) as camera:
        frames = live(camera.url, stall=1.0).frames(threading.Event())
        shown = [number_of(frame.image) for frame in itertools.islice(frames, 80)]
    assert shown == sorted(set(shown))
    assert {*range(20, 35), *range(100, 110)} <= set(shown)
    assert not set(range(40, 60)) & set(shown)
