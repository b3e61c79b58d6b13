"""The bounded buffer between capture and engine.

Pictures are copied into slots that are used again and again. A slot is leased: the picture of a frame is an
array on the slot's memory, and when the last array on it is gone (the frame, a crop of it, a tensor sharing
it), the slot comes back by itself. So no consumer has to give anything back, none can see its picture
change, and once as many slots exist as are in use at a time, nothing is allocated any more. The copy in
costs 0.1 ms for 640x480 and buys that; to hand slots to the decoder instead would save it and bind every
source to this buffer.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from deepmag.stream.frames import Frame

Policy = Literal["drop_oldest", "wait"]
Memory = Callable[[tuple[int, ...]], NDArray[np.uint8]]

CAPACITY = 16  # frames
MAX_BYTES = 256 * 2**20
SLOWEST = 0.5  # s between frames, at most, that counts for their age
SMOOTHING = 0.2  # of the newest distance between two frames


def _plain(shape: tuple[int, ...]) -> NDArray[np.uint8]:
    return np.empty(shape, np.uint8)


class _Lease:
    """Keeps a slot's memory out of the pool for as long as an array refers to it.

    An object of its own between memory and arrays, because a view of a view refers to the bottommost array
    and not to the view it was made from: watching the frame's own array would miss its crops.
    """

    def __init__(self, memory: NDArray[np.uint8], pool: SlotPool) -> None:
        self.__array_interface__ = memory.__array_interface__
        self._memory = memory
        self._pool = pool

    def __del__(self) -> None:
        self._pool.take_back(self._memory)


class SlotPool:
    """Picture memory of one shape at a time, leased and returned. Only one thread leases.

    keep: slots kept for use while nobody needs them. memory: makes the array of one, uint8. allocated: slots
    made so far.
    """

    def __init__(self, keep: int, memory: Memory) -> None:
        self._keep = keep
        self._memory = memory
        self._shape: tuple[int, ...] = ()
        self._free: deque[NDArray[np.uint8]] = deque()  # its append and pop need no lock: a slot may come
        self.allocated = 0  # back anywhere, even while this thread is inside here

    def prepare(self, shape: tuple[int, ...], count: int) -> None:
        """Change over to this shape and allocate ``count`` slots; the old ones are freed as they return."""
        self._shape = shape
        self._free.clear()
        self._free.extend(self._allocate() for _ in range(min(count, self._keep)))

    def lease(self, shape: tuple[int, ...]) -> NDArray[np.uint8]:
        """Lend an array of this shape, C-contiguous, whatever was in it before."""
        if shape != self._shape:
            self.prepare(shape, 1)
        memory = None
        while self._free and (memory is None or memory.shape != shape):
            memory = self._free.pop()  # one of the old shape may have slipped in while the shape changed
        if memory is None or memory.shape != shape:
            memory = self._allocate()
        return np.asarray(_Lease(memory, self))

    def take_back(self, memory: NDArray[np.uint8]) -> None:
        """End a lease; called from whichever thread let go last."""
        if memory.shape == self._shape and len(self._free) < self._keep:
            self._free.append(memory)

    def _allocate(self) -> NDArray[np.uint8]:
        self.allocated += 1
        return self._memory(self._shape)


class FrameRing:
    """Frames in order from one producer to one consumer, bounded in number and in bytes.

    policy: "drop_oldest": ``put`` never waits, the oldest frame makes room; "wait": ``put`` waits for room
    and nothing is dropped. max_age: s; ``get`` drops what has waited here for longer than that, and for longer than
    frames lie apart, since a slow camera's next picture would be later still (None: no limit). What it waited for
    before, as to be deinterlaced, is the same for all.
    memory: what its slots are made of, for a consumer that takes pictures faster from memory of its own.
    A single frame larger than ``max_bytes`` is still taken: the limit is on what waits beside it.
    """

    def __init__(
        self,
        capacity: int = CAPACITY,
        *,
        policy: Policy = "drop_oldest",
        max_bytes: int = MAX_BYTES,
        max_age: float | None = None,
        memory: Memory = _plain,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if capacity < 1:
            raise ValueError("a ring needs room for one frame at least")
        self.policy: Policy = policy
        self._capacity = capacity
        self._max_bytes = max_bytes
        self._max_age = max_age
        self._clock = clock
        self._frames: deque[tuple[Frame, float]] = deque()  # with when each was put in, s
        self._bytes = 0
        self._changed = threading.Condition()
        self._closed = False
        self._dropped = 0
        self._newest: float | None = None  # when the newest frame was put in, s
        self._spacing = 0.0  # s between frames
        self._shape: tuple[int, ...] = ()
        self.pool = SlotPool(2 * capacity, memory)

    def put(self, frame: Frame) -> bool:
        """Append a copy of ``frame``; False, and nothing done, where the ring is closed.

        With "wait" it blocks until there is room or the ring is closed.
        """
        size = frame.image.nbytes
        with self._changed:
            if self.policy == "wait":
                self._changed.wait_for(lambda: self._closed or self._fits(size))
            if self._closed:
                return False
        if frame.image.shape != self._shape:
            self._shape = frame.image.shape
            self.pool.prepare(self._shape, min(self._capacity, max(1, self._max_bytes // max(1, size))))
        image = self.pool.lease(self._shape)
        np.copyto(image, frame.image)
        image.setflags(write=False)
        frame = replace(frame, image=image)
        with self._changed:
            if self._closed:
                return False
            while not self._fits(size):
                self._pop()
                self._dropped += 1
            now = self._clock()
            if self._newest is not None:
                self._spacing += SMOOTHING * (min(now - self._newest, SLOWEST) - self._spacing)
            self._newest = now
            self._frames.append((frame, now))
            self._bytes += size
            self._changed.notify_all()
        return True

    def get(self, timeout: float | None = None) -> Frame | None:
        """Take the oldest frame that is young enough; None after ``timeout`` s, or when closed and empty."""
        deadline = None if timeout is None else time.monotonic() + timeout
        with self._changed:
            while True:
                left = None if deadline is None else max(0.0, deadline - time.monotonic())
                self._changed.wait_for(lambda: self._frames or self._closed, left)
                if not self._frames:
                    return None
                frame, since = self._pop()
                self._changed.notify_all()
                if self._max_age is None or self._clock() - since <= max(self._max_age, self._spacing):
                    return frame
                self._dropped += 1

    def peek(self) -> Frame | None:
        """The frame that waits to be taken next, if any; it may yet be dropped."""
        with self._changed:
            return self._frames[0][0] if self._frames else None

    def close(self) -> None:
        """No more frames: wakes both sides. What is in it can still be taken."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    @property
    def finished(self) -> bool:
        """Closed and empty: nothing will come any more."""
        with self._changed:
            return self._closed and not self._frames

    @property
    def dropped(self) -> int:
        """Frames that were put in and will never come out."""
        return self._dropped

    def __len__(self) -> int:
        return len(self._frames)

    def _fits(self, size: int) -> bool:
        return not self._frames or (
            len(self._frames) < self._capacity and self._bytes + size <= self._max_bytes
        )

    def _pop(self) -> tuple[Frame, float]:
        frame, since = self._frames.popleft()
        self._bytes -= frame.image.nbytes
        return frame, since
