"""Where in a whole clip a pulse is sure, and how far it is magnified there."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from live_run import added, in_band, person, pictures, rhythm, shipped
from test_live_against_offline import read, write_lossless

from deepmag.models.magnify import LEAST_KEPT, iter_steps
from deepmag.models.representation import reduce_frame
from deepmag.stream import offline
from deepmag.stream.offline import magnify_file
from deepmag.stream.roi import Roi
from deepmag.stream.sure_rates import sure_rates
from deepmag.stream.vitals import WINDOW

RATE = 30.0
SLOW = 48.0


@pytest.fixture(scope="module")
def face():
    """Where the detector sees it."""
    return Roi(person().region, "face", (78.0, 66.0, 86.0, 120.0))


def reduced(images):
    x, y, w, h = person().region
    return np.stack([reduce_frame(image[y : y + h, x : x + w]) for image in images])


def found(images, roi):
    small, times = reduced(images), np.arange(len(images)) / RATE
    seen = []

    def rates(output):
        seen.append(sure_rates(small, times, np.ones(len(output), np.int64), roi, lambda: False, output))
        return seen[0]

    for _ in iter_steps(
        shipped(), small, np.ones(len(images) - 1, np.int64), RATE, mode="steady", pulse_rates=rates
    ):
        pass
    return seen[0]


def test_a_rate_tells_of_the_seconds_that_it_was_found_in(face):
    rates = found(pictures(), face)
    assert (rates > 0).all()  # the meter's first look is after 7.5 s
    assert rates == pytest.approx(72.0, abs=3.0)


def test_what_lies_further_back_is_not_known(face):
    images = pictures()
    grey = [np.repeat(one.mean(2, keepdims=True).astype(np.uint8), 3, axis=2) for one in images]
    rates = found([*grey, *images], face)
    known = np.flatnonzero(rates)
    assert len(known) > 0
    assert known[0] / RATE > len(images) / RATE + 7.5 - WINDOW - 0.5
    assert not rates[: known[0]].any()


def test_nobody_and_no_face_have_none(face):
    still = [pictures()[0]] * 300
    assert not found(still, face).any()
    assert not found(pictures()[:300], Roi(person().region, "box", None)).any()


@pytest.mark.parametrize("after", [1, 100])  # in the first look, and among the pairs of the meter
def test_it_can_be_stopped_while_it_looks(after, tmp_path):
    write_lossless(tmp_path / "in.mkv", pictures()[:300])
    seen, asked = [], []

    def stop():
        asked.append(seen[-1:] == ["looking"])
        return sum(asked) > after

    report = magnify_file(
        tmp_path / "in.mkv",
        tmp_path / "out.mkv",
        mode="steady",
        roi=person().region,
        ascender=shipped(),
        progress=lambda stage, _share: seen.append(stage),
        stop=stop,
    )
    assert report.frames == 0
    assert seen[-1] == "looking"
    assert not (tmp_path / "out.mkv").exists()


def grown(path, tmp_path, **options):
    """How many times the true pulse of the skin's green is added."""
    magnify_file(path, tmp_path / "out.mkv", mode="steady", lossless=True, ascender=shipped(), **options)
    before, after = ([one.image for one in read(name)] for name in (path, tmp_path / "out.mkv"))
    skin = cv2.erode((person().skin > 0.9).astype(np.float32), np.ones((9, 9)))
    green = in_band(added(before, after, skin)[:, 1], RATE)[60:-60]
    truth = -in_band(person().blood(np.arange(len(before)) / RATE, rhythm(SLOW)), RATE)[60:-60]
    return float(green @ truth / (truth @ truth))


@pytest.mark.parametrize("roi", ["auto", person().region])
def test_a_slow_pulse_is_kept_whole_by_the_filter_where_it_is_sure(roi, tmp_path, monkeypatch):
    write_lossless(tmp_path / "in.mkv", pictures(bpm=SLOW))
    sure = grown(tmp_path / "in.mkv", tmp_path, roi=roi)
    monkeypatch.setattr(offline, "sure_rates", lambda *of: np.zeros(len(of[-1])))
    unsure = grown(tmp_path / "in.mkv", tmp_path, roi=roi)
    assert 1.1 < sure / unsure < 1.0 / LEAST_KEPT
