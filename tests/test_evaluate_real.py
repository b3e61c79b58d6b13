"""Real clips in `deepmag evaluate`: what clips.json may say, and that a clip that cannot be used costs only itself."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from deepmag.models.synthetic.clip import SyntheticClip, make_clip
from deepmag.models.weights import PULSE
from deepmag.stream.capture.source import SourceError
from deepmag.stream.evaluation.real import RealJob, read_clips
from deepmag.stream.evaluation.real_clip import RealClip
from deepmag.stream.evaluation.recording import decode, read_ppg
from deepmag.stream.evaluation.workers import Crew
from deepmag.stream.stopped import StoppedError

RATE = 30
BOX = (28, 16, 40, 40)


def write(file: Path, pictures: Any) -> Path:
    """Encode pictures without loss."""
    with av.open(file, "w") as container:
        stream = container.add_stream("ffv1", rate=RATE)
        stream.height, stream.width = pictures[0].shape[:2]
        stream.pix_fmt = "bgr0"
        for picture in pictures:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    return file


@pytest.fixture(scope="module")
def person() -> SyntheticClip:
    """A still person for 6 s, small."""
    return make_clip("A", seed=3, seconds=6.0, rate=float(RATE), size=(96, 72), melanin=0.1, factor=10.0)


@pytest.fixture(scope="module")
def file(person: SyntheticClip, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same as a video file, with ten times the pulse so that so small a picture has enough of it."""
    assert person.ideal is not None
    return write(tmp_path_factory.mktemp("real") / "person.mkv", person.ideal)


def clip(file: Path, **changes: Any) -> RealClip:
    """A clip with a box that is right for the person."""
    fields: dict[str, Any] = {"box": BOX, "bpm": 60.0, "face": False, "ppg": None}
    return RealClip("somebody", file, **(fields | changes))


def reason(clip: RealClip) -> str:
    """Why a clip is not measured."""
    result = RealJob(clip, PULSE).run()
    assert set(result) == {"bpm", "not_measured"}
    return str(result["not_measured"])


def test_the_rate_of_a_file_is_measured(person: SyntheticClip, file: Path) -> None:
    result = RealJob(clip(file, bpm=person.bpm), PULSE).run()
    assert result["frames"] == len(person.video)
    assert result["rate"] == RATE
    assert result["measurement"]["pos"]["error"] < 2.0


def test_a_face_is_magnified_by_every_method_against_its_sensor(
    person: SyntheticClip, file: Path, tmp_path: Path
) -> None:
    ppg = tmp_path / "ppg.csv"
    ppg.write_text("ppg\n" + "\n".join(f"{value}" for value in person.blood))
    result = RealJob(clip(file, bpm=person.bpm, face=True, ppg=ppg), PULSE).run()
    assert result["reference"] == "contact PPG"
    assert set(result["scores"]) == {"evm", "vam", "paper", "steady"}
    assert result["scores"]["steady"]["gain"] > 1.5
    assert result["scores"]["steady"]["coherence"] > 0.8


def test_a_box_outside_the_picture_is_a_reason_in_words(file: Path) -> None:
    assert reason(clip(file, box=(80, 16, 32, 40))) == (
        "its box [80, 16, 32, 40] reaches out of its picture of 96x72"
    )


def test_a_file_that_is_no_video_is_a_reason_in_words(tmp_path: Path) -> None:
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"no video at all " * 64)
    assert reason(clip(broken)) == "broken.mp4 is not a video, or is damaged"


def test_a_clip_too_short_to_judge_is_a_reason_in_words(person: SyntheticClip, tmp_path: Path) -> None:
    short = write(tmp_path / "short.mkv", person.video[:20])
    assert reason(clip(short)) == "short.mkv has only 20 pictures: 4 s at least are needed"


def test_a_wave_without_a_row_for_each_picture_is_a_reason_in_words(file: Path, tmp_path: Path) -> None:
    ppg = tmp_path / "ppg.csv"
    ppg.write_text("ppg\n1\n2\n")
    assert "has 2 rows for 180 pictures" in reason(clip(file, ppg=ppg))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("red\n1\n", "has no column ppg"),
        ("time,ppg\n1,2\n2\n", "row 2: ppg is no number"),
        ("ppg\n1\nx\n", "row 2: ppg is no number"),
        ("ppg\n1\nnan\n", "row 2: ppg is no number"),
        ("", "has 0 rows for 300 pictures"),
    ],
)
def test_a_wave_that_is_none_is_refused_in_words(text: str, words: str, tmp_path: Path) -> None:
    ppg = tmp_path / "ppg.csv"
    ppg.write_text(text)
    with pytest.raises(ValueError, match=words):
        read_ppg(ppg, 300, 30.0)


