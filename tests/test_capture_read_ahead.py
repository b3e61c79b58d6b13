"""Packets are read while others are decoded; who takes them gets all, in order, with when each came."""

from __future__ import annotations

import contextlib
import itertools
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from deepmag.stream.capture.read_ahead import ReadAhead

TIMEOUT = 20.0  # s


@dataclass
class Packet:
    number: int
    size: int = 10
    is_keyframe: bool = False


class Network:
    """Hands over packets when it is told to, and then ends, or fails. read: of it, as ``ReadAhead`` wants it."""

    def __init__(self, packets: list[Packet], error: Exception | None = None) -> None:
        self.go, self.over, self.closed = threading.Event(), threading.Event(), threading.Event()
        self.handed_over = 0
        self._packets, self._error = packets, error

    def read(self, end: threading.Event) -> Iterator[Packet]:
        try:
            for packet in self._packets:
                self.handed_over += 1
                yield packet
            self.over.set()
            while not (self.go.is_set() or end.is_set()):
                end.wait(0.01)
            if self._error is not None:
                raise self._error
        finally:
            self.closed.set()


@contextlib.contextmanager
def reading(
    network: Network, clock: Callable[[], float] = lambda: 0.0, most: int = 1000
) -> Iterator[ReadAhead[Packet]]:
    ahead = ReadAhead(network.read, clock, most=most)
    ahead.start()
    with contextlib.closing(ahead):
        yield ahead
    assert network.closed.is_set()


def numbers(ahead: ReadAhead[Packet], count: int) -> list[int]:
    taken = [ahead.take(threading.Event()) for _ in range(count)]
    return [packet.number for packet, _ in filter(None, taken)]


def test_each_packet_has_the_time_at_which_it_came_whenever_it_is_taken() -> None:
    network, ticks = Network([Packet(k) for k in range(5)]), itertools.count(100)
    with reading(network, lambda: float(next(ticks))) as ahead:
        assert network.over.wait(TIMEOUT)
        taken = [ahead.take(threading.Event()) for _ in range(5)]
        network.go.set()
        assert ahead.take(threading.Event()) is None
    assert [(packet.number, came) for packet, came in filter(None, taken)] == [
        (k, 100.0 + k) for k in range(5)
    ]


def test_what_fails_does_so_after_what_came_before() -> None:
    network = Network([Packet(0)], ValueError("cut"))
    network.go.set()
    with reading(network) as ahead:
        assert numbers(ahead, 1) == [0]
        with pytest.raises(ValueError, match="cut"):
            ahead.take(threading.Event())


def test_all_before_the_newest_key_frame_is_skipped() -> None:
    network = Network([Packet(k, is_keyframe=k in (2, 5)) for k in range(8)])
    with reading(network) as ahead:
        assert network.over.wait(TIMEOUT)
        assert ahead.key_waits
        assert ahead.skip_to_key() == 5
        assert numbers(ahead, 1) == [5]
        assert not ahead.key_waits
        assert ahead.skip_to_key() == 0
        assert numbers(ahead, 2) == [6, 7]


def test_what_is_too_much_is_left_with_the_network_until_there_is_room() -> None:
    network = Network([Packet(k) for k in range(50)])
    with reading(network, most=100) as ahead:
        assert numbers(ahead, 1) == [0]
        assert network.handed_over <= 13  # ten wait, one was taken, one is in the hand
        assert numbers(ahead, 49) == list(range(1, 50))


def test_who_waits_hears_a_stop() -> None:
    stop = threading.Event()
    with reading(Network([])) as ahead:
        threading.Timer(0.05, stop.set).start()
        assert ahead.take(stop) is None


def test_at_a_stop_no_packet_is_taken_any_more() -> None:
    network, stop = Network([Packet(0)]), threading.Event()
    stop.set()
    with reading(network) as ahead:
        assert network.over.wait(TIMEOUT)
        assert ahead.take(stop) is None


def test_it_can_be_closed_with_packets_that_nobody_took() -> None:
    with reading(Network([Packet(k) for k in range(50)]), most=100):
        pass
