"""From the timestamps that cameras send to time one can compute with."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise

import pytest

from deepmag.stream.capture.arrival_clock import ArrivalClock
from deepmag.stream.capture.pacing import Pacer
from deepmag.stream.capture.source import SourceError
from deepmag.stream.capture.timeline import MIN_STEP, RateLimit, Timeline, spread_repeats

SIZE = (640, 480)
T = 1 / 30


def place(
    stamps: Sequence[float | None], arrivals: list[float], *, live: bool = True
) -> list[tuple[int, float]]:
    timeline = Timeline(live=live, nominal_rate=30)
    return [timeline.place(s, a, SIZE) for s, a in zip(stamps, arrivals, strict=True)]


def assert_times(
    placed: list[tuple[int, float]], expected: list[tuple[int, float]], within: float = 1e-9
) -> None:
    assert [session for session, _ in placed] == [session for session, _ in expected]
    assert [time for _, time in placed] == pytest.approx([time for _, time in expected], abs=within)


def test_time_is_the_streams_own_from_the_sessions_first_frame() -> None:
    stamps = [100 + k * T for k in range(5)]
    arrivals = [7 + 2 * math.sin(k) ** 2 / 30 for k in range(5)]  # jitter of the network
    assert_times(place(stamps, arrivals), [(0, k * T) for k in range(5)])


def test_a_change_of_size_starts_a_session() -> None:
    timeline = Timeline(live=True, nominal_rate=30)
    assert timeline.place(1.0, 1.0, (640, 480)) == (0, 0.0)
    assert timeline.place(1.0 + T, 1.0 + T, (320, 240)) == (1, 0.0)
    session, time = timeline.place(1.0 + 2 * T, 1.0 + 2 * T, (320, 240))
    assert session == 1
    assert time == pytest.approx(T)


def test_a_step_back_starts_a_session() -> None:
    assert_times(place([10, 10 + T, 3, 3 + T], [0, T, 2 * T, 3 * T]), [(0, 0), (0, T), (1, 0), (1, T)])


def test_so_does_one_that_no_jitter_explains() -> None:
    assert_times(place([10, 10.3, 10.15, 10.19], [0, 0.3, 0.34, 0.38]), [(0, 0), (0, 0.3), (1, 0), (1, 0.04)])


def test_a_small_step_back_is_jitter_and_time_still_grows() -> None:
    placed = place([0, T, T - 0.02, 3 * T], [0, T, 2 * T, 3 * T])
    assert_times(placed, [(0, 0), (0, T), (0, T + MIN_STEP), (0, 3 * T)])


@pytest.mark.parametrize("live", [True, False])
@pytest.mark.parametrize("wrap", [8_589_934_592 / 90_000, 4_294_967.296, 2_147_483.648])
def test_timestamps_that_begin_again_start_no_session(wrap: float, live: bool) -> None:
    """Day after day, and also where a picture from before comes once more after one from behind."""
    days = [0, 0, 0, 1, 1, 0, 1, 1, 2, 2, 3]
    times = [k * T for k in range(len(days))]
    stamps = [wrap - 7.0 + time - day * wrap for time, day in zip(times, days, strict=True)]
    # of 50 days in seconds a double holds a billionth
    assert_times(place(stamps, times, live=live), [(0, time) for time in times], within=1e-7)


def test_a_leap_of_more_than_five_seconds_starts_a_session_in_a_file_too() -> None:
    assert_times(place([0, T, 20, 20 + T], [0, 0, 0, 0], live=False), [(0, 0), (0, T), (1, 0), (1, T)])


def test_a_leap_that_arrival_does_not_confirm_starts_a_session_when_live() -> None:
    assert_times(place([0, T, 3, 3 + T], [0, T, 2 * T, 3 * T]), [(0, 0), (0, T), (1, 0), (1, T)])


def test_a_gap_that_arrival_confirms_is_a_gap() -> None:
    assert_times(place([0, T, 3, 3 + T], [0, T, 3, 3 + T]), [(0, 0), (0, T), (0, 3), (0, 3 + T)])


def test_frames_that_arrive_late_and_together_keep_their_times() -> None:
    stamps = [k * T for k in range(60)]
    arrivals = [*(k * T for k in range(30)), *([2.5] * 30)]
    assert_times(place(stamps, arrivals), [(0, k * T) for k in range(60)])


def test_without_timestamps_a_live_stream_goes_by_arrival_and_a_file_by_its_rate() -> None:
    arrivals = [5.0, 5.04, 5.08]
    assert_times(place([None] * 3, arrivals), [(0, 0), (0, 0.04), (0, 0.08)])
    assert_times(place([None] * 3, arrivals, live=False), [(0, 0), (0, T), (0, 2 * T)])


def test_timestamps_that_begin_or_pause_in_mid_stream_join_on() -> None:
    stamps = [None, 100.0, 100 + T, None, 100 + 3 * T]
    assert_times(place(stamps, [k * T for k in range(5)]), [(0, k * T) for k in range(5)])


def test_a_repeated_timestamp_neither_stops_time_nor_shifts_what_follows() -> None:
    placed = place([0, T, T, 2 * T], [0, T, T, 2 * T])
    assert_times(placed, [(0, 0), (0, T), (0, T + MIN_STEP), (0, 2 * T)])


@pytest.mark.parametrize("first", [0, 1])
def test_of_two_pictures_with_one_timestamp_each_has_its_own_time(first: int) -> None:
    placed = place([(k + first) // 2 * 2 * T for k in range(20)], [7 + k * T for k in range(20)])
    assert_times(placed[1:], [(0, (k + first) * T) for k in range(1, 20)])


def test_a_clock_that_stands_still_is_replaced_by_arrival() -> None:
    times = [time for _, time in place([7.0] * 40, [k * T for k in range(40)])]
    assert times[-1] - times[9] == pytest.approx(30 * T)


def spread(stamps: Sequence[float | None], period: float = T) -> list[float | None]:
    spaced = list(spread_repeats(enumerate(stamps), lambda: period))
    assert [number for number, _ in spaced] == list(range(len(stamps)))
    return [stamp for _, stamp in spaced]


@pytest.mark.parametrize(
    ("stamps", "times"),
    [
        ([0, T, 2 * T], [0, T, 2 * T]),
        ([0, 0, 2 * T, 2 * T, 4 * T], [0, T, 2 * T, 3 * T, 4 * T]),
        ([0, T, T, T, T, 5 * T], [0, T, 2 * T, 3 * T, 4 * T, 5 * T]),
        ([0, T, T, 2 * T], [0, T, 1.5 * T, 2 * T]),  # no room for a period
        ([0, T, T, T + 0.001, 2 * T], [0, T, T + 0.0005, T + 0.001, 2 * T]),
        ([0, T, T, 3.0], [0, T, 2 * T, 3.0]),  # not into a pause
        ([0, T, T], [0, T, 2 * T]),
        ([0, None, None, 3 * T], [0, None, None, 3 * T]),
        ([T, T, 0, 0], [T, 2 * T, 0, T]),
    ],
)
def test_repeated_timestamps_of_a_file_are_spread_before_the_next_one(
    stamps: list[float | None], times: list[float | None]
) -> None:
    assert spread(stamps) == [None if time is None else pytest.approx(time) for time in times]


def test_where_a_files_clock_stands_still_its_pictures_go_by_their_rate() -> None:
    assert spread([0.0] * 20) == [0.0] + [None] * 19
    placed = place(spread([0.0] * 20 + [1.0]), [0.0] * 21, live=False)
    assert_times(placed, [(0, k * T) for k in range(21)])


def test_pictures_that_are_held_back_come_before_a_failure() -> None:
    def failing() -> Iterator[tuple[str, float | None]]:
        yield from [("a", 0.0), ("b", T)]
        raise SourceError("cut", retry=False)

    frames = spread_repeats(failing(), lambda: T)
    assert [next(frames), next(frames)] == [("a", 0.0), ("b", T)]
    with pytest.raises(SourceError, match="cut"):
        next(frames)


@pytest.mark.parametrize("clump", [1, 2, 4])
def test_pictures_that_arrive_in_clumps_and_without_timestamps_are_evened_out(clump: int) -> None:
    clock = ArrivalClock()
    arrivals = [5.0 + (k // clump * clump) / 25 + 0.001 * (k % clump) for k in range(500)]
    stamps = [clock.stamp(arrived) for arrived in arrivals]
    steps = [after - before for before, after in pairwise(stamps[60:])]
    assert max(abs(step - 1 / 25) for step in steps) < 0.01
    assert stamps[-1] - stamps[60] == pytest.approx(439 / 25, rel=0.01)
    assert clock.stamp(arrivals[-1] + 3.0) == arrivals[-1] + 3.0


def test_the_hole_that_pictures_leave_which_were_left_out_is_not_evened_out() -> None:
    clock = ArrivalClock()
    numbers = [k for k in range(500) if k % 25 < 17]
    missed = [k % 25 == 0 for k in numbers]
    stamps = [clock.stamp(5.0 + k / 25, missed=hole) for k, hole in zip(numbers, missed, strict=True)]
    assert stamps == pytest.approx([5.0 + k / 25 for k in numbers], abs=1e-6)


def test_times_do_not_go_back_where_pictures_suddenly_come_faster() -> None:
    clock = ArrivalClock()
    arrivals = [*(k / 4 for k in range(60)), *(15 + k / 100 for k in range(60))]
    stamps = [clock.stamp(arrived) for arrived in arrivals]
    assert all(after >= before for before, after in pairwise(stamps))


def test_after_a_pause_pictures_are_as_far_apart_as_they_come_again() -> None:
    clock = ArrivalClock()
    arrivals = [start + k / 25 for start in (5.0, 65.0) for k in range(20)]
    stamps = [clock.stamp(arrived) for arrived in arrivals]
    assert stamps[20:] == pytest.approx(arrivals[20:], abs=1e-6)


@pytest.mark.parametrize("speed", [1.6, 3.0, 1000.0])
@pytest.mark.parametrize("hang", [0.8, 3.0])
@pytest.mark.parametrize("rate", [10, 25])
def test_pictures_that_a_hanging_network_held_up_say_nothing_of_the_rate(
    rate: int, hang: float, speed: float
) -> None:
    """They come ``speed`` times as fast as they were taken, from the end of the hang on until none is left."""
    clock, stamps, last = ArrivalClock(), [], 0.0
    caught_up = 20.0 + hang + hang / (speed - 1.0)
    for k in range(rate * 40):
        taken = k / rate
        last = max(taken if not 20.0 <= taken < 20.0 + hang else 20.0 + hang, last + 1 / rate / speed)
        stamps.append(clock.stamp(last))
    after = stamps[round((caught_up + 0.5) * rate) :]
    for second in range(5):
        first = second * rate
        assert after[first + rate] - after[first] == pytest.approx(1.0, rel=0.02)


@pytest.mark.parametrize("again", [0.2, 0.7])
def test_a_network_that_is_uneven_and_hangs_again_while_it_catches_up_says_nothing_of_the_rate(
    again: float,
) -> None:
    """Of 25 pictures/s, held up for 3 s, one comes after each 2 to 14 ms: one interval tells nothing."""
    clock, stamps, last = ArrivalClock(), [], 0.0
    for k in range(25 * 40):
        taken = k / 25
        last = max(taken if not 20.0 <= taken < 23.0 else 23.0, last + 0.002 * (1 + k * 5 % 7))
        if 23.15 <= last < 23.15 + again:
            last = 23.15 + again
        stamps.append(clock.stamp(last))
    after = stamps[26 * 25 :]
    for first in range(0, 5 * 25, 25):
        assert after[first + 25] - after[first] == pytest.approx(1.0, rel=0.02)


def test_two_pictures_between_a_pause_and_a_hang_tell_no_period() -> None:
    clock = ArrivalClock()
    for k in range(25 * 20):
        clock.stamp(k / 25)
    for k in range(10):
        clock.stamp(23.0 + k / 25)
    clock.stamp(23.56)  # a fifth of a second after the one before, and the last one
    for k in range(25):
        clock.stamp(24.56 + 0.001 * k)
    stamps = [clock.stamp(24.6 + k / 25) for k in range(25 * 5)]
    for first in range(0, 4 * 25, 25):
        assert stamps[first + 25] - stamps[first] == pytest.approx(1.0, rel=0.02)


@pytest.mark.parametrize("clump", [1, 2, 3, 4])
def test_a_camera_that_only_pauses_is_evened_out_again_soon(clump: int) -> None:
    clock = ArrivalClock()
    arrivals = [
        start + k // clump * clump / 25 + 0.001 * (k % clump) for start in (5.0, 16.5) for k in range(250)
    ]
    stamps = [clock.stamp(arrived) for arrived in arrivals]
    steps = [after - before for before, after in pairwise(stamps[250 + 50 :])]
    assert max(abs(step - 1 / 25) for step in steps) < 0.02


def test_a_camera_that_is_faster_after_a_pause_is_soon_taken_at_its_word() -> None:
    clock = ArrivalClock()
    arrivals = [5.0 + k / 5 for k in range(50)]
    arrivals += [arrivals[-1] + 2.0 + k // 3 / 10 + 0.001 * (k % 3) for k in range(300)]
    stamps = [clock.stamp(arrived) for arrived in arrivals]
    steps = [after - before for before, after in pairwise(stamps[150:])]
    assert max(abs(step - 1 / 30) for step in steps) < 0.01


@pytest.mark.parametrize("rate", [250, 300, 1000])
def test_the_rate_limit_holds_faster_streams_to_240_frames_a_second(rate: int) -> None:
    limit = RateLimit()
    kept = [k / rate for k in range(10 * rate) if limit.admits(0, k / rate)]
    assert 2300 <= len(kept) <= 2401
    assert min(after - before for before, after in pairwise(kept)) > 0.003
    assert limit.admits(1, 0.0)


@pytest.mark.parametrize("decimals", [3, 9])
@pytest.mark.parametrize("rate", [24, 30, 120, 239.76, 240])
def test_the_rate_limit_lets_every_accepted_rate_through(rate: float, decimals: int) -> None:
    """Also where its timestamps are rounded to milliseconds, or cut off."""
    for shift in (0.0, 0.0004, 0.0007):
        limit = RateLimit()
        assert all(limit.admits(0, round(k / rate + shift, decimals)) for k in range(5000))


def test_a_file_is_paced_by_its_timestamps() -> None:
    pacer = Pacer()
    assert pacer.delay(0, 0.0, 50.0) == 0
    assert pacer.delay(0, 0.1, 50.02) == pytest.approx(0.08)
    assert pacer.delay(0, 0.2, 50.25) == 0  # late by less than half a second: the schedule holds
    assert pacer.delay(0, 0.3, 50.25) == pytest.approx(0.05)


def test_after_a_long_pause_the_schedule_moves_instead_of_racing() -> None:
    pacer = Pacer()
    pacer.delay(0, 0.0, 0.0)
    assert pacer.delay(0, 0.1, 60.0) == 0
    assert pacer.delay(0, 0.2, 60.0) == pytest.approx(0.1)


def test_a_new_session_is_shown_at_once() -> None:
    pacer = Pacer()
    pacer.delay(0, 0.0, 0.0)
    pacer.delay(0, 9.0, 9.0)
    assert pacer.delay(1, 0.0, 9.01) == 0
    assert pacer.delay(1, 0.5, 9.01) == pytest.approx(0.5)
