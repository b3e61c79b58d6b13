"""Many feeds at once: real RTSP servers, and a feed that fails while the others go on."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from made_clip import make_clip, pictures_in
from rtsp_server import available, rtsp_server
from test_pipeline import Collector
from typer.testing import CliRunner
from ward_feeds import TIMEOUT, feed, specs, until, until_ended
from web_segments import segments, web_server

from deepmag.stream import pipeline as pipeline_module
from deepmag.stream.capture.open import open_source
from deepmag.stream.capture.source import SourceError
from deepmag.stream.capture.video import VideoSource
from deepmag.stream.cli import app, register_commands
from deepmag.stream.commands import serve
from deepmag.stream.face import FaceDetector, load_face_detector
from deepmag.stream.frames import Frame, MagnifiedFrame
from deepmag.stream.pipeline import Pipeline
from deepmag.stream.render import thread as thread_module
from deepmag.stream.render.endless_recorder import EndlessRecorder
from deepmag.stream.settings import Settings
from deepmag.stream.status import Status
from deepmag.stream.ward import ward as ward_module
from deepmag.stream.ward.feed import RESTART, SETTLE, WardFeed
from deepmag.stream.ward.feeds_file import FeedSpec
from deepmag.stream.ward.ward import Ward


def failed(folder: Path, at: float) -> tuple[Ward, WardFeed]:
    """A ward, and its one feed, which was seen to have failed at a time, s."""
    (spec,) = specs(folder, feed("bed 1", "demo", 'method = "evm"'))
    ward = Ward((spec,), device="cpu", threads=1)
    bed = ward.feeds["bed-1"]
    bed.pipeline.engine.error = RuntimeError("out of memory")
    bed.watch(at)
    return ward, bed


@pytest.mark.skipif(not available(), reason="GStreamer's RTSP server is not installed")
def test_a_feed_that_is_cut_comes_back_and_the_other_goes_on(tmp_path: Path) -> None:
    with rtsp_server(fps=10) as steady:
        with rtsp_server(fps=10) as cut:
            port = cut.port
            text = feed("steady", steady.url(), 'roi = "full"') + feed("cut", cut.url(), 'roi = "full"')
            ward = Ward(specs(tmp_path, text), device="cpu", threads=1)
            collector, pipeline = Collector(), ward.feeds["steady"].pipeline
            pipeline.add(collector, "every")
            ward.start()
            for slug in ("steady", "cut"):
                until(lambda slug=slug: ward.feeds[slug].pipeline.engine.frames > 5, slug)
        try:
            until(lambda: ward.feeds["cut"].status().state in ("stale", "lost"), "the cut to be noticed")
            before = ward.feeds["steady"].pipeline.engine.frames
            until(lambda: ward.feeds["steady"].pipeline.engine.frames > before + 10, "the other to go on")
            with rtsp_server(fps=10, port=port):
                back = ward.feeds["cut"].pipeline.engine.frames
                until(lambda: ward.feeds["cut"].pipeline.engine.frames > back + 5, "it to come back")
                until(lambda: ward.feeds["steady"].status().state == "live", "the other to be live")
                assert ward.feeds["steady"].pipeline is pipeline
                assert {frame.frame.session for frame in collector.frames} == {0}  # in one connection
        finally:
            ward.stop()


def test_a_pipeline_that_failed_is_built_again_and_the_page_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (spec,) = specs(tmp_path, feed("bed 1", "demo", 'roi = "full"'))
    ward = Ward((spec,), device="cpu", threads=1)
    bed = ward.feeds["bed-1"]
    outputs = []
    again = WardFeed(spec, ward._build, lambda _spec, pipeline: outputs.append(pipeline))
    again.start()
    try:
        until(lambda: again.pipeline.engine.frames > 3, "pictures")
        again.change(gain=42.0)
        first, shown = again.start_recording(), again.pipeline.engine.frames
        until(lambda: again.pipeline.engine.frames > shown + 3, "pictures to record")

        def broken(*_: Any) -> Any:
            raise RuntimeError("out of memory")

        again.pipeline.magnifier.push = broken  # type: ignore[method-assign]
        until(lambda: again.pipeline.engine.error is not None, "the failure")
        again.watch(100.0)
        status = again.status()
        assert status.state == "lost"
        assert "out of memory" in status.detail
        again.watch(100.0 + RESTART / 2)
        assert again.restarts == 0
        again.watch(100.0 + RESTART)
        until_ended("restart-bed-1")
        assert again.restarts == 1
        shown = again.pipeline.engine.frames
        until(lambda: again.pipeline.engine.frames > shown + 3, "pictures after the restart")
        assert again.settings.gain == 42.0  # what the person chose is kept
        assert len(outputs) == 2
        second = again.status().recording  # begun by a person, it goes on
        assert second not in ("", first)
        again.stop_recording()
        assert all(pictures_in(tmp_path / name) > 0 for name in (first, second))
    finally:
        again.stop()
        bed.stop()
        ward.stop()


def test_what_is_changed_while_a_pipeline_is_built_again_is_kept(tmp_path: Path) -> None:
    (spec,) = specs(tmp_path, feed("bed 1", "demo", 'method = "evm"'))
    ward = Ward((spec,))
    built = []

    def build(spec: FeedSpec, settings: Settings) -> Pipeline:
        if built:  # the page has its own thread
            bed.change(gain=42.0)
        built.append(ward._build(spec, settings))
        return built[-1]

    bed = WardFeed(spec, build)
    bed.pipeline.engine.error = RuntimeError("out of memory")
    bed.watch(100.0)
    bed.watch(100.0 + RESTART)
    until_ended("restart-bed-1")
    try:
        assert bed.pipeline is built[1]
        assert bed.settings.gain == 42.0
    finally:
        bed.stop()
        ward.stop()


def test_a_recording_goes_on_after_a_restart_that_fails_first_but_not_where_a_person_ended_it_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (spec,) = specs(tmp_path, feed("bed 1", "demo", 'method = "evm"'))
    ward = Ward((spec,))
    full = [False, True, False, False]  # the GPU's memory, at each build

    def build(spec: FeedSpec, settings: Settings) -> Pipeline:
        if full.pop(0):
            raise RuntimeError("out of memory")
        return ward._build(spec, settings)

    def fail_and_restart(now: float) -> None:
        bed.pipeline.engine.error = RuntimeError("out of memory")
        bed.watch(now)
        bed.watch(now + 10 * RESTART)

    bed = WardFeed(spec, build)
    bed.start()
    try:
        bed.start_recording()
        fail_and_restart(100.0)
        until_ended("restart-bed-1")
        assert bed.status().recording == ""
        bed.watch(200.0)
        bed.watch(300.0)
        until_ended("restart-bed-1")
        assert bed.status().recording != ""

        disk, stop = threading.Event(), Pipeline.stop

        def hanging(pipeline: Pipeline) -> None:
            assert disk.wait(TIMEOUT)
            stop(pipeline)

        monkeypatch.setattr(Pipeline, "stop", hanging)
        bed.watch(400.0)
        fail_and_restart(400.0)
        bed.stop_recording()
        disk.set()
        until_ended("restart-bed-1")
        assert bed.restarts == 3
        assert bed.status().recording == ""
    finally:
        bed.stop()
        ward.stop()


def test_a_recording_that_cannot_go_on_costs_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (spec,) = specs(tmp_path, feed("bed 1", "demo", 'method = "evm"'))
    ward = Ward((spec,))
    bed = ward.feeds["bed-1"]
    bed.start()
    try:
        bed.start_recording()

        def refused(_: Pipeline) -> str:
            raise RuntimeError("can't start new thread")

        monkeypatch.setattr(Pipeline, "start_recording", refused)
        bed.pipeline.engine.error = RuntimeError("out of memory")
        bed.watch(100.0)
        bed.watch(100.0 + RESTART)
        until_ended("restart-bed-1")
        bed.watch(100.0 + RESTART)
        status = bed.status()
        assert status.state != "lost"
        assert status.troubles == ("can't start new thread",)
    finally:
        ward.stop()


def test_a_camera_that_failed_has_not_come_to_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a ward whose cameras are not there ends as one whose files are over, where it asks before it has looked."""

    def refused(*_: Any) -> Iterator[Frame]:
        raise SourceError("the password is wrong", retry=False)
        yield

    monkeypatch.setattr(VideoSource, "frames", refused)
    ward = Ward(specs(tmp_path, feed("bed 1", "rtsp://127.0.0.1:9/x", 'method = "evm"')))
    ward.start()
    bed = ward.feeds["bed-1"]
    try:
        assert bed.pipeline.capture.join(TIMEOUT)
        assert bed.pipeline.status().state == "ended"
        assert (bed.status().state, bed.status().detail) == ("lost", "the password is wrong")
        assert not ward.over
    finally:
        ward.stop()


