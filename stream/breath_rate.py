"""The respiration rate, or the reason why there is none. Time is an argument; there is no clock in here."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from scipy.signal import hilbert, sosfiltfilt

from deepmag.models.breath import BREATH_BAND, SLOW_BAND, SLOW_WINDOW
from deepmag.models.respiration import ASCENT_RATE
from deepmag.models.temporal import butterworth
from deepmag.stream.breath_count import count_breaths
from deepmag.stream.frames import Reading

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from deepmag.models.breath import Breath, Glances
    from deepmag.models.temporal import Band

RATES = (3.7, 40.0)  # breaths a minute that are shown: 4 to 40, and what 4 may be found as
SLOW = 7.0  # breaths a minute below which the longer window says how many there are
# A slow breath with a pause has a second harmonic, which the shorter window's band favours: what it takes for 8 a
# minute may be 4. So where breaths are less regular, a rate below this waits until the longer window would show half.
DOUBTED, SURE = 10.0, 0.9
CLEARLY = 2.3  # breaths that have to be in the longer window for that
# How like itself a slow breath is one later, as REGULAR: the longer window holds two, and sway may look like two.
SLOW_REGULAR = (0.7, 0.9)
# The window's band holds little of a slow breath, but all of what else moves: how clean it is there is made good by how
# much larger it is in the longer window's band, where there may be so many times as much else.
MORE_ELSE = 2.0
NEARLY = 1.3  # times as fast as the longer window has them may breaths of the other be, and be the same
LESS_REGULAR = 0.1  # than the other window shows them may breaths of the longer one be
# A newborn breathes for ten seconds and rests for five, and both together look like one slow breath of 4 a minute. So
# breaths of the shorter window that are so many times as fast (a slow breath's second harmonic is twice) and not much
# smaller are no part of a slow one.
MANY, MUCH_LARGER = 2.5, 2.0
FIRST = 7.0  # s before the first look
CYCLES = 1.9  # breaths that have to be in the window: of 6 a minute, the slowest of the band, it holds two
STALE = 1.0  # s without a frame after which no rate is shown
SHOW, KEEP = 0.6, 0.4  # quality from which a rate may appear, and below which it is withdrawn
HOLD = 1.5  # s that the quality has to last before a rate appears
LASTING = 0.3  # breaths that it has to last: somebody who talks sways like slow breathing for two seconds
STEADY = 3.0  # breaths a minute that the rate may move from one tick to the next while it is to be trusted
# Share of the region's motion that is breath: no quality, full quality. 0.97 to 0.99 for a baby and the demo, 0.8 and
# more for people who turn their heads, but up to 0.63 where H.264 jumps at each key frame, or a picture is dark.
CLEAN = (0.7, 0.85)
# Of the highest peak of the autocorrelation: the first that is so high is the period. Breaths are deep and shallow by
# turns often enough for two of them to be more alike than one and the next.
ALIKE = 0.75
REGULAR = (0.45, 0.8)  # how like itself the wave is one breath later: no quality, full quality
# Breaths that are less like each other are counted one by one, where they are even enough (`breath_count`): no quality,
# full quality. Of so many periods at least: three of somebody's sway are even by chance.
EVEN, PERIODS = (1.4, 0.8), 4.0
SLOWEST_COUNTED, FASTEST_IN_LONGER = 10.0, 25.0  # breaths a minute: see DOUBTED, and the end of SLOW_BAND
SAME = 0.25  # of the rate: by how much the count over the longer window may differ, and be of the same
FAINT = 0.003  # cells, RMS: less motion than this is noise whatever it looks like
VIOLENT = 1.0  # cells, RMS: more is no breath
CAMERA = 0.7  # correlation with the camera's own motion from which the camera is what breathes
# Of the breath's size: smaller motion of the camera is no objection. 0.56 where somebody fills the picture, 0.92
# and more where a codec hides part of the camera's sway.
SWINGS = 0.75
# Relative, RMS: brightness that swings so far in step with the breath is what shifts shades and edges. A chest that
# rises changes the mean of the picture by a tenth of that.
BRIGHT = 0.02
# What three quarters of the picture's blocks do at least, in step with the breath but each at its own time, is mains
# light that a shutter reads line by line: so far, RMS, and with so much of what they do in the band. 0.008 and 0.65 at
# least where such light makes a rate; of somebody who breathes 0.001 and 0.1, of one who talks 0.004 and 0.2.
EVERYWHERE = 25  # per cent of the blocks, that may do less
FLICKER = (0.005, 0.4)
# What shakes some five times a second, or ten, is at nearly the same place at each tick, and seems to breathe. But
# right after a tick it moves on at its own pace, in step with that breath: where so many glances show so much of its
# size, so many times what a breath moves by in that time, and mostly this. 1.0 and 0.97 of what shakes 4.8 times a
# second at 30 frames/s; 0.04 to 0.12 of chests, up to 0.5 while the first breaths of 36 a minute come in.
GLANCES, SHAKES, FASTER, IN_STEP = 8, 0.6, 2.5, 0.5
# So many of the last breaths have to be there at this share of the window's RMS: who stops breathing has no rate.
RECENT, RECENT_SIZE = 1.2, 0.3
SMOOTHING = 0.3  # share of a new look in the rate shown


@dataclass(frozen=True, slots=True)
class BreathEvidence:
    """What a look found. rate: per minute. clean, regular: in [0, 1]. size: cells. camera: correlation with it."""

    rate: float
    clean: float
    regular: float
    size: float
    camera: float
    objection: str
    enough: tuple[float, float] = REGULAR  # of regular: no quality, full quality
    counted: bool = False  # whether the rate is that of breaths counted one by one

    @property
    def quality(self) -> float:
        """In [0, 1]; 0 where there is an objection."""
        if self.objection:
            return 0.0
        return _ramp(self.clean, CLEAN) * _ramp(self.regular, self.enough)


WANING = "breathing too faint or irregular"
NO_LIGHT = np.zeros(1)
NOTHING = BreathEvidence(0.0, 0.0, 0.0, 0.0, 0.0, "measuring")


class BreathRate:
    """Weighs what is known of the breath at every tick, and lets a rate be shown only while it can be trusted."""

    def __init__(self) -> None:
        self._camera: deque[NDArray[np.float64]] = deque(maxlen=round(SLOW_WINDOW * ASCENT_RATE))
        self._light: deque[NDArray[np.floating]] = deque(maxlen=round(SLOW_WINDOW * ASCENT_RATE))
        self.reset()

    def reset(self) -> None:
        """Forget everything: a new session."""
        self._camera.clear()
        self._light.clear()
        self._last: float | None = None
        self._evidence = NOTHING
        self._trusted_since: float | None = None
        self._rate: float | None = None
        self._reason = "measuring"

    @property
    def evidence(self) -> BreathEvidence:
        """What the last look found."""
        return self._evidence

    def update(
        self,
        t: float,
        breath: Breath | None,
        camera: NDArray[np.float64],
        ticks: int = 1,
        *,
        light: NDArray[np.floating] | None = None,
    ) -> None:
        """Take a tick's estimate at t, s, and the camera's motion over it (4,), see `camera_motion`.

        light: (blocks,) relative changes of the brightness of the picture's blocks over it.
        """
        light = NO_LIGHT if light is None else light
        for _ in range(ticks):
            self._camera.append(camera[:2] / ticks)
            self._light.append(light / ticks)
        self._last = t
        if breath is None or len(self._camera) < FIRST * ASCENT_RATE:
            return
        before = self._evidence
        self._evidence = found = _look(breath, np.array(self._camera), np.array(self._light))
        steady = before is NOTHING or abs(found.rate - before.rate) <= STEADY
        if found.quality < (SHOW if self._rate is None else KEEP) or not steady:
            self._rate = self._trusted_since = None
            self._reason = found.objection or WANING
        elif self._rate is not None:
            self._rate += SMOOTHING * (found.rate - self._rate)
        else:
            self._trusted_since = t if self._trusted_since is None else self._trusted_since
            self._reason = "measuring"
            if t - self._trusted_since >= max(HOLD, LASTING * 60.0 / found.rate):
                self._rate, self._reason = found.rate, ""

    def reading(self, t: float) -> Reading:
        """Tell the rate as of t, s, on the same clock as ``update``'s."""
        if self._last is None:
            return Reading(None, 0.0, "measuring")
        if t - self._last > STALE:
            return Reading(None, 0.0, "no new frames")
        if self._rate is None:
            return Reading(None, self._evidence.quality, self._reason)
        return Reading(self._rate, self._evidence.quality, "")


