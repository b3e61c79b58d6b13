"""The live path against the offline one on the same synthetic clip, and against itself on a file."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from live_run import added, as_frames, live, offline, person, pictures, shipped

from deepmag.stream.capture.address import Address
from deepmag.stream.capture.video import VideoSource
from deepmag.stream.frames import MagnifiedFrame
from deepmag.stream.pipeline import Pipeline
from deepmag.stream.render.recorder import Recorder
from deepmag.stream.settings import Settings

RATE = 30.0
SECONDS = 14.0
COMPARED = slice(round(6 * RATE), -round(2 * RATE))  # frames: the window has filled, the clip's end is far


def green(before, after):
    return added(before, after, (person().skin > 0.9).astype(np.float32))[COMPARED, 1]


@pytest.mark.parametrize("bpm", [50.0, 120.0])
def test_live_adds_what_the_offline_algorithm_adds(bpm):
    images = pictures(bpm=bpm, seconds=SECONDS)
    frames = as_frames(images, np.arange(len(images)) / RATE)
    wanted = green(images, offline(shipped(), images, person().region, RATE))
    r = {}
    for lag in (0.0, 0.25, 1.0):
        done = live(shipped(), frames, Settings(roi=person().region, lag=lag), lag=lag)
        r[lag] = np.corrcoef(green(images, [one.image for one in done]), wanted)[0, 1]
    assert r[0.25] >= 0.97
    assert r[1.0] >= 0.995
    assert 0.75 < r[0.0] < r[0.25]  # what the lag is for


def test_the_paper_mode_is_the_same_offline_and_live():
    images = pictures()[:240]
    frames = as_frames(images, np.arange(len(images)) / RATE)
    wanted = offline(shipped(), images, person().region, RATE, mode="paper")
    done = live(shipped(), frames, Settings(roi=person().region, mode="paper", lag=1.0), lag=1.0)
    cut = slice(120, -40)
    mask = (person().skin > 0.9).astype(np.float32)
    a = added(images, [one.image for one in done], mask)[cut, 1]
    b = added(images, wanted, mask)[cut, 1]
    assert np.corrcoef(a, b)[0, 1] >= 0.995


def test_what_is_beyond_the_papers_band_is_left_out_live_as_offline():
    images = pictures(bpm=170.0)[:240]
    frames = as_frames(images, np.arange(len(images)) / RATE)
    chosen = Settings(roi=person().region, mode="paper", gain=10.0, lag=1.0)
    cut, mask = slice(120, -40), (person().skin > 0.9).astype(np.float32)
    wanted = added(images, offline(shipped(), images, person().region, RATE, mode="paper"), mask)[cut, 1]
    done = added(images, [one.image for one in live(shipped(), frames, chosen, lag=1.0)], mask)[cut, 1]
    assert done.std() == pytest.approx(wanted.std(), rel=0.2)


def write_lossless(path, images):
    recorder = Recorder(path, rate=RATE, lossless=True)
    recorder.open()
    for frame in as_frames(images, np.arange(len(images)) / RATE):
        recorder.render(MagnifiedFrame(frame, frame.image, None, None, (0, 0, 36, 36), 0.0))
    recorder.close()


def read(path):
    return list(VideoSource(Address("file", str(path)), pace="max").frames(threading.Event()))


def test_the_live_path_over_a_file_is_the_same_computation_as_on_arrays(tmp_path):
    images = pictures()[:120]
    write_lossless(tmp_path / "in.mkv", images)
    chosen = Settings(roi=person().region)
    source = VideoSource(Address("file", str(tmp_path / "in.mkv")), pace="max")
    pipeline = Pipeline(source, shipped(), None, chosen, pace="max")
    pipeline.add(Recorder(tmp_path / "out.mkv", rate=lambda: pipeline.rate, lossless=True), "every")
    pipeline.start()
    assert pipeline.wait(120)
    pipeline.stop()
    assert not pipeline.errors
    on_arrays = live(shipped(), as_frames(images, np.arange(len(images)) / RATE), chosen)
    recorded = read(tmp_path / "out.mkv")
    assert len(recorded) == len(images)
    assert all(np.array_equal(a.image, b.image) for a, b in zip(recorded, on_arrays, strict=True))
    assert not np.array_equal(recorded[60].image, images[60])  # something was magnified at all
