"""Distances to round solids, and their smooth unions: what heads and shoulders are modelled from.

Points are three float32 arrays x, y, z of one shape, distances are one such array, in units of half a head's height.
Negative is inside. Distances to ellipsoids are first-order estimates, exact near the surface.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Field = NDArray[np.float32]
Points = tuple[Field, Field, Field]
Point = tuple[float, float, float]


def ellipsoid(p: Points, centre: Point, radii: Point) -> Field:
    """Distance to an ellipsoid with its axes along x, y, z."""
    length = slope = np.zeros((), np.float32)
    for values, c, r in zip(p, centre, radii, strict=True):
        u = (values - np.float32(c)) * np.float32(1 / r)
        u *= u
        length = length + u
        slope = slope + u * np.float32(1 / r**2)
    length = np.sqrt(length)
    return np.asarray(length * (length - 1) / (np.sqrt(slope) + np.float32(1e-6)))


def capsule(p: Points, start: Point, end: Point, start_radius: float, end_radius: float) -> Field:
    """Distance to a rod with round ends whose radius changes evenly from one end to the other."""
    axis = [b - a for a, b in zip(start, end, strict=True)]
    size = sum(a * a for a in axis)
    away = [values - np.float32(a) for values, a in zip(p, start, strict=True)]
    along = sum(v * np.float32(a / size) for v, a in zip(away, axis, strict=True))
    along = np.clip(along, 0, 1)
    distance = sum((v - along * np.float32(a)) ** 2 for v, a in zip(away, axis, strict=True))
    return np.asarray(
        np.sqrt(distance) - (np.float32(start_radius) + np.float32(end_radius - start_radius) * along)
    )


def union(a: Field, b: Field, blend: float) -> Field:
    """Both solids, with a fillet about ``blend`` wide between them."""
    h = np.maximum(np.float32(blend) - np.abs(a - b), 0)
    return np.asarray(np.minimum(a, b) - h * h * np.float32(0.25 / blend))


def cut(a: Field, b: Field, blend: float) -> Field:
    """Solid a without b, its rim rounded."""
    return -union(-a, b, blend)


def soft(distance: Field, hard: float) -> Field:
    """A step from 0 to 1 where ``distance`` turns positive, about 4 / hard wide."""
    return np.asarray(1 / (1 + np.exp(np.clip(-np.float32(hard) * distance, -30, 30))))