def test_weights_that_are_none_are_no_fault_of_the_clip(file: Path, tmp_path: Path) -> None:
    weights = tmp_path / "none.safetensors"
    weights.write_bytes(b"none")
    with pytest.raises(ValueError, match="weights"):
        RealJob(clip(file), weights).run()


def test_decoding_ends_when_the_person_does_not_want_to_wait(file: Path) -> None:
    with Crew(1) as crew:
        crew.stop()
        with pytest.raises(StoppedError):
            decode(file)


def test_the_failure_of_a_source_crosses_to_another_process_whole() -> None:
    failure = pickle.loads(pickle.dumps(SourceError("camera 0 is gone", retry=True)))
    assert isinstance(failure, SourceError)
    assert str(failure) == "camera 0 is gone"
    assert failure.retry is True


def listed(folder: Path, content: Any) -> Path:
    """A folder with a clip and a clips.json of ``content``."""
    (folder / "a.mp4").touch()
    (folder / "clips.json").write_text(json.dumps(content))
    return folder


GOOD = {"file": "a.mp4", "bpm": 60, "face": [1, 2, 30, 40]}


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        (["a.mp4"], "must be an object"),
        ("a.mp4", "must be an object"),
        (None, "must be an object"),
        ({"bpm": 60, "face": [1, 2, 30, 40]}, "file must be the name of a file, not None"),
        (GOOD | {"file": 3}, "file must be the name of a file, not 3"),
        (GOOD | {"file": "b.mp4"}, r"file is .*b\.mp4, which is not there"),
        (GOOD | {"ppg": "b.csv"}, r"ppg is .*b\.csv, which is not there"),
        (GOOD | {"ppg": 1}, "ppg must be the name of a file"),
        (GOOD | {"face": [1, 2, 30]}, "face must be four numbers"),
        (GOOD | {"face": [1, 2, 30, "40"]}, "face must be four numbers"),
        (GOOD | {"face": "1 2 30 40"}, "face must be four numbers"),
        (GOOD | {"face": [1, 2, 30, float("nan")]}, "face must be four numbers"),
        (GOOD | {"face": [-1, 2, 30, 40]}, "face begins outside the picture"),
        (GOOD | {"face": [1, 2, 0, 40]}, "face must be 16 pixels wide and high, or more"),
        (GOOD | {"bpm": "72"}, "bpm must be a number from 20 to 300, not '72'"),
        (GOOD | {"bpm": 1.2}, "bpm must be a number from 20 to 300"),
        (GOOD | {"bpm": 0}, "bpm must be a number from 20 to 300"),
        (GOOD | {"bpm": True}, "bpm must be a number from 20 to 300"),
        (GOOD | {"bpm": float("nan")}, "bpm must be a number from 20 to 300"),
    ],
)
def test_a_wrong_entry_is_refused_with_its_clip_and_its_field(entry: Any, words: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=rf"clips\.json, clip her: {words}"):
        read_clips(listed(tmp_path, {"her": entry}))


def test_a_folder_without_a_list_of_clips_is_refused_in_words(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"^cannot read .*clips\.json: No such file or directory$"):
        read_clips(tmp_path)


def test_a_list_instead_of_clips_by_name_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="must be an object of clips by name"):
        read_clips(listed(tmp_path, [GOOD]))


def test_what_lacks_only_its_box_or_its_rate_is_left_out_with_the_reason(tmp_path: Path) -> None:
    boxless, rateless = {"file": "a.mp4", "bpm": 60}, {"file": "a.mp4", "skin": [1, 2, 30, 40]}
    content = {"her": GOOD, "him": boxless, "hand": rateless, "wall": {"file": "a.mp4", "pulse": False}}
    found = read_clips(listed(tmp_path, content))
    assert [clip.name for clip in found.clips] == ["her"]
    assert found.left_out == {
        "him": "it has a rate (bpm), but no box of face or skin",
        "hand": "it has a box, but no rate (bpm)",
    }


def test_null_is_the_same_as_nothing(tmp_path: Path) -> None:
    entry = {"file": "a.mp4", "bpm": 60, "face": None, "skin": [1, 2, 30, 40], "ppg": None}
    (found,) = read_clips(listed(tmp_path, {"her": entry})).clips
    assert (found.face, found.ppg, found.box) == (False, None, (1, 2, 30, 40))


def test_the_sensor_of_a_shared_clip_has_a_row_for_each_picture(shared_data: Path) -> None:
    found = {clip.name: clip for clip in read_clips(shared_data)}["clip_a"]
    assert found.ppg is not None
    video, rate = decode(found.file)
    assert np.isfinite(read_ppg(found.ppg, len(video), rate)).all()
