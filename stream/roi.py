"""Which part of the picture the network looks at: a square around one face, that moves seldom.

It moves seldom because every move cuts the reduced picture's history: within 12 % of its side the network,
which was trained with faces off centre, does not mind.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from deepmag.models.representation import L

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deepmag.stream.face import Face
    from deepmag.stream.settings import Region

SIDE = 1.5  # sides of the square per height of the face: the framing that the network was trained with
MAX_OFFSET = 0.12  # sides that the face's centre may be off
MAX_SCALE = 1.2  # times that the face may have grown or shrunk
SAME_FACE = 1.0  # face heights that a face may have moved between two detections and still be the same
OTHER_FACE_AFTER = 2.0  # s without the followed face before another one is followed
FULL_AFTER = 5.0  # s without any face before the full picture is used

RoiKind = Literal["face", "full", "box"]
FloatBox = tuple[float, float, float, float]
IntBox = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class Roi:
    """What to look at.

    box: (x, y, w, h), px, inside the picture. kind: "face": around a face; "full": the full picture; "box":
    drawn by a person. face: the followed face's (x, y, w, h), px, or None where there is none. person: another number
    once another face is followed in place of one that is gone.
    """

    box: IntBox
    kind: RoiKind
    face: FloatBox | None
    person: int = 0

    @property
    def face_cells(self) -> FloatBox | None:
        """The face's (x, y, w, h) in cells of the L x L picture that ``box`` is reduced to."""
        if self.face is None:
            return None
        x, y, w, h = self.box
        fx, fy, fw, fh = self.face
        return ((fx - x) * L / w, (fy - y) * L / h, fw * L / w, fh * L / h)


class RegionError(ValueError):
    """A region that a person asked for does not fit the picture."""


def clamp_box(box: IntBox, size: tuple[int, int]) -> IntBox:
    """Cut a drawn box to the picture. size: (width, height), px. RegionError where less than L x L is left."""
    x, y, w, h = box
    left, top = max(0, x), max(0, y)
    right, bottom = min(size[0], x + w), min(size[1], y + h)
    if right - left < L or bottom - top < L:
        raise RegionError(
            f"the region {x},{y},{w},{h} leaves less than {L}x{L} pixels of the {size[0]}x{size[1]} picture: "
            "choose a larger one"
        )
    return (left, top, right - left, bottom - top)


class RoiTracker:
    """Follows one face; time is an argument, so it has no clock."""

    def __init__(self) -> None:
        self._person = 0
        self.reset()

    def reset(self) -> None:
        """Forget the face: a new session."""
        self._size = (0, 0)
        self._face: FloatBox | None = None
        self._seen = -math.inf  # when the followed face was last seen, s
        # centre x, centre y, side; px, before clamping
        self._square: tuple[float, float, float] | None = None

    def update(
        self, now: float, size: tuple[int, int], faces: Sequence[Face] | None, region: Region = "auto"
    ) -> Roi:
        """Decide what to look at from now on.

        now: s, any clock that runs forward. size: (width, height) of the picture, px. faces: a new
        detection's result, or None where there is none since the last call. region: what the person asked
        for. Raises RegionError where an explicit region lies outside the picture.
        """
        if size != self._size:
            self.reset()
            self._size = size
        if faces is not None:
            self._follow(now, faces)
        if self._face is not None and now - self._seen > FULL_AFTER:
            self._face = self._square = None
        if isinstance(region, tuple):
            return Roi(clamp_box(region, size), "box", self._face, self._person)
        if region == "auto" and self._square is not None:
            return Roi(_inside(self._square, size), "face", self._face, self._person)
        return Roi((0, 0, *size), "full", self._face, self._person)

    def _follow(self, now: float, faces: Sequence[Face]) -> None:
        face = self._same(faces)
        if face is None and faces and now - self._seen > OTHER_FACE_AFTER:
            face = max(faces, key=self._prominence)
            self._person += self._face is not None
        if face is None:
            return
        self._face, self._seen = face.box, now
        x, y, w, h = face.box
        square = (x + w / 2, y + h / 2, SIDE * h)
        if self._square is None or _far(self._square, square):
            self._square = square

    def _same(self, faces: Sequence[Face]) -> Face | None:
        if self._face is None or not faces:
            return None
        last = self._face
        nearest = min(faces, key=lambda face: _distance(face.box, last))
        return nearest if _distance(nearest.box, last) <= SAME_FACE * last[3] else None

    def _prominence(self, face: Face) -> float:
        """Height of the face, px, worth half as much in the picture's corner as in its middle."""
        x, y, w, h = face.box
        width, height = self._size
        off = math.hypot(x + w / 2 - width / 2, y + h / 2 - height / 2)
        return h * (1 - off / math.hypot(width, height))


def _distance(a: FloatBox, b: FloatBox) -> float:
    return math.hypot(a[0] + a[2] / 2 - b[0] - b[2] / 2, a[1] + a[3] / 2 - b[1] - b[3] / 2)


def _far(current: tuple[float, float, float], wanted: tuple[float, float, float]) -> bool:
    off = math.hypot(wanted[0] - current[0], wanted[1] - current[1])
    scale = max(wanted[2] / current[2], current[2] / wanted[2])
    return off > MAX_OFFSET * current[2] or scale > MAX_SCALE


def _inside(square: tuple[float, float, float], size: tuple[int, int]) -> IntBox:
    """Shift a square into the picture, in whole px, and cut it on an axis where the picture is too small."""
    cx, cy, side = square
    w, h = (min(max(round(side), L), length) for length in size)
    x = min(max(round(cx - w / 2), 0), size[0] - w)
    y = min(max(round(cy - h / 2), 0), size[1] - h)
    return (x, y, w, h)