def _look(breath: Breath, camera: NDArray[np.float64], light: NDArray[np.float64]) -> BreathEvidence:
    """Weigh what the window shows, and, where it shows no rate, whether the longer one shows a slow breath."""
    found = weigh(breath, camera, light)
    if len(breath.slow):
        slow = weigh(_slow_part(breath), camera, light, SLOW_BAND, SLOW_REGULAR)
        # breaths that fill the window one by one are no part of a slow one, unless they are small beside it
        if found.counted and slow.size < MUCH_LARGER * found.size:
            return found
        alike = max(REGULAR[0], found.regular - LESS_REGULAR)
        # an objection to it does not make two breaths of each of them
        if 0.0 < slow.rate < SLOW and slow.regular >= alike:
            return replace(found, objection=found.objection or WANING) if _is_many(found, slow) else slow
        # the same breath, whose rate the longer window knows better: the other ends where its band does, near 6
        if slow.objection != "measuring" and found.rate / NEARLY < slow.rate < SLOW:
            return replace(found, rate=slow.rate)
        # one of the two follows something else, as in the seconds in which a head's turning is taken for the breath;
        # without an objection the longer window's is no breath, or it would be as regular
        if slow.objection not in ("", "measuring") and 0.0 < NEARLY * slow.rate < found.rate < DOUBTED:
            return replace(found, objection=found.objection or slow.objection)
    seen = max(len(breath.slow), len(breath.wave)) / ASCENT_RATE / 60  # min
    if found.rate < DOUBTED and found.regular < SURE and 0.5 * found.rate * seen < CLEARLY:
        return replace(found, objection=found.objection or "measuring")
    return found