def test_what_is_left_of_a_stream_is_no_file_that_is_over(tmp_path: Path) -> None:
    segments(tmp_path, finished=True)
    with web_server(tmp_path) as url:
        ward = Ward(specs(tmp_path, feed("bed 1", f"{url}live.m3u8", 'method = "evm"')))
        ward.start()
        try:
            bed = ward.feeds["bed-1"]
            until(lambda: "has ended" in bed.status().detail, "its list to be read")
            assert not ward.over
        finally:
            ward.stop()


def test_a_feed_that_cannot_be_built_again_ends_no_other_and_is_tried_less_and_less(tmp_path: Path) -> None:
    (spec,) = specs(tmp_path, feed("bed 1", "demo", 'method = "evm"'))
    ward = Ward((spec,), device="cpu", threads=1)
    good = ward.feeds["bed-1"]
    built = []

    def build(_spec: Any, _settings: Any) -> Pipeline:
        built.append(None)
        if len(built) > 1:
            raise OSError("stale file handle")
        return good.pipeline

    bed = WardFeed(spec, build)
    good.pipeline.engine.error = RuntimeError("out of memory")
    now, tries = 100.0, []
    for _ in range(400):
        before = len(built)
        bed.watch(now)
        until_ended("restart-bed-1")
        bed.watch(now)
        if len(built) > before:
            tries.append(now)
        now += 1.0
    assert "stale file handle" in bed.status().detail
    assert [b - a for a, b in pairwise(tries)] == [20, 40, 60, 60, 60, 60, 60]
    assert tries[0] == 100 + RESTART
    ward.stop()


