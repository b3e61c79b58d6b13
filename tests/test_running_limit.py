"""What is several times larger than usual is held back, and what stays is believed."""

from __future__ import annotations

import pytest

from deepmag.models.running_limit import RunningLimit


def held(sizes, least=0.0):
    """What the limit makes of the last of some sizes at 30 a second."""
    limit = RunningLimit(least)
    return [limit.hold(size, 1 / 30) for size in sizes][-1]


def test_what_exceeds_four_times_the_mean_is_held_to_that():
    assert held([1.0] * 60 + [3.9]) == 3.9
    assert held([1.0] * 60 + [100.0]) == pytest.approx(4.0)


def test_nothing_is_held_in_the_first_half_second():
    assert held([1.0] * 13 + [100.0]) == 100.0
    assert held([1.0] * 16 + [100.0]) == pytest.approx(4.0)


def test_a_still_picture_does_not_hold_back_the_pulse_after_it():
    assert held([0.0] * 60 + [1.9], least=0.5) == 1.9
    assert held([0.0] * 60 + [100.0], least=0.5) == pytest.approx(2.0)


def test_what_stays_is_believed_after_some_seconds():
    assert held([1.0] * 60 + [20.0] * 15) < 20.0
    assert held([1.0] * 60 + [20.0] * 150) == 20.0