def _is_many(found: BreathEvidence, slow: BreathEvidence) -> bool:
    """Whether what looks like one slow breath is many that come and go."""
    clear = found.clean >= CLEAN[0] and found.regular >= REGULAR[0]
    return clear and found.rate > MANY * slow.rate and slow.size < MUCH_LARGER * found.size


def _slow_part(breath: Breath) -> Breath:
    """The breath of the longer window in place of the other."""
    growth = float(np.var(breath.slow)) / max(float(np.var(breath.wave)), 1e-12)
    dirt = MORE_ELSE * (1.0 / max(breath.explained, 1e-6) - 1.0) / max(growth, MORE_ELSE)
    return replace(breath, wave=breath.slow, explained=1.0 / (1.0 + dirt))


def weigh(
    breath: Breath,
    camera: NDArray[np.float64],
    light: NDArray[np.float64] | None = None,
    band: Band = BREATH_BAND,
    enough: tuple[float, float] = REGULAR,
) -> BreathEvidence:
    """Find the rate of a breath, and what speaks for and against it.

    camera: (n, 2) its steps over the same ticks. light: (n, blocks) relative changes of the brightness. band: Hz, of
    the wave. enough: of how regular it is, see `BreathEvidence`.
    """
    wave = breath.wave
    rate, regular = _period(wave, band)
    even = 0.0
    if band == BREATH_BAND:
        count, even = _even_breaths(breath)
        if even > 0.0:
            # what is like itself at another rate is so by chance
            regular = max(
                REGULAR[0] + even * (REGULAR[1] - REGULAR[0]), regular if abs(rate - count) < STEADY else 0.0
            )
            rate = count
    path = np.cumsum(camera[-len(wave) :], axis=0)
    swing = 0.0
    if len(path) == len(wave) and breath.size >= FAINT:
        flat = sosfiltfilt(butterworth(band, ASCENT_RATE), path, axis=0)
        # a camera that moves less than the chest cannot be what moves it, and a chest moves the estimate of the camera
        if float(np.hypot(*flat.std(axis=0))) > SWINGS * breath.size:
            swing = max(_best_correlation(axis, wave) for axis in flat.T if axis.std() > 0)
    lit = False
    if light is not None and len(light) >= len(wave) and breath.size >= FAINT:
        levels = sosfiltfilt(butterworth(band, ASCENT_RATE), np.cumsum(light[-len(wave) :], axis=0), axis=0)
        lit = _is_lit(levels, wave)
    objection = ""
    if breath.size < FAINT:
        objection = "breathing too faint"
    elif breath.size > VIOLENT:
        objection = "too much motion"
    elif swing > CAMERA:
        objection = "the camera moves"
    elif lit:
        objection = "the light changes"
    elif breath.explained < CLEAN[0] or _shakes(wave, rate, breath.glances):
        objection = "other movement"
    elif rate > 0 and _has_stopped(wave, rate):
        objection = "breathing too faint"
    elif rate * len(wave) / ASCENT_RATE / 60 < CYCLES:
        objection = "measuring"
    elif not RATES[0] <= rate <= RATES[1]:
        objection = "no breathing rate"
    return BreathEvidence(rate, breath.explained, regular, breath.size, swing, objection, enough, even > 0.0)


def _even_breaths(breath: Breath) -> tuple[float, float]:
    """Breaths a minute as counted one by one, and how even they are: 0 to 1."""
    count = count_breaths(breath.wave)
    if not SLOWEST_COUNTED <= count.rate <= RATES[1]:
        return count.rate, 0.0
    even = _ramp(count.uneven, EVEN) if count.periods >= PERIODS else 0.0
    if even < 1.0 and len(breath.slow) and count.rate <= FASTEST_IN_LONGER:
        # twice as many breaths, of which one may be odd
        longer = count_breaths(breath.slow)
        if longer.periods >= PERIODS and abs(longer.rate - count.rate) < SAME * count.rate:
            even = max(even, _ramp(longer.uneven, EVEN))
    return count.rate, even


