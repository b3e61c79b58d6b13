"""A synthetic person: everything follows from a seed, the melanin of the skin and the strength of the pulse."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray

from deepmag.models.synthetic.body import Body
from deepmag.models.synthetic.hair import Hair
from deepmag.models.synthetic.head import HeadShape, directions
from deepmag.models.synthetic.look import paint_head
from deepmag.models.synthetic.mesh import FaceMesh
from deepmag.models.synthetic.skin import fitzpatrick


@dataclass(frozen=True)
class Person:
    """seed decides every feature; melanin in [0, 1]; pulse: peak-to-peak relative change of the skin's green light.

    mesh: from which the head's shape is taken, in place of the modelled one.
    """

    seed: int
    melanin: float
    pulse: float
    mesh: FaceMesh | None = None

    @classmethod
    def random(
        cls,
        rng: np.random.Generator,
        *,
        pulse: float | None = None,
        melanin: float | None = None,
        good_light: bool = False,
        mesh: FaceMesh | None = None,
    ) -> Person:
        """Any adult. The pulse of dark skin is weaker: melanin absorbs the light before blood can.

        good_light: with the pulse of a face in good light, 1.0 to 2.5 % before melanin takes its part: two real clips
        show 0.20 and 0.41 % of green, RMS in grey levels, which is 1.2 and 2.6 % of light, peak to peak.
        """
        drawn = float(rng.beta(1.1, 1.3))
        melanin = drawn if melanin is None else melanin
        # 0.15 to 1.6 %: what webcams show, from a pale still face in daylight to dark skin indoors
        low, high = (0.010, 0.025) if good_light else (0.0025, 0.016)
        strength = float(np.exp(rng.uniform(np.log(low), np.log(high)))) * (1 - 0.55 * melanin)
        return cls(int(rng.integers(2**31)), melanin, strength if pulse is None else pulse, mesh)

    @property
    def fitzpatrick(self) -> int:
        """Skin type, 1 (I) to 6 (VI); see `skin`."""
        return fitzpatrick(self.melanin)

    @cached_property
    def shape(self) -> HeadShape:
        """The head's features."""
        if self.mesh is not None:
            return self.mesh.person(self.seed)
        return HeadShape.random(np.random.default_rng([self.seed, 0]))

    @cached_property
    def hair(self) -> Hair:
        """Hair, beard, glasses."""
        return Hair.random(np.random.default_rng([self.seed, 1]), self.melanin)

    @cached_property
    def body(self) -> Body:
        """Shoulders and clothes."""
        return Body.random(np.random.default_rng([self.seed, 4]))

    def head_maps(self, rows: int) -> NDArray[np.float32]:
        """The head over longitude and latitude, see `look.paint_head`: (CHANNELS, rows, 2 rows)."""
        return _head_maps(self.seed, self.melanin, self.shape, self.hair, rows)

    def body_maps(self, rows: int) -> NDArray[np.float32]:
        """Shoulders and chest, see `Body.maps`: (7, rows, columns)."""
        return _body_maps(self.body, rows)

    def bound(self, rows: int) -> tuple[float, float, float]:
        """Radii of an ellipsoid that holds the head with its hair."""
        return _bound(self.seed, self.melanin, self.shape, self.hair, rows)


@lru_cache(maxsize=4)
def _bound(seed: int, melanin: float, shape: HeadShape, hair: Hair, rows: int) -> tuple[float, float, float]:
    radius = _head_maps(seed, melanin, shape, hair, rows)[0]
    places = np.stack([np.abs(radius * axis) for axis in directions(rows)[2]], -1)
    radii = places.max((0, 1))
    # the box of these radii holds the head; an ellipsoid of that shape does when blown up by the farthest corner
    grow = float(np.sqrt(((places / radii) ** 2).sum(-1).max())) + 0.01
    return float(radii[0]) * grow, float(radii[1]) * grow, float(radii[2]) * grow


@lru_cache(maxsize=4)
def _head_maps(seed: int, melanin: float, shape: HeadShape, hair: Hair, rows: int) -> NDArray[np.float32]:
    return paint_head(seed, melanin, shape, hair, rows)


@lru_cache(maxsize=4)
def _body_maps(body: Body, rows: int) -> NDArray[np.float32]:
    return body.maps(rows)
