"""Respiration's half of `deepmag evaluate`: scores against a known motion, and a run from start to end."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deepmag.models.phase import SIDE
from deepmag.models.respiration import ASCENT_RATE
from deepmag.models.synthetic.clip import SyntheticClip, make_clip
from deepmag.models.weights import RESPIRATION
from deepmag.stream.evaluation.cells import people_text
from deepmag.stream.evaluation.plan import people
from deepmag.stream.evaluation.real import read_clips
from deepmag.stream.evaluation.real_clip import BreathingClip, RealClips
from deepmag.stream.evaluation.respiration import exhibits, verdict
from deepmag.stream.evaluation.respiration.plan import BreathPlan, full_plan, quick_plan
from deepmag.stream.evaluation.respiration.real import RealBreathJob
from deepmag.stream.evaluation.respiration.scores import (
    CHEST,
    HEAD,
    MotionTruth,
    score_motion,
    score_picture,
    truth_of,
)
from deepmag.stream.evaluation.run import Outcome, evaluate

FACTOR = 5.0
TINY = BreathPlan(
    7, True, (192, 144), 7.0, 6.0, people(7, 1)[:1], 2, large_paper=False, tasks=("B", "C"), iterations=2
)  # fmt: skip
METHODS = {"phase", "phase-vam", "learned", "paper", "steady"}


@pytest.fixture(scope="module")
def clip() -> SyntheticClip:
    """Somebody who turns the head and breathes."""
    return make_clip("B", seed=3, seconds=12.0, rate=6.0, size=(192, 144), breath_factor=FACTOR)


@pytest.fixture(scope="module")
def truth(clip: SyntheticClip) -> MotionTruth:
    """Of all its frames."""
    return truth_of(clip, 1)


def ideal(clip: SyntheticClip) -> Any:
    assert clip.ideal is not None
    return clip.ideal


def test_the_ideal_video_has_the_motion_that_was_asked_for(clip: SyntheticClip, truth: MotionTruth) -> None:
    scores = score_motion(truth, ideal(clip), FACTOR)
    assert scores["gain"] == pytest.approx(FACTOR, abs=1e-6)
    assert scores["coherence"] == pytest.approx(1.0, abs=1e-6)
    assert scores["residual"] == pytest.approx(0.0, abs=1e-6)
    assert truth.amplitude > 0.1  # px: there is a motion to be judged


def test_the_original_adds_nothing(clip: SyntheticClip, truth: MotionTruth) -> None:
    scores = score_motion(truth, clip.video, FACTOR)
    assert scores["gain"] == pytest.approx(1.0, abs=0.02)
    assert scores["residual"] == pytest.approx(1.0, abs=0.02)


def test_a_chest_that_moves_alone_leaks_nothing_and_one_that_stays_has_all_leak(
    clip: SyntheticClip, truth: MotionTruth
) -> None:
    height, width = clip.video.shape[1:3]
    x, y, w, h = (round(s * side) for s, side in zip(HEAD, (width, height, width, height), strict=True))
    head = np.s_[:, y : y + h, x : x + w]
    chest_only = ideal(clip).copy()
    chest_only[head] = clip.video[head]
    alone = score_motion(truth, chest_only, FACTOR)
    assert alone["leak"] < 0.05
    assert alone["gain"] == pytest.approx(FACTOR, rel=0.05)
    head_only = clip.video.copy()
    head_only[head] = ideal(clip)[head]
    assert score_motion(truth, head_only, FACTOR)["leak"] > 5.0


def test_a_motion_out_of_step_has_no_coherence(clip: SyntheticClip, truth: MotionTruth) -> None:
    """A quarter of a breath late: as large, but it is not the breath."""
    quarter = round(60.0 / clip.breaths / 4 * clip.rate)
    late = np.concatenate([clip.video[:quarter], ideal(clip)[:-quarter]])
    assert score_motion(truth, late, FACTOR)["coherence"] < 0.6


def test_a_clip_without_a_larger_breath_has_no_truth() -> None:
    plain = make_clip("A", seed=1, seconds=1.0, rate=5.0, size=(64, 48), factor=2.0)
    with pytest.raises(ValueError, match="true motion"):
        truth_of(plain, 1)


def test_the_true_video_is_nearer_to_itself_than_the_original(
    clip: SyntheticClip, truth: MotionTruth
) -> None:
    own = score_picture(truth, ideal(clip), to_true=True)
    original = score_picture(truth, clip.video, to_true=True)
    assert own["psnr_true"] > original["psnr_true"] + 20
    assert original["psnr"] > own["psnr"] + 20
    assert "psnr_true" not in score_picture(truth, clip.video, to_true=False)


def test_the_cell_that_is_shown_lies_on_the_chest_and_breathes() -> None:
    still = make_clip("A", seed=3, seconds=8.0, rate=10.0, size=(192, 144))
    steps = exhibits.phase_steps(still.video, still.rate)
    assert steps.x.shape[1:] == (4, SIDE, SIDE)
    row, column = exhibits.breathing_cell(steps, CHEST)
    assert CHEST[1] <= row / SIDE < 1.0
    assert CHEST[0] <= column / SIDE < CHEST[0] + CHEST[2]
    phase = exhibits.original_phase(steps, (row, column))[:, exhibits.VERTICAL]
    ticks = (np.arange(len(phase)) + 1) / ASCENT_RATE
    breath = np.interp(ticks, np.arange(len(still.video)) / still.rate, still.respiration)
    assert abs(np.corrcoef(phase, breath)[0, 1]) > 0.8


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Outcome]:
    """One whole evaluation of respiration alone, in this process, with a real clip that is broken."""
    folder = tmp_path_factory.mktemp("evaluation")
    broken = tmp_path_factory.mktemp("real") / "broken.mp4"
    broken.write_bytes(b"no video at all " * 64)
    damaged = BreathingClip("damaged", broken, 15.0, (0, 0, 60, 60), (60, 0, 60, 60))
    return folder, evaluate(None, folder, breath=TINY, jobs=1, real=RealClips((), {}, (damaged,)))


@pytest.fixture(scope="module")
def numbers(run: tuple[Path, Outcome]) -> dict[str, Any]:
    """Its part of evaluate.json."""
    found = json.loads((run[0] / "evaluate.json").read_text())
    assert "table1" not in found  # that of the pulse, which was not asked for
    part: dict[str, Any] = found["respiration"]
    return part


def test_a_run_leaves_the_papers_figures(run: tuple[Path, Outcome]) -> None:
    folder, outcome = run
    assert outcome.complete
    assert outcome.clips == outcome.of == 3  # a reference, and one for each task
    assert {file.name for file in folder.iterdir()} == {
        "report.md", "evaluate.json", "figure6_shoulder_scan_lines.png", "figure8_phase_traces.png",
        "figure11_respiration.png",
    }  # fmt: skip


def test_both_tables_have_every_method_in_every_task(numbers: dict[str, Any]) -> None:
    assert set(numbers["table1"]) == METHODS
    for tasks in numbers["table1"].values():
        assert set(tasks) == set(TINY.tasks)
        assert all(cell["psnr"]["mean"] > 20 for cell in tasks.values())
    assert set(numbers["large"]) == METHODS - {"paper"} | {"unmagnified"}
    assert set(numbers["table2"]) == {"0.5", "1", "2", "4"}


def test_a_longer_step_adds_more_phase(numbers: dict[str, Any]) -> None:
    rms = numbers["figures"]["8"]["rms"]
    vertical = [rms[step][exhibits.VERTICAL] for step in ("original", "0.5", "1", "2", "4")]
    assert vertical == sorted(vertical)


def test_the_sign_correction_leaves_fewer_negative_cells(numbers: dict[str, Any]) -> None:
    maps = numbers["figures"]["11"]
    assert maps["corrected"]["negative"] <= maps["uncorrected"]["negative"]
    assert maps["corrected"]["mean"] > 0.5


def test_the_report_tells_of_respiration_alone(run: tuple[Path, Outcome]) -> None:
    text = (run[0] / "report.md").read_text()
    assert "`deepmag evaluate --quick --target respiration --seed 7`" in text
    assert "## Table 1, respiration" in text
    assert "# Pulse" not in text
    assert "| damaged | 15.0 | not measured: broken.mp4 is not a video, or is damaged |" in text
    assert "respiration.safetensors, SHA-256" in text


def test_one_is_a_person_and_two_are_people() -> None:
    assert [people_text(count) for count in (1, 2)] == ["1 person", "2 people"]


def test_nothing_to_evaluate_is_said(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="nothing to evaluate"):
        evaluate(None, tmp_path, jobs=1)


def test_the_pulses_weights_are_not_taken_for_those_of_respiration(tmp_path: Path) -> None:
    from deepmag.models.weights import PULSE

    with pytest.raises(ValueError, match="not the weights of a RespirationNet"):
        evaluate(None, tmp_path, breath=TINY, breath_weights=PULSE, jobs=1)


def test_a_real_chest_is_magnified_by_every_method(clip: SyntheticClip, tmp_path: Path) -> None:
    from fractions import Fraction

    import av

    file = tmp_path / "chest.mkv"
    with av.open(str(file), "w") as out:
        stream = out.add_stream("ffv1", Fraction(6))
        stream.width, stream.height, stream.pix_fmt = clip.video.shape[2], clip.video.shape[1], "bgr0"
        for image in clip.video[:30]:
            out.mux(stream.encode(av.VideoFrame.from_ndarray(image, "rgb24")))
        out.mux(stream.encode())
    height, width = clip.video.shape[1:3]
    chest = tuple(round(s * side) for s, side in zip(CHEST, (width, height, width, height), strict=True))
    job = RealBreathJob(
        BreathingClip("someone", file, clip.breaths, chest, (0, 0, 50, 50)),
        RESPIRATION,  # type: ignore[arg-type]
    )
    result = job.run()
    assert set(result["scores"]) == METHODS
    assert all(np.isfinite(list(scores.values())).all() for scores in result["scores"].values())
    assert {f"scan {name}" for name in ("original", *METHODS)} <= set(result["exhibits"])


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ({"breaths_per_min": 0.3}, "breaths_per_min must be a number from 4 to 80, not 0.3"),
        ({"chest": [1, 2, 3]}, "chest must be four numbers"),
        ({"still": [0, 0, 4, 4]}, "still must be 16 pixels wide"),
        ({"file": "nowhere.mp4"}, "nowhere.mp4, which is not there"),
    ],
)
def test_a_wrong_entry_is_refused_with_its_clip_and_its_field(
    entry: dict[str, Any], words: str, tmp_path: Path
) -> None:
    (tmp_path / "a.mp4").write_bytes(b"")
    whole = {"file": "a.mp4", "breaths_per_min": 15, "chest": [0, 0, 40, 40], "still": [50, 0, 40, 40]}
    (tmp_path / "clips.json").write_text(json.dumps({"someone": whole | entry}))
    with pytest.raises(ValueError, match="clip someone") as refused:
        read_clips(tmp_path)
    assert words in str(refused.value)


def test_who_breathes_is_found_and_who_has_no_rate_or_box_is_not(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"")
    whole = {"file": "a.mp4", "breaths_per_min": 15, "chest": [0, 0, 40, 40], "still": [50, 0, 40, 40]}
    listed = {"one": whole, "two": whole | {"breaths_per_min": None}, "three": whole | {"chest": None}}
    (tmp_path / "clips.json").write_text(json.dumps(listed))
    assert [found.name for found in read_clips(tmp_path).breathing] == ["one"]


def cell(**metrics: float) -> dict[str, Any]:
    return {name: {"mean": value, "sd": float("nan"), "n": 1} for name, value in metrics.items()}


def test_the_verdict_follows_the_figures() -> None:
    table1 = {
        name: {"A": cell(psnr=40.0, ssim=0.99), "D": cell(psnr=39.5, ssim=0.97)}
        for name in ("paper", "steady")
    }
    falls = {name: cell(psnr=0.5) for name in table1}
    large = {
        "phase": {"B": cell(gain=4.0, leak=1.2, residual=2.0)},
        "steady": {"B": cell(gain=3.9, leak=0.05, residual=0.4)},
    }
    found = {
        f.expectation: f for f in verdict.findings(table1, large, {"1": cell(psnr=41.0, ssim=0.98)}, falls)
    }

    def met(part: str) -> bool | None:
        (one,) = (finding.met for text, finding in found.items() if part in text)
        return one

    assert met("paper loses no more than 1 dB") is True
    assert met("PSNR of 41.4 dB") is False
    assert met("SSIM of 0.979") is True
    assert met("0.975 or more") is False  # 0.97 on D
    assert met("within 20 %, task B") is False  # 3.9 for 5
    assert met("steady adds at most 0.1") is True
    assert met("nearest to the true motion, task B") is True


def test_the_full_plan_looks_at_more_than_the_quick_one() -> None:
    quick, full = quick_plan(), full_plan()
    assert len(full.subjects) > len(quick.subjects)
    assert full.frames > quick.frames
    assert set(quick.subjects) <= set(full.subjects)
