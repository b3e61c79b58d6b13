"""Pictures made of plane waves: their parts can be moved by any field exactly, without interpolation."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]


def wavy(
    shape: tuple[int, int],
    moved: tuple[float | Floats, float | Floats] = (0.0, 0.0),
    *,
    contrast: float = 25.0,
) -> Floats:
    """Grey levels (H, W), mean 128, SD ``contrast``; wavelengths of 6 to 40 px.

    moved: displacement down and right, px, numbers or (H, W): what is seen at p is the pattern at p - moved.
    """
    y, x = np.mgrid[: shape[0], : shape[1]].astype(np.float32)
    y, x = y - np.float32(moved[0]), x - np.float32(moved[1])
    total = np.zeros(shape, np.float32)
    for down, right, phase, strength in _waves().astype(np.float32):
        total += strength * np.cos(down * y + right * x + phase)
    return np.asarray(128 + np.float32(contrast) * total, np.float32)


@lru_cache(maxsize=1)
def _waves(count: int = 48) -> NDArray[np.float64]:
    rng = np.random.default_rng(0)
    wavelength = np.exp(rng.uniform(np.log(6), np.log(40), count))
    angle = rng.uniform(0, 2 * np.pi, count)
    strength = np.sqrt(wavelength / (0.5 * wavelength.sum()))
    wave = 2 * np.pi / wavelength
    return np.stack(
        [wave * np.sin(angle), wave * np.cos(angle), rng.uniform(0, 2 * np.pi, count), strength], 1
    )


def natural(side: int, moved: tuple[float, float] = (0.0, 0.0), *, contrast: float = 30.0) -> Floats:
    """Noise whose spectrum falls as that of a photograph, cut out of a larger picture that was shifted exactly.

    moved: down and right, px, less than 40. Returns (side, side) grey levels, mean 128, SD about ``contrast``.
    """
    n, margin = side + 80, 40
    down, right = np.fft.fftfreq(n)[:, None], np.fft.fftfreq(n)[None]
    radius = np.hypot(down, right)
    radius[0, 0] = np.inf
    spectrum = np.fft.fft2(np.random.default_rng(1).standard_normal((n, n)))
    spectrum *= np.exp(-((radius.clip(max=1) / 0.3) ** 2)) / radius**1.2
    spectrum *= contrast / np.fft.ifft2(spectrum).real.std()
    turned = spectrum * np.exp(-2j * np.pi * (down * moved[0] + right * moved[1]))
    whole = np.fft.ifft2(turned).real
    return np.asarray(128 + whole[margin : margin + side, margin : margin + side], np.float32)
