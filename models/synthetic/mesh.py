"""Heads from a morphable mesh, such as ICT FaceKit's: its identity shapes as radius over longitude and latitude."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from functools import cached_property, lru_cache
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import LinearNDInterpolator

from deepmag.models.synthetic.head import HeadShape, directions
from deepmag.models.synthetic.solids import Field

NOSE_TIP_Z = 0.90  # units of `head`: where the centre lies before the ears
HIDDEN = 0.90  # a vertex nearer than this share of what lies around it is inside: the mouth's walls
BIN = np.deg2rad(5.0)  # rad, of what lies around
NECK = -0.72  # below this latitude, as its sine, the mesh is neck, which is rendered by itself


@dataclass(frozen=True, eq=False)
class FaceMesh:
    """A neutral head and how people differ from it.

    neutral: (V, 3), any unit: x towards the head's own left, which is right in the picture, y up, z out of the face.
    identity: (K, V, 3), for coefficients of about N(0, 1). landmarks: (68,) indices of vertices, in the
    usual order of face landmarks. outside: (V,) whether a vertex belongs to skin.
    """

    neutral: NDArray[np.float32]
    identity: NDArray[np.float16]
    landmarks: NDArray[np.intp]
    outside: NDArray[np.bool_]

    @cached_property
    def _identity(self) -> NDArray[np.float32]:
        return self.identity.astype(np.float32)

    @classmethod
    def load(cls, mesh: Path, indices: Path) -> FaceMesh:
        """From an .npz with neutral, identity, faces and face_material, and the JSON file of its landmarks."""
        with np.load(mesh) as stored:
            neutral, identity = stored["neutral"].astype(np.float32), stored["identity"]
            faces, material = stored["faces"], stored["face_material"]
        skin = np.zeros(len(neutral), bool)
        known = faces[np.isin(material, ["M_Face", "M_BackHead"])]
        skin[known[known < len(neutral)]] = True
        landmarks = np.array(json.loads(indices.read_text())["idx_to_landmark_verts"], np.intp)
        return cls(neutral, identity, landmarks, skin)

    def person(self, seed: int) -> MeshHead:
        """Somebody's head, decided by ``seed``."""
        rng = np.random.default_rng([seed, 6])
        weights = np.clip(rng.standard_normal(len(self.identity)), -2.5, 2.5).astype(np.float32)
        vertices = self.neutral + np.tensordot(weights, self._identity, 1)
        marks = vertices[self.landmarks]
        top, chin = vertices[:, 1].max(), marks[8, 1]
        unit = float(top - chin) / 2
        nose = marks[30, 2]
        centre = np.array([0.0, (top + chin) / 2, nose - NOSE_TIP_Z * unit], np.float32)
        marks, vertices = (marks - centre) / unit, (vertices - centre) / unit
        eyes = marks[36:48]
        default = HeadShape.random(np.random.default_rng([seed, 0]))
        features = {f.name: getattr(default, f.name) for f in fields(HeadShape)} | {
            "eye_x": float(np.abs(eyes[:, 0]).mean()),
            "eye_y": float(eyes[:, 1].mean()),
            "mouth_y": float(marks[60:68, 1].mean()),
            "mouth_width": float(np.ptp(marks[[48, 54], 0]) / 2),
            "nose_length": float(eyes[:, 1].mean() - marks[30, 1]),
            "nose_width": float(np.ptp(marks[[31, 35], 0]) / 2),
            "nose_height": NOSE_TIP_Z - 0.73,
            "width": float(np.ptp(marks[[0, 16], 0]) / 2),
            "chin_y": float(marks[8, 1]) + 0.16,
        }
        return MeshHead(**features, vertices=vertices[self.outside])


@dataclass(frozen=True, eq=False)
class MeshHead(HeadShape):
    """A head whose surface is a mesh's, and whose features are where that mesh has them. vertices: (V, 3)."""

    vertices: NDArray[np.float32] | None = None

    @cached_property
    def _surface(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Longitude and latitude of what is outside, (V, 2), and its distance from the centre, (V,)."""
        if self.vertices is None:
            raise ValueError("a mesh head needs vertices")
        x, y, z = self.vertices.astype(np.float64).T
        distance = np.sqrt(x * x + y * y + z * z)
        angles = np.stack([np.arctan2(x, z), np.arcsin(y / distance)], 1)
        column, row = (np.floor((angles + np.pi) / BIN).astype(int)).T
        farthest = np.zeros((column.max() + 1, row.max() + 1))
        np.maximum.at(farthest, (column, row), distance)
        keep = (distance > HIDDEN * farthest[column, row]) & (np.sin(angles[:, 1]) > NECK)
        return angles[keep], distance[keep]

    def radius(self, rows: int) -> Field:
        """As `HeadShape.radius`: the mesh's where it has a surface, the modelled head's elsewhere."""
        return _mesh_radius(self, rows)

    def openness(self, rows: int) -> Field:
        """As `HeadShape.openness`, from how far a place lies below what surrounds it."""
        radius = self.radius(rows)
        hidden = np.zeros_like(radius)
        for width in (rows / 48, rows / 24, rows / 12):
            below = cv2.GaussianBlur(radius, (0, 0), width) - radius
            hidden += np.clip(below * np.float32(3.0 * rows / width / 12), 0, 0.6)
        return np.asarray(np.exp(-hidden), np.float32)


@lru_cache(maxsize=8)
def _mesh_radius(head: MeshHead, rows: int) -> Field:
    angles, distance = head._surface
    # once around, and a little more on both sides, so that the seam at the back is no edge
    turn = np.array([2 * np.pi, 0.0])
    right, left = angles[:, 0] < -2.6, angles[:, 0] > 2.6
    around = np.concatenate([angles, angles[right] + turn, angles[left] - turn])
    found = LinearNDInterpolator(around, np.concatenate([distance, distance[right], distance[left]]))
    lon, lat, _ = directions(rows)
    interpolated = np.asarray(found(lon, lat), np.float32)
    known = np.isfinite(interpolated)
    modelled = HeadShape.radius(head, rows)
    share = np.asarray(known & (np.sin(lat) > NECK + 0.04), np.float32)
    share = np.asarray(cv2.GaussianBlur(cv2.erode(share, np.ones((3, 3))), (0, 0), rows / 48), np.float32)
    radius = modelled.copy()
    radius[known] = interpolated[known]
    # between its vertices the mesh is flat: rounded a little, so that it does not glitter
    smooth = cv2.GaussianBlur(np.ascontiguousarray(radius), (0, 0), max(0.6, rows / 160))
    return np.asarray(modelled + share * (smooth - modelled), np.float32)