def test_a_feed_whose_start_fails_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ward, bed = failed(tmp_path, at=0.0)

    start = threading.Thread.start

    def no_threads(thread: threading.Thread) -> None:
        if thread.name in ("engine", "capture"):
            raise RuntimeError("can't start new thread")
        start(thread)

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", no_threads)
        bed.watch(RESTART)
        until_ended("restart-bed-1")
        bed.watch(RESTART)
        assert "can't start new thread" in bed.status().detail
        bed.watch(3 * RESTART)
        until_ended("restart-bed-1")
        bed.watch(3 * RESTART)
        assert "can't start new thread" in bed.status().detail
    bed.watch(8 * RESTART)
    try:
        until(lambda: bed.pipeline.engine.frames > 3, "pictures after the second try")
    finally:
        ward.stop()


def test_a_feed_that_begins_again_while_it_is_asked_how_it_is_says_why_it_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ward, bed = failed(tmp_path, at=100.0)
    status = bed.pipeline.status

    def meanwhile() -> Status:
        bed.pipeline.status = status  # type: ignore[method-assign]
        bed.watch(100.0 + RESTART)
        until_ended("restart-bed-1")
        return status()

    try:
        bed.pipeline.status = meanwhile  # type: ignore[method-assign]
        assert bed.status().detail == "the engine failed: RuntimeError: out of memory; next try within 10 s"
        assert bed.restarts == 1
    finally:
        ward.stop()


def test_where_no_thread_can_be_had_to_begin_again_that_is_tried_when_the_time_comes_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ward, bed = failed(tmp_path, at=100.0)
    tries: list[str] = []

    def refused(thread: threading.Thread) -> None:
        tries.append(thread.name)
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refused)
        for second in range(2 * int(RESTART) + 1):
            bed.watch(100.0 + second)
    assert tries == ["restart-bed-1"] * 2
    assert "out of memory" in bed.status().detail
    bed.watch(100.0 + 3 * RESTART)
    until_ended("restart-bed-1")
    assert bed.restarts == 1
    ward.stop()


def test_a_feed_that_begins_again_holds_up_nobody_and_can_be_ended_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (spec,) = specs(tmp_path, feed("bed 1", "demo", 'method = "evm"'))
    ward = Ward((spec,), device="cpu", threads=1)
    disk, pipelines = threading.Event(), list[Pipeline]()
    started, stopped = list[Pipeline](), list[Pipeline]()

    def build(spec: FeedSpec, settings: Settings) -> Pipeline:
        pipelines.append(ward._build(spec, settings))
        return pipelines[-1]

    bed = WardFeed(spec, build)
    stop = Pipeline.stop

    def hanging(pipeline: Pipeline) -> None:
        assert disk.wait(TIMEOUT)
        stop(pipeline)
        stopped.append(pipeline)

    def starting(pipeline: Pipeline) -> None:
        started.append(pipeline)

    monkeypatch.setattr(Pipeline, "stop", hanging)
    monkeypatch.setattr(Pipeline, "start", starting)
    bed.pipeline.engine.error = RuntimeError("out of memory")
    bed.watch(100.0)
    bed.watch(100.0 + RESTART)  # it would wait here
    bed.watch(100.0 + 9 * RESTART)
    assert "out of memory" in bed.status().detail
    until(lambda: bed.restarts > 0, "it to begin")
    assert bed.restarts == 1
    ending = threading.Thread(target=bed.stop)
    ending.start()
    until(lambda: bed._stopping, "the end to be asked for")
    disk.set()
    ending.join(TIMEOUT)
    assert not ending.is_alive()
    assert stopped == pipelines
    assert len(pipelines) == 2
    assert started == []
    ward.stop()


