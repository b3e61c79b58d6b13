"""What was learnt of a face goes with it when it moves, and does not stay on the wall behind."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
from live_run import magnifier, shipped

from deepmag.models.amplitude import MEMORY as AMPLITUDE_MEMORY
from deepmag.models.synthetic.person import Person
from deepmag.models.synthetic.scene import Framing, random_scene, render
from deepmag.models.synthetic.sensor import Sensor
from deepmag.stream.face import Face
from deepmag.stream.followed_face import FollowedFace
from deepmag.stream.frames import Frame
from deepmag.stream.settings import Settings

RATE, SIZE = 15.0, (640, 480)
SQUARE = (100, 50, 360, 360)


def face(x, y=100.0, height=200.0):
    return (x, y, 0.75 * height, height)


def followed(*places, memory=1.0):
    """places: pairs of a face's box and for how many seconds it is there."""
    found = FollowedFace(memory)
    since = 0.0
    for box, seconds in places:
        found.update(box, since)
        since = seconds
    return found


def test_a_face_that_has_just_moved_takes_all_along():
    assert followed((face(200), 10.0), (face(260), 0.0)).moved(SQUARE) == pytest.approx((160, 50, 360, 360))


def test_where_a_face_has_been_for_long_nothing_has_to_go():
    found = followed((face(200), 10.0), (face(260), 30.0), (face(260), 0.0))
    assert found.moved(SQUARE) == pytest.approx(SQUARE)


def test_between_the_two_it_goes_as_far_as_what_is_remembered_is_old():
    found = followed((face(200), 10.0), (face(260), 1.0), (face(260), 0.0))
    assert found.moved(SQUARE)[0] == pytest.approx(100 + 60 * np.exp(-1))


def test_a_longer_memory_is_of_where_the_face_was_longer_ago():
    places = (face(200), 60.0), (face(260), 1.0), (face(260), 0.0)
    assert followed(*places, memory=5.0).moved(SQUARE)[0] == pytest.approx(100 + 60 * np.exp(-1 / 5))


def test_a_face_that_comes_nearer_takes_it_along_larger():
    x, y, w, h = followed((face(200, 100, 200), 9.0), (face(162.5, 50, 300), 0.0)).moved(SQUARE)
    # both faces have their middle at 275, 200
    assert (w, h) == pytest.approx((540, 540))
    assert (x, y) == pytest.approx((275 - 1.5 * 175, 200 - 1.5 * 150))


def test_what_went_along_once_does_not_go_again():
    found = followed((face(200), 10.0), (face(260), 0.0))
    found.moved(SQUARE)
    found.update(face(260), 0.1)
    assert found.moved(SQUARE) == pytest.approx(SQUARE)


@pytest.mark.parametrize(
    "places", [[], [(face(200), 1.0)], [(face(200), 9.0), (None, 9.0), (face(400), 0.0)]]
)
def test_without_a_face_before_what_is_known_stays_where_it_is(places):
    assert followed(*places).moved(SQUARE) == SQUARE


class StepAside:
    """Somebody who steps aside between 10 and 11 s, and is found each second."""

    def __init__(self):
        steps = round(12.5 * RATE)
        scene = random_scene(
            np.random.default_rng(3),
            steps,
            RATE,
            framing=Framing(0.4, 0.45, 0.275, SIZE[0] / SIZE[1]),
            person=Person(3, 0.15, 0.012),
            still=True,
        )
        aside = np.clip(scene.t - 10.0, 0.0, 1.0)
        scene = replace(scene, motion=replace(scene.motion, x=0.7 * aside))
        rendered = render(scene, 180, 240)
        sensor, rng = Sensor(1.3), np.random.default_rng(9)
        self.skin = [cv2.resize(one, SIZE) for one in rendered.skin.numpy()]
        self.frames, self.faces = [], []
        for i, picture in enumerate(rendered.video.permute(0, 2, 3, 1).numpy()):
            large = cv2.resize(np.ascontiguousarray(picture), SIZE, interpolation=cv2.INTER_CUBIC)
            self.frames.append(
                Frame(0, i, i / RATE, 0.0, sensor.expose(large, sensor.grain(rng, *SIZE[::-1])))
            )
            box = (176.0 + 0.7 * 132.0 * float(aside[i]), 110.0, 160.0, 213.0)  # forehead to chin
            self.faces.append([Face(box, 1.0, ())] if i % RATE == 0 else None)


@pytest.fixture(scope="module")
def aside():
    """Of the second after the square moved: what is added to cells of green, and their cover by skin; (T, 60, 80)."""
    take = StepAside()
    machine = magnifier(shipped(), rate=RATE)
    done = []
    for frame, faces in zip(take.frames, take.faces, strict=True):
        done += machine.push(frame, Settings(), faces)
    done += machine.flush()
    moved = next(i for i, one in enumerate(done) if one.roi != done[0].roi)
    second = slice(moved, moved + round(RATE))
    added = [one.image[..., 1].astype(np.float32) - one.frame.image[..., 1] for one in done[second]]
    return tuple(
        np.stack([cv2.resize(one, (80, 60), interpolation=cv2.INTER_AREA) for one in of])
        for of in (added, take.skin[second])
    )


def test_the_wall_where_the_face_was_does_not_pulse(aside):
    added, cover = aside
    assert np.sqrt(np.mean(added[cover < 0.02] ** 2) / np.mean(added[cover > 0.5] ** 2)) < 0.035


def test_the_face_pulses_as_evenly_as_before_it_moved(aside):
    added, cover = aside
    size = np.sqrt((added**2).mean(axis=0))[cover.min(axis=0) > 0.9]
    assert size.std() < 0.25 * size.mean()


def test_a_face_of_another_session_takes_nothing_along(monkeypatch):
    machine, known = magnifier(shipped(), rate=RATE), []
    monkeypatch.setattr(machine._amplitudes, "move", lambda before, _after: known.append(before))
    rng = np.random.default_rng(0)
    # from which frame on: session, x. The third is no reason for the square to move
    places = {0: (0, 60.0), 15: (1, 340.0), 22: (1, 320.0), 30: (1, 240.0)}
    for i in range(31):
        if i in places:
            session, x = places[i]
        frame = Frame(session, i, i / RATE, 0.0, rng.integers(120, 130, (480, 640, 3), np.uint8))
        machine.push(frame, Settings(), [Face(face(x), 1.0, ())] if i in places else None)
        if i == 15:
            known.clear()
            square = machine._roi.box
    mean = 320.0 + 20.0 * np.exp(-8 / RATE / AMPLITUDE_MEMORY)
    assert known == [pytest.approx((square[0] + 240.0 - mean, *square[1:]))]
