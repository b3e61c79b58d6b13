"""Whole-clip magnification: its time axis, its filter, and the command's work on real files."""

from __future__ import annotations

import errno
import os
from fractions import Fraction

import av
import numpy as np
import pytest
from live_run import REPEATS, added, in_band, lag_of, offline, person, pictures, rhythm, shipped
from made_clip import make_clip
from test_live_against_offline import read, write_lossless

from deepmag.models.magnify import (
    BLOCK,
    clip_rate,
    iter_steps,
    log_factors,
    magnify_steps,
    merge_repeats,
    stretches,
)
from deepmag.models.representation import L, is_scene_cut, reduce_frame
from deepmag.models.temporal import PULSE_BAND, log_factor
from deepmag.stream.capture.source import SourceError
from deepmag.stream.offline import magnify_file
from deepmag.stream.render.renderer import RendererError

RATE = 30.0
RANDOM = np.random.default_rng(0)


def test_on_a_steady_clip_the_log_factor_is_the_zero_phase_filters():
    steps = RANDOM.normal(0, 1e-3, (200, 3, 4, 4)).astype(np.float32)
    found = log_factors(steps, RATE)
    assert found == pytest.approx(log_factor(steps, PULSE_BAND, RATE), abs=1e-6)
    assert not found[0].any()


def test_a_pair_over_several_ticks_is_spread_evenly():
    t = np.arange(601) / RATE
    pulse = 1e-3 * np.diff(np.sin(2 * np.pi * 1.2 * t))
    keep = np.unique(np.concatenate([[0, 600], np.sort(RANDOM.permutation(600)[:480])]))
    ticks = np.diff(keep)
    total = np.concatenate([[0.0], np.cumsum(pulse)])
    uneven = np.diff(total[keep])
    found = log_factors(uneven[:, None].astype(np.float32), RATE, ticks)[:, 0]
    whole = log_factors(pulse[:, None].astype(np.float32), RATE)[keep, 0]
    assert np.corrcoef(found, whole)[0, 1] > 0.995


def test_two_frames_within_one_tick_share_its_step():
    steps = RANDOM.normal(0, 1e-3, (100, 2)).astype(np.float32)
    split = np.insert(steps, 50, 0.4 * steps[50], axis=0)
    split[51] *= 0.6
    ticks = np.insert(np.ones(100, np.int64), 50, 0)
    found = log_factors(split, RATE, ticks)
    assert np.delete(found, 51, axis=0) == pytest.approx(log_factors(steps, RATE), abs=1e-7)
    assert np.array_equal(found[51], found[50])


def test_a_gap_a_cut_and_a_step_back_in_time_each_begin_a_stretch():
    times = [*np.arange(10) / RATE, *(2.0 + np.arange(10) / RATE), *(1.0 + np.arange(10) / RATE)]
    found = stretches(times, RATE, cuts=[25])
    assert [(one.start, one.stop) for one in found] == [(0, 10), (10, 20), (20, 25), (25, 30)]
    assert all((one.ticks == 1).all() and len(one.ticks) == one.stop - one.start - 1 for one in found)


def test_lost_frames_are_ticks_not_gaps():
    (one,) = stretches([0.0, 1 / 30, 4 / 30, 5 / 30], RATE)
    assert one.ticks.tolist() == [1, 3, 1]


def test_the_rate_is_the_stated_one_only_where_the_times_agree():
    at_25 = list(np.arange(60) / 25)
    assert clip_rate(at_25, 25.01) == 25.01
    assert clip_rate(at_25, 60.0) == pytest.approx(25.0)
    assert clip_rate(at_25) == pytest.approx(25.0)
    with pytest.raises(ValueError, match="two pictures"):
        clip_rate([0.0])


def test_a_scene_cut_is_told_from_motion():
    one = reduce_frame(pictures()[0])
    assert is_scene_cut(one, one / 4)  # the same person, in a dark room
    assert not is_scene_cut(one, np.roll(one, 1, axis=2))


@pytest.mark.parametrize("mode", ["paper", "steady"])
def test_blocks_hold_every_pair_once_and_a_gain_of_one_adds_nothing(mode):
    x, y, w, h = person().region
    small = np.stack([reduce_frame(image[y : y + h, x : x + w]) for image in pictures()[:20]])
    ticks = np.ones(19, np.int64)
    blocks = list(iter_steps(shipped(), small, ticks, RATE, mode=mode))
    assert [block for block, _ in blocks] == [slice(0, 19)]
    assert magnify_steps(shipped(), small, RATE, mode).any()
    assert not magnify_steps(shipped(), small, RATE, mode, gain=1.0).any()
    assert magnify_steps(shipped(), small[:1], RATE, mode).shape == (0, 3, L, L)
    assert BLOCK > 19


