"""What the figures show of breathing: a scan line on the shoulder (Fig. 6) and phases of one cell (Fig. 8)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from deepmag.models.phase import SIDE, reduce_luma
from deepmag.models.pyramid_filters import ORIENTATIONS
from deepmag.models.respiration import ASCENT_RATE
from deepmag.models.temporal import RESPIRATION_BAND, zero_phase
from deepmag.stream.evaluation.respiration.methods import frames_of
from deepmag.stream.tick_pairs import TickPairs

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from deepmag.stream.evaluation.respiration.scores import Box
    from deepmag.stream.offline_phase import PhasePath

SHOULDER = 0.34  # of the picture's width, as `make_clip` frames people
ABOVE = 0.5  # of the picture's height, where the scan line begins: beside the cheek of a head that turns
VERTICAL = ORIENTATIONS // 2  # the orientation whose phase grows downwards


@dataclass(frozen=True)
class PhaseSteps:
    """Motion representations of a clip, pair by pair. x, weight: (T, 4, 123, 123); see `models.phase`."""

    x: NDArray[np.float32]
    weight: NDArray[np.float32]


def shoulder_scan(video: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The scan line of each frame of a clip (T, H, W, 3), over time: (H', T, 3)."""
    height, width = video.shape[1:3]
    return np.ascontiguousarray(video[:, round(ABOVE * height) :, round(SHOULDER * width)].transpose(1, 0, 2))


def phase_steps(video: NDArray[np.uint8], rate: float) -> PhaseSteps:
    """A clip's motion representations, one for each tick of a clip of ten frames per second or more, without cuts."""
    pairs = TickPairs(needs_scene=False)  # as `paper` has them
    x, weight = [], []
    for frame in frames_of(video, rate):
        if not pairs.due(frame.pts, 1.0 / rate):
            continue
        luma = reduce_luma(frame.image)
        if not pairs.take(frame.pts, luma):
            pairs.reset()
            pairs.take(frame.pts, luma)
        if pairs.pair is not None:
            x.append(pairs.pair.difference.x)
            weight.append(pairs.pair.difference.weight)
    return PhaseSteps(np.stack(x), np.stack(weight))


def breathing_cell(steps: PhaseSteps, part: Box) -> tuple[int, int]:
    """The cell (row, column) inside a part of the picture (x, y, w, h as shares) whose phase breath moves most."""
    x, y, w, h = (round(share * SIDE) for share in part)
    rows, columns = slice(y, min(y + h, SIDE) - 2), slice(x, x + w)
    vertical = steps.x[:, VERTICAL, rows, columns] * steps.weight[:, VERTICAL, rows, columns]
    moved = zero_phase(np.cumsum(vertical, axis=0, dtype=np.float64), RESPIRATION_BAND, ASCENT_RATE).std(
        axis=0
    )
    row, column = np.unravel_index(int(moved.argmax()), moved.shape)
    return int(row) + rows.start, int(column) + columns.start


def original_phase(steps: PhaseSteps, cell: tuple[int, int]) -> NDArray[np.float64]:
    """A cell's phase since the first frame, in band, (T, 4) rad (Eq. 20)."""
    total = np.cumsum(steps.x[:, :, cell[0], cell[1]], axis=0, dtype=np.float64)
    return zero_phase(total, RESPIRATION_BAND, ASCENT_RATE)


def added_phase(path: PhasePath, cell: tuple[int, int], pairs: int) -> NDArray[np.float64]:
    """What is added to a cell's phase after each of a clip's pairs, (T, 4) rad."""
    (_, ticks), *_ = path.stretches()
    found = [path.at(ticks, (i + 1) / ASCENT_RATE)[:, cell[0], cell[1]] for i in range(pairs)]
    return np.array(found, np.float64)
