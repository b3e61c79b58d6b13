"""The comparison itself: it must see an error, and count it."""

from __future__ import annotations

import numpy as np
import pytest
from ascender_parity import compare


def test_equal_outputs_have_no_error() -> None:
    output = np.ones((3, 4), dtype=np.float32)
    parity = compare("y", output, output.copy())
    assert parity.agrees
    assert parity.differing == 0
    assert parity.elements == 12
    assert (parity.errors == 0).all()


def test_an_error_is_relative_to_its_own_pair() -> None:
    reference = np.array([[3.0, 4.0], [300.0, 400.0]], dtype=np.float32)
    output = reference + np.array([[0.0, 0.5], [0.0, 0.5]], dtype=np.float32)
    parity = compare("y", output, reference)
    assert parity.errors == pytest.approx([0.1, 0.001])
    assert parity.differing == 2
    assert not parity.agrees
    assert "2 of 2 pairs beyond" in str(parity)


def test_one_pair_whose_relu_switched_does_not_fail_the_others() -> None:
    reference = np.ones((5, 4), dtype=np.float32)
    output = reference.copy()
    output[2] *= 1.01
    parity = compare("dx", output, reference)
    assert parity.agrees
    assert parity.errors.max() == pytest.approx(0.01, rel=1e-3)


def test_most_pairs_have_to_agree() -> None:
    reference = np.ones((5, 4), dtype=np.float32)
    output = reference.copy()
    output[:3] *= 1.01
    parity = compare("dx", output, reference)
    assert not parity.agrees
    assert "median 1.0e-02" in str(parity)


def test_something_where_the_reference_is_zero_is_an_error() -> None:
    assert not compare("y", np.ones((1, 1), dtype=np.float32), np.zeros((1, 1), dtype=np.float32)).agrees


def test_different_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"y: shape \(2,\), its reference \(3,\)"):
        compare("y", np.ones(2, dtype=np.float32), np.ones(3, dtype=np.float32))