def test_offline_adds_the_true_pulse_in_phase():
    images = pictures()
    shown = offline(shipped(), images, person().region, RATE)
    green = in_band(added(images, shown, (person().skin > 0.9).astype(np.float32))[:, 1], RATE)
    truth = in_band(person().blood(np.arange(len(images)) / RATE, rhythm(72)), RATE)
    lag, r = lag_of(-green[30:-30], truth[30:-30], RATE)
    assert abs(lag) <= 0.05
    assert r > 0.9


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    path = tmp_path_factory.mktemp("clip") / "in.mkv"
    write_lossless(path, pictures()[:90])
    return path


def run(source, out, **options):
    return magnify_file(
        source,
        out,
        **{"mode": "steady", "roi": person().region, "lossless": True, "ascender": shipped(), **options},
    )


@pytest.mark.parametrize("repeat", REPEATS.values(), ids=REPEATS)
def test_a_picture_that_is_there_several_times_is_magnified_as_single_ones_are(repeat):
    """A file may say a higher rate than that of what is in it, and begin with a still."""
    images = pictures()
    repeated = [images[0]] * 200 + [images[i] for i in repeat(np.arange(len(images)))]
    skin = (person().skin > 0.9).astype(np.float32)

    def size(images):
        green = added(images, offline(shipped(), images, person().region, 30.0), skin)[:, 1]
        return in_band(green, 30.0)[-270:-30].std()

    assert size(repeated) == pytest.approx(size(list(images)), rel=0.2)


def test_the_time_of_a_picture_that_repeats_goes_to_the_next_pair_of_others():
    rng = np.random.default_rng(0)
    kinds = rng.uniform(1.0, 2.0, (30, 3, L, L)).astype(np.float32)
    ticks = np.array([1, 2, 1, 1, 0, 1, 3, 1])
    small = kinds[[0, 1, 1, 1, 2, 2, 2, 3, 3]]
    #             pairs: 1  2  1  1  0  1  3  1 ticks
    assert merge_repeats(small, ticks, RATE).tolist() == [1, 0, 0, 4, 0, 0, 4, 1]
    still = kinds[[0] + [1] * 17 + [2, 3]]  # for more than half a second
    assert merge_repeats(still, np.ones(19, np.int64), RATE).tolist() == [1] * 19
    short = kinds[[0] + [1] * 16 + [2, 3]]
    assert merge_repeats(short, np.ones(18, np.int64), RATE).tolist() == [1] + [0] * 15 + [16, 1]


def test_a_file_comes_out_as_the_arrays_do_one_picture_for_each(clip, tmp_path):
    seen = []
    report = run(clip, tmp_path / "out.mkv", progress=lambda stage, share: seen.append((stage, share)))
    frames = read(tmp_path / "out.mkv")
    expected = offline(shipped(), pictures()[:90], person().region, RATE)
    assert report.frames == report.total == len(frames) == 90
    assert all(np.array_equal(a.image, b) for a, b in zip(frames, expected, strict=True))
    stages = list(dict.fromkeys(stage for stage, _ in seen))
    assert stages == ["reading", "looking", "magnifying", "writing"]
    for stage in stages:
        shares = [share for name, share in seen if name == stage]
        assert shares == sorted(shares)
        assert shares[-1] == 1.0
    assert "90 of 90 pictures" in str(report)


def test_stopped_while_writing_what_is_there_plays(clip, tmp_path):
    written = []
    report = run(
        clip,
        tmp_path / "out.mp4",
        lossless=False,
        progress=lambda stage, share: written.append(share) if stage == "writing" else None,
        stop=lambda: len(written) >= 40,
    )
    assert report.frames == 40
    assert len(read(tmp_path / "out.mp4")) == 40


def test_stopped_before_the_first_picture_nothing_is_left_behind(clip, tmp_path):
    report = run(clip, tmp_path / "out.mkv", stop=lambda: True)
    assert report.frames == 0
    assert not (tmp_path / "out.mkv").exists()
    assert "nothing written" in str(report)


