"""Where a face was while something about it was learnt: what is known of a face goes with it.

The square around a face moves once the face has left its middle. What was learnt on its grid in the seconds before lies
where the face was then, which may be elsewhere in the picture by now: left there, the wall that the face has gone from
would pulse until it is forgotten.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from deepmag.stream.roi import FloatBox


class FollowedFace:
    """Average of a face's place, as an exponential average with a time constant of ``memory`` s remembers it."""

    def __init__(self, memory: float) -> None:
        self._memory = memory
        self.reset()

    def reset(self) -> None:
        """Forget the face."""
        self._last: FloatBox | None = None
        self._mean: NDArray[np.float64] | None = None  # centre x, centre y, height; px

    def update(self, face: FloatBox | None, seconds: float) -> None:
        """Take where the face is from now on, a box in px, ``seconds`` after it was told last."""
        if face is None:
            self.reset()
            return
        if self._last is not None:
            place = _place(self._last)
            before = place if self._mean is None else self._mean
            self._mean = place + np.exp(-seconds / self._memory) * (before - place)
        self._last = face

    def moved(self, region: FloatBox) -> FloatBox:
        """Where lies now, with the face, what lay on a region of the picture. From now on all is learnt there.

        The same region where no face was seen.
        """
        if self._last is None or self._mean is None:
            return region
        x, y, height = _place(self._last)
        mean_x, mean_y, mean_height = self._mean
        grown = height / mean_height
        self._mean = None
        return (
            x + (region[0] - mean_x) * grown,
            y + (region[1] - mean_y) * grown,
            region[2] * grown,
            region[3] * grown,
        )


def _place(face: FloatBox) -> NDArray[np.float64]:
    x, y, w, h = face
    return np.array([x + w / 2, y + h / 2, h])
