"""Whole-clip magnification of breathing, by the command's work on real files, against a synthetic person's truth."""

from __future__ import annotations

import numpy as np
import pytest
from test_cli import Command
from test_live_against_offline import read

from deepmag.models.metrics.motion import added_displacement, displacement, motion_scores
from deepmag.models.phase import SIDE, reduce_luma
from deepmag.models.pyramid_filters import ORIENTATIONS
from deepmag.models.synthetic.clip import make_clip
from deepmag.stream.breath_ticks import BreathTicks
from deepmag.stream.combine import combine
from deepmag.stream.frames import Frame, MagnifiedFrame
from deepmag.stream.offline import magnify_file
from deepmag.stream.render.recorder import Recorder

RATE = 15.0
BAND = (0.16, 0.8)
CHEST, WALL = (45, 90, 70, 30), (2, 2, 30, 40)
GAIN = 5.0


def write(path, images, rate=RATE):
    recorder = Recorder(path, rate=rate, lossless=True)
    recorder.open()
    for i, image in enumerate(images):
        frame = Frame(0, i, i / rate, 0.0, np.ascontiguousarray(image))
        recorder.render(MagnifiedFrame(frame, frame.image, None, None, (0, 0, 36, 36), 0.0))
    recorder.close()


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """Somebody who sits still for 12 s and breathes 20 times a minute, their chest by 0.6 px RMS."""
    path = tmp_path_factory.mktemp("clip") / "in.mkv"
    write(path, make_clip("A", seed=1, seconds=12, rate=RATE, size=(160, 120)).video)
    return path


@pytest.fixture(scope="module")
def done(clip, tmp_path_factory):
    """The clip magnified for each target."""
    folder = tmp_path_factory.mktemp("done")
    for target in ("pulse", "respiration", "both"):
        out = folder / f"{target}.mkv"
        magnify_file(clip, out, target=target, mode="steady", gain=GAIN, roi="full", lossless=True)
    return folder


def grey(path):
    return [frame.image.astype(np.float32).mean(2) for frame in read(path)]


def test_one_picture_comes_out_for_each_and_at_its_time(clip, done):
    before = read(clip)
    for target in ("respiration", "both"):
        after = read(done / f"{target}.mkv")
        assert [frame.pts for frame in after] == pytest.approx([frame.pts for frame in before], abs=1e-3)


def test_the_chest_moves_further_and_the_wall_stays(clip, done):
    before = grey(clip)
    for target in ("respiration", "both"):
        after = grey(done / f"{target}.mkv")
        scores = motion_scores(
            displacement(before, CHEST),
            displacement(after, CHEST),
            added_displacement(before, after, WALL),
            BAND,
            RATE,
        )
        assert 0.6 * GAIN < scores.gain < 1.2 * GAIN
        assert scores.coherence > 0.95
        assert scores.leak < 0.05


def test_the_first_breath_is_magnified_as_the_others_are(clip, done):
    # live, the first seconds pass before anything is known of the breath
    added = np.abs(added_displacement(grey(clip), grey(done / "respiration.mkv"), CHEST)[:, 0])
    breath = round(3 * RATE)  # frames
    assert added[:breath].max() > 0.6 * added[breath:-breath].max()


def test_both_adds_the_pulses_colour_to_the_breaths_motion(clip, done):
    original, coloured, moved, both = (
        [frame.image for frame in read(path)]
        for path in (clip, done / "pulse.mkv", done / "respiration.mkv", done / "both.mkv")
    )
    assert not np.array_equal(coloured[60], original[60])
    for a, c, m, b in zip(original, coloured, moved, both, strict=True):
        assert np.array_equal(b, combine(a, m, c))


def test_a_still_picture_stays_as_it_is(clip, tmp_path):
    still = read(clip)[0].image
    write(tmp_path / "still.mkv", [still] * 60)
    magnify_file(tmp_path / "still.mkv", tmp_path / "out.mkv", target="respiration", lossless=True)
    assert all(np.array_equal(frame.image, still) for frame in read(tmp_path / "out.mkv"))