def test_a_cut_between_two_scenes_leaves_each_as_if_alone(tmp_path):
    first = pictures()[:60]
    second = tuple(image // 4 for image in pictures(bpm=120.0, seconds=14.0)[:60])  # a dark room
    write_lossless(tmp_path / "both.mkv", (*first, *second))
    write_lossless(tmp_path / "one.mkv", first)
    run(tmp_path / "both.mkv", tmp_path / "out.mkv")
    run(tmp_path / "one.mkv", tmp_path / "alone.mkv")
    both, alone = read(tmp_path / "out.mkv"), read(tmp_path / "alone.mkv")
    assert len(both) == 120
    assert all(np.array_equal(a.image, b.image) for a, b in zip(both[:60], alone, strict=True))


def test_without_a_face_the_whole_picture_is_magnified_and_it_is_said(tmp_path, caplog):
    write_lossless(tmp_path / "wall.mkv", [np.full((80, 100, 3), 128, np.uint8)] * 40)
    report = run(tmp_path / "wall.mkv", tmp_path / "out.mkv", roi="auto")
    assert (report.kind, report.box) == ("full", (0, 0, 100, 80))
    assert "no face" in caplog.text


def test_a_real_face_is_found_and_framed(shared_data, clips, tmp_path):
    seen = []
    report = run(
        shared_data / clips["clip_a"]["file"],
        tmp_path / "out.mkv",
        roi="auto",
        progress=lambda stage, _share: seen.append(stage),
        stop=lambda: len(seen) > 5,
    )
    x, y, w, h = report.box
    fx, fy, fw, fh = clips["clip_a"]["face"]
    assert report.kind == "face"
    assert x < fx
    assert y < fy
    assert x + w > fx + fw
    assert y + h > fy + fh


def write_with_another_size(path):
    """A raw H.264 stream in which the picture's size changes half-way."""
    with path.open("wb") as file:
        for width in (120, 160):
            codec = av.CodecContext.create("libx264", "w")
            codec.width, codec.height, codec.pix_fmt, codec.framerate = width, 120, "yuv420p", 30
            codec.time_base = Fraction(1, 30)
            for _ in range(30):
                for packet in codec.encode(av.VideoFrame(width, 120, "yuv420p")):
                    file.write(bytes(packet))
            for packet in codec.encode(None):
                file.write(bytes(packet))


def test_a_name_with_a_colon_is_a_file_s(clip, tmp_path):
    source = tmp_path / f"12:30{clip.suffix}"
    source.symlink_to(clip)
    assert run(source, tmp_path / "out.mkv", stop=iter([False] * 50 + [True] * 1000).__next__).total > 0


def test_where_nothing_can_be_seen_it_is_said(tmp_path, caplog):
    slow = make_clip(tmp_path / "slow.mkv", frames=6, rate=1)
    assert run(slow, tmp_path / "out.mkv", roi="full").frames == 6
    assert "nothing is magnified" in caplog.text


def test_a_change_of_size_is_refused_and_where_it_is_is_said(tmp_path):
    write_with_another_size(tmp_path / "two.h264")
    with pytest.raises(ValueError, match=r"changes from 120x120 to 160x120 at picture \d+"):
        run(tmp_path / "two.h264", tmp_path / "out.mkv", roi="full")
    assert not (tmp_path / "out.mkv").exists()


@pytest.mark.parametrize(
    ("number", "words"),
    [(errno.ENOSPC, "set TMPDIR"), (errno.EIO, "cannot magnify .*in.mkv: .*Input/output")],
)
def test_what_fails_between_the_passes_is_said_and_leaves_nothing(number, words, clip, tmp_path, monkeypatch):
    def fails(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "posix_fallocate", fails)
    with pytest.raises(ValueError, match=words):
        run(clip, tmp_path / "out.mkv")
    assert not (tmp_path / "out.mkv").exists()


def test_without_fallocate_the_room_is_taken_by_writing(clip, tmp_path, monkeypatch):
    run(clip, tmp_path / "one.mkv")
    monkeypatch.delattr(os, "posix_fallocate")
    run(clip, tmp_path / "two.mkv")
    assert all(
        np.array_equal(a.image, b.image)
        for a, b in zip(read(tmp_path / "one.mkv"), read(tmp_path / "two.mkv"), strict=True)
    )


def test_what_cannot_be_done_is_said_in_one_line(clip, tmp_path):
    out = tmp_path / "out.mkv"
    text = tmp_path / "text.mp4"
    text.write_text("this is no video\n" * 100)
    short = tmp_path / "short.mkv"
    write_lossless(short, pictures()[:1])
    for kind, source, target, options in [
        (SourceError, tmp_path / "missing.mp4", out, {}),
        (SourceError, text, out, {}),
        (RendererError, clip, clip, {}),
        (RendererError, clip, tmp_path / "no" / "out.mkv", {}),
        (RendererError, clip, tmp_path / "out.avi", {}),
        (ValueError, short, out, {}),
        (ValueError, clip, out, {"gain": 0.5}),
        (ValueError, clip, out, {"roi": (230, 230, 100, 100)}),
    ]:
        with pytest.raises(kind) as caught:
            run(source, target, **options)
        assert "\n" not in str(caught.value)
        assert not out.exists(), "an output that was never begun is left behind"
    assert len(read(clip)) == 90
