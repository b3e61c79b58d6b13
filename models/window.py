"""The causal form of the Butterworth stage: a sliding window over the last seconds of ascent steps.

Offline, band-pass and running sum make one zero-phase linear filter from ascent step to log factor. Its
kernel dies out within a few seconds, because the band-pass has zeros where the sum has its pole. So a window
of finite length holds all of it: nothing can drift, and a gap is an empty stretch of window.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve_toeplitz
from scipy.signal import sosfiltfilt

from deepmag.models.temporal import PULSE_BAND, Band, band_at, butterworth

Design = Callable[[float, float, float], NDArray[np.float64]]
"""(rate, seconds, lag) -> kernel of a window, as `window_kernel` returns it."""

WINDOW = 6.0  # s
LAG = 0.25  # s

# What the steps are expected to hold, as power densities relative to the signal's at mid-band, for
# `window_kernel`. Chosen by a random search over noisy synthetic steps and the faces of two real clips;
# within a factor of two of each the curves in docs/temporal.md hardly change.
SIGNAL_BAND = (1.07, 0.88)  # of the band's corners: where the signal is expected
SIGNAL_SLOPE = 0.5  # exponent of f there: the log factor divides by f, which favours slow pulses
DRIFT = (1.0, 0.36)  # power; corner, of the band's lower one: light and pose that change slowly
WHITE = 0.15  # power: what the ascent makes of the network's noise
BLUE = (0.5, 6.0)  # power, at this many upper corners, growing as f^2: the sensor's noise, differenced


def zero_phase_kernel(band: Band, rate: float, seconds: float) -> NDArray[np.float64]:
    """Impulse response from ascent step to log factor of the offline filter (`temporal.log_factor`).

    Returns (2 n + 1,) with n = round(seconds * rate); element n + i weighs the step i ticks in the past, and
    n - i (i > 0) the one i ticks ahead.
    """
    sos = butterworth(band, rate)
    half = round(seconds * rate)
    impulse = np.zeros(2 * half + 1)
    impulse[half] = 1.0
    kernel: NDArray[np.float64] = np.cumsum(2.0 * sosfiltfilt(sos, impulse, padlen=0))
    return kernel


def cut_kernel(band: Band, rate: float, seconds: float, lag: float) -> NDArray[np.float64]:
    """Cut the zero-phase kernel ``lag`` seconds after its centre. Shape and order as in `window_kernel`."""
    length, ahead = _ticks(rate, seconds, lag)
    kernel = zero_phase_kernel(band, rate, 2.0 * seconds)
    centre = kernel.size // 2
    return np.ascontiguousarray(kernel[centre - ahead : centre - ahead + length][::-1])


def step_kernel(response: NDArray[np.float64], rate: float, seconds: float) -> NDArray[np.float64]:
    """Turn a zero-phase filter of a signal into the filter of that signal's steps, x(t) - x(t - 1).

    response: odd length, centred on the present. Returns (2 n + 1,), n = round(seconds * rate), in the order of
    `zero_phase_kernel`. The response must sum to zero: a constant is lost in the steps, so it must not count.
    Raises ValueError for an even length.
    """
    if response.size % 2 == 0:
        raise ValueError(f"a zero-phase response has an odd length, not {response.size}")
    beyond = round(seconds * rate) - response.size // 2
    if beyond < 0:
        response = response[-beyond : response.size + beyond]
    kernel: NDArray[np.float64] = np.cumsum(np.pad(response, max(0, beyond)))
    return kernel


def window_kernel(
    band: Band, rate: float, seconds: float, lag: float, late: float = 0.0
) -> NDArray[np.float64]:
    """Design the kernel of the ascent's window: `causal_kernel` of `zero_phase_kernel`.

    band: Hz. rate: ticks per second. seconds: length of the window. lag: s. late: ticks, see there.
    Raises ValueError for a rate too low for the band, or a lag not inside the window.
    """
    _ticks(rate, seconds, lag)
    return causal_kernel(zero_phase_kernel(band, rate, 2.0 * seconds), band, rate, seconds, lag, late)


def step_response(kernel: NDArray[np.floating], rate: float, frequency: float) -> float:
    """How much a window keeps of a log factor that changes at ``frequency`` Hz: 1 is all of it.

    kernel: as `window_kernel` returns it; its steps are half of the log factor's (Eq. 14). rate: ticks per second.
    """
    turn = 2.0 * np.pi * frequency / rate
    kept = kernel @ np.exp(1j * turn * np.arange(len(kernel)))
    return float(abs(kept) * np.sin(turn / 2.0))


def causal_kernel(
    ideal: NDArray[np.float64], band: Band, rate: float, seconds: float, lag: float, late: float = 0.0
) -> NDArray[np.float64]:
    """Design the best kernel that sees only ``lag`` seconds ahead, for steps with the expected spectrum.

    ideal: (2 n + 1,), the zero-phase kernel from step to output, n = round(2 * seconds * rate).
    band: Hz, where the signal is expected. rate: ticks per second. seconds: length of the window. lag: s.
    late: ticks, also fractions of one, by which each step tells of what was.
    Returns (round(seconds * rate),), oldest step first; its product with the window is the output for
    the frame that lies round(lag * rate) ticks behind the newest step.

    Least squares between its output and the zero-phase kernel's, over a spectrum of signal, drift and noise
    (a Wiener filter; the normal equations are Toeplitz), under one constraint: a constant step, which is a
    linear drift of the picture, gives exactly nothing. Then scaled so that the gain over the signal's
    band is on average the zero-phase kernel's: least squares alone shrinks what it cannot predict, to 0.75 at
    lag 0. `cut_kernel` is the same for a white spectrum, unconstrained; docs/temporal.md has both curves.
    Raises ValueError for a lag not inside the window.
    """
    _ticks(rate, seconds, lag)
    size = 1 << (2 * ideal.size).bit_length()
    frequency: NDArray[np.float64] = np.fft.rfftfreq(size, 1.0 / rate).astype(np.float64)
    signal = _signal_power(frequency, band)
    power = signal + noise_power(frequency, band)
    target = np.fft.rfft(np.roll(np.pad(ideal, (0, size - ideal.size)), -(ideal.size // 2)))
    target = target * np.exp(2j * np.pi * frequency * late / rate)
    kernel = least_squares_kernel(target * power, power, rate, seconds, lag)
    expected = signal > 0.5 * signal.max()
    ratio = np.abs(np.fft.rfft(kernel[::-1], size)[expected]) / np.abs(target[expected])
    kernel /= np.exp(np.log(ratio).mean())
    return kernel


def least_squares_kernel(
    cross: NDArray[np.complex128], power: NDArray[np.float64], rate: float, seconds: float, lag: float
) -> NDArray[np.float64]:
    """The kernel of a window whose output is nearest to something, and 0 for a constant step.

    cross: spectrum of that with the steps. power: of the steps. Both (n + 1,) from 0 Hz to half the rate, n a power of
    two and twice the window's ticks at least. rate, seconds, lag, and what is returned: as in `window_kernel`.
    """
    length, ahead = _ticks(rate, seconds, lag)
    size = 2 * (len(power) - 1)
    autocorrelation = np.fft.irfft(power, size)[:length]
    age = np.arange(-ahead, length - ahead)  # ticks by which a step lies before the frame that is shown
    wanted = np.fft.irfft(cross, size)[age]
    solved = solve_toeplitz(autocorrelation, np.column_stack([wanted, np.ones(length)]))
    kernel: NDArray[np.float64] = solved[:, 0] - solved[:, 1] * (solved[:, 0].sum() / solved[:, 1].sum())
    return np.ascontiguousarray(kernel[::-1])


def _signal_power(frequency: NDArray[np.float64], band: Band) -> NDArray[np.float64]:
    low, high = band
    f = np.maximum(frequency, 1e-9)
    inside = 1.0 / (1.0 + (SIGNAL_BAND[0] * low / f) ** 16) / (1.0 + (f / (SIGNAL_BAND[1] * high)) ** 16)
    power: NDArray[np.float64] = inside * (f / np.sqrt(low * high)) ** SIGNAL_SLOPE
    return power


def noise_power(frequency: NDArray[np.float64], band: Band) -> NDArray[np.float64]:
    """What the steps hold beside a pulse, at frequencies in Hz, relative to its power in the middle of the band."""
    drift = DRIFT[0] / (1.0 + (frequency / (DRIFT[1] * band[0])) ** 4)
    power: NDArray[np.float64] = drift + WHITE + BLUE[0] * (frequency / (BLUE[1] * band[1])) ** 2
    return power


def _ticks(rate: float, seconds: float, lag: float) -> tuple[int, int]:
    if not 0.0 <= lag < seconds:
        raise ValueError(f"the lag must be at least 0 and below the window's {seconds:g} s, not {lag:g} s")
    return round(seconds * rate), round(lag * rate)


class SlidingWindow:
    """The last ``seconds`` of steps, and what a filter makes of them: of the ascent's, the log factor S.

    shape: of one step. rate: ticks per second. Memory is taken once, seconds * rate * prod(shape) float32.
    design: of the kernel; that of the ascent over as much of ``band`` as the rate shows, where not given.
    Where fewer steps have come than the window holds, the missing ones count as zero.
    Raises ValueError as `window_kernel` does.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        rate: float,
        band: Band = PULSE_BAND,
        seconds: float = WINDOW,
        lag: float = LAG,
        design: Design | None = None,
    ) -> None:
        self._shape = shape
        self._design = design or (lambda rate, *others: window_kernel(band_at(band, rate), rate, *others))
        self._seconds = seconds
        self._lag = lag
        self._pending = np.zeros(int(np.prod(shape)), np.float32)
        self._emptied = 0
        self.set_rate(rate)

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one step."""
        return self._shape

    @property
    def rate(self) -> float:
        """Ticks per second."""
        return self._rate

    @property
    def lag(self) -> float:
        """Seconds by which the frame shown lies behind the newest."""
        return self._lag

    @property
    def delay_ticks(self) -> int:
        """Ticks by which the frame that `log_factor` is for lies behind the newest."""
        return round(self._lag * self._rate)

    @property
    def kernel(self) -> NDArray[np.float32]:
        """(T,), oldest step first; another array once rate, lag or the frame that it is for are others."""
        return self._kernel

    @property
    def steps(self) -> NDArray[np.float32]:
        """(T, prod(shape)), where they lie: the newest at (``written`` - 1) % T."""
        return self._steps

    @property
    def written(self) -> int:
        """Steps that came since it was emptied."""
        return self._written

    @property
    def emptied(self) -> int:
        """How often it was."""
        return self._emptied

    def set_rate(self, rate: float) -> None:
        """Change the ticks per second. Empties the window: its steps were spaced otherwise."""
        kernel = self._design(rate, self._seconds, self._lag).astype(np.float32)
        self._rate = rate
        self._kernel = self._designed = self._usual = kernel
        self._steps = np.zeros((kernel.size, self._pending.size), np.float32)
        self.reset()

    def set_lag(self, lag: float) -> None:
        """Change the lag at once; the steps stay."""
        self._usual = self._design(self._rate, self._seconds, lag).astype(np.float32)
        self._kernel = self._designed = self._usual
        self._lag = lag

    def lean(self, kernel: NDArray[np.floating], share: float) -> None:
        """Filter by a mean of the usual kernel and another, as long, until rate or lag change.

        share: of the other one, 0 to 1.
        """
        self._kernel = self._designed = (self._usual + share * (kernel - self._usual)).astype(np.float32)

    def look_back(self, ticks: int) -> None:
        """Until told otherwise, be for the frame ``ticks`` further back, as it was when that was due; 0 is the usual.

        The newest steps do not count then, nor those that have left the window since.
        """
        newer = np.zeros(ticks, np.float32)
        self._kernel = np.concatenate([self._designed[ticks:], newer]) if ticks else self._designed

    def reset(self) -> None:
        """Forget all steps."""
        self._steps.fill(0.0)
        self._pending.fill(0.0)
        self._written = 0
        self._emptied += 1

    def push(self, step: NDArray[Any], ticks: int = 1) -> None:
        """Add what the ascent added to one frame pair.

        step: ``shape``, the increment over the whole pair. ticks: how many the pair spans; the increment is
        spread over them evenly. With 0 (two frames within one tick) it waits for the next pair's ticks.
        Raises ValueError for a negative number of ticks or another shape.
        """
        if ticks < 0:
            raise ValueError(f"a frame pair cannot span {ticks} ticks")
        if np.shape(step) != self._shape:
            raise ValueError(f"the window holds steps of shape {self._shape}, not {np.shape(step)}")
        self._pending += np.ravel(step)
        if ticks == 0:
            return
        self._pending /= ticks
        for _ in range(min(ticks, self._kernel.size)):
            self._steps[self._written % self._kernel.size] = self._pending
            self._written += 1
        self._pending.fill(0.0)

    def log_factor(self) -> NDArray[np.float32]:
        """S of the frame `delay_ticks` behind the newest, shown as C exp(S). Returns ``shape``, float32."""
        return self.filtered()

    def filtered(self) -> NDArray[np.float32]:
        """The filter's output for the frame `delay_ticks` behind the newest. Returns ``shape``, float32."""
        oldest = self._written % self._kernel.size
        split = self._kernel.size - oldest
        # Not `@`: BLAS spreads even this over threads, and while another process or the network keeps the
        # cores busy each product waits a scheduler's slice for them, 8 ms instead of 0.1 ms.
        total: NDArray[np.float32] = np.einsum("t,ti->i", self._kernel[:split], self._steps[oldest:])
        if oldest:
            total += np.einsum("t,ti->i", self._kernel[split:], self._steps[:oldest])
        return total.reshape(self._shape)
