"""The window's kernel for a pulse whose rate is known: what is far from its rate and its harmonics is left out.

What a window keeps of the band alone is right for no pulse in it: slow and quick ones come out smaller, and early or
late. Of a known one both can be as they are, and less noise with it. It is expected so widely that a beat that is left
out is missed in the picture as soon as in the whole band's.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from deepmag.models.running_difference import delay, mean_response
from deepmag.models.temporal import Band
from deepmag.models.window import least_squares_kernel, noise_power, step_response

HARMONICS = (1.0, 0.3, 0.1)  # power at the rate and its multiples
# Hz, standard deviation of where each is: a share of its frequency, and more
SPREAD, MORE = 0.2, 0.1
NOISE = 5.0  # times what is expected in the whole band
LEAST_KEPT = 0.05  # of a pulse, by least squares alone, which is made up for; it is 0.27 at least
GRID = 0.02  # Hz, the steps in which rates are told apart


@lru_cache(maxsize=256)
def pulse_kernel(
    band: Band, rate: float, seconds: float, lag: float, frequency: float
) -> NDArray[np.float64]:
    """Design the kernel of a window for a pulse at ``frequency``, Hz. Shape and order as of `window.window_kernel`.

    band, rate, seconds, lag: as there. Its steps are a pair's mean over the last ones (`RunningDifference`), which is
    made up for in time and size. Least squares between its output and the pulse's own log factor, under that kernel's
    constraint. Raises ValueError as `window_kernel` does.
    """
    size = 1 << (4 * round(seconds * rate)).bit_length()
    f: NDArray[np.float64] = np.fft.rfftfreq(size, 1.0 / rate).astype(np.float64)
    turn = 2.0 * np.pi * f / rate
    signal = np.zeros_like(f)
    for multiple, power in enumerate(HARMONICS, start=1):
        spread = SPREAD * multiple * frequency + MORE
        signal += power / spread * np.exp(-0.5 * ((f - multiple * frequency) / spread) ** 2)
    signal *= np.sin(turn / 2.0) ** 2  # of the log factor's steps
    signal /= signal.max()
    # from steps, which are half of the log factor's, to itself, which is the sum
    whole = np.zeros(len(f), np.complex128)
    whole[1:] = 2.0 / (1.0 - np.exp(-1j * turn[1:]))
    late = np.exp(1j * turn * delay(rate))
    kernel = least_squares_kernel(
        whole * late * signal, signal + NOISE * noise_power(f, band), rate, seconds, lag
    )
    kept = step_response(kernel, rate, frequency) * float(mean_response(rate, np.asarray(frequency)))
    kernel /= max(kept, LEAST_KEPT)
    return kernel
