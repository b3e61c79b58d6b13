"""From the timestamps a stream claims to sessions and times one can compute with. Pure.

A session is a stretch in which time is continuous and the picture keeps its size; whatever has memory starts
anew with it. Cameras do repeat timestamps, leave them out, step back when their clock is set, and leap.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from deepmag.stream.capture.source import SourceError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

HIGHEST_RATE = 240.0  # frames/s
MIN_STEP = 1.0 / HIGHEST_RATE  # s, by which time goes on where timestamps stand still or step back a little
ROUNDING = 1.01e-3  # s between two timestamps of the coarsest common kind, in milliseconds
BACKWARD_JITTER = 0.1  # s of stepping back that is jitter, not a new clock
FORWARD_JUMP = 5.0  # s
# s that one frame may leap ahead of its arrival. Falling behind is just a late network
AHEAD_OF_ARRIVAL = 1.0
# s after which timestamps begin again at 0: MPEG's have 33 bits at 90 kHz, those of FLV and RTMP 32 bits of ms, of
# which FFmpeg, where it sends them, leaves the highest at 0. Where it reads them it undoes that of all of the bits,
# once for each connection: a day later it comes through.
WRAPS = (2**33 / 90_000, 2**32 / 1000, 2**31 / 1000)
MOST_REPEATS = 5  # equal timestamps in a row, after which the clock counts as stopped
DEFAULT_RATE = 30.0  # frames/s, where nothing says better

Picture = TypeVar("Picture")


class Timeline:
    """Places the frames of one connection.

    live: arrival times mean something. nominal_rate: frames/s as the container states it, or None.
    """

    def __init__(self, *, live: bool, nominal_rate: float | None) -> None:
        self._live = live
        self._period = 1.0 / (nominal_rate or DEFAULT_RATE)
        self._session = -1
        self._size = (0, 0)
        self._origin: float | None = None  # timestamp at time 0 of the session; None while there were none
        self._time = 0.0
        self._arrived = 0.0
        self._stamp: float | None = None
        self._repeats = 0

    def place(self, stamp: float | None, arrived: float, size: tuple[int, int]) -> tuple[int, float]:
        """Return the session of the next frame, and its time in it, s.

        stamp: the stream's own timestamp, s. arrived: on the monotonic clock, s. size: (width, height), px.
        Within a session time grows with every frame.
        """
        elapsed = arrived - self._arrived
        expected = max(MIN_STEP, elapsed if self._live else self._period)
        stamp = self._running(stamp)
        if stamp is not None and self._origin is None and self._session >= 0:
            self._origin = stamp - (self._time + expected)  # timestamps begin, or run again: join on
        time = self._time + expected
        if stamp is not None and self._origin is not None:
            self._origin -= self._wrapped(stamp - self._origin - self._time, elapsed)
            time = stamp - self._origin
        if size != self._size or self._jumps(time - self._time, elapsed):
            self._session += 1
            self._origin, self._time = stamp, 0.0
        else:
            self._time = time if time > self._time else self._time + self._least_step(elapsed)
            if stamp is None:
                self._origin = None
        self._size, self._arrived = size, arrived
        return self._session, self._time

    def _running(self, stamp: float | None) -> float | None:
        """Return the timestamp, or None where there is none or the camera's clock has stopped."""
        self._repeats = self._repeats + 1 if stamp is not None and stamp == self._stamp else 0
        self._stamp = stamp
        return None if self._repeats > MOST_REPEATS else stamp

    def _least_step(self, elapsed: float) -> float:
        """How far time goes on where the timestamp does not.

        Some cameras give one to two pictures: then they are as far apart as they arrive, or half of all periods would
        be of the highest rate.
        """
        if self._live and self._repeats:
            return min(max(MIN_STEP, elapsed), BACKWARD_JITTER)
        return MIN_STEP

    def _wrapped(self, step: float, elapsed: float) -> float:
        """Return by how much timestamps are too small since they began again, s; below 0 where they go back on that.

        Pictures that are not sent in the order of their times do so for as long as it takes.
        """
        if not self._jumps(step, elapsed):
            return 0.0
        turns = (way * wrap for wrap in WRAPS for way in (1, -1))
        return next((turn for turn in turns if not self._jumps(step + turn, elapsed)), 0.0)

    def _jumps(self, step: float, elapsed: float) -> bool:
        leaps = self._live and step - elapsed > AHEAD_OF_ARRIVAL
        return leaps or not -BACKWARD_JITTER <= step <= FORWARD_JUMP


def spread_repeats(
    timed: Iterable[tuple[Picture, float | None]], period: Callable[[], float]
) -> Iterator[tuple[Picture, float | None]]:
    """Give pictures of a file that have one timestamp, s, times of their own, before that of the next one.

    timed: pictures with their timestamps, of which one is read ahead. period: s from one to the next as is stated; so
    far apart they become where there is room. More than MOST_REPEATS, and the clock has stopped: all but the first have
    no timestamp then. (A camera's come a least step apart, since what follows is not known. With that a file of 30
    frames/s in pairs was one of 240.)
    """
    held: list[Picture] = []
    since, stopped = None, False
    try:
        for picture, stamp in timed:
            if stamp is None or stamp != since:
                yield from _spread(held, since, stamp, period)
                held, since, stopped = [], stamp, False
            if stopped:
                yield picture, None
                continue
            held.append(picture)
            if len(held) > MOST_REPEATS + 1:
                yield held[0], since
                yield from ((repeat, None) for repeat in held[1:])
                held, stopped = [], True
    except SourceError:
        yield from _spread(held, since, None, period)
        raise
    yield from _spread(held, since, None, period)


def _spread(
    held: list[Picture], since: float | None, following: float | None, period: Callable[[], float]
) -> Iterator[tuple[Picture, float | None]]:
    step = period() if len(held) > 1 else 0.0
    if since is not None and following is not None and following > since:
        step = min(step, (following - since) / max(len(held), 1))
    for number, picture in enumerate(held):
        yield picture, None if since is None else since + number * step


class RateLimit:
    """Lets at most HIGHEST_RATE frames a second of a session through, on average.

    A frame may come early by what rounding to milliseconds makes of it: held to whole periods, a Matroska file of 240
    frames/s, whose steps are 4 and 5 ms, lost two in five. One that comes late makes the next due no later by the first
    half of a period: one of 250 frames/s lost every second one.
    """

    def __init__(self) -> None:
        self._session: int | None = None
        self._due = 0.0  # s

    def admits(self, session: int, time: float) -> bool:
        """Tell whether the frame at ``time``, s, of ``session`` is to be kept."""
        if session != self._session:
            self._session, self._due = session, time
        if time < self._due - ROUNDING:
            return False
        self._due = max(self._due, time - 0.5 * MIN_STEP) + MIN_STEP
        return True