def test_a_cut_between_two_scenes_leaves_each_as_if_alone(clip, tmp_path):
    first = [frame.image for frame in read(clip)][:75]
    second = [image[:, ::-1] // 3 for image in first]  # another room, a dark one
    write(tmp_path / "both.mkv", [*first, *second])
    write(tmp_path / "one.mkv", first)
    write(tmp_path / "other.mkv", second)
    for name in ("both", "one", "other"):
        magnify_file(
            tmp_path / f"{name}.mkv", tmp_path / f"{name}-out.mkv", target="respiration", lossless=True
        )
    together, one, other = (
        [f.image for f in read(tmp_path / f"{n}-out.mkv")] for n in ("both", "one", "other")
    )
    assert any(not np.array_equal(a, b) for a, b in zip(first, one, strict=True))
    assert all(np.array_equal(a, b) for a, b in zip(together[:75], one, strict=True))
    # the file's clock has milliseconds, and the second begins elsewhere on it
    assert max(np.abs(a.astype(int) - b).max() for a, b in zip(together[75:], other, strict=True)) <= 2


def test_a_region_moves_and_nothing_outside_it(clip, tmp_path):
    x, y, w, h = 40, 60, 80, 60
    magnify_file(clip, tmp_path / "out.mkv", target="respiration", roi=(x, y, w, h), lossless=True)
    changed = np.zeros((120, 160), bool)
    for before, after in zip(read(clip), read(tmp_path / "out.mkv"), strict=True):
        changed |= (before.image != after.image).any(2)
    assert changed[y : y + h, x : x + w].any()
    changed[y : y + h, x : x + w] = False
    assert not changed.any()


def test_stopped_while_the_breath_is_followed_nothing_is_left_behind(clip, tmp_path):
    seen = []
    report = magnify_file(
        clip,
        tmp_path / "out.mkv",
        target="respiration",
        progress=lambda stage, _share: seen.append(stage),
        stop=lambda: len(seen) > 20,
    )
    assert report.frames == 0
    assert set(seen) == {"following the breath"}
    assert list(tmp_path.iterdir()) == []


def test_stopped_while_writing_what_is_there_plays(clip, tmp_path):
    written = []
    report = magnify_file(
        clip,
        tmp_path / "out.mp4",
        target="respiration",
        progress=lambda stage, share: written.append(share) if stage == "writing" else None,
        stop=lambda: len(written) >= 40,
    )
    assert report.frames == len(read(tmp_path / "out.mp4")) == 40


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--target", "both", "--method", "phase"], "the method phase has no target"),
        (["--target", "respiration", "--roi", "1,2,3"], "roi must be"),
    ],
)
def test_what_does_not_go_with_breathing_is_said_before_anything_is_read(options, said, tmp_path):
    command = Command("magnify", "missing.mp4", tmp_path / "out.mkv", *options)
    command.says_one_line(said)
    assert command.process.returncode == 2


class Blind:
    """A network that sees nothing."""

    description = "nothing"

    def gradient(self, x, weight):
        assert x.shape == (1, ORIENTATIONS, SIDE, SIDE)
        return np.zeros(1, np.float32), np.zeros_like(x)


@pytest.mark.parametrize("rate", [8.0, 24.0, 25.0, 29.97, 50.0])
def test_ticks_keep_to_five_a_second_at_any_frame_rate(rate):
    # 24 pictures a second have no fifth of a second: without a clock of their own, ticks are 4 % too long
    ticks = BreathTicks(Blind())
    picture = np.full((48, 64, 3), 128, np.uint8)
    taken = []
    for i in range(round(10 * rate) + 1):
        if ticks.due(i / rate, 1 / rate):
            assert ticks.take(i / rate, reduce_luma(picture))
            taken.append(i / rate)
    assert len(taken) == 51
    assert np.abs(np.array(taken) - np.arange(51) / 5).max() <= 0.61 / rate
    moved = ticks.moved(10)
    assert moved is not None
    assert moved.pts == pytest.approx(8.0)