def test_what_cannot_be_written_yet_is_in_the_status_and_written_when_it_can_be(tmp_path: Path) -> None:
    share = tmp_path / "share"
    text = feed(
        "bed", "demo", f'method = "evm"\nrecord = "{share / "bed.mkv"}"\nvitals = "{share / "bed.csv"}"'
    )
    ward = Ward(specs(tmp_path, text), device="cpu", threads=1)
    bed = ward.feeds["bed"]
    ward.start()
    try:
        until(lambda: len(bed.status().troubles) == 2, "both to be told")
        share.mkdir()  # it is mounted after all
        for thread in bed.pipeline.renderers:
            thread.renderer._retry_at = 0.0  # type: ignore[attr-defined]
        until(lambda: bed.status().troubles == (), "both to be written")
    finally:
        ward.stop()
    assert (share / "bed.mkv").stat().st_size > 10_000
    assert len((share / "bed.csv").read_text().splitlines()) >= 2


def test_a_disk_that_does_not_answer_holds_up_no_feed_and_is_written_to_when_it_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline_module, "OPEN_TIMEOUT", 0.1)
    monkeypatch.setattr(thread_module, "STALLED", 0.1)
    answers = threading.Event()
    really_open = EndlessRecorder.open

    def slowly_open(recorder: EndlessRecorder) -> None:
        assert answers.wait(TIMEOUT)
        really_open(recorder)

    monkeypatch.setattr(EndlessRecorder, "open", slowly_open)
    file = tmp_path / "bed.mkv"
    ward = Ward(specs(tmp_path, feed("bed", "demo", f'method = "evm"\nrecord = "{file}"')))
    bed = ward.feeds["bed"]
    ward.start()
    try:
        until(lambda: bed.pipeline.engine.frames > 3, "pictures")
        until(lambda: "recorder has been opening for over" in str(bed.status().troubles), "it to be told")
        answers.set()
        until(lambda: bed.pipeline.renderers[0].rendered > 3, "it to be recorded")
        until(lambda: bed.status().troubles == (), "that to be told")
    finally:
        answers.set()
        ward.stop()
    assert pictures_in(file) > 3


def test_a_batch_does_not_wait_for_a_feed_that_has_no_network(tmp_path: Path) -> None:
    text = feed("bed", "demo", 'roi = "full"') + feed("plain", "demo", 'method = "evm"')
    ward = Ward(specs(tmp_path, text), device="cpu", threads=1)
    ward.start()
    try:
        until(lambda: all(one.pipeline.engine.frames > 3 for one in ward.feeds.values()), "pictures of both")
        assert ward._members("pulse") == 1
    finally:
        ward.stop()


class Regions:
    """A renderer that knows how wide the newest picture's region is."""

    name, width = "regions", 0

    def open(self) -> None: ...

    def render(self, frame: MagnifiedFrame) -> None:
        self.width = frame.roi[2]

    def close(self) -> None: ...


