"""Back-off and state of a source: pure, so time is an argument."""

from __future__ import annotations

from deepmag.stream.capture.backoff import Backoff
from deepmag.stream.capture.state import Liveness


def test_delays_double_from_half_a_second_to_thirty() -> None:
    backoff = Backoff()
    assert [backoff.failed(0.0, 0.5) for _ in range(9)] == [0.5, 1, 2, 4, 8, 16, 30, 30, 30]


def test_jitter_spreads_the_delay_and_keeps_its_bounds() -> None:
    low, high = Backoff(), Backoff()
    pairs = [(low.failed(0.0, 0.0), high.failed(0.0, 0.999)) for _ in range(10)]
    assert pairs[2][0] == 1.5
    assert 2.49 < pairs[2][1] < 2.5
    assert all(0.5 <= a < b <= 30 for a, b in pairs)


def test_a_good_connection_starts_the_delays_again() -> None:
    backoff = Backoff()
    for _ in range(5):
        backoff.failed(0.0, 0.5)
    backoff.live(100.0)
    backoff.live(106.0)
    assert backoff.failed(106.0, 0.5) == 0.5


def test_a_connection_that_only_blinks_does_not() -> None:
    backoff = Backoff()
    delays = []
    for now in range(0, 40, 10):
        backoff.live(now)
        delays.append(backoff.failed(now + 0.1, 0.5))
    assert delays == [0.5, 1, 2, 4]


def test_very_many_failures_are_no_trouble() -> None:
    backoff = Backoff()
    assert [backoff.failed(0.0, 0.5) for _ in range(5000)][-1] == 30


def test_before_the_first_frame_it_is_connecting_whatever_fails() -> None:
    state = Liveness(10.0)
    assert state.at(10.5) == ("connecting", "", 0.5)
    state.trouble("refused")
    assert state.at(12.0) == ("connecting", "refused", 2.0)


def test_it_is_stale_after_a_second_without_a_frame_and_live_again_with_one() -> None:
    state = Liveness(0.0)
    state.frame(5.0)
    assert state.at(5.9)[0] == "live"
    assert state.at(6.1)[0] == "stale"
    assert "no picture" in state.at(8.0)[1]
    state.frame(8.0)
    assert state.at(8.0) == ("live", "", 0.0)


def test_lost_after_it_was_live_until_the_next_frame() -> None:
    state = Liveness(0.0)
    state.frame(1.0)
    state.trouble("cut; next try in 0.5 s")
    assert state.at(4.0) == ("lost", "cut; next try in 0.5 s", 3.0)
    state.frame(4.5)
    assert state.at(4.5)[0] == "live"


def test_ended_is_for_good_and_says_why() -> None:
    state = Liveness(0.0)
    state.frame(1.0)
    state.end("no such file")
    assert state.at(9.0)[:2] == ("ended", "no such file")


def test_a_source_that_waits_for_its_consumer_is_never_stale() -> None:
    state = Liveness(0.0, stale_after=None)
    state.frame(1.0)
    assert state.at(60.0)[0] == "live"


def test_one_and_the_same_picture_is_stale_after_a_while_though_it_keeps_coming() -> None:
    state = Liveness(0.0, frozen_after=5.0)
    for second in range(10):
        state.frame(float(second), changed=second < 3)
    assert state.at(7.0)[0] == "live"
    assert state.at(9.0) == ("stale", "the same picture for 7 s", 7.0)
    state.frame(9.1)
    assert state.at(9.1)[0] == "live"
    film = Liveness(0.0)
    film.frame(1.0)
    film.frame(60.0, changed=False)
    assert film.at(60.5)[0] == "live"
