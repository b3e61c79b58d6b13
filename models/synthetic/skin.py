"""The colour of skin, from melanin and haemoglobin, and its class on the Fitzpatrick scale.

Only light-skinned photographs of skin could be had, so tone comes from a model: both absorb, and what they leave is the
albedo. Fitzpatrick's types are told from the skin's individual typology angle, as is usual where no dermatologist is.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

# Natural logarithms of linear RGB albedo of skin with no and with all melanin.
LIGHT, DARK = np.log([0.74, 0.52, 0.42]), np.log([0.11, 0.055, 0.04])
# Individual typology angle, degrees, above which skin is of type I, II, ... V (Chardon 1991; Del Bino & Bernerd 2013).
TYPE_ANGLES = (55.0, 41.0, 28.0, 10.0, -30.0)
TO_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
WHITE = np.array([0.9505, 1.0, 1.089])  # D65


def tone(melanin: float) -> NDArray[np.float64]:
    """Linear RGB albedo (3,) of bare skin. melanin: in [0, 1]."""
    return np.asarray(np.exp(LIGHT + melanin * (DARK - LIGHT)))


def typology_angle(albedo: NDArray[np.float64]) -> float:
    """Individual typology angle, degrees: atan2(L* - 50, b*) in CIELAB under D65. albedo: (3,) linear RGB."""
    _, y, z = np.cbrt(TO_XYZ @ albedo / WHITE)
    return float(np.rad2deg(np.arctan2(116 * y - 16 - 50, 200 * (y - z))))


def fitzpatrick(melanin: float) -> int:
    """Skin type 1 (I) to 6 (VI)."""
    angle = typology_angle(tone(melanin))
    return 1 + sum(angle <= threshold for threshold in TYPE_ANGLES)
