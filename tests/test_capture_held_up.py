"""How old pictures are that come all at once after something hung."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from pathlib import Path

import pytest
from made_clip import make_clip

from deepmag.stream.capture.address import Address
from deepmag.stream.capture.held_up import WINDOW, HeldUp
from deepmag.stream.capture.open import Timestamps, open_source
from deepmag.stream.capture.state import Liveness

PERIOD = 1 / 30  # s


def behind(pictures: Iterable[tuple[float, float]]) -> list[float]:
    """Of one session: times and arrivals, s."""
    held_up = HeldUp()
    return [held_up.add(0, pts, arrived) for pts, arrived in pictures]


def stop_of(seconds: float, *, read: float) -> list[tuple[float, float]]:
    """Five seconds as they come, a stop, and what waited meanwhile read so many times as fast; then as it comes."""
    at, pictures = 5.0 + seconds, []
    for number in range(round((15.0 + seconds) / PERIOD)):
        pts = number * PERIOD
        if pts <= 5.0:
            pictures.append((pts, pts))
        else:
            at = max(pts, at + PERIOD / read)
            pictures.append((pts, at))
    return pictures


@pytest.mark.parametrize("read", [1.5, 3.0, 20.0])
def test_what_waited_counts_by_when_it_would_have_come(read: float) -> None:
    pictures = stop_of(60.0, read=read)
    for late, (pts, arrived) in zip(behind(pictures), pictures, strict=True):
        assert late == pytest.approx(arrived - pts, abs=0.15)


def test_it_is_stale_until_it_has_caught_up() -> None:
    state, pictures = Liveness(0.0), stop_of(60.0, read=5.0)
    shown = {}
    for late, (pts, arrived) in zip(behind(pictures), pictures, strict=True):
        state.frame(arrived - late)
        shown[arrived] = (state.at(arrived)[0], arrived - pts)
    assert {name for name, age in shown.values() if age > 1.2} == {"stale"}
    assert {name for name, age in shown.values() if age < 0.9} == {"live"}


def test_a_camera_that_rested_with_its_clock_is_of_now_after_a_second() -> None:
    pictures = [(k * PERIOD, k * PERIOD + (60.0 if k > 90 else 0.0)) for k in range(300)]
    late = behind(pictures)
    until = 91 + round(WINDOW / PERIOD) + 1
    assert late[91] == pytest.approx(60.0, abs=0.1)
    assert not any(late[until:])


@pytest.mark.parametrize("jitter", [0.1, 0.9])
def test_a_network_that_hands_over_in_clumps_holds_nothing_up(jitter: float) -> None:
    arrivals = (max(k * PERIOD, (k * PERIOD) // jitter * jitter + jitter) for k in range(600))
    assert not any(behind(zip((k * PERIOD for k in range(600)), arrivals, strict=True)))


def test_a_camera_that_sends_rarely_and_has_a_slow_clock_does_not_grow_older_and_older() -> None:
    assert max(behind((2.0 * k, 4.0 * k) for k in range(100))) == pytest.approx(2.0)


def test_what_is_held_up_again_while_it_catches_up_is_as_old_as_both_stops_made_it() -> None:
    first, second = [(0.0, 0.0), (PERIOD, 10.0)], 10.0
    caught_up = [(PERIOD * k, 10.0 + PERIOD / 5 * k) for k in range(2, 100)]
    pts, arrived = caught_up[-1]
    late = behind([*first, *caught_up, (pts + PERIOD, arrived + second)])
    assert late[-1] == pytest.approx(arrived + second - pts, abs=0.1)


@pytest.mark.parametrize("between", [1, 5])
def test_so_is_what_is_held_up_again_before_it_was_seen_to_catch_up(between: int) -> None:
    """One picture comes through, and the network hangs once more."""
    pictures = [(0.0, 0.0), *((PERIOD * k, 60.0 + PERIOD * k) for k in range(1, 1 + between))]
    pts, arrived = pictures[-1]
    pictures += [(pts + PERIOD * k, arrived + 10.0 + PERIOD / 5 * k) for k in range(1, 1000)]
    for late, (pts, arrived) in list(zip(behind(pictures), pictures, strict=True))[between + 2 :]:
        assert late == pytest.approx(arrived - pts, abs=0.1)


def test_another_session_is_of_now() -> None:
    held_up = HeldUp()
    for pts, arrived in [(0.0, 0.0), (PERIOD, 30.0)]:
        late = held_up.add(0, pts, arrived)
    assert late > 29.0
    assert held_up.add(1, 0.0, 30.1) == 0.0


@pytest.mark.parametrize(("timestamps", "oldest"), [("stream", 10.0), ("arrival", 0.0)])
def test_what_a_live_source_reads_after_a_stop_is_as_old_as_it_is(
    tmp_path: Path, timestamps: Timestamps, oldest: float
) -> None:
    """When pictures come says nothing of their age where that is also their time."""
    clip, now = make_clip(tmp_path / "clip.ts", 600, (64, 48), rate=25), 50.0
    source = open_source(Address("url", f"file://{clip}"), timestamps=timestamps, clock=lambda: now)
    ages = []
    for number, frame in enumerate(source.frames(threading.Event())):
        ages.append(now - frame.arrived)
        now += 10.0 if number == 100 else 1 / 25 if number < 100 or ages[-1] < 0.05 else 1 / 250
    assert max(ages[:101]) == 0.0
    assert max(ages) == pytest.approx(oldest, abs=0.1)
    assert ages[-1] == 0.0
