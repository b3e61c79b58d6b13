"""Which pictures are left out where this machine is too slow to decode all that come. Pure: the caller has the clock.

Else they pile up before the decoder: of 4K at 25 a second, on half a core, one was 29 s old after a minute.
"""

from __future__ import annotations

from typing import Literal

LATE = 0.25  # s that a picture may wait for the decoder
LASTS = 0.25  # s of late pictures, after which some are left out: a machine that is fast enough has caught up
TOO_LATE = 0.75  # s; with its decoding it still counts as live
PROMPT = 0.02  # s; what waited for less found the decoder idle
CATCHES_UP = 1.25  # times as fast as time goes: what a network held up is not late if it is decoded so
CLUMP = 10.0  # s of pictures held up, at most, of which that holds
JUMP = 5.0  # s between two timestamps, either way, of which nothing can be told
PATIENCE = 15.0  # s for a key frame: longer than cameras go between two
IN_A_ROW = 2  # pictures: at 30 a second 10 are left, of which a pulse can be told
SMOOTHING = 0.05  # of the newest time
BLOCK = 10.0  # s, over which it is counted what is left out
MUCH = 0.05  # of a block's pictures
SLOW = 2  # blocks in a row with so much left out: one is a moment in which another program ran
CLEAN = 3  # blocks in a row with nothing left out, after which the machine counts as fast enough again

Verdict = Literal["decode", "pass over", "go on at the key frame"]


class Overload:
    """Of one connection.

    Decoding can go on at a key frame only, since all others are made from those before them. Where one waits already,
    the pictures before it are left out; where none does, they are decoded, but go no further if that is enough (see
    `thins`); where that is not, all are left out until one comes.

    late: s by which the newest picture waited longer than it should. shortfall: how many pictures of how many were left
    out in ten seconds, when it was found that the machine is too slow; None while it is fast enough.
    """

    def __init__(self) -> None:
        self.late = 0.0
        self.shortfall: tuple[int, int] | None = None
        self._due = 0.0  # when the newest picture would be decoded by a machine that is fast enough, s
        self._stamp: float | None = None  # the latest, s
        self._received: float | None = None  # the newest picture, s
        self._judged = 0.0  # when it was, s
        self._period = 0.0  # s between two, as they come
        self._decoding = 0.0  # s that one takes
        self._late_since: float | None = None  # s
        self._behind = False  # for so long that it does not catch up
        self._waits_since: float | None = None  # s, for a key frame
        self._jumped = 0  # pictures, since the newest was judged
        self._thinned = 0  # pictures in a row
        self._block: float | None = None  # when it began, s
        self._all = self._left = 0  # pictures in it, and those left out
        self._slow = self._clean = 0  # blocks in a row

    def judge(
        self, stamp: float | None, received: float, now: float, *, is_key: bool, key_waits: bool
    ) -> Verdict:
        """Take the next picture, not yet decoded: its timestamp, s, and when it came. Returns what becomes of it.

        is_key: whether decoding can go on at it. key_waits: whether it can at one that waits behind it.
        """
        self._count(now)
        self._measure(stamp, received, now)
        self._all += 1
        if key_waits and (self._waits_since is not None or self._behind):
            self._left += 1
            return "go on at the key frame"
        if is_key or (self._waits_since is not None and now - self._waits_since > PATIENCE):
            self._waits_since = None
        elif self._waits_since is None and self._behind and self.late > TOO_LATE:
            self._waits_since = now
        if self._waits_since is None:
            return "decode"
        self._left += 1
        return "pass over"

    def jumped(self, number: int) -> None:
        """Count the pictures before the key frame that were left out unjudged."""
        self._all += number
        self._left += number
        self._jumped = number

    def thins(self, now: float) -> bool:
        """Whether the picture that was judged last, and is decoded now, goes no further."""
        decoding = now - self._judged
        self._decoding += (SMOOTHING if self._decoding else 1.0) * (decoding - self._decoding)
        thinned = self._behind and self._decoding < self._period and self._thinned < IN_A_ROW
        self._thinned = self._thinned + 1 if thinned else 0
        self._left += thinned
        return thinned

    def _measure(self, stamp: float | None, received: float, now: float) -> None:
        """Measure by how much the picture is late. A clump of them is due one after the other."""
        if self._received is not None:
            period = min(received - self._received, 1.0) / (1 + self._jumped)
            self._period += (SMOOTHING if self._period else 1.0) * (period - self._period)
        step = None if stamp is None or self._stamp is None else stamp - self._stamp
        if step is None or abs(step) > JUMP or now - received < PROMPT:
            self._due = received
        else:
            due = self._due + max(0.0, step) / CATCHES_UP
            self._due = min(max(received, due), received + CLUMP)
        # of pictures that are not sent in the order of their times, the latest
        if step is None or step > 0.0 or step < -JUMP:
            self._stamp = stamp
        self._received, self._judged, self._jumped = received, now, 0
        self.late = now - self._due
        if self.late <= LATE:
            self._late_since = None
        elif self._late_since is None:
            self._late_since = now
        self._behind = self._late_since is not None and now - self._late_since > LASTS

    def _count(self, now: float) -> None:
        """Look at a block when it is over."""
        if self._block is None:
            self._block = now
        if now - self._block < BLOCK:
            return
        much = self._left > MUCH * self._all
        self._slow = self._slow + 1 if much else 0
        self._clean = 0 if self._left else self._clean + 1
        if self._slow >= SLOW and self.shortfall is None:
            self.shortfall = self._left, self._all
        elif self._clean >= CLEAN:
            self.shortfall = None
        self._block, self._all, self._left = now, 0, 0
