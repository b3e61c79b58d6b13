"""Which pixels have the skin's colour, in pictures whose skin is known."""

from __future__ import annotations

import numpy as np
import pytest

from deepmag.models.representation import L
from deepmag.models.skin_colour import likeness

SKIN, WALL = (190.0, 140.0, 115.0), (170.0, 168.0, 160.0)
FACE = np.zeros((L, L), bool)
FACE[8:28, 10:26] = True


def picture(skin=SKIN, wall=WALL, light=(1.0, 1.0, 1.0), shade=None, noise=0.2):
    colours = np.where(FACE[..., None], skin, wall) * light
    if shade is not None:
        colours = colours * shade[..., None]
    grain = np.random.default_rng(0).normal(0, noise, colours.shape)
    return (colours + grain).transpose(2, 0, 1).astype(np.float32)


def sure():
    """The middle of the face, as a network that has found it."""
    found = np.zeros((L, L), np.float32)
    found[12:24, 13:23] = 1.0
    return found


def test_a_wall_of_another_colour_is_none_of_it_and_the_rest_of_the_face_is():
    alike = likeness(picture(), sure())
    assert alike[FACE].min() > 0.9
    assert alike[~FACE].max() < 0.1


@pytest.mark.parametrize("skin", [(95.0, 62.0, 48.0), (230.0, 190.0, 170.0)])
@pytest.mark.parametrize("light", [(1.0, 0.8, 0.6), (0.7, 0.9, 1.0)])
def test_skin_of_any_tone_in_light_of_any_colour(skin, light):
    alike = likeness(picture(skin=skin, light=light), sure())
    assert alike[FACE].min() > 0.85
    assert alike[~FACE].max() < 0.2


def test_shade_on_a_cheek_is_skin_still():
    shade = np.ones((L, L))
    shade[:, 18:] = 0.4
    assert likeness(picture(shade=shade), sure())[FACE].min() > 0.8


def test_skin_that_is_uneven_in_itself_is_taken_as_it_is():
    shade = np.ones((L, L))
    reddened = picture(shade=shade)
    reddened[0, 8:28, 10:18] *= 1.15  # one half of the face
    alike = likeness(reddened, sure())
    assert alike[FACE].min() > 0.8
    assert alike[~FACE].max() < 0.5


def test_where_there_are_no_colours_all_are_alike():
    grey = np.broadcast_to(picture()[1], (3, L, L))
    assert likeness(grey, sure()) == pytest.approx(np.ones((L, L)), abs=1e-4)
    assert likeness(np.zeros((3, L, L), np.float32), sure()) == pytest.approx(np.ones((L, L)), abs=1e-4)


def test_a_wall_like_the_skin_is_no_worse_than_without_it():
    assert likeness(picture(wall=SKIN), sure()).min() > 0.9


def test_where_nothing_is_sure_nothing_is_ruled_out():
    assert np.array_equal(likeness(picture(), np.zeros((L, L), np.float32)), np.ones((L, L)))
