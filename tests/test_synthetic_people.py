"""People look like people: tone, shape, faces that a detector knows, expressions."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from deepmag.models.synthetic.head import HeadShape, directions
from deepmag.models.synthetic.motion import Motion
from deepmag.models.synthetic.person import Person
from deepmag.models.synthetic.scene import Framing, plain_wall, random_scene, render
from deepmag.models.synthetic.skin import fitzpatrick, tone, typology_angle
from deepmag.stream.face import FaceDetector, FaceModelMissingError


def picture(person, *, size=(320, 240), **motion):
    scene = random_scene(
        np.random.default_rng(0),
        2,
        30.0,
        framing=Framing(0.5, 0.43, 0.275, size[0] / size[1]),
        person=person,
        still=True,
        background=plain_wall(),
    )
    tracks = {name: np.full(2, value) for name, value in motion.items()}
    return render(
        replace(scene, motion=replace(Motion.none(2), **tracks)), size[1], size[0], slice(0, 1)
    ).video[0]


def test_skin_darkens_steadily_with_melanin_over_all_six_types():
    melanin = np.linspace(0, 1, 41)
    angles = [typology_angle(tone(m)) for m in melanin]
    assert (np.diff(angles) < 0).all()
    types = [fitzpatrick(m) for m in melanin]
    assert sorted(set(types)) == [1, 2, 3, 4, 5, 6]
    assert types == sorted(types)
    assert Person(1, 0.9, 0.01).fitzpatrick == 6


def test_the_rendered_face_darkens_with_melanin():
    faces = [
        float(picture(Person(51, m, 0.01))[:, 90:120, 140:180].mean()) for m in (0.05, 0.3, 0.5, 0.75, 1.0)
    ]
    assert (np.diff(faces) < 0).all()


def test_a_face_detector_finds_the_frontal_people():
    try:
        detector = FaceDetector()
    except FaceModelMissingError as missing:
        pytest.skip(str(missing))
    found = 0
    for seed in range(10):
        image = picture(Person(seed, seed / 10, 0.01)).permute(1, 2, 0).numpy().astype(np.uint8)
        faces = detector.detect(np.ascontiguousarray(image))
        if faces:
            x, y, w, h = faces[0].box
            found += abs(x + w / 2 - 160) < 20 and abs(y + h / 2 - 108) < 30
    assert found >= 8


def test_a_head_has_a_nose_before_and_eyes_below_the_brows():
    shape = HeadShape()
    radius = shape.radius(192)
    _, _, (x, y, z) = directions(192)
    front = radius * z
    tip = np.unravel_index(front.argmax(), front.shape)
    assert abs(float((radius * x)[tip])) < 0.03
    assert float((radius * y)[tip]) == pytest.approx(shape.nose_tip[0], abs=0.05)
    crown, chin = float((radius * y).max()), float((radius * y).min())
    assert crown == pytest.approx(1.0, abs=0.06)
    assert chin == pytest.approx(-1.0, abs=0.06)


def test_the_surface_found_is_the_surface():
    shape = HeadShape.random(np.random.default_rng(3))
    radius = shape.radius(96)
    x, y, z = directions(96)[2]
    left = np.abs(shape.distance((radius * x, radius * y, radius * z)))
    assert np.quantile(left, 0.99) < 0.01


def test_a_map_of_any_size_shows_the_same_person():
    coarse, fine = (Person(7, 0.4, 0.01).head_maps(rows) for rows in (96, 192))
    halved = fine.reshape(12, 96, 2, 192, 2).mean((2, 4))
    assert np.corrcoef(coarse[0].ravel(), halved[0].ravel())[0, 1] > 0.99
    assert np.corrcoef(coarse[1].ravel(), halved[1].ravel())[0, 1] > 0.95


def test_seeds_are_different_people():
    one, other = (Person(seed, 0.3, 0.01).head_maps(96) for seed in (1, 2))
    assert np.abs(one[0] - other[0]).max() > 0.05


@pytest.mark.parametrize(
    ("expression", "rows"), [("jaw", (125, 165)), ("smile", (110, 145)), ("brow", (75, 110))]
)
def test_an_expression_moves_its_part_of_the_face(expression, rows):
    person = Person(51, 0.2, 0.0)
    change = (picture(person, **{expression: 1.0}) - picture(person)).abs().mean(0)
    part = change[rows[0] : rows[1], 130:190].mean()
    assert part > 1.0
    assert part > 5 * float(change[40:60, 130:190].mean() + 1e-3)


def test_shut_eyes_show_no_white():
    person = Person(51, 0.9, 0.0)  # the white stands out on dark skin
    eyes = (slice(None), slice(88, 112), slice(125, 195))
    opened, shut = picture(person)[eyes], picture(person, blink=1.0)[eyes]
    assert float(opened.max()) > float(shut.max()) + 20


def test_a_turned_head_shows_its_nose_to_the_side_it_turns_to():
    shape = Person(51, 0.2, 0.0)
    ahead, right = picture(shape), picture(shape, yaw=np.deg2rad(40.0))
    assert torch.isfinite(right).all()
    # the far cheek goes out of sight: less of the picture left of the nose is face, and the outline moved
    assert float((ahead - right).abs().mean()) > 2.0
