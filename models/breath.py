"""The `steady` magnification of respiration: what in the picture moves with the breath that the network sees.

The network says how the chest moves, one number for each pair, and its gradient says where it looks. Neither is a
motion of the picture: the gradient of one pair is mostly noise, and a step along it moves pixels at random, as with
the pulse. But over the last twenty seconds every part of the picture can be asked how it moves when the network's
output does. The phases of all those that the network looks at together measure the breath better than its single number
does (`breath_regression`), and by that measure each part's motion is regressed: this is the direction. It is kept where
the network looks, and where the breath explains how the part moves, once what else moves, where the network does not
look, is taken out. The measure, band-passed without drift, says how far along it each frame is.

Ticks in which somebody turns over are left out of all this for the picture (`ordinary_motion`). The rate is asked of
the window as it is: that somebody moved is an objection to it.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from deepmag.models.breath_regression import measuring_motion, other_motions
from deepmag.models.local_motion import GRID, LocalMotion, solve_motion
from deepmag.models.ordinary_motion import ordinary_ticks
from deepmag.models.phase import Floats
from deepmag.models.respiration import ASCENT_RATE
from deepmag.models.temporal import Band
from deepmag.models.window import causal_kernel, zero_phase_kernel

BREATH_BAND: Band = (0.1, 0.8)  # Hz: 6 to 48 breaths a minute; the network tells what in it is breath
WINDOW = 20.0  # s
# Whose breath stops almost breathes four times a minute, and two of those breaths take half a minute. So long a window
# would follow a person who moves too slowly; only the measure is kept, and only the rate asks for it.
SLOW_BAND: Band = (0.055, 0.5)  # Hz
SLOW_WINDOW = 40.0  # s
SETTLE = 1.0  # s over which the direction takes up a new estimate
SPREAD = 2.5  # grid cells, over which it is asked whether the network looks here, and whether the breath explains it
EVEN = 0.65  # of the RMS over the picture: attention from which a place is magnified in full
# A head that turns at the breath's own pace moves so far that it counts for much even where the network hardly looks,
# and only time tells the two apart. Until the window is full, and less so from half of it on, a place must be one that
# the network looks at by its gradient, too: of what is usual of it in such places, from where it counts a little, and
# in full.
SENSITIVE = (0.25, 0.35)
HOLE = 13  # grid cells: how wide a place may be that the network does not look at between others that it does
# Share of what other motions leave of a part's motion in the band that the breath explains, from which it is magnified
# a little, and in full.
EXPLAINED = (0.3, 0.6)
# Times as far, in squares, as noise alone would have a part move with the breath: from where it is magnified a little,
# and in full. 9 still pictures in a twentieth to a quarter of the light move by 2 px at most at gain 16, were 43.
CLEAR = (3.0, 6.0)
FAINTEST = 0.01  # of the best wave's share: waves that the band-pass leaves less of are left out
ROUNDS = 2  # of measuring the breath in a region, and finding the region by that breath

_HOLE = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (HOLE, HOLE))


@dataclass(frozen=True)
class Glances:
    """How the breath moved on right after some ticks. ages: (k,) ticks before the newest, in whole numbers.

    steps: (k,) units of the wave; of gaps: (k,) s after the tick.
    """

    ages: NDArray[np.int64]
    steps: NDArray[np.float64]
    gaps: NDArray[np.float64]


@dataclass(frozen=True)
class Breath:
    """How the picture breathes.

    pattern: (2, GRID, GRID) motion down and right for a unit of `BreathWindow.amplitude`, cells of the bands. What
    follows is of all that moved, also further than breaths do. wave: (n,) the breath over the window, band-passed, the
    newest last, in units of its own; its ends know little of what lies beyond. explained: share of the region's motion
    in the band that goes with the breath, in [0, 1]. unit: how far the region moves for a unit of wave, cells. slow:
    (m,) the breath over SLOW_WINDOW in SLOW_BAND; empty before it is longer than WINDOW. glances: between ticks, where
    there were any.
    """

    pattern: Floats
    wave: NDArray[np.float64]
    explained: float
    unit: float
    slow: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    glances: Glances | None = None

    @property
    def size(self) -> float:
        """RMS over the window of the region's motion with the breath, cells."""
        return float(self.unit * self.wave.std())


@dataclass(frozen=True)
class _Found:
    """What one look at the window finds.

    pattern: (2, GRID, GRID) of a unit of steps, cells. region: (GRID, GRID), where it is. measure: what tells the steps
    from pulls. steps: (n,), not yet band-passed. wave: (M,) these, as shares of the band's waves. explained: as of
    `Breath`.
    """

    pattern: Floats
    region: Floats
    measure: Floats
    steps: Floats
    wave: Floats
    explained: float


