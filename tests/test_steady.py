"""The symmetric part of a network, of one whose parts are known: no network runs."""

from __future__ import annotations

import numpy as np
import pytest

from deepmag.models.steady import ascend_symmetric

RNG = np.random.default_rng(0)
SHAPE = (3, 6, 6)
WEIGHTS, SQUARED = RNG.normal(size=(2, *SHAPE)).astype(np.float32)
X, DIRECTION = RNG.normal(size=(2, 4, *SHAPE)).astype(np.float32)
GROWTH = np.array([0.1, 0.2, 0.3, 0.4], np.float32)  # of each pair its own


class KnownNetwork:
    """y = w x + q x^2 + 5: only w x is odd, and w is no mirror image of itself. Takes one step."""

    def steady(self, x, direction, growth):
        y = (WEIGHTS * x + SQUARED * x**2).sum(axis=(1, 2, 3)) + 5
        dx = (growth * y)[:, None, None, None] * direction
        return dx, y, WEIGHTS + 2 * SQUARED * x


@pytest.mark.parametrize("mirrored", [False, True])
def test_what_is_left_is_odd_and_the_same_in_the_mirror(mirrored):
    weights = (WEIGHTS + WEIGHTS[..., ::-1]) / 2 if mirrored else WEIGHTS
    expected = (weights * X).sum(axis=(1, 2, 3))
    dx, y, gradient = ascend_symmetric(KnownNetwork(), X, DIRECTION, GROWTH, mirrored=mirrored)
    np.testing.assert_allclose(y, expected, atol=1e-4)
    np.testing.assert_allclose(gradient, np.broadcast_to(weights, X.shape), atol=1e-5)
    np.testing.assert_allclose(dx, (GROWTH * expected)[:, None, None, None] * DIRECTION, atol=1e-4)


def test_by_itself_a_step_makes_the_output_ten_times_as_large():
    along = np.broadcast_to((WEIGHTS / (WEIGHTS**2).sum()).astype(np.float32), X.shape)
    dx, y, _ = ascend_symmetric(KnownNetwork(), X, along, mirrored=False)
    np.testing.assert_allclose(y + (WEIGHTS * dx).sum(axis=(1, 2, 3)), 10 * y, rtol=1e-4)
