"""In a picture without colour, as of a camera's night vision, no pulse can be told, and the reason says so."""

from __future__ import annotations

import numpy as np
import pytest
from test_vitals import feed, person

from deepmag.stream.vitals import PulseRate

LUMA = np.array([0.299, 0.587, 0.114])


def grey(pairs, tint=(0.0, 0.0, 0.0)):
    """The pairs (t, before, after) as a camera without colour has them; tint: grey levels that a codec adds."""
    for t, *pair in pairs:
        yield (
            t,
            *(
                (np.tensordot(LUMA, one, 1) + np.array(tint)[:, None, None]).astype(np.float32)
                for one in pair
            ),
        )


def dim(pairs, share):
    for t, *pair in pairs:
        yield (t, *(np.float32(share) * one for one in pair))


@pytest.mark.parametrize("tint", [(0.0, 0.0, 0.0), (0.0, -0.7, 1.0)], ids=["none", "rounded chroma"])
def test_a_grey_picture_has_no_colour_to_read_a_pulse_from(tint):
    readings = [reading for _, reading in feed(PulseRate(), grey(person(72), tint))]
    assert all(reading.rate is None for reading in readings)
    assert {reading.reason for reading in readings} == {"no colour"}


def at(start, pairs):
    return ((start + t, *pair) for t, *pair in pairs)


def test_where_the_light_goes_on_the_pulse_is_read_as_soon_as_at_first():
    meter = PulseRate()
    first = next(t for t, reading in feed(meter, person(72)) if reading.rate is not None)
    night = feed(meter, at(12.1, grey(person(72))))
    assert {reading.reason for _, reading in night} == {"no colour"}
    day = feed(meter, at(24.2, person(72)))
    again = next(t for t, reading in day if reading.rate is not None)
    assert again - 24.2 == pytest.approx(first, abs=0.1)
    assert day[-1][1].rate == pytest.approx(72, abs=1)


def test_a_dim_picture_in_colour_has_colour():
    readings = feed(PulseRate(), dim(person(72, size=0.0), 0.05))
    assert readings[-1][1].reason not in {"no colour", ""}
