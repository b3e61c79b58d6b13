"""Recorded rhythms and head tracks, and heads from a mesh."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from deepmag.models.synthetic.assets import Assets, load_assets
from deepmag.models.synthetic.head import HeadShape, directions
from deepmag.models.synthetic.mesh import FaceMesh
from deepmag.models.synthetic.motion import Motion
from deepmag.models.synthetic.person import Person
from deepmag.models.synthetic.recorded import HeadTrack, RecordedRhythm
from deepmag.models.synthetic.scene import random_scene, render
from deepmag.models.synthetic.waveforms import Rhythm, beat_phase, blood_volume, breath


@pytest.fixture(scope="module")
def recording():
    t = np.arange(0, 60, 1 / 30)
    made = Rhythm(bpm=66, breaths=14, variability=0.02)
    return RecordedRhythm(3 * blood_volume(made, t) + 7, 5 * breath(made, t), 30.0)


def test_a_recording_has_its_rates(recording):
    assert recording.bpm == pytest.approx(66, rel=0.03)
    assert recording.breaths == pytest.approx(14, rel=0.05)
    t = np.arange(0, 50, 1 / 60)
    phase = beat_phase(recording, t)
    assert (np.diff(phase) > 0).all()
    assert (phase[-1] - phase[0]) / t[-1] * 60 == pytest.approx(66, rel=0.03)


def test_a_recording_is_read_at_any_rate_and_normalised(recording):
    t = np.arange(5, 40, 1 / 120)
    wave = blood_volume(recording, t)
    assert np.ptp(wave) == pytest.approx(1.1, abs=0.25)
    made = blood_volume(Rhythm(bpm=66, breaths=14, variability=0.02), t)
    assert np.corrcoef(wave, made)[0, 1] > 0.9
    assert np.abs(breath(recording, t)).max() <= 1.0


def test_past_its_end_a_recording_runs_backward_without_a_step(recording):
    t = np.arange(55, 65, 1 / 60)
    assert np.abs(np.diff(blood_volume(recording, t))).max() < 0.15
    end = (len(recording.pulse) - 1) / 30
    assert blood_volume(recording, np.array([end + 2])) == pytest.approx(
        blood_volume(recording, np.array([end - 2]))
    )
    assert (np.diff(beat_phase(recording, t)) >= 0).all()


def test_a_head_track_tells_shift_size_and_roll():
    rng = np.random.default_rng(0)
    face = rng.normal(0, 50, 30) + 1j * rng.normal(0, 60, 30)
    t = np.arange(100) / 50
    roll, size = 0.1 * np.sin(t), 1 + 0.05 * t
    moved = face[:, None] * size * np.exp(1j * roll) + 400 + 20 * t + 1j * 300
    # the picture's y runs down
    track = HeadTrack.from_points(moved.real, -moved.imag, 50.0)
    assert np.ptp(track.roll) == pytest.approx(np.ptp(roll), rel=0.05)
    assert track.scale[-1] / track.scale[0] == pytest.approx(size[-1], rel=0.01)
    assert track.x[-1] > track.x[0]
    motion = track.applied(Motion.none(30), np.arange(30) / 30)
    assert motion.roll[15] == pytest.approx(np.interp(0.5, t, track.roll))


def egg(seed):
    """A mesh that is an ellipsoid, with one shape that widens it."""
    rng = np.random.default_rng(seed)
    v = rng.normal(size=(6000, 3))
    v /= np.linalg.norm(v, axis=1, keepdims=True)
    neutral = (v * [7.0, 11.0, 9.0]).astype(np.float32)
    marks = rng.integers(0, 6000, 68)
    order = {
        8: (0, -11, 0),
        30: (0, -2, 9.0),
        48: (-2, -5, 7),
        54: (2, -5, 7),
        31: (-1, -3, 8),
        35: (1, -3, 8),
    }
    order |= {0: (-7, 0, 0), 16: (7, 0, 0)} | {i: (3 * (-1) ** i, 0.5, 8) for i in range(36, 48)}
    order |= dict.fromkeys(range(60, 68), (0, -5, 7))
    for mark, place in order.items():
        marks[mark] = int(np.linalg.norm(neutral - np.array(place), axis=1).argmin())
    return FaceMesh(neutral, np.zeros((1, 6000, 3), np.float16), marks, np.ones(6000, bool))


def test_a_mesh_head_has_the_meshs_surface():
    mesh = egg(0)
    head = mesh.person(1)
    radius = head.radius(96)
    x, y, z = directions(96)[2]
    top, chin = mesh.neutral[:, 1].max(), mesh.neutral[mesh.landmarks[8], 1]
    unit = (top - chin) / 2
    shift = mesh.neutral[mesh.landmarks[30], 2] - 0.9 * unit
    places = (
        radius * x * unit / 7,
        (radius * y * unit + (top + chin) / 2) / 11,
        (radius * z * unit + shift) / 9,
    )
    away = np.sqrt(sum(p * p for p in places))
    inside = (np.sin(directions(96)[1]) > -0.5) & (np.sin(directions(96)[1]) < 0.95)
    assert np.abs(away[inside] - 1).mean() < 0.02


def test_the_same_seed_is_the_same_mesh_head():
    mesh = egg(0)
    assert np.array_equal(mesh.person(3).radius(48), mesh.person(3).radius(48))
    assert isinstance(Person(3, 0.2, 0.01, mesh).shape, HeadShape)


def test_nothing_is_needed_and_a_missing_folder_is_said(tmp_path):
    assert load_assets(tmp_path) == Assets([], [], None, [], [])
    with pytest.raises(FileNotFoundError, match="no folder"):
        load_assets(tmp_path / "nowhere")


def test_a_folder_without_anything_that_is_wanted_is_said_with_where_it_would_be(tmp_path):
    (tmp_path / "assets" / "images_x").mkdir(parents=True)
    cv2.imwrite(str(tmp_path / "assets" / "images_x" / "a.png"), np.zeros((8, 8, 3), np.uint8))
    assert len(load_assets(tmp_path, ("mesh", "pictures")).pictures) == 1
    with pytest.raises(
        FileNotFoundError, match=r"nothing that could be used: no assets/ict_facekit/.*\.npz$"
    ):
        load_assets(tmp_path, ("mesh",))


def test_the_shared_recordings_and_meshes_make_people(shared_data):
    assets = load_assets(shared_data)
    assert len(assets.rhythms) == 4
    assert [r.bpm for r in assets.rhythms] == pytest.approx([71, 45.5, 103.5, 90.5], rel=0.08)
    assert assets.tracks
    assert assets.mesh is not None
    scene = random_scene(
        np.random.default_rng(1), 3, 30.0, person=Person(1, 0.3, 0.01, assets.mesh), assets=assets
    )
    drawn = render(scene, 72, 72)
    assert float(drawn.skin.mean()) > 0.05
    # asymmetric as real faces are, but upright: the nose is before the middle of the head
    front = scene.person.head_maps(96)[0] * directions(96)[2][2]
    tip = np.unravel_index(front.argmax(), front.shape)
    assert abs(float(directions(96)[0][tip])) < 0.1
