"""Which region is looked at, and when it moves."""

import pytest

from deepmag.stream.face import Face
from deepmag.stream.roi import RoiTracker, clamp_box

SIZE = (640, 480)


def face(cx, cy, height, score=0.9):
    width = 0.75 * height
    return Face((cx - width / 2, cy - height / 2, width, height), score, ())


def test_without_a_face_it_is_the_full_picture():
    roi = RoiTracker().update(0.0, SIZE, [])
    assert (roi.box, roi.kind, roi.face, roi.face_cells) == ((0, 0, 640, 480), "full", None, None)


def test_around_a_face_it_is_a_square_whose_height_the_face_fills_to_two_thirds():
    roi = RoiTracker().update(0.0, SIZE, [face(320, 240, 160)])
    assert (roi.box, roi.kind) == ((200, 120, 240, 240), "face")
    assert roi.face_cells == pytest.approx((9, 6, 18, 24))


@pytest.mark.parametrize(
    ("seen", "box"),
    [
        (face(40, 50, 160), (0, 0, 240, 240)),
        (face(630, 470, 160), (400, 240, 240, 240)),
        (face(320, 240, 400), (20, 0, 600, 480)),
        (face(320, 240, 600), (0, 0, 640, 480)),
        (face(10, 10, 6), (0, 0, 36, 36)),
    ],
)
def test_it_is_shifted_into_the_picture_and_cut_only_where_the_picture_is_too_small(seen, box):
    assert RoiTracker().update(0.0, SIZE, [seen]).box == box


def test_it_stays_put_until_the_face_is_more_than_12_percent_of_the_side_away():
    tracker = RoiTracker()
    first = tracker.update(0.0, SIZE, [face(320, 240, 160)])
    stayed = tracker.update(1.0, SIZE, [face(320 + 28, 240, 160)])
    assert stayed.box == first.box
    assert stayed.face == face(348, 240, 160).box  # the face is known to have moved all the same
    assert tracker.update(2.0, SIZE, [face(320 + 30, 240, 160)]).box == (230, 120, 240, 240)


@pytest.mark.parametrize(("height", "moves"), [(190, False), (194, True), (136, False), (132, True)])
def test_it_is_resized_only_when_the_face_has_grown_or_shrunk_by_more_than_20_percent(height, moves):
    tracker = RoiTracker()
    first = tracker.update(0.0, SIZE, [face(320, 240, 160)])
    assert (tracker.update(1.0, SIZE, [face(320, 240, height)]).box != first.box) == moves


def test_a_large_face_in_the_middle_wins_over_one_in_the_corner():
    central, corner = face(300, 240, 120), face(60, 60, 140)
    assert RoiTracker().update(0.0, SIZE, [corner, central]).face == central.box


def test_the_followed_face_is_kept_when_a_larger_one_appears():
    tracker = RoiTracker()
    tracker.update(0.0, SIZE, [face(200, 240, 120)])
    assert (
        tracker.update(1.0, SIZE, [face(450, 240, 200), face(205, 240, 120)]).face == face(205, 240, 120).box
    )


def test_another_face_is_followed_only_when_the_first_has_been_gone_for_2_s():
    tracker = RoiTracker()
    tracker.update(0.0, SIZE, [face(150, 240, 120)])
    other = face(450, 240, 120)
    assert tracker.update(1.0, SIZE, [other]).face == face(150, 240, 120).box
    assert tracker.update(2.0, SIZE, [other]).face == face(150, 240, 120).box
    assert tracker.update(3.0, SIZE, [other]).face == other.box


@pytest.mark.parametrize(("moved", "same"), [(115, True), (125, False)])
def test_a_face_that_has_moved_by_less_than_its_height_is_the_same(moved, same):
    tracker = RoiTracker()
    tracker.update(0.0, SIZE, [face(200, 240, 120)])
    seen = face(200 + moved, 240, 120)
    assert (tracker.update(0.1, SIZE, [seen]).face == seen.box) == same


def test_another_face_is_another_person_and_the_same_one_is_not():
    tracker = RoiTracker()
    first = tracker.update(0.0, SIZE, [face(150, 240, 120)]).person
    assert tracker.update(1.0, SIZE, [face(170, 240, 120)]).person == first
    other = face(450, 240, 120)
    assert tracker.update(2.0, SIZE, [other]).person == first  # still the one that has gone
    assert tracker.update(4.0, SIZE, [other]).person != first
    assert tracker.update(5.0, SIZE, [face(470, 240, 120)]).person != first


def test_the_full_picture_is_back_when_no_face_was_seen_for_5_s():
    tracker = RoiTracker()
    tracker.update(0.0, SIZE, [face(320, 240, 160)])
    assert tracker.update(4.9, SIZE, []).kind == "face"
    assert tracker.update(5.0, SIZE, None).kind == "face"
    assert tracker.update(5.1, SIZE, None).kind == "full"
    assert tracker.update(6.0, SIZE, [face(100, 240, 160)]).kind == "face"


def test_a_new_size_forgets_the_face():
    tracker = RoiTracker()
    tracker.update(0.0, SIZE, [face(320, 240, 160)])
    assert tracker.update(0.1, (320, 240), None).box == (0, 0, 320, 240)


def test_in_a_new_session_a_face_is_followed_at_once_though_its_time_begins_again():
    tracker = RoiTracker()
    tracker.update(600.0, SIZE, [face(320, 240, 160)])
    tracker.reset()
    found = tracker.update(0.0, SIZE, [face(100, 240, 160)])
    assert (found.kind, found.face) == ("face", face(100, 240, 160).box)


def test_full_means_full_but_the_face_in_it_is_known():
    tracker = RoiTracker()
    roi = tracker.update(0.0, SIZE, [face(320, 240, 160)], "full")
    assert (roi.box, roi.kind, roi.face) == ((0, 0, 640, 480), "full", face(320, 240, 160).box)
    assert tracker.update(0.1, SIZE, None, "auto").kind == "face"


def test_a_drawn_region_is_cut_to_the_picture():
    assert RoiTracker().update(0.0, SIZE, [], (600, 400, 100, 200)).box == (600, 400, 40, 80)
    assert clamp_box((10, 20, 100, 50), SIZE) == (10, 20, 100, 50)


@pytest.mark.parametrize("box", [(620, 0, 100, 100), (0, 460, 100, 100), (700, 500, 50, 50)])
def test_a_drawn_region_that_leaves_too_little_is_refused_in_words(box):
    with pytest.raises(ValueError, match="leaves less than 36x36 pixels of the 640x480 picture"):
        RoiTracker().update(0.0, SIZE, [], box)
