"""Phase-based magnification with the Riesz pyramid (Wadhwa et al. 2014): one real pyramid in place of complex bands.

Beside each level I of a Laplacian pyramid stands its Riesz transform R = (R1, R2), a quarter of a wave behind it in
every direction at once. Of a pattern A cos(phase) along a normal n it is s A sin(phase) n, s being the gain of an
approximation by the difference of two neighbours; so the two together have a phase, which a motion turns.

Between two frames S = I R' - I' R is A A' s sin(turn) n. Over a pool of cells the motion is least squares,
u = T^-1 S with T = A A' s^2 n n^T: u . n is the turn over s. The original has each cell's turn as a vector along n
and blurs it weighted by amplitude; where patterns have one direction that is the same, where a texture has many, the
mean of the vectors is only half of the motion.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from deepmag.models.baselines.eulerian import butterworth_kernel
from deepmag.models.baselines.gaussian import Floats, add_upsampled, expand, pad, reduce
from deepmag.models.baselines.phase import MOTION_BAND
from deepmag.models.temporal import Band, zero_phase

SIDE = 1024  # px, the longest side that the finest level may have
SMALLEST = 8  # px, side of the smallest picture that the pyramid has below its levels
# Cells of a level each way that move together: about two of its wavelengths, and of the finest level four, since motion
# does not vary faster there; it makes the live window a third.
FINEST_POOL, POOL = 16, 8
# Grey levels: a pattern of this amplitude is moved half as far as it should be, and what is weaker is left alone.
FAINT = 1.0
# of s^2: a pattern of two cells has no Riesz transform here, and no motion that could be known
LEAST_GAIN = 0.01
STIFF = 0.01  # of T's trace, added to its diagonal: a lone edge says nothing of a motion along it
# Levels of an octave and more, whose components turn by their mean, STIFF, and a pyramid that aliases a little:
# gratings lose 4 % of what is added and textures 10. The mean is given back.
MIXTURE = 1.07
LIMIT = np.pi  # rad, to which the added turn is held

# The transform's kernel, across and along (Wadhwa et al. 2014, supplement): better balanced in oblique directions than
# the bare difference.
ACROSS = np.array([0.5, 0.0, -0.5], np.float32)
ALONG = np.array([0.24, 0.68, 0.24], np.float32) / np.float32(1.16)


@dataclass(frozen=True, slots=True)
class Level:
    """A level of the pyramid, grey levels: itself and its Riesz transform down and right, each (h, w)."""

    i: Floats
    down: Floats
    right: Floats

    def pools(self, side: int) -> tuple[int, int]:
        """(rows, columns) of its pools of ``side`` cells each way."""
        return -(-self.i.shape[0] // side), -(-self.i.shape[1] // side)


@dataclass(frozen=True, slots=True)
class Tensor:
    """What the pools of a level have of patterns. strength: A^2 s^2. xx, xy, yy: n n^T, of trace one. gain: s^2."""

    strength: Floats
    yy: Floats
    xy: Floats
    xx: Floats
    gain: Floats


@dataclass(frozen=True, slots=True)
class RieszEulerian:
    """Motion of the whole picture within ``band``, Hz, in its luma.

    Patterns move ``gain`` times as far, within 10 %, where their wavelength is from 4 cells of the finest level to a
    seventh of the picture's shorter side and what is added is below a quarter of it, of a texture's shortest an eighth;
    it is held at half. What is much coarser stays where it is. Between two frames a pattern may
    move by an eighth of its wavelength. side: px, the longest side of the finest level.
    """

    side: int = SIDE
    band: Band = MOTION_BAND
    name: str = field(default="riesz", init=False)

    def analyse(self, image: NDArray[np.uint8]) -> tuple[Level, ...]:
        """Levels of the luma's pyramid with their Riesz transforms, the finest first.

        Raises ValueError for a picture that is too small.
        """
        unit = self._unit(image.shape)
        least = 2 * SMALLEST * unit
        if min(image.shape[:2]) < least:
            raise ValueError(
                f"a picture of {image.shape[1]}x{image.shape[0]} px is too small to find motion in: each side needs "
                f"{least} px"
            )
        # float before the luma: as bytes it would be rounded
        picture = np.asarray(
            cv2.cvtColor(pad(image, unit).astype(np.float32), cv2.COLOR_RGB2GRAY), np.float32
        )
        while unit > 1:
            picture, unit = reduce(picture), unit // 2
        levels: list[Level] = []
        while not levels or min(picture.shape) >= 2 * SMALLEST:
            below = reduce(picture)
            levels.append(with_riesz(cv2.subtract(picture, expand(below, picture.shape))))
            picture = below
        return tuple(levels)

    def step(self, before: tuple[Level, ...], after: tuple[Level, ...]) -> Floats:
        """How far each pool moves between two frames, (n,), turn over s: all levels', down and right each."""
        steps = []
        for index, (a, b) in enumerate(zip(before, after, strict=True)):
            size = b.pools(_side(index))
            steps += [part.ravel() for part in motion_step(a, b, size)]
        return np.concatenate(steps)

    def temporal_kernel(self, rate: float) -> NDArray[np.float64]:
        """Response of the sixth-order Butterworth, forward and backward; see `linear.LinearMethod`."""
        return butterworth_kernel(self.band, rate)

    def filter_clip(self, coefficients: NDArray[np.float64], rate: float) -> NDArray[np.float64]:
        """Run the sixth-order Butterworth forward and backward (Eq. 15), over (T, ...)."""
        return zero_phase(coefficients, self.band, rate)

    def synthesise(self, image: NDArray[np.uint8], filtered: Floats, gain: float) -> NDArray[np.uint8]:
        """Turn each level of the frame by ``gain - 1`` times the filtered motion; add what changes in luma."""
        motion, start, changes = filtered * np.float32(MIXTURE * (gain - 1.0)), 0, []
        for index, level in enumerate(self.analyse(image)):
            rows, columns = level.pools(_side(index))
            stop = start + 2 * rows * columns
            down, right = motion[start:stop].reshape(2, rows, columns)
            changes.append(turn(level, down, right))
            start = stop
        total = changes.pop()
        while changes:
            finer = changes.pop()
            total = finer + expand(total, finer.shape)
        return add_upsampled(image, np.repeat(total[None], 3, axis=0), self._unit(image.shape))

    def _unit(self, shape: tuple[int, ...]) -> int:
        """Px of the frame for one of the finest level."""
        unit = 1
        while max(shape[:2]) > self.side * unit:
            unit *= 2
        return unit


