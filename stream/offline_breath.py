"""Respiration on a whole file, in two passes over it: the ticks, then the pictures.

What the live path knows of a breath at a frame is what came before it and a little after. Here the window is centred on
it: ten seconds to either side, and at the file's ends as much as there is. So the motion is right from the first
picture on, and without the lag's compromise (benchmarks/motion_scores.py --offline).
What lies between the passes is 31 kB for each fifth of a second, in a temporary file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from deepmag.models.breath import WINDOW
from deepmag.models.local_motion import GRID
from deepmag.models.phase import reduce_luma
from deepmag.models.representation import reduce_frame
from deepmag.models.respiration import ASCENT_RATE
from deepmag.models.ticks import MAX_GAP
from deepmag.stream.breath_ticks import BreathTicks, Moved, between, displace_box
from deepmag.stream.clip_file import Timeline, read_frames, stated_length
from deepmag.stream.frames import MagnifiedFrame
from deepmag.stream.networks import open_respiration
from deepmag.stream.tick_pairs import TICK

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from deepmag.export.respiration import GradientAscender
    from deepmag.stream.frames import Frame
    from deepmag.stream.offline_linear import Progress
    from deepmag.stream.roi import IntBox

AHEAD = round(WINDOW * ASCENT_RATE / 2)  # ticks that a tick's breath waits for: half the window


@dataclass(slots=True)
class BreathPath:
    """Where the breath has the pictures of a file.

    box: (x, y, w, h), px, what is looked at. pictures: how many there are. starts: of each stretch in which time goes
    on, its first picture and its first tick. pts: (ticks,) s, in its session. motions: (ticks, 2, GRID, GRID) cells.
    """

    box: IntBox
    pictures: int
    pts: NDArray[np.float64]
    starts: list[tuple[int, int]]
    motions: NDArray[np.float32]

    def stretches(self) -> Iterator[tuple[int, range]]:
        """Each stretch's first picture and its ticks."""
        ends = [first for _, first in self.starts[1:]] + [len(self.pts)]
        for (picture, first), end in zip(self.starts, ends, strict=True):
            yield picture, range(first, end)

    def at(self, ticks: range, pts: float) -> NDArray[np.float32] | None:
        """The motion at a time within a stretch; None where none is known."""
        i = int(np.searchsorted(self.pts[ticks.start : ticks.stop], pts, "right")) - 1 + ticks.start
        if i < ticks.start:
            return None
        if i + 1 == ticks.stop:
            return self._tick(i).motion
        return between(self._tick(i), self._tick(i + 1), pts).motion

    def _tick(self, i: int) -> Moved:
        return Moved(float(self.pts[i]), self.motions[i], 0.0)


def follow_file(
    source: Path,
    box: IntBox | None,
    ascender: GradientAscender | None,
    clip: Timeline,
    store: Any,
    progress: Progress,
    stop: Callable[[], bool],
) -> BreathPath:
    """First pass: where the breath has each tick of the file.

    box: what to look at, inside the picture; None is all of it. ascender: the package's own where not given. clip:
    filled. store: a file for the motions. Raises AscenderUnavailableError where the network cannot run.
    """
    follower = _Follower(ascender or open_respiration(), store)
    box = read_ticks(read_frames(source, stop, clip), stated_length(source), box, follower, clip, progress)
    store.flush()
    count = len(follower.pts)
    motions = (
        np.memmap(store, np.float32, "r", shape=(count, 2, GRID, GRID))
        if count
        else np.zeros((0, 2, GRID, GRID), np.float32)
    )
    return BreathPath(box, len(clip.times), np.array(follower.pts), follower.starts, motions)


class Follower(Protocol):
    """What goes through a file's ticks."""

    def begin(self, picture: int, pts: float) -> None:
        """What follows, from a picture on, has nothing to do with what came before."""
        ...

    def take(self, pts: float, period: float, picture: NDArray[np.uint8]) -> bool:
        """Take a picture, (H, W, 3); it need not end a tick. False where it shows another scene: see `TickPairs`."""
        ...

    def settle_all(self) -> None:
        """The end: nothing more follows."""
        ...


def read_ticks(
    frames: Iterable[Frame],
    length: float,
    box: IntBox | None,
    follower: Follower,
    clip: Timeline,
    progress: Progress,
) -> IntBox:
    """Hand on a file's pictures, stretch by stretch. Returns the box that was looked at.

    length: of the file, s, for the progress; 0 where it is not known. box, clip: as for `follow_file`.
    """
    last: Frame | None = None
    period = 0.0
    for frame in frames:
        if box is None:
            box = (0, 0, frame.image.shape[1], frame.image.shape[0])
        x, y, w, h = box
        cuts = len(clip.cuts)
        clip.add(frame, reduce_frame(frame.image))
        step = frame.pts - last.pts if last is not None and last.session == frame.session else 0.0
        if not 0.0 < step <= MAX_GAP or len(clip.cuts) > cuts:
            follower.begin(len(clip.times) - 1, frame.pts)
        else:
            period = period + 0.1 * (step - period) if period else step
        picture = frame.image[y : y + h, x : x + w]
        if not follower.take(frame.pts, period, picture):
            # it has changed too much for a pair, though not as suddenly as a cut does
            follower.begin(len(clip.times) - 1, frame.pts)
            follower.take(frame.pts, period, picture)
        last = frame
        progress("following the breath", min(1.0, frame.pts / length) if length else 0.0)
    follower.settle_all()
    progress("following the breath", 1.0)
    return box or (0, 0, 0, 0)


class _Follower:
    """Ticks in, and out comes where each of them lies as soon as what follows it is known."""

    def __init__(self, ascender: GradientAscender, store: Any) -> None:
        self._ticks = BreathTicks(ascender)
        self._store = store
        self._start = 0.0
        self.pts: list[float] = []
        self.starts: list[tuple[int, int]] = []

    def begin(self, picture: int, pts: float) -> None:
        """What follows has nothing to do with what came before."""
        self.settle_all()
        self._ticks.reset()
        self._start = pts
        self.starts.append((picture, len(self.pts)))

    def take(self, pts: float, period: float, picture: NDArray[np.uint8]) -> bool:
        """Take a picture, (H, W, 3); it need not end a tick. False where it shows another scene: see `BreathTicks`."""
        if self._ticks.due(pts, period):
            if not self._ticks.take(pts, reduce_luma(picture)):
                return False
            self._settle(AHEAD)
        return True

    def settle_all(self) -> None:
        """The end of a stretch: nothing more follows."""
        for age in range(AHEAD - 1, -1, -1):
            self._settle(age)

    def _settle(self, age: int) -> None:
        moved = self._ticks.moved(age)
        if moved is None:
            return
        latest = self.pts[-1] if len(self.pts) > self.starts[-1][1] else self._start - 1.5 * TICK
        # only what is of this stretch, with one tick before it, from which the first picture is interpolated
        if moved.pts > latest:
            self.pts.append(moved.pts)
            self._store.write(moved.motion.astype(np.float32).tobytes())


def draw_breath(frames: Iterable[Frame], path: BreathPath, gain: float) -> Iterator[MagnifiedFrame]:
    """Second pass: the pictures, moved."""
    coming = list(path.stretches())
    ticks = range(0)
    for i, frame in enumerate(frames):
        if i >= path.pictures:  # a file that still grows
            return
        while coming and coming[0][0] <= i:
            ticks = coming.pop(0)[1]
        motion = path.at(ticks, frame.pts)
        image = frame.image if motion is None else displace_box(frame.image, path.box, motion, gain)
        yield MagnifiedFrame(frame, image, None, None, path.box, frame.arrived)
