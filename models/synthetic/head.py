"""The shape of a head without hair: a star-shaped surface, its distance from the head's centre in every direction.

Axes: x to the picture's right, y up, z out of the face. Unit: half the head's height, 11.5 cm on an adult. The centre
lies between the ears at the height of the eyes, so crown and chin are at y = 1 and -1.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import lru_cache

import cv2
import numpy as np

from deepmag.models.synthetic.solids import Field, Points, capsule, cut, ellipsoid, union

COARSE = 48  # rows of the map on which a head is first found
ROUNDS, FINE_ROUNDS = 8, 3  # of stepping outward by the distance that is left, there and on each finer map


@dataclass(frozen=True)
class HeadShape:
    """Sizes and places of the features; see the module's axes and unit."""

    width: float = 0.66
    depth: float = 0.84
    jaw_width: float = 0.46
    chin: float = 0.15
    chin_y: float = -0.84
    cheek: float = 0.16
    brow: float = 0.085
    eye_x: float = 0.265
    eye_y: float = 0.03
    socket: float = 0.11
    nose_width: float = 0.085
    nose_length: float = 0.34
    nose_height: float = 0.17
    nose_bridge: float = 0.05
    mouth_y: float = -0.56
    mouth_width: float = 0.20
    lip: float = 0.05
    ear: float = 0.20
    fullness: float = 0.2

    @classmethod
    def random(cls, rng: np.random.Generator) -> HeadShape:
        """Any adult's: each size and place varies by what people vary."""
        spread = {
            "width": 0.03,
            "depth": 0.03,
            "jaw_width": 0.035,
            "chin": 0.02,
            "chin_y": 0.02,
            "cheek": 0.02,
            "brow": 0.015,
            "eye_x": 0.012,
            "eye_y": 0.02,
            "socket": 0.012,
            "nose_width": 0.014,
            "nose_length": 0.03,
            "nose_height": 0.03,
            "nose_bridge": 0.014,
            "mouth_y": 0.02,
            "mouth_width": 0.02,
            "lip": 0.012,
            "ear": 0.02,
            "fullness": 0.35,
        }
        # twice the spread is the limit: further out lie caricatures
        return cls(
            **{
                f.name: float(f.default) + spread[f.name] * float(np.clip(rng.normal(), -2, 2))  # type: ignore[arg-type]
                for f in fields(cls)
                if f.name in spread
            }
        )

    @property
    def nose_tip(self) -> tuple[float, float]:
        """Height y and z of the nose's tip."""
        return self.eye_y - self.nose_length, 0.73 + self.nose_height

    def distance(self, p: Points) -> Field:
        """Signed distance of points to the head's surface, negative inside."""
        side = (np.abs(p[0]), p[1], p[2])  # what comes in pairs is computed once
        w = self.width
        tip_y, tip_z = self.nose_tip
        skull = ellipsoid(p, (0, 0.24, -0.08), (w, 0.74, self.depth))
        face = ellipsoid(p, (0, -0.30, 0.22), (self.jaw_width + 0.03, 0.62, 0.50))
        d = union(skull, face, 0.28)
        d = union(
            d, ellipsoid(p, (0, self.chin_y, 0.50), (self.chin + 0.04, self.chin, self.chin + 0.03)), 0.22
        )
        d = union(d, ellipsoid(side, (self.jaw_width - 0.12, -0.50, 0.06), (0.17, 0.20, 0.26)), 0.20)
        d = union(d, ellipsoid(side, (0.38, -0.14, 0.42), (0.16, 0.12, self.cheek + 0.02)), 0.22)
        full = 0.05 + 0.05 * self.fullness  # what lies over the bones of the cheek
        d = union(d, ellipsoid(side, (0.30, -0.42, 0.40), (0.16 + full, 0.22, 0.14 + full)), 0.25)
        brow_y = self.eye_y + 0.165
        d = union(
            d, capsule(side, (0.05, brow_y, 0.66), (0.36, brow_y + 0.01, 0.54), self.brow, self.brow), 0.14
        )
        d = cut(d, ellipsoid(side, (self.eye_x, self.eye_y, 0.76), (0.17, 0.095, self.socket)), 0.12)
        d = union(d, ellipsoid(side, (self.eye_x, self.eye_y, 0.545), (0.13, 0.105, 0.125)), 0.03)
        bridge = capsule(
            p, (0, self.eye_y + 0.10, 0.66), (0, tip_y + 0.02, tip_z - 0.08), self.nose_bridge, 0.075
        )
        nose = union(bridge, ellipsoid(p, (0, tip_y, tip_z - 0.085), (0.085, 0.075, 0.085)), 0.08)
        wings = ellipsoid(side, (self.nose_width, tip_y - 0.015, tip_z - 0.17), (0.058, 0.06, 0.09))
        d = union(d, union(nose, wings, 0.06), 0.07)
        mouth = ellipsoid(p, (0, self.mouth_y, 0.58), (0.25, 0.20, 0.155))
        d = union(d, mouth, 0.14)
        upper = ellipsoid(p, (0, self.mouth_y + 0.035, 0.71), (self.mouth_width, self.lip * 0.75, 0.065))
        lower = ellipsoid(p, (0, self.mouth_y - 0.045, 0.705), (self.mouth_width * 0.85, self.lip, 0.068))
        d = union(d, upper, 0.03)
        d = union(d, lower, 0.03)
        return union(d, ellipsoid(side, (w - 0.01, -0.06, -0.08), (0.09, self.ear, 0.15)), 0.08)

    def radius(self, rows: int) -> Field:
        """Distance of the surface from the centre over longitude and latitude: (rows, 2 rows)."""
        x, y, z = directions(rows)[2]
        if rows % 2 == 0 and rows > COARSE:
            # what a coarser map found is a good start: most of the work is done on a quarter of the directions
            r = cv2.resize(self.radius(rows // 2), (2 * rows, rows), interpolation=cv2.INTER_LINEAR)
            rounds = FINE_ROUNDS
        else:
            r, rounds = np.full((rows, 2 * rows), 0.75, np.float32), ROUNDS
        for _ in range(rounds):
            r = r - self.distance((r * x, r * y, r * z))
        return np.asarray(np.clip(r, 0.3, 1.5))

    def openness(self, rows: int) -> Field:
        """Share of the sky that a place on the surface sees, in [0, 1]: dim in sockets, under nose and chin.

        Returns (rows, 2 rows).
        """
        coarse = rows // 2  # it has no fine detail
        lon, lat, ahead = directions(coarse)
        radius = self.radius(coarse)
        normal = outward(lon, lat, *slopes(radius))
        hidden = np.zeros_like(radius)
        for reach, weight in ((0.05, 0.9), (0.12, 0.7), (0.25, 0.5)):
            out = [radius * a + np.float32(reach) * n for a, n in zip(ahead, normal, strict=True)]
            free = self.distance((out[0], out[1], out[2])) / np.float32(reach)
            hidden += np.float32(weight) * np.clip(1 - free, 0, 1)
        return np.asarray(cv2.resize(np.exp(-hidden), (2 * rows, rows), interpolation=cv2.INTER_LINEAR))


@lru_cache(maxsize=8)
def directions(rows: int) -> tuple[Field, Field, Points]:
    """Longitude and latitude, rad, and x, y, z of the unit direction of each texel of a map, all (rows, 2 rows)."""
    columns = 2 * rows
    north = ((np.arange(rows) + 0.5) / rows - 0.5)[:, None] * np.pi
    east = ((np.arange(columns) + 0.5) / columns - 0.5)[None] * (2 * np.pi)
    lon = np.asarray(np.repeat(east, rows, 0), np.float32)
    lat = np.asarray(np.repeat(north, columns, 1), np.float32)
    level = np.cos(lat)
    ahead: Points = (np.sin(lon) * level, np.sin(lat), np.cos(lon) * level)
    return lon, lat, ahead


def slopes(radius: Field) -> tuple[Field, Field]:
    """Rise of a surface per distance along it, eastward and northward. radius: (rows, 2 rows). Returns two such."""
    rows, columns = radius.shape
    _, lat, _ = directions(rows)
    wide = np.concatenate([radius[:, -1:], radius, radius[:, :1]], 1)
    east = (wide[:, 2:] - wide[:, :-2]) / np.float32(2 * 2 * np.pi / columns)
    north = np.gradient(radius, np.pi / rows, axis=0).astype(np.float32)
    return east / (radius * np.maximum(np.cos(lat), 0.08)), north / radius


def outward(lon: Field, lat: Field, east: Field, north: Field) -> Points:
    """x, y, z of the unit normal where a surface rises eastward and northward by those slopes."""
    clon, slon, clat, slat = np.cos(lon), np.sin(lon), np.cos(lat), np.sin(lat)
    length = np.asarray(1 / np.sqrt(1 + east * east + north * north), np.float32)
    x = length * (slon * clat - east * clon + north * slon * slat)
    y = length * np.asarray(slat - north * clat, np.float32)
    z = length * (clon * clat + east * slon + north * clon * slat)
    return x, y, z
