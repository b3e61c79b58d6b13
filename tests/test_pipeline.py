"""The whole live path, with real sources, the real network and real files."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_clip import make_clip, pictures_in
from render_frames import number_in
from rtsp_server import available, rtsp_server
from ward_feeds import until

import deepmag.stream.pipeline as pipeline_module
from deepmag.export.runtime import Ascender, open_ascender
from deepmag.models.reconstruction import warm_up
from deepmag.models.weights import PULSE
from deepmag.stream.capture.address import parse_address
from deepmag.stream.capture.demo import DemoSource
from deepmag.stream.capture.open import open_source
from deepmag.stream.capture.portrait import BPM, Portrait
from deepmag.stream.face import load_face_detector
from deepmag.stream.frames import Frame, MagnifiedFrame
from deepmag.stream.magnifier import PulseMagnifier
from deepmag.stream.pipeline import Pace, Pipeline
from deepmag.stream.render.recorder import Recorder
from deepmag.stream.render.renderer import RendererError
from deepmag.stream.roi import RoiTracker
from deepmag.stream.settings import Settings
from deepmag.stream.vitals import PulseRate

TIMEOUT = 30.0  # s
FRAMES = 60


class Collector:
    """Keeps the frames it is given. hold: render waits for it. fail_at: the frame number on which it fails."""

    def __init__(
        self, name: str = "collector", *, hold: threading.Event | None = None, fail_at: int = -1
    ) -> None:
        self.name = name
        self.frames: list[MagnifiedFrame] = []
        self._hold = hold
        self._fail_at = fail_at
        self._changed = threading.Condition()

    def open(self) -> None:
        return None

    def render(self, frame: MagnifiedFrame) -> None:
        if self._hold is not None:
            assert self._hold.wait(TIMEOUT)
        if len(self.frames) == self._fail_at:
            raise RendererError("no more paper")
        with self._changed:
            self.frames.append(frame)
            self._changed.notify_all()

    def close(self) -> None:
        return None

    def wait(self, condition: Callable[[], bool]) -> bool:
        with self._changed:
            return self._changed.wait_for(condition, TIMEOUT)


@pytest.fixture(scope="module")
def ascender() -> Ascender:
    warm_up()
    return open_ascender(PULSE, "ort", "cpu", 1)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_clip(tmp_path_factory.mktemp("clip") / "clip.mp4", FRAMES)


@contextmanager
def pipeline_of(
    source: str | DemoSource, ascender: Ascender, *, pace: Pace = "max", slow: float = 0.0, roi: str = "full"
) -> Iterator[Pipeline]:
    opened = open_source(parse_address(source), pace=pace) if isinstance(source, str) else source
    pipeline = Pipeline(opened, ascender, None, Settings(roi=roi), pace=pace, slow=slow)  # type: ignore[arg-type]
    try:
        yield pipeline
    finally:
        pipeline.stop()


@contextmanager
def demo_running(ascender: Ascender) -> Iterator[tuple[Pipeline, Collector]]:
    """From its first picture on."""
    collector = Collector()
    with pipeline_of(DemoSource(size=(160, 120)), ascender, pace="file") as pipeline:
        pipeline.add(collector, "every")
        pipeline.start()
        assert collector.wait(lambda: len(collector.frames) > 0)
        yield pipeline, collector


def test_at_full_speed_each_frame_comes_out_once_in_order_and_none_is_dropped(
    clip: Path, ascender: Ascender
) -> None:
    collector = Collector()
    with pipeline_of(str(clip), ascender) as pipeline:
        thread = pipeline.add(collector, "every")
        pipeline.start()
        assert pipeline.wait(TIMEOUT)
        pipeline.stop()
        assert [item.frame.seq for item in collector.frames] == list(range(FRAMES))
        assert [number_in(item.frame.image) for item in collector.frames] == list(range(FRAMES))
        assert thread.dropped == pipeline.ring.dropped == 0
        assert pipeline.status().state == "ended"
        assert pipeline.status().fps >= 0
        assert pipeline.failure is None
        assert pipeline.errors == []


def test_what_is_inside_the_lag_at_the_end_is_counted_in_no_latency(clip: Path, ascender: Ascender) -> None:
    """It comes out at once, sooner than its lag."""
    collector = Collector()
    with pipeline_of(str(clip), ascender) as pipeline:
        pipeline.add(collector, "every")
        pipeline.start()
        assert pipeline.wait(TIMEOUT)
        pipeline.stop()
        assert len(collector.frames) == FRAMES
        timed = len(pipeline.engine.latency.values(collector.frames[-1].ready))
        assert timed == FRAMES - round(pipeline.settings.lag * 30)


def test_a_renderer_that_hangs_slows_no_other(clip: Path, ascender: Ascender) -> None:
    release = threading.Event()
    slow, quick = Collector("slow", hold=release), Collector("quick")
    with pipeline_of(str(clip), ascender) as pipeline:
        held = pipeline.add(slow)
        pipeline.add(quick, "every")
        pipeline.start()
        assert quick.wait(lambda: len(quick.frames) == FRAMES)
        assert slow.frames == []  # it still holds the first
        dropped = held.dropped
        release.set()
        pipeline.stop()
    # the newest picture is what it goes on with; what it missed is counted
    assert slow.frames[-1].frame.seq == FRAMES - 1
    assert dropped == held.dropped == FRAMES - len(slow.frames)


def test_a_renderer_that_fails_stops_no_other_and_says_why(clip: Path, ascender: Ascender) -> None:
    failing, other = Collector("failing", fail_at=3), Collector("other")
    with pipeline_of(str(clip), ascender) as pipeline:
        pipeline.add(failing, "every")
        pipeline.add(other, "every")
        pipeline.start()
        assert pipeline.wait(TIMEOUT)
        pipeline.stop()
        assert len(failing.frames) == 3
        assert len(other.frames) == FRAMES
        assert pipeline.errors == ["no more paper"]


def test_recording_is_begun_and_ended_while_it_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ascender: Ascender
) -> None:
    monkeypatch.chdir(tmp_path)
    with demo_running(ascender) as (pipeline, collector):
        with pytest.raises(RendererError, match="no recording is running"):
            pipeline.stop_recording()
        name = pipeline.start_recording()
        assert pipeline.status().recording == name
        with pytest.raises(RendererError, match="running already"):
            pipeline.start_recording()
        begun = pipeline.engine.frames  # not the collector's, whose thread may be behind
        until(lambda: pipeline.engine.frames >= begun + 20, "pictures to record")
        assert pipeline.stop_recording() == name
        assert pipeline.status().recording == ""
        assert pictures_in(tmp_path / name) >= 15
        after = len(collector.frames)
        assert collector.wait(lambda: len(collector.frames) > after)  # the rest goes on


def test_a_recording_that_failed_is_told_and_another_can_be_begun(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ascender: Ascender
) -> None:
    monkeypatch.chdir(tmp_path)
    with demo_running(ascender) as (pipeline, _):
        pipeline.start_recording()
        recording = pipeline.renderers[-1]

        def broken(_frame: MagnifiedFrame) -> None:
            raise RendererError("the stick was pulled out")

        monkeypatch.setattr(recording.renderer, "render", broken)
        until(lambda: recording.closed, "the recorder to end")
        status = pipeline.status()
        assert status.recording == ""
        assert status.troubles == ("the stick was pulled out",)
        assert pipeline.start_recording() == pipeline.status().recording
        assert pipeline.status().troubles == ()


def test_a_source_that_is_not_decoded_whole_is_told_and_what_is_left_out_counted(ascender: Ascender) -> None:
    with demo_running(ascender) as (pipeline, _):
        assert "decoder" not in pipeline.status().dropped
        pipeline._source.skipped, pipeline._source.trouble = Counter({"too slow": 7}), "too slow"  # type: ignore[attr-defined]
        status = pipeline.status()
    assert status.dropped["decoder"] == 7
    assert status.troubles == ("too slow",)
    assert pipeline.errors == []  # it is no failure


def test_a_source_of_anybodys_may_have_the_same_names_for_something_else(ascender: Ascender) -> None:
    with demo_running(ascender) as (pipeline, _):
        pipeline._source.skipped, pipeline._source.trouble = 7, print  # type: ignore[attr-defined]
        status = pipeline.status()
    assert "decoder" not in status.dropped
    assert status.troubles == ()


def test_a_recording_that_a_disk_holds_up_is_not_called_saved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ascender: Ascender
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(pipeline_module, "CLOSE_TIMEOUT", 0.1)
    held, answers = threading.Event(), threading.Event()

    def hang(_frame: MagnifiedFrame) -> None:
        held.set()
        assert answers.wait(TIMEOUT)

    with demo_running(ascender) as (pipeline, _):
        pipeline.start_recording()
        monkeypatch.setattr(pipeline.renderers[-1].renderer, "render", hang)
        assert held.wait(TIMEOUT)
        with pytest.raises(RendererError, match="recorder did not finish within"):
            pipeline.stop_recording()
        answers.set()


def test_an_output_that_cannot_be_ended_is_told_at_the_end(
    clip: Path, monkeypatch: pytest.MonkeyPatch, ascender: Ascender
) -> None:
    monkeypatch.setattr(pipeline_module, "CLOSE_TIMEOUT", 0.1)
    release = threading.Event()
    quick = Collector("quick")
    with pipeline_of(str(clip), ascender) as pipeline:
        pipeline.add(Collector("slow", hold=release))
        pipeline.add(quick, "every")
        pipeline.start()
        assert quick.wait(lambda: len(quick.frames) == FRAMES)
        pipeline.stop()
        release.set()
        assert pipeline.errors == ["slow did not finish within 0.1 s: its last pictures may be lost"]


def test_outputs_that_hang_do_so_side_by_side(clip: Path, ascender: Ascender) -> None:
    both = threading.Barrier(2, timeout=TIMEOUT)

    class Hanging(Collector):
        def close(self) -> None:
            both.wait()  # for ever, if it were one after the other

    with pipeline_of(str(clip), ascender) as pipeline:
        pipeline.add(Hanging())
        pipeline.add(Hanging())
        pipeline.stop()
        assert pipeline.errors == []


def test_of_two_recordings_asked_for_at_once_one_begins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clip: Path, ascender: Ascender
) -> None:
    monkeypatch.chdir(tmp_path)
    with pipeline_of(str(clip), ascender) as pipeline:
        opening, go_on = threading.Event(), threading.Event()
        add = pipeline.add

        def slow(*arguments: Any) -> Any:
            opening.set()
            assert go_on.wait(TIMEOUT)
            return add(*arguments)

        monkeypatch.setattr(pipeline, "add", slow)
        first = threading.Thread(target=pipeline.start_recording)
        first.start()
        assert opening.wait(TIMEOUT)
        refused = []

        def ask() -> None:
            with pytest.raises(RendererError, match="running already"):
                pipeline.start_recording()
            refused.append(True)

        second = threading.Thread(target=ask)
        second.start()
        second.join(0.2)  # it waits for the first, or, without a lock, for its own
        go_on.set()
        first.join(TIMEOUT)
        second.join(TIMEOUT)
        assert refused == [True]
        assert len(pipeline.renderers) == 1


def test_a_renderer_that_opens_too_late_is_closed_again(
    clip: Path, monkeypatch: pytest.MonkeyPatch, ascender: Ascender
) -> None:
    monkeypatch.setattr(pipeline_module, "OPEN_TIMEOUT", 0.05)
    answers, closed = threading.Event(), threading.Event()

    class Late(Collector):
        def open(self) -> None:
            assert answers.wait(TIMEOUT)

        def close(self) -> None:
            closed.set()

    with pipeline_of(str(clip), ascender) as pipeline:
        with pytest.raises(RendererError, match=r"did not open within 0\.05 s"):
            pipeline.add(Late())
        answers.set()
        assert closed.wait(TIMEOUT)
        assert pipeline.renderers == ()


def test_a_recording_that_opens_as_all_ends_is_ended_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clip: Path, ascender: Ascender
) -> None:
    monkeypatch.chdir(tmp_path)
    opening, answers = threading.Event(), threading.Event()
    really_open = Recorder.open

    def slowly_open(recorder: Recorder) -> None:
        opening.set()
        assert answers.wait(TIMEOUT)
        really_open(recorder)

    monkeypatch.setattr(Recorder, "open", slowly_open)
    refused = []

    def record() -> None:
        try:
            pipeline.start_recording()
        except RendererError as error:
            refused.append(str(error))

    with pipeline_of(str(clip), ascender) as pipeline:
        page = threading.Thread(target=record)
        page.start()
        assert opening.wait(TIMEOUT)
        pipeline.stop()
        answers.set()
        page.join(TIMEOUT)
        assert refused == ["recorder: it opened when all was ended already"]
        assert pipeline.renderers == ()
        assert list(tmp_path.iterdir()) == []  # nor is an empty file left


def test_an_engine_that_hangs_behind_a_live_source_is_stale(ascender: Ascender) -> None:
    hung, go_on = threading.Event(), threading.Event()
    passed = 0.0

    def clock() -> float:
        return time.monotonic() + passed

    class Hanging:
        description = "a GPU that hangs"
        pairs = 0

        def steady(self, *arguments: Any) -> Any:
            self.pairs += 1
            if self.pairs == 20:
                hung.set()
                assert go_on.wait(TIMEOUT)
            return ascender.steady(*arguments)

    source = DemoSource(size=(160, 120), clock=clock)
    pipeline = Pipeline(source, Hanging(), None, Settings(), clock=clock)  # type: ignore[arg-type]
    try:
        pipeline.start()
        until(lambda: pipeline.status().state == "live", "pictures")
        assert hung.wait(TIMEOUT)
        assert not pipeline.hangs
        passed = 10.0
        until(lambda: "none of them is magnified" in pipeline.status().detail, "the hang to be noticed")
        assert pipeline.hangs
        assert pipeline.status().state == "stale"
        go_on.set()
        until(lambda: pipeline.status().state == "live", "it to go on")
    finally:
        go_on.set()
        pipeline.stop()


def test_settings_act_while_it_runs_and_bad_ones_change_nothing(ascender: Ascender) -> None:
    with demo_running(ascender) as (pipeline, collector):
        with pytest.raises(ValueError, match="gain must be between"):
            pipeline.change(gain=1000.0)
        assert pipeline.settings.gain == Settings().gain
        pipeline.change(roi=(100, 60, 500, 500), gain=20.0)  # reaches beyond the picture: cut to it
        x, y, w, h = pipeline.settings.roi  # type: ignore[misc]
        assert (x + w, y + h) == (160, 120)
        assert collector.wait(lambda: collector.frames[-1].roi == (x, y, w, h))


def test_under_overload_every_frame_is_magnified_or_counted_and_latency_is_bounded(
    clip: Path, ascender: Ascender
) -> None:
    collector = Collector()
    with pipeline_of(str(clip), ascender, pace="file", slow=0.06) as pipeline:
        thread = pipeline.add(collector, "every")
        pipeline.start()
        assert pipeline.wait(TIMEOUT)
        pipeline.stop()
        out = [item.frame for item in collector.frames]
        assert pipeline.ring.dropped > 0
        assert len(out) + pipeline.ring.dropped + thread.dropped == FRAMES
        assert all(a.seq < b.seq for a, b in pairwise(out))
        # what is left spans the clip's own time, and the filter's clock is still the camera's
        assert out[-1].pts - out[0].pts > 0.7 * FRAMES / 30
        assert pipeline.magnifier.rate == pytest.approx(30.0, rel=0.02)


def test_the_filters_clock_advances_by_real_time_where_frames_are_missing(ascender: Ascender) -> None:
    """With the ring out of the way: 40 % of the frames never come. A clock of frames would show 113 for 68 bpm."""
    portrait = Portrait((160, 120))
    magnifier = PulseMagnifier(
        ascender, RoiTracker(), PulseRate(), clock=lambda: 0.0, nominal_rate=lambda: 30.0
    )
    settings = Settings(roi=(50, 20, 60, 70))
    times, pulse = [], []
    for seq in range(600):
        if seq % 5 in (1, 3):
            continue
        t = seq / 30
        for done in magnifier.push(Frame(0, seq, t, t, portrait.frame(t)), settings):
            times.append(done.frame.pts)
            pulse.append(done.pulse.wave)
    grid = np.arange(5.0, times[-1], 1 / 30)
    wave = np.interp(grid, times, pulse)
    spectrum = np.abs(np.fft.rfft((wave - wave.mean()) * np.hanning(wave.size), 16384))
    peak = 60 * 30 / 16384 * spectrum.argmax()
    assert peak == pytest.approx(BPM, abs=4.0)
    assert magnifier.rate == pytest.approx(30.0, rel=0.02)


def test_the_engine_s_failure_ends_the_run_and_is_told(clip: Path, ascender: Ascender) -> None:
    class Broken:
        description = "broken"

        def steady(self, *_: object) -> None:
            raise RuntimeError("no kernel\nis left of rtsp://user:hunter2@cam/x")

        paper = steady

    with pipeline_of(str(clip), Broken()) as pipeline:  # type: ignore[arg-type]
        pipeline.start()
        assert pipeline.wait(TIMEOUT)
        why = r"the engine failed: RuntimeError: no kernel\nis left of rtsp://user:***@cam/x"  # in one line
        assert pipeline.failure == why
        assert (pipeline.status().state, pipeline.status().detail) == ("ended", why)
        assert pipeline.engine.busy(time.monotonic() + 60.0) == 0.0  # it has ended, and does not hang


def test_what_ended_the_source_is_told_where_it_was_no_end_of_its_own(
    tmp_path: Path, ascender: Ascender
) -> None:
    with pipeline_of(str(tmp_path / "none.mp4"), ascender) as pipeline:
        pipeline.start()
        assert pipeline.wait(TIMEOUT)
        assert "none.mp4" in (pipeline.failure or "")
        assert pipeline.status().detail == pipeline.failure


def test_a_pace_that_there_is_not_is_refused(ascender: Ascender) -> None:
    with pytest.raises(ValueError, match="pace must be file or max, not fast"):
        Pipeline(DemoSource(), ascender, None, Settings(), pace="fast")  # type: ignore[arg-type]


def test_a_pipeline_that_never_started_is_stopped_at_once(clip: Path, ascender: Ascender) -> None:
    before = set(threading.enumerate())
    source = open_source(parse_address(str(clip)))
    pipeline = Pipeline(source, ascender, load_face_detector(), Settings())
    with pytest.raises(RendererError, match="does not exist"):
        pipeline.add(Recorder(clip.parent / "none" / "x.mkv", rate=30.0), "every")
    pipeline.stop()
    assert pipeline.engine.join(0.0)
    # the face detector's thread, too, and the recorder's, for which nobody has waited
    until(lambda: set(threading.enumerate()) <= before, "its threads to end")


@pytest.mark.skipif(not available(), reason="GStreamer's RTSP server is not installed")
def test_a_camera_on_the_network_is_magnified(ascender: Ascender) -> None:
    collector = Collector()
    with rtsp_server() as server, pipeline_of(server.url(), ascender, pace="file") as pipeline:
        pipeline.add(collector, "every")
        pipeline.start()
        assert collector.wait(lambda: len(collector.frames) >= 30)
        status = pipeline.status()
        assert (status.state, status.size) == ("live", (320, 240))
        assert status.latency_p50 is not None
        assert status.latency_p50 >= status.lag  # a picture waits for its lag, whatever the machine
        assert all(a.frame.pts < b.frame.pts for a, b in pairwise(collector.frames))
