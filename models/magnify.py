"""Whole-clip magnification, the paper's Algorithm 1 (Eq. 14-17), zero-phase: everything but reading and drawing.

A clip is cut into stretches in which time goes on; within one, frame pairs are placed on a uniform clock, as in the
live path. Each pair's ascent needs its neighbours only, so a clip is worked through in blocks and may lie in a
memory-mapped file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter1d

from deepmag.models.amplitude import MEMORY as AMPLITUDE_REACH
from deepmag.models.amplitude import Amplitudes, along_blood, centred_amplitudes, rms
from deepmag.models.direction import pulse_direction
from deepmag.models.pulse_estimate import (
    BESIDE,
    centred_estimate,
    centred_sure,
    colour_change,
    seen_beside,
)
from deepmag.models.representation import L, normalized_difference
from deepmag.models.running_difference import SPAN, centred_difference, mean_response
from deepmag.models.running_limit import OUTLIER
from deepmag.models.steady import REFERENCE_GAIN, SteadyAscent, ascend_symmetric
from deepmag.models.step_size import gamma_for_rate
from deepmag.models.temporal import COLUMN_BYTES, PULSE_BAND, Band, band_at, log_factor, zero_phase_response
from deepmag.models.ticks import MAX_GAP, RateEstimator, TickClock

Mode = Literal["paper", "steady"]
# Hz. `steady` goes to 186 beats a minute, since rates up to 180 are shown: in the paper's band 175 grow a third as far.
BANDS: dict[Mode, Band] = {"paper": PULSE_BAND, "steady": (PULSE_BAND[0], 3.1)}
Floats = NDArray[np.float32]
PulseRates = Callable[[Floats], NDArray[np.float64]]
"""Given the network's output of each pair of a stretch, summed over its ticks, (T-1,): beats a minute where a pulse is
sure, else 0, (T-1,)."""

BLOCK = 256  # pairs worked on at once: 4 MB for each array of them
SETTLED = 2.0  # s after which its band-pass has forgotten where it began
DIRECTION_REACH = 1.0  # s to either side over which the gradient is averaged
LEAST_KEPT = 0.5  # of a pulse by the filter; of 42 beats a minute it keeps as much
LEVEL_REACH = 3.0  # s to either side over which |y| is averaged


class Ascent(SteadyAscent, Protocol):
    """The ascent on frame pairs, each on its own; see ``export.runtime.Ascender``, which is one."""

    def paper(self, x: Floats, gamma: float) -> tuple[Floats, Floats]:
        """Eq. 4. x: (B, 3, L, L). Returns X_N - X_1 like x, and y (B,)."""
        ...


@dataclass(frozen=True, slots=True)
class Stretch:
    """Frames ``start`` to ``stop`` (exclusive) between which time goes on without a gap or a cut.

    ticks: (stop - start - 1,) of the uniform clock that each frame pair spans; 0 for two within one tick.
    """

    start: int
    stop: int
    ticks: NDArray[np.int64]


def clip_rate(times: Sequence[float], nominal: float | None = None) -> float:
    """Ticks per second for a clip. times: (T,) s. nominal: what the container states, used where the times agree.

    Raises ValueError for fewer than two frames.
    """
    if len(times) < 2:
        raise ValueError("a clip needs at least two pictures to be magnified")
    estimator = RateEstimator()
    for time in times:
        estimator.update(time)
    steps = np.diff(times)
    seen = estimator.rate or 1.0 / float(np.median(steps[steps > 0]) if (steps > 0).any() else 1.0)
    return nominal if nominal is not None and abs(seen / nominal - 1) <= 0.02 else seen


def stretches(times: Sequence[float], rate: float, cuts: Sequence[int] = ()) -> list[Stretch]:
    """Cut a clip where a frame is more than 0.5 s late or time runs backward, and before each frame in ``cuts``."""
    clock, before = TickClock(rate), set(cuts)
    found: list[Stretch] = []
    start, ticks = 0, list[int]()
    for i, time in enumerate(times):
        if i in before:
            clock.set_rate(rate)
        advance = clock.advance(time)
        if advance is None and i > 0:
            found.append(Stretch(start, i, np.array(ticks, np.int64)))
            start, ticks = i, []
        elif advance is not None:
            ticks.append(advance)
    if times:
        found.append(Stretch(start, len(times), np.array(ticks, np.int64)))
    return found


def merge_repeats(small: Floats, ticks: NDArray[np.int64], rate: float) -> NDArray[np.int64]:
    """Give the time of pairs whose two frames are the same to the next pair of others; (T-1,) ticks again.

    small: (T, 3, L, L) reduced frames. ticks: (T-1,) as in `Stretch`. rate: ticks per second. So where pictures repeat,
    as of a camera that is slower than its file says, a pair has several ticks, as where pictures were lost; and a frame
    that repeats another has its place. What stands still for more than 0.5 s did so, and keeps its ticks.
    """
    merged = ticks.copy()
    waiting = first = 0
    for i in range(len(ticks)):
        if np.array_equal(small[i], small[i + 1]):
            waiting += int(ticks[i])
            continue
        if 0 < waiting <= MAX_GAP * rate:
            merged[first:i] = 0
            merged[i] += waiting
        waiting, first = 0, i + 1
    return merged


def iter_steps(
    ascent: Ascent,
    small: Floats,
    ticks: NDArray[np.int64],
    rate: float,
    *,
    mode: Mode = "paper",
    gain: float = REFERENCE_GAIN,
    pulse_rates: PulseRates | None = None,
    looked: Callable[[float], None] = lambda _share: None,
) -> Iterator[tuple[slice, Floats]]:
    """The ascent over one stretch, block by block: (pairs, what it adds to their X, (pairs, 3, L, L)).

    small: (T, 3, L, L) reduced frames. ticks: (T-1,) as in `Stretch`. rate: ticks per second. gain: the added part
    is (gain - 1) / 9 of that at gain 10, so gain 1 adds nothing. A pair that spans k ticks is ascended as k pairs.
    pulse_rates: asked once, in `steady`; without it no pulse is sure. looked: called with the share of the pairs that
    `steady` has looked at, as it does with all of them before the first block.
    """
    share = (gain - 1.0) / (REFERENCE_GAIN - 1.0)
    pairs = len(ticks)
    course = _pulse_course(ascent, small, ticks, rate, pulse_rates, looked) if mode == "steady" else None
    for a in range(0, pairs, BLOCK):
        block = slice(a, min(a + BLOCK, pairs))
        span = np.maximum(ticks[block], 1).astype(np.float32)[:, None, None, None]
        if course is None:
            step, _ = ascent.paper(_differences(small, ticks, block), gamma_for_rate(rate) * share)
        else:
            step = np.float32(share) * _steady_block(ascent, small, ticks, rate, block, course)
        yield block, step * span


def magnify_steps(
    ascent: Ascent,
    small: Floats,
    rate: float,
    mode: Mode = "paper",
    gain: float = REFERENCE_GAIN,
    ticks: NDArray[np.int64] | None = None,
) -> Floats:
    """What the ascent adds to each frame pair's normalized difference, (T-1, 3, L, L); see `iter_steps`.

    ticks: one for each pair where not given.
    """
    if ticks is None:
        ticks = np.ones(max(len(small) - 1, 0), np.int64)
    parts = [step for _, step in iter_steps(ascent, small, ticks, rate, mode=mode, gain=gain)]
    return np.concatenate(parts) if parts else np.zeros((0, 3, L, L), np.float32)


def log_factors(
    steps: Floats,
    rate: float,
    ticks: NDArray[np.int64] | None = None,
    band: Band = PULSE_BAND,
    out: Floats | None = None,
) -> Floats:
    """Log of the factor by which each frame of one stretch is magnified (Eq. 15-16), (T, ...), 0 for its first frame.

    steps: (T-1, ...). ticks: (T-1,); a pair's step is spread over its ticks evenly, and one of 0 ticks goes with
    the next. band: as much of it as the rate shows. out: written to where given; it may share memory with nothing
    else. Raises ValueError for a rate that shows too little of the band.
    """
    band = band_at(band, rate)
    count = len(steps) + 1
    if out is None:
        out = np.zeros((count, *steps.shape[1:]), np.float32)
    if ticks is None:
        ticks = np.ones(len(steps), np.int64)
    place = np.concatenate([[0], np.cumsum(ticks)])  # of each frame on the uniform clock
    if place[-1] == 0:
        out[:] = 0.0
        return out
    # Tick j lies in the pair that ends at the first frame placed after it; pairs of 0 ticks count with that one.
    pair_of_tick = np.searchsorted(place, np.arange(place[-1]), side="right") - 1
    ends = np.flatnonzero(ticks > 0)
    groups = np.minimum(np.searchsorted(ends, np.arange(len(steps))), len(ends) - 1)
    flat, target = steps.reshape(len(steps), -1), out.reshape(count, -1)
    width = max(1, COLUMN_BYTES // (8 * int(place[-1])))
    for a in range(0, flat.shape[1], width):
        columns = slice(a, a + width)
        whole = np.zeros((len(ends), flat[:, columns].shape[1]))
        # a pair within one tick waits for the next that has any, as in the live window
        last = len(steps) if ticks[-1] > 0 else int(ends[-1]) + 1
        np.add.at(whole, groups[:last], flat[:last, columns])
        uniform = (whole / ticks[ends][:, None])[np.searchsorted(ends, pair_of_tick)]
        target[:, columns] = log_factor(uniform, band, rate)[place]
    return out


def _differences(small: Floats, ticks: NDArray[np.int64], pairs: slice) -> Floats:
    """X of some pairs (Eq. 14), as a pair of one tick would have it: the network knows the size of one."""
    frames = np.asarray(small[pairs.start : pairs.stop + 1])
    span = np.maximum(ticks[pairs], 1).astype(np.float32)[:, None, None, None]
    x: Floats = normalized_difference(frames[:-1], frames[1:]) / span
    return x


def _running_differences(
    small: Floats, ticks: NDArray[np.int64], pairs: slice, rate: float
) -> tuple[Floats, NDArray[np.bool_]]:
    """X of some pairs as `steady` looks at it, per tick, and which pairs tell anything, (P,).

    A pair of twice the same picture has none; its time is that of the next (`merge_repeats`).
    """
    margin = round(rate * (MAX_GAP + SPAN)) + 1
    around = slice(max(0, pairs.start - margin), min(len(ticks), pairs.stop + margin))
    frames = np.asarray(small[around.start : around.stop + 1])
    x = normalized_difference(frames[:-1], frames[1:])
    told = np.asarray(x.any(axis=(1, 2, 3)))
    # two frames within one tick count as one each, as in the live path
    spans = np.where(told, np.maximum(ticks[around], 1), ticks[around])
    inner = slice(pairs.start - around.start, pairs.stop - around.start)
    return centred_difference(x, spans, inner, rate) * told[inner, None, None, None], told[inner]


@dataclass(frozen=True, slots=True)
class _Course:
    """What is known of the pairs of a stretch, (T-1,).

    y: the network's output, per tick, held to what no sudden motion exceeds. pulse: the same with what the skin's
    colour says. spans: ticks of the pairs that tell anything, 0 of the others. share: of the difference to be counted,
    where one exceeds its own limit.
    """

    y: Floats
    pulse: Floats
    spans: NDArray[np.int64]
    share: Floats


def _pulse_course(
    ascent: Ascent,
    small: Floats,
    ticks: NDArray[np.int64],
    rate: float,
    pulse_rates: PulseRates | None,
    looked: Callable[[float], None],
) -> _Course:
    """Look at all pairs of a stretch, before any is ascended."""
    y, size, unit = (np.zeros(len(ticks), np.float32) for _ in range(3))
    seen = np.zeros((len(ticks), BESIDE))
    told = np.zeros(len(ticks), np.bool_)
    for a in range(0, len(ticks), BLOCK):
        block = slice(a, min(a + BLOCK, len(ticks)))
        x, y[block], gradient, told[block] = _look(ascent, small, ticks, rate, block)
        size[block] = [rms(along_blood(one)) for one in x]
        for i, picture in enumerate(np.asarray(small[block.start + 1 : block.stop + 1])):
            found = seen_beside(x[i], picture, pulse_direction(gradient[i], picture, None))
            if found is not None:
                seen[a + i], unit[a + i] = found
        looked(block.stop / len(ticks))
    limit, most = _limit(np.abs(y), told, rate), _limit(size, told, rate)
    share = np.minimum(1.0, most / np.maximum(size, np.float32(1e-20)))
    spans = np.where(told, np.maximum(ticks, 1), 0)
    held = np.clip(y, -limit, limit)
    change = colour_change(seen).astype(np.float32)
    seen *= np.minimum(1.0, _limit(change, told, rate) / np.maximum(change, np.float32(1e-20)))[:, None]
    rates = np.zeros(len(ticks)) if pulse_rates is None else pulse_rates(held * spans.astype(np.float32))
    pulse = centred_estimate(held, seen, unit, spans, rate, rates) * _made_up(rates, spans, rate)
    return _Course(held, pulse.astype(np.float32), spans, share)


def _made_up(pulse_rates: NDArray[np.float64], spans: NDArray[np.int64], rate: float) -> NDArray[np.float64]:
    """By what to multiply a sure pulse at each pair, so that the filter, which keeps less of a slow one, keeps it."""
    known = np.flatnonzero(pulse_rates)
    ends = np.cumsum(spans)
    if not len(known) or not ends.any():
        return np.ones(len(pulse_rates))
    frequency = np.interp(np.arange(len(pulse_rates)), known, pulse_rates[known]) / 60.0
    kept = zero_phase_response(band_at(BANDS["steady"], rate), rate, frequency) * mean_response(
        rate, frequency
    )
    sure = centred_sure(np.repeat(pulse_rates, spans), rate)[np.maximum(ends - 1, 0)]
    factor: NDArray[np.float64] = 1.0 + sure * (1.0 / np.maximum(kept, LEAST_KEPT) - 1.0)
    return factor


def _look(
    ascent: Ascent, small: Floats, ticks: NDArray[np.int64], rate: float, pairs: slice
) -> tuple[Floats, Floats, Floats, NDArray[np.bool_]]:
    """Of some pairs: X, the network's output, its gradient averaged to both sides, and which tell anything.

    Offline, the future is known.
    """
    reach = round(DIRECTION_REACH * rate)
    around = slice(max(0, pairs.start - reach), min(len(ticks), pairs.stop + reach))
    x, told = _running_differences(small, ticks, around, rate)
    _, y, gradient = ascend_symmetric(ascent, x, np.zeros_like(x))
    # where a picture repeats, the gradient is of nothing, and no part of a direction
    gradient = _centred_mean(gradient, DIRECTION_REACH, rate, told=told)
    inner = slice(pairs.start - around.start, pairs.stop - around.start)
    return np.ascontiguousarray(x[inner]), y[inner], gradient[inner], told[inner]


def _limit(size: Floats, told: NDArray[np.bool_], rate: float) -> Floats:
    """OUTLIER times the mean of a size around each pair, in which what is sudden counts as held, too."""
    # a picture that is there twice tells nothing of how strong a pulse is, and of a file they may be the most
    held = np.minimum(size, OUTLIER * np.median(size[told])) if told.any() else size
    return OUTLIER * _centred_mean(held, LEVEL_REACH, rate, told=told)


def _steady_block(
    ascent: Ascent, small: Floats, ticks: NDArray[np.int64], rate: float, block: slice, course: _Course
) -> Floats:
    """Ascend one block."""
    x, _, gradient, _ = _look(ascent, small, ticks, rate, block)
    pictures = np.asarray(small[block.start + 1 : block.stop + 1])
    amplitudes = _amplitudes(small, ticks, rate, block, course)
    direction = np.stack([pulse_direction(*of) for of in zip(gradient, pictures, amplitudes, strict=True)])
    step, y, _ = ascend_symmetric(ascent, x, direction)
    follows = course.pulse[block] / np.where(y == 0.0, np.float32(1.0), y)
    return np.asarray(step * follows[:, None, None, None], np.float32)


def _amplitudes(
    small: Floats, ticks: NDArray[np.int64], rate: float, block: slice, course: _Course
) -> list[Amplitudes]:
    """How far each reduced pixel pulses around each pair of a block."""
    reach = round((AMPLITUDE_REACH + SETTLED) * rate)
    place = np.cumsum(course.spans)
    first, last = np.searchsorted(place, [place[block.start] - reach, place[block.stop - 1] + reach + 1])
    around = slice(min(int(first), block.start), max(int(last), block.stop))
    own = [
        along_blood(one)
        for a in range(around.start, around.stop, BLOCK)
        for one in _running_differences(small, ticks, slice(a, min(a + BLOCK, around.stop)), rate)[0]
    ]
    share = course.share[around]
    inner = slice(block.start - around.start, block.stop - around.start)
    return centred_amplitudes(
        np.stack(own) * share[:, None, None], course.y[around] * share, course.spans[around], inner, rate
    )


def _centred_mean(values: Floats, reach: float, rate: float, *, told: NDArray[np.bool_]) -> Floats:
    """Mean over ``reach`` s to either side along the first axis, of those that are ``told`` (T,); 0 where none is.

    The ends are continued with their last value.
    """

    def mean(of: Floats) -> Floats:
        return np.asarray(uniform_filter1d(of, 2 * round(reach * rate) + 1, axis=0, mode="nearest"))

    counts = told.astype(np.float32).reshape(-1, *(1,) * (values.ndim - 1))
    # running sums leave a rounding error where no count is
    share = np.maximum(mean(counts), np.float32(0.5 / (2 * round(reach * rate) + 1)))
    return np.asarray(mean(values * counts) / share)