def with_riesz(level: NDArray[Any]) -> Level:
    """A level (h, w) with its approximate Riesz transform."""
    down, right = (
        cv2.sepFilter2D(level, cv2.CV_32F, x, y, borderType=cv2.BORDER_REFLECT)
        for x, y in ((ALONG, ACROSS), (ACROSS, ALONG))
    )
    return Level(np.asarray(level, np.float32), np.asarray(down, np.float32), np.asarray(right, np.float32))


def motion_step(before: Level, after: Level, size: tuple[int, int]) -> tuple[Floats, Floats]:
    """How far the pools of a level move between two frames, down and right, turn over s. size: (rows, columns)."""
    tensor = tensor_of(after, size)
    s_y, s_x = (
        _pooled(cv2.subtract(cv2.multiply(before.i, b), cv2.multiply(after.i, a)), size)
        for a, b in ((before.down, after.down), (before.right, after.right))
    )
    scale = tensor.strength + np.float32(FAINT**2) * tensor.gain
    yy, xx = tensor.yy + np.float32(STIFF), tensor.xx + np.float32(STIFF)
    scale *= yy * xx - tensor.xy**2
    np.maximum(scale, np.float32(1e-12), out=scale)
    down, right = (xx * s_y - tensor.xy * s_x) / scale, (yy * s_x - tensor.xy * s_y) / scale
    return np.asarray(down, np.float32), np.asarray(right, np.float32)


def tensor_of(level: Level, size: tuple[int, int]) -> Tensor:
    """The patterns in a level's pools. size: (rows, columns)."""
    power = _pooled(cv2.multiply(level.i, level.i), size)
    yy = _pooled(cv2.multiply(level.down, level.down), size)
    xx = _pooled(cv2.multiply(level.right, level.right), size)
    xy = _pooled(cv2.multiply(level.down, level.right), size)
    trace = yy + xx
    # Over less than a few wavelengths I^2 and R^2 depend on the phase; their sum does not, where s is that of more.
    ratio = _blur(trace) / np.maximum(_blur(power), np.float32(1e-9))
    gain = np.asarray(np.maximum(ratio, np.float32(LEAST_GAIN)), np.float32)
    share = 1.0 / np.maximum(trace, np.float32(1e-9))
    return Tensor(gain * power + trace, yy * share, xy * share, xx * share, gain)


def turn(level: Level, down: Floats, right: Floats) -> Floats:
    """What turning a level by its pools' motion, turn over s, changes in it, (h, w) grey levels."""
    tensor = tensor_of(level, (down.shape[0], down.shape[1]))
    along = tensor.yy * down**2 + 2.0 * tensor.xy * down * right + tensor.xx * right**2
    angle = np.sqrt(np.maximum(tensor.gain * along, np.float32(1e-12)))
    held = np.minimum(angle, np.float32(LIMIT))
    shorter = np.sin(held) / angle
    even, odd_y, odd_x = (
        cv2.resize(part, level.i.shape[::-1], interpolation=cv2.INTER_LINEAR)
        for part in (np.cos(held) - np.float32(1.0), shorter * down, shorter * right)
    )
    change = cv2.multiply(level.i, even)
    change = cv2.subtract(change, cv2.multiply(level.down, odd_y))
    return np.asarray(cv2.subtract(change, cv2.multiply(level.right, odd_x)), np.float32)


def _side(level: int) -> int:
    return FINEST_POOL if level == 0 else POOL


def _pooled(picture: NDArray[Any], size: tuple[int, int]) -> Floats:
    return np.asarray(cv2.resize(picture, size[::-1], interpolation=cv2.INTER_AREA), np.float32)


def _blur(pools: Floats) -> Floats:
    return np.asarray(cv2.blur(pools, (3, 3), borderType=cv2.BORDER_REFLECT), np.float32)
