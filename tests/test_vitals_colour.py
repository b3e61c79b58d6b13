"""In a picture without colour, as of a camera's night vision, no pulse can be told, and the reason says so."""

from __future__ import annotations

import numpy as np
import pytest
from test_vitals import FACE_ROI, feed, person

from deepmag.stream.roi import Roi
from deepmag.stream.vitals import PulseRate

LUMA = np.array([0.299, 0.587, 0.114])
SMALL = Roi((0, 0, 360, 360), "full", (144.0, 132.0, 72.0, 96.0))


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
    assert {reading.reason for _, reading in day} == {"measuring", ""}
    again = next(t for t, reading in day if reading.rate is not None)
    assert again - 24.2 == pytest.approx(first, abs=0.1)
    assert day[-1][1].rate == pytest.approx(72, abs=1)


def test_a_dim_picture_in_colour_has_colour():
    readings = feed(PulseRate(), dim(person(72, size=0.0), 0.05))
    assert readings[-1][1].reason not in {"no colour", ""}


def test_a_small_face_before_a_white_wall_has_colour():
    x, y, w, h = (round(side) for side in SMALL.face_cells)

    def whitewashed(pairs):
        for t, *pair in pairs:
            for picture in pair:
                face = picture[:, y : y + h, x : x + w].copy()
                picture[:] = 125.0 + picture.mean(axis=0)
                picture[:, y : y + h, x : x + w] = face
            yield (t, *pair)

    readings = feed(PulseRate(), whitewashed(person(72, roi=SMALL)), roi=SMALL)
    assert readings[-1][1].rate == pytest.approx(72, abs=1)


def test_a_clock_in_colour_in_a_grey_picture_is_no_colour_of_the_face():
    def with_clock(pairs):
        for t, *pair in pairs:
            for picture in pair:
                picture[2, :4, :12] = 0.0
            yield (t, *pair)

    readings = [reading for _, reading in feed(PulseRate(), with_clock(grey(person(72))))]
    assert {reading.reason for reading in readings} == {"no colour"}


def test_of_a_face_outside_the_picture_no_colour_is_missed():
    away = Roi(FACE_ROI.box, "box", (400.0, 60.0, 180.0, 240.0))
    assert feed(PulseRate(), person(72), roi=away)[-1][1].reason == "face too small or cut off"
