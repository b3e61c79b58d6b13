"""The ring between capture and engine: bounded, in order, counted, and never a picture changed in hand."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import numpy as np
import pytest
from numpy.typing import NDArray

from deepmag.stream.frames import Frame
from deepmag.stream.ring import FrameRing

TIMEOUT = 10  # s


def frame(number: int, *, size: tuple[int, int] = (64, 48), arrived: float = 0.0) -> Frame:
    width, height = size
    return Frame(0, number, number / 30, arrived, np.full((height, width, 3), number % 256, np.uint8))


def drain(ring: FrameRing) -> Iterator[Frame]:
    while (taken := ring.get(timeout=0)) is not None:
        yield taken


def test_frames_come_out_in_order_with_their_pictures() -> None:
    ring = FrameRing(8)
    for number in range(5):
        assert ring.put(frame(number))
    assert len(ring) == 5
    taken = list(drain(ring))
    assert [f.seq for f in taken] == [0, 1, 2, 3, 4]
    assert [int(f.image[0, 0, 0]) for f in taken] == [0, 1, 2, 3, 4]
    assert ring.dropped == 0


def test_when_full_the_oldest_is_dropped_and_counted() -> None:
    ring = FrameRing(3)
    for number in range(10):
        ring.put(frame(number))
    assert len(ring) == 3
    assert [f.seq for f in drain(ring)] == [7, 8, 9]
    assert ring.dropped == 7


def test_a_look_at_the_next_frame_takes_nothing() -> None:
    ring = FrameRing(3)
    assert ring.peek() is None
    ring.put(frame(0))
    ring.put(frame(1))
    seen = ring.peek()
    assert seen is not None
    assert ring.get(timeout=0) is seen
    assert len(ring) == 1


def test_slots_are_made_of_the_memory_that_is_given() -> None:
    made: list[NDArray[np.uint8]] = []

    def memory(shape: tuple[int, ...]) -> NDArray[np.uint8]:
        made.append(np.zeros(shape, np.uint8))
        return made[-1]

    ring = FrameRing(2, memory=memory)
    ring.put(frame(7))
    taken = ring.get(timeout=0)
    assert taken is not None
    assert sum(np.shares_memory(taken.image, slot) for slot in made) == 1


def test_bytes_bound_it_as_well_as_the_count() -> None:
    one = frame(0).image.nbytes
    ring = FrameRing(100, max_bytes=4 * one)
    for number in range(10):
        ring.put(frame(number))
    assert len(ring) == 4
    assert ring.dropped == 6


def test_a_frame_larger_than_all_bytes_still_goes_through() -> None:
    ring = FrameRing(4, max_bytes=10)
    ring.put(frame(0))
    ring.put(frame(1))
    assert [f.seq for f in drain(ring)] == [1]


def test_frames_over_the_age_budget_are_dropped_and_counted() -> None:
    now = 10.0
    ring = FrameRing(8, max_age=0.1, clock=lambda: now)
    for number, when in enumerate((9.5, 9.85, 9.95, 10.0)):
        now = when
        ring.put(frame(number))
    assert [f.seq for f in drain(ring)] == [2, 3]
    assert ring.dropped == 2


def test_a_slow_cameras_picture_is_not_dropped_while_the_next_is_further_away() -> None:
    """At 5 frames/s a picture that waited 150 ms is shown: the next would be 200 ms later."""
    now = 0.0
    ring = FrameRing(8, max_age=0.05, clock=lambda: now)
    for number in range(30):
        now = 0.2 * number
        ring.put(frame(number))
        now += 0.15
        taken = ring.get(timeout=0)
        if number > 10:  # the ring knows by then how far apart they are
            assert taken is not None
            assert taken.seq == number
    ring.put(frame(30))
    now += 0.3
    assert ring.get(timeout=0) is None  # but one that is older than that is dropped


def test_after_an_outage_an_old_picture_is_dropped_as_before() -> None:
    now = 0.0
    ring = FrameRing(8, max_age=0.05, clock=lambda: now)
    for number, then in enumerate([*(k / 30 for k in range(60)), 62.0]):
        now = then
        ring.put(frame(number))
    now += 0.2
    assert list(drain(ring)) == []


def test_what_a_picture_waited_for_before_it_came_here_makes_it_no_older() -> None:
    """One that is deinterlaced has waited for the next one, and so has that: dropped, none would be left."""
    now = 0.0
    ring = FrameRing(8, max_age=0.05, clock=lambda: now)
    for number in range(30):
        now = 0.04 * number + 0.005  # which it took to convert it
        ring.put(frame(number, arrived=0.04 * (number - 1) - 0.01))
        now += 0.001
        assert ring.get(timeout=0) is not None


def test_a_picture_in_hand_never_changes_even_when_only_a_crop_is_kept() -> None:
    ring = FrameRing(2)
    kept = []
    for number in range(200):
        ring.put(frame(number))
        taken = ring.get(timeout=0)
        assert taken is not None
        if number % 10 == 0:
            kept.append((number, taken.image[10:20, 10:20]))  # the frame itself is let go
    for number, crop in kept:
        assert (crop == number).all()


def test_a_published_picture_cannot_be_written_to() -> None:
    ring = FrameRing(2)
    ring.put(frame(1))
    taken = ring.get(timeout=0)
    assert taken is not None
    with pytest.raises(ValueError, match="read-only"):
        taken.image[0, 0, 0] = 9


def test_in_steady_state_no_slot_is_allocated() -> None:
    ring = FrameRing(4)
    held: list[Frame] = []
    for number in range(20):
        ring.put(frame(number))
        held = [*held[-2:], *drain(ring)]  # a consumer that holds a few frames, as a lag does
    allocated = ring.pool.allocated
    for number in range(20, 2000):
        ring.put(frame(number))
        held = [*held[-2:], *drain(ring)]
    assert ring.pool.allocated == allocated
    assert allocated <= 8


def test_dropped_frames_give_their_slots_back() -> None:
    ring = FrameRing(4)
    for number in range(1000):
        ring.put(frame(number))
    assert ring.pool.allocated <= 5


def test_a_change_of_size_goes_through_and_leaves_held_pictures_alone() -> None:
    ring = FrameRing(4)
    ring.put(frame(1))
    small = ring.get(timeout=0)
    for number in range(2, 8):
        ring.put(frame(number, size=(100, 80)))
    large = list(drain(ring))
    assert small is not None
    assert (small.image == 1).all()
    assert [f.image.shape for f in large] == [(80, 100, 3)] * 4
    assert [int(f.image[-1, -1, 2]) for f in large] == [4, 5, 6, 7]


def test_with_wait_nothing_is_dropped_however_slow_the_consumer() -> None:
    ring = FrameRing(2, policy="wait")

    def produce() -> None:
        for number in range(100):
            ring.put(frame(number))
        ring.close()

    producer = threading.Thread(target=produce, daemon=True)
    producer.start()
    taken = []
    while not ring.finished:
        got = ring.get(timeout=TIMEOUT)
        if got is not None:
            taken.append((got.seq, int(got.image[5, 5, 1])))
            assert len(ring) <= 2
    producer.join(TIMEOUT)
    assert taken == [(number, number) for number in range(100)]
    assert ring.dropped == 0


def test_close_frees_a_producer_that_waits() -> None:
    ring = FrameRing(1, policy="wait")
    ring.put(frame(0))
    results: list[bool] = []
    producer = threading.Thread(target=lambda: results.append(ring.put(frame(1))), daemon=True)
    producer.start()
    ring.close()
    producer.join(TIMEOUT)
    assert results == [False]
    assert [f.seq for f in drain(ring)] == [0]
    assert ring.finished


def test_close_frees_a_consumer_that_waits() -> None:
    ring = FrameRing(1)
    results: list[Frame | None] = []
    consumer = threading.Thread(target=lambda: results.append(ring.get(timeout=None)), daemon=True)
    consumer.start()
    ring.close()
    consumer.join(TIMEOUT)
    assert results == [None]
    assert not ring.put(frame(0))


def test_get_gives_up_after_its_timeout() -> None:
    assert FrameRing(1).get(timeout=0.01) is None


def test_two_threads_at_full_speed_lose_nothing_uncounted() -> None:
    ring = FrameRing(4)
    total = 3000
    intact: list[bool] = []

    def consume() -> None:
        while not ring.finished:
            got = ring.get(timeout=0.05)
            if got is not None:
                intact.append(bool((got.image == got.seq % 256).all()))

    consumer = threading.Thread(target=consume, daemon=True)
    consumer.start()
    for number in range(total):
        ring.put(frame(number))
    ring.close()
    consumer.join(TIMEOUT)
    assert all(intact)
    assert len(intact) + ring.dropped == total