class BreathWindow:
    """The last WINDOW seconds of pairs, and the breath in them. Ticks are of ASCENT_RATE."""

    def __init__(self) -> None:
        self._length = round(WINDOW * ASCENT_RATE)
        self._pull = np.zeros((self._length, 2 * GRID * GRID), np.float32)
        self._attention = np.zeros((self._length, GRID * GRID), np.float32)
        self._y = np.zeros(self._length, np.float32)
        self._stiffness = np.zeros((3, GRID, GRID), np.float32)
        self._stray = 0.0
        self._pattern = np.zeros((2, GRID, GRID), np.float32)
        self._of_all = np.zeros((2, GRID, GRID), np.float32)
        self.reset()

    def reset(self) -> None:
        """Forget all pairs."""
        self._count = self._estimates = 0
        self._ticks = 0
        self._glances: deque[tuple[int, Floats, float]] = deque(maxlen=self._length)
        self._past: deque[float] = deque(maxlen=round((SLOW_WINDOW - WINDOW) * ASCENT_RATE))
        self._pattern[:] = self._of_all[:] = self._stiffness[:] = 0.0
        self._source = self._steps = np.zeros(0, np.float32)
        self._unit = self._stray = 0.0

    @property
    def seconds(self) -> float:
        """How much of the window is filled, s."""
        return self._count / ASCENT_RATE

    @property
    def unit(self) -> float:
        """How far the region moves for a unit of `amplitude`, cells."""
        return self._unit

    def push(self, motion: LocalMotion, attention: Floats, y: float, ticks: int = 1) -> None:
        """Take a pair, spread evenly over its ticks.

        attention: (GRID, GRID), what each part of the picture contributed to the network's output. y: that output.
        """
        self._ticks += ticks
        leaving = self._count + ticks - self._length
        if leaving > 0:  # what was said of them last is known best
            self._past.extend(self._steps[:leaving].tolist())
        for _ in range(min(ticks, self._length)):
            for kept, new in (
                (self._pull, motion.pull.ravel()),
                (self._attention, attention.ravel()),
                (self._y, y),
            ):
                kept[:-1] = kept[1:]
                kept[-1] = new / np.float32(ticks)
            self._count = min(self._count + 1, self._length)
            self._stiffness += (motion.stiffness - self._stiffness) / np.float32(self._count)
            self._stray += (motion.stray / ticks - self._stray) / self._count

    def glance(self, motion: LocalMotion, gap: float) -> None:
        """Take a pair that began where the newest one ended, and lasted for a gap, s, that is shorter than a tick."""
        self._glances.append((self._ticks, motion.pull.ravel(), gap))

    def estimate(self, sensitivity: Floats) -> Breath | None:
        """The breath as of the newest pair; None before there are two seconds of it.

        sensitivity: (GRID, GRID), size of the network's gradient in each part of the picture, in any unit.
        """
        if self.seconds < 2.0:
            return None
        first = self._length - self._count
        pull, attention, y = self._pull[first:], self._attention[first:], self._y[first:]
        found = calm = self._find(pull, attention, y, sensitivity)
        counts = ordinary_ticks(pull, self._stiffness, _usual_attention(attention))
        if counts.min() < 1.0:
            each = counts[:, None]
            calm = self._find(each * pull, each * attention, counts * y, sensitivity)
        self._estimates += 1
        settle = np.float32(max(1.0 / (SETTLE * ASCENT_RATE), 2.0 / (self._estimates + 1.0)))
        self._pattern += settle * (calm.pattern - self._pattern)
        self._of_all += settle * (found.pattern - self._of_all)
        self._source, self._steps = calm.steps, found.steps
        self._unit = _moved_by(self._pattern, calm.region)
        waves, _ = _band_pass(self._count)
        return Breath(
            self._pattern.copy(),
            (waves @ found.wave).astype(np.float64),
            found.explained,
            _moved_by(self._of_all, found.region),
            self._slow_breath(found.steps),
            self._glanced(found.measure),
        )

    def _find(self, pull: Floats, attention: Floats, y: Floats, sensitivity: Floats) -> _Found:
        """Look at the window's pairs, (n, 2 GRID GRID), (n, GRID GRID) and (n,)."""
        _, into = _band_pass(self._count)
        # what is in the band has fewer numbers than ticks: all below is of these, (M,) for a wave
        moved = into @ pull  # (M, 2 GRID GRID)
        seen = into @ y
        looks = self._looks((into.T @ seen) @ attention, float(seen @ seen), sensitivity)
        # a wave of the band, this long, is so many independent numbers
        freedom = max(2.0 * (BREATH_BAND[1] - BREATH_BAND[0]) * self.seconds, 1.5)
        others = other_motions(seen, moved, looks, freedom)
        energy = _energy(moved) - _energy(others.T @ moved)
        # by chance alone, one wave explains one part in so many as there are independent ones, and often twice that
        chance = 2.0 / (max(freedom - others.shape[1], 1.5) - 0.5)
        region, whole = np.ones_like(looks), _filled(looks)
        for _ in range(ROUNDS):
            measure = measuring_motion(seen, moved, looks * region, freedom)
            steps = pull @ measure
            wave = into @ steps
            own = wave - others @ (others.T @ wave)
            power = float(own @ own) + 1e-12
            pulled = np.asarray((own @ moved).reshape(2, GRID, GRID) / power, np.float32)
            with_it = _blur((pulled**2).sum(0)) * np.float32(power)
            share = with_it / (_blur(energy) + 1e-9)
            share = share - np.float32(chance) * (1.0 - share)
            region = whole * _ramp(share, EXPLAINED)
            pattern = np.asarray(solve_motion(self._stiffness, pulled) * region, np.float32)
            strength = float((pattern * pulled).sum())
            if strength <= 1e-12:
                break
        weight = region * energy
        # of the pattern alone: what noise is left out of would look cleaner to the rate, as where a codec jumps
        shake, undone = _shake(pull, moved, into)
        straying, shaking = float(((own @ into) ** 2).sum()), float(((own @ undone) ** 2).sum())
        noise = np.float32(self._stray * straying / power) + shake * np.float32(shaking / power)
        pattern *= _ramp(with_it / (noise + 1e-9), CLEAR)
        explained = float((weight * share).sum() / max(float(weight.sum()), 1e-12))
        return _Found(pattern, region, measure, steps, wave, explained if strength > 1e-12 else 0.0)

    def amplitude(self, age: int) -> float:
        """The breath ``age`` ticks before the newest pair's end, from the last `estimate`.

        Causal: by a kernel made for what is known at that age, so that the newest is not the worst.
        """
        if self._source.size == 0:
            return 0.0
        return float(_causal(self._length, min(age, self._length // 2))[-len(self._source) :] @ self._source)

    def _glanced(self, measure: Floats) -> Glances | None:
        """The glances of this window, by what measures the breath."""
        while self._glances and self._ticks - self._glances[0][0] >= self._count:
            self._glances.popleft()
        if not self._glances:
            return None
        ticks, pulls, gaps = zip(*self._glances, strict=True)
        return Glances(
            self._ticks - np.array(ticks), (np.stack(pulls) @ measure).astype(np.float64), np.array(gaps)
        )

    def _slow_breath(self, steps: NDArray[np.float32]) -> NDArray[np.float64]:
        """The breath over SLOW_WINDOW, band-passed, from the steps of this window and those before it."""
        if not self._past:
            return np.zeros(0)
        whole = np.concatenate([np.array(self._past), steps.astype(np.float64)])
        return np.asarray(_toeplitz(SLOW_BAND, SLOW_WINDOW, len(whole)) @ whole)

    def _looks(self, attention: Floats, power: float, sensitivity: Floats) -> Floats:
        """Where the network looks, (GRID, GRID) in [0, 1]: what moves its output as a breath.

        attention: (GRID GRID,) summed up with what the network saw, whose sum of squares is the power.
        """
        attention = np.maximum(_blur(attention.reshape(GRID, GRID) / np.float32(power + 1e-12)), 0.0)
        level = EVEN**2 * float(np.mean(attention**2)) + 1e-20
        looks = np.clip(attention**2 / np.float32(level), 0.0, 1.0)
        squared = _blur(sensitivity**2)
        usual = float((looks * squared**2).sum() / max(float((looks * squared).sum()), 1e-20)) + 1e-20
        sensitive = np.sqrt(squared / np.float32(usual))
        sensitive = np.clip((sensitive - SENSITIVE[0]) / (SENSITIVE[1] - SENSITIVE[0]), 0.0, 1.0)
        sensitive = cv2.dilate(sensitive, _HOLE)  # a plain shirt's gradient is at its edges
        grown = np.clip(2.0 * self.seconds / WINDOW - 1.0, 0.0, 1.0)
        return np.asarray(looks * (grown + (1.0 - grown) * sensitive), np.float32)


def _filled(looks: Floats) -> Floats:
    """Where the network looks, without holes: a chest moves as a whole, also where a plain shirt hides it."""
    return np.asarray(np.maximum(looks, cv2.morphologyEx(looks, cv2.MORPH_CLOSE, _HOLE)), np.float32)


def _usual_attention(attention: Floats) -> Floats:
    """Where the network looks whatever moves, (GRID, GRID). attention: (n, GRID GRID), whose rows count alike."""
    size = np.abs(attention)
    size /= size.mean(1, keepdims=True) + np.float32(1e-12)
    looks = _blur(size.mean(0).reshape(GRID, GRID))
    return np.asarray(np.clip(looks**2 / (np.mean(looks**2) + np.float32(1e-12)), 0.0, 1.0), np.float32)


def _moved_by(pattern: Floats, region: Floats) -> float:
    """RMS of a pattern in a region, cells."""
    return float(np.sqrt((region * (pattern**2).sum(0)).sum() / max(float(region.sum()), 1e-9)))


def _shake(pull: Floats, moved: Floats, into: Floats) -> tuple[Floats, Floats]:
    """How far each part shakes: mean square of its positions outside of the band, (GRID, GRID), both directions.

    pull: (n, 2 GRID GRID). moved: (M, 2 GRID GRID), what of it is in the band. into: (M, n), see `_band_pass`. Returns
    it, and the matrix (M, n + 1) from positions to the band: noise is of each picture, and what it adds to one step it
    takes from the next. But where there is no pattern phases turn any way, and nothing is taken back: such steps stray
    (`LocalMotion.stray`) as far in a breath's time as breaths go.
    """
    undone = np.diff(into, axis=1, prepend=0.0, append=0.0)
    squares = (into**2).sum(1)
    outside = (pull**2).sum(0) - (moved**2 / squares[:, None]).sum(0)
    positions = 2 * len(pull) - float(((undone**2).sum(1) / squares).sum())
    # rounding may leave less than nothing
    shake = np.maximum(outside, 0.0).reshape(2, GRID, GRID).sum(0) / np.float32(positions)
    return _blur(shake), undone


def _ramp(value: Floats, limits: tuple[float, float]) -> Floats:
    first, full = limits
    return np.asarray(np.clip((value - first) / (full - first), 0.0, 1.0), np.float32)


def _energy(moved: Floats) -> Floats:
    """Sum of squares over waves and both directions. moved: (M, 2 GRID GRID). Returns (GRID, GRID)."""
    return np.asarray((moved**2).sum(0).reshape(2, GRID, GRID).sum(0), np.float32)


def _blur(picture: Floats) -> Floats:
    return np.asarray(cv2.GaussianBlur(picture, (0, 0), SPREAD), np.float32)


# The kernels are those of the pulse, whose factor of two belongs to its logarithms (Eq. 16).
@lru_cache(maxsize=128)
def _band_pass(count: int) -> tuple[Floats, Floats]:
    """From count steps to the band-passed positions, without delay, in as few numbers as they have.

    Returns orthonormal waves (count, M), and the matrix (M, count) from steps to the shares of these in the positions.
    """
    waves, sizes, steps = np.linalg.svd(_toeplitz(BREATH_BAND, WINDOW, count))
    kept = sizes > FAINTEST * sizes[0]
    into = sizes[kept, None] * steps[kept]
    return np.ascontiguousarray(waves[:, kept], np.float32), np.ascontiguousarray(into, np.float32)


@lru_cache(maxsize=2)
def _toeplitz(band: Band, seconds: float, count: int) -> NDArray[np.float64]:
    """From count steps to the positions in a band, without delay: (count, count)."""
    kernel = 0.5 * zero_phase_kernel(band, ASCENT_RATE, seconds)
    ages = np.subtract.outer(np.arange(count), np.arange(count))
    return np.asarray(kernel[kernel.size // 2 + ages])


@lru_cache(maxsize=64)
def _causal(length: int, age: int) -> Floats:
    """Kernel (length,), oldest step first, for the position ``age`` ticks before the newest step."""
    seconds = length / ASCENT_RATE
    ideal = zero_phase_kernel(BREATH_BAND, ASCENT_RATE, 2.0 * seconds)
    kernel = causal_kernel(ideal, BREATH_BAND, ASCENT_RATE, seconds, age / ASCENT_RATE)
    return (0.5 * kernel).astype(np.float32)
