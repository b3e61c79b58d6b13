"""Respiration on a whole file by the paper's own algorithm (Eq. 4 and 19-22), in two passes over it.

The ascent runs on pairs a fifth of a second apart, those on which the network was trained, without the camera's own
motion, and by a step that adds as much a second as the paper's does at 30 pairs a second. What it adds is weighted
where phase is noise, summed up and band-passed; the pictures' phases are turned by that. Eq. 20 as printed sums up X_N,
of which X_1 is a part, and would add everything that moves at a breath's rate once more, whatever moved it: here gain 1
gives the very pictures.
What lies between the passes is 242 kB for each fifth of a second, in a temporary file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from deepmag.models.phase import SIDE, reduce_luma
from deepmag.models.phase_reconstruction import PhaseReconstruction, filter_phase, weighted
from deepmag.models.pyramid_filters import ORIENTATIONS
from deepmag.models.respiration import ASCENT_RATE, REACH
from deepmag.models.steady import REFERENCE_GAIN
from deepmag.models.step_size import RESPIRATION_GAMMA, gamma_for_rate
from deepmag.stream.frames import MagnifiedFrame
from deepmag.stream.networks import open_respiration
from deepmag.stream.offline_breath import read_ticks
from deepmag.stream.stopped import StoppedError
from deepmag.stream.tick_pairs import TickPairs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from numpy.typing import NDArray

    from deepmag.export.respiration import GradientAscender
    from deepmag.stream.clip_file import Timeline
    from deepmag.stream.frames import Frame
    from deepmag.stream.offline_linear import Progress
    from deepmag.stream.roi import IntBox


class _Follower:
    """Ticks in; out come the ascent's steps, summed up since their stretch's first tick, in the file ``store``."""

    def __init__(self, ascender: GradientAscender, store: Any, gamma: float) -> None:
        self._ascender = ascender
        # Eq. 4 moves whatever moves: what a similarity explains of somebody who turns before black had better be taken
        # out, too, though no camera moved
        self._pairs = TickPairs(needs_scene=False)
        self._store = store
        self._gamma = gamma
        self._total = np.zeros((ORIENTATIONS, SIDE, SIDE))
        self.pts: list[float] = []  # s, of each tick, in its session
        self.place: list[int] = []  # of each tick, on a clock of ASCENT_RATE
        self.starts: list[tuple[int, int]] = []  # of each stretch, its first picture and tick

    def begin(self, picture: int, pts: float) -> None:
        del pts
        self._pairs.reset()
        self.starts.append((picture, len(self.pts)))

    def take(self, pts: float, period: float, picture: NDArray[np.uint8]) -> bool:
        if not self._pairs.due(pts, period):
            return True
        if not self._pairs.take(pts, reduce_luma(picture)):
            return False
        pair = self._pairs.pair
        if pair is None:
            self._total[:] = 0.0
            self.place.append(0)
        else:
            # the network knows what moves in one tick
            x = np.clip(pair.difference.x / np.float32(pair.ticks), -REACH, REACH)
            added, _ = self._ascender.paper(x[None], pair.difference.weight[None], self._gamma)
            self._total += pair.ticks * weighted(added[0], pair.difference)
            self.place.append(self.place[-1] + pair.ticks)
        self.pts.append(self._pairs.time)
        self._store.write(self._total.astype(np.float32).tobytes())
        return True

    def settle_all(self) -> None:
        """Nothing waits."""


class PhasePath:
    """By how much the phases of a file's pictures are to be turned. box: (x, y, w, h), px, what is looked at."""

    def __init__(self, box: IntBox, pictures: int, follower: _Follower, added: NDArray[np.float32]) -> None:
        """added: (ticks, ORIENTATIONS, SIDE, SIDE) rad."""
        self.box = box
        self.pictures = pictures
        self._pts = np.array(follower.pts)
        self._starts = follower.starts
        self._added = added

    def stretches(self) -> Iterator[tuple[int, slice]]:
        """Each stretch's first picture and its ticks."""
        ends = [first for _, first in self._starts[1:]] + [len(self._pts)]
        for (picture, first), end in zip(self._starts, ends, strict=True):
            yield picture, slice(first, end)

    def at(self, ticks: slice, pts: float) -> NDArray[np.float32]:
        """The phases added at a time within a stretch, between its ticks linear."""
        times, added = self._pts[ticks], self._added[ticks]
        i = int(np.clip(np.searchsorted(times, pts, "right") - 1, 0, max(0, len(times) - 2)))
        if len(times) < 2:
            return np.array(added[i])
        share = np.float32(np.clip((pts - times[i]) / (times[i + 1] - times[i]), 0.0, 1.0))
        return np.asarray((1 - share) * added[i] + share * added[i + 1])


def ascend_frames(
    frames: Iterable[Frame],
    length: float,
    box: IntBox | None,
    ascender: GradientAscender | None,
    gain: float,
    clip: Timeline,
    store: Any,
    progress: Progress,
    stop: Callable[[], bool],
) -> PhasePath:
    """First pass: the phases to add at each tick of the file, or of any other clip.

    frames, length: as for `offline_breath.read_ticks`. gain: as in `models.magnify.iter_steps`: 10 is the paper's own
    step. The rest as for `offline_breath.follow_file`.
    """
    share = (gain - 1.0) / (REFERENCE_GAIN - 1.0)
    gamma = gamma_for_rate(ASCENT_RATE, RESPIRATION_GAMMA) * share
    follower = _Follower(ascender or open_respiration(), store, gamma)
    box = read_ticks(frames, length, box, follower, clip, progress)
    store.flush()
    count = len(follower.pts)
    shape = (count, ORIENTATIONS, SIDE, SIDE)
    added = np.memmap(store, np.float32, "r+", shape=shape) if count else np.zeros(shape, np.float32)
    path = PhasePath(box, len(clip.times), follower, added)
    for _, ticks in path.stretches():
        filter_phase(added[ticks], np.array(follower.place[ticks]), ASCENT_RATE)
        progress("magnifying", ticks.stop / count if count else 1.0)
        if stop():
            raise StoppedError
    return path


def draw_phase(frames: Iterable[Frame], path: PhasePath) -> Iterator[MagnifiedFrame]:
    """Second pass: the pictures, their phases turned."""
    reconstruction = PhaseReconstruction()
    coming = list(path.stretches())
    ticks = slice(0, 0)
    for i, frame in enumerate(frames):
        if i >= path.pictures:  # a file that still grows
            return
        while coming and coming[0][0] <= i:
            ticks = coming.pop(0)[1]
        image = reconstruction.magnify(frame.image, path.at(ticks, frame.pts), path.box)
        yield MagnifiedFrame(frame, image, None, None, path.box, frame.arrived)