def _is_lit(levels: NDArray[np.float64], wave: NDArray[np.float64]) -> bool:
    """Whether it is the light that breathes. levels: (n, blocks) brightness in the wave's band, relative."""
    mean = levels.mean(axis=1)
    if float(mean.std()) > BRIGHT and _best_correlation(mean, wave) > CAMERA:
        return True
    analytic = hilbert(wave)
    waves, _ = np.linalg.qr(np.stack([analytic.real, analytic.imag], axis=1))
    apart = levels - mean[:, None]  # an exposure that follows the chest swings the whole picture alike
    in_step = ((waves.T @ apart) ** 2).sum(axis=0)
    size = np.percentile(np.sqrt(in_step / len(wave)), EVERYWHERE)
    share = np.percentile(in_step / np.maximum((apart**2).sum(axis=0), 1e-18), EVERYWHERE)
    return bool(size > FLICKER[0] and share > FLICKER[1])


def _shakes(wave: NDArray[np.float64], rate: float, glances: Glances | None) -> bool:
    """Whether a wave, of so many breaths a minute, is one that ticks are too seldom for."""
    if glances is None:
        return False
    known = glances.ages < len(wave)
    if np.count_nonzero(known) < GLANCES:
        return False
    steps, at = glances.steps[known], hilbert(wave)[len(wave) - 1 - glances.ages[known]]
    waves = np.stack([at.real, at.imag], axis=1)
    found = np.linalg.lstsq(waves, steps, rcond=None)[0]
    left = steps - waves @ found
    size = float(np.hypot(*found))  # of that of the wave
    of_a_breath = 2.0 * np.sin(np.pi * rate / 60.0 * float(glances.gaps[known].mean()))
    share = 1.0 - float(left @ left) / max(float(steps @ steps), 1e-18)
    return bool(size > max(SHAKES, FASTER * of_a_breath) and share > IN_STEP)


def _has_stopped(wave: NDArray[np.float64], rate: float) -> bool:
    """Whether the last breaths, a minute, of a wave are missing."""
    last = wave[-max(round(RECENT * 60 / rate * ASCENT_RATE), 1) :]
    return bool(last.std() < RECENT_SIZE * wave.std())


def _period(wave: NDArray[np.float64], band: Band) -> tuple[float, float]:
    """Breaths a minute from the peaks of the autocorrelation, and how high that of one breath is."""
    x = wave - wave.mean()
    n = len(x)
    power = np.abs(np.fft.rfft(x, 4 * n)) ** 2
    # of pairs that are there, not of the window's length: a slow breath must not look irregular
    ages = np.arange(n)
    auto = np.fft.irfft(power)[:n] / np.maximum(n - ages, 1)
    auto = auto[: 3 * n // 4] / np.maximum(_overlap_power(x)[: 3 * n // 4], 1e-12)
    # from half the band's shortest on: of what is faster than breaths that are shown, two must not be taken for one
    shortest, longest = 0.5 * ASCENT_RATE / band[1], min(1.1 * ASCENT_RATE * 60 / RATES[0], 0.6 * n)
    peaks = [
        a
        for a in range(max(int(shortest), 1), int(longest))
        if auto[a] >= auto[a - 1] and auto[a] >= auto[a + 1]
    ]
    highest = max((auto[a] for a in peaks), default=0.0)
    if highest <= 0:
        return 0.0, 0.0
    # the first of those that are nearly the highest: two breaths later it is like itself, too
    first = next(a for a in peaks if auto[a] >= ALIKE * highest)
    # the highest is of several breaths, and their mean is the rate where breaths are long and short by turns
    peak = next(a for a in peaks if auto[a] == highest)
    count = round(peak / first)
    if abs(peak - count * first) > 0.25 * first:
        peak, count = first, 1
    left, middle, right = auto[peak - 1 : peak + 2]
    bend = left - 2 * middle + right
    exact = peak + (0.5 * (left - right) / bend if bend < 0 else 0.0)
    return 60 * ASCENT_RATE * count / exact, float(np.clip(auto[first], 0.0, 1.0))


def _overlap_power(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean square of x, (n,), where it overlaps with itself so many samples later: geometric mean of both parts."""
    squares = x**2
    late, early = np.cumsum(squares[::-1])[::-1], np.cumsum(squares)[::-1]
    return np.asarray(np.sqrt(late * early) / np.arange(len(x), 0, -1))


def _best_correlation(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """Largest magnitude of the correlation within a third of a second either way."""
    reach, n = 2, len(a)
    return max(
        abs(float(np.corrcoef(a[reach : n - reach], b[reach + k : n - reach + k])[0, 1]))
        for k in range(-reach, reach + 1)
    )


def _ramp(value: float, limits: tuple[float, float]) -> float:
    low, high = limits
    return float(np.clip((value - low) / (high - low), 0.0, 1.0))