def test_one_face_detector_serves_all_feeds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each takes as much memory as all else that a feed needs."""
    made: list[FaceDetector | None] = []

    def load() -> FaceDetector | None:
        made.append(load_face_detector())
        return made[-1]

    monkeypatch.setattr(ward_module, "load_face_detector", load)
    text = "".join(feed(name, "demo") for name in ("one", "two", "three"))
    ward = Ward(specs(tmp_path, text), device="cpu", threads=1)
    pages = {name: Regions() for name in ward.feeds}
    try:
        ward.start(pages)
        for name, page in pages.items():  # the demo's face is half as wide as its picture
            until(lambda page=page: 0 < page.width < 500, f"a face in {name}")
    finally:
        ward.stop()
    assert len(made) == 1


def test_only_feeds_that_ask_for_it_are_decoded_and_encoded_by_the_gpu(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: dict[str, int | None] = {}

    def source(address: Any, *, gpu: int | None, **how: Any) -> Any:
        opened[address.text] = gpu
        return open_source(address, **how)

    monkeypatch.setattr(
        ward_module, "load_face_detector", lambda: None
    )  # its thread, which only a run would end
    monkeypatch.setattr(ward_module, "open_source", source)
    monkeypatch.setattr(ward_module, "codec_gpu", lambda codecs, _device: 1 if codecs == "gpu" else None)
    clips = [tmp_path / "one.mp4", tmp_path / "two.mp4"]
    text = "".join(
        feed(clip.stem, str(clip), f'method = "evm"\n{more}record = "{clip.with_suffix(".mkv")}"')
        for clip, more in zip(clips, ('codecs = "gpu"\n', ""), strict=True)
    )
    ward = Ward(specs(tmp_path, text), device="cpu", threads=1)
    assert opened == {str(clips[0]): 1, str(clips[1]): None}
    recorders: list[int | None] = []
    monkeypatch.setattr(
        Pipeline, "add", lambda _self, renderer, *_, **__: recorders.append(renderer._new(clips[0])._gpu)
    )
    for one in ward.feeds.values():
        ward._add_outputs(one.spec, one.pipeline)
    assert recorders == [1, None]


def test_the_recording_of_a_file_that_is_over_is_whole_while_others_go_on(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.mp4", frames=40)
    text = feed("short", str(clip), f'roi = "full"\nrecord = "{tmp_path / "short.mp4"}"')
    text += feed("long", "demo")
    ward = Ward(specs(tmp_path, text), device="cpu", threads=1)
    ward.start()
    try:
        short = ward.feeds["short"]
        until(lambda: short.pipeline.wait(0.0), "the end of the file")
        short.watch(100.0)
        short.watch(100.0 + SETTLE / 2)
        assert short.pipeline.renderers  # the numbers' last row may not be written yet
        short.watch(100.0 + SETTLE)
        until_ended("finish-short")
        status = ward.feeds["short"].status()
        # a busy machine may have dropped some, and counted them
        assert pictures_in(tmp_path / "short.mp4") == 40 - sum(status.dropped.values()) > 0
        assert status.state == "ended"
        assert ward.feeds["long"].pipeline.capture.error is None
        assert not ward.over
    finally:
        ward.stop()


def test_feeds_whose_disks_hang_end_side_by_side(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    both = threading.Barrier(2, timeout=TIMEOUT)
    monkeypatch.setattr(
        EndlessRecorder, "close", lambda _: both.wait()
    )  # for ever, if it were one after the other
    text = "".join(
        feed(name, "demo", f'method = "evm"\nrecord = "{tmp_path / name}.mkv"') for name in ("one", "two")
    )
    ward = Ward(specs(tmp_path, text))
    ward.start()
    ward.stop()
    assert not both.broken
    assert ward.troubles == []


def test_where_no_thread_can_be_had_all_feeds_end_in_order_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended: list[str] = []
    monkeypatch.setattr(WardFeed, "stop", lambda one: ended.append(one.spec.name))
    text = "".join(feed(name, "demo", 'method = "evm"') for name in ("one", "two", "three"))
    ward = Ward(specs(tmp_path, text))
    start = threading.Thread.start
    left = [True]  # one can

    def refused(thread: threading.Thread) -> None:
        if not left:
            raise RuntimeError("can't start new thread")
        left.pop()
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", refused)
    ward.stop()
    assert sorted(ended) == ["one", "three", "two"]


def test_files_that_are_over_end_the_ward(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "a.mp4", frames=20)
    ward = Ward(specs(tmp_path, feed("file", str(clip), 'roi = "full"')), device="cpu", threads=1)
    assert not ward.over
    ward.start()
    until(lambda: ward.over, "the end")
    ward.watch()
    assert ward.feeds["file"].restarts == 0
    ward.stop()


def test_a_ward_that_ends_without_what_it_was_to_write_says_so_and_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    register_commands()
    monkeypatch.setattr(serve, "stop_on_signals", lambda _stop: None)
    monkeypatch.setattr(serve, "PERIOD", 0.1)
    clip = make_clip(tmp_path / "a.mp4", frames=20)
    file = tmp_path / "FEEDS.toml"
    file.write_text(feed("bed", str(clip), f'method = "evm"\nrecord = "{tmp_path / "none" / "a.mkv"}"'))
    done = CliRunner().invoke(app, ["serve", str(file), "--no-page"])
    assert done.exit_code == 1
    assert "deepmag: bed: cannot record to" in done.stderr
