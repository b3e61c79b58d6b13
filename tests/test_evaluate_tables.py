"""Tables, fairness and verdict from numbers that are known, and real clips scored by known waves."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deepmag.models.metrics.traces import box_blocks
from deepmag.models.synthetic.skin import fitzpatrick
from deepmag.stream.evaluation import figures, output, report, tables, verdict
from deepmag.stream.evaluation.clip_jobs import ClipResult
from deepmag.stream.evaluation.exhibits import turning_pixel
from deepmag.stream.evaluation.plan import TONES, Subject, full_plan, people, quick_plan
from deepmag.stream.evaluation.real import read_clips, score, square_around

RATE = 30.0


def result(
    tone: Any,
    task: Any,
    psnr: float,
    *,
    gain: float = 8.0,
    error: float = 0.5,
    seed: int = 1,
    fair: str = "reference",
) -> ClipResult:
    cell = {
        "psnr": psnr,
        "ssim": 0.99,
        "psnr_region": psnr - 5,
        "psnr_true": psnr,
        "gain": gain,
        "coherence": 0.9,
    }
    return ClipResult(
        Subject(seed, 0.1, tone), task, "judged", 70.0, 0.2, 0.002,
        {
            "matched": {"evm": cell, "steady": cell},
            "gamma": {"0.5": cell | {"psnr": psnr + 2}, "1": cell, "2": cell | {"psnr": psnr - 2}}
            if task == "C"
            else {},
            fair: {"steady": cell},
        },
        {"network": {"bpm": 70.0 + error, "error": error, "snr": 3.0}},
        region_share=0.25,
    )  # fmt: skip


def three_of_each(task: Any, first: list[float], second: list[float], **more: Any) -> list[ClipResult]:
    """Gains of people of two classes of skin."""
    return [
        result(tone, task, 40.0, gain=gain, seed=seed, **more)
        for seed, (tone, gain) in enumerate([("I-II", g) for g in first] + [("V-VI", g) for g in second])
    ]


def test_the_spread_is_that_of_people_not_of_the_mean() -> None:
    cells = tables.method_table([result("I-II", "A", 40.0), result("V-VI", "A", 44.0)], "matched")
    assert cells["evm"]["A"]["psnr"] == {"mean": 42.0, "sd": pytest.approx(math.sqrt(8)), "n": 2}


def test_what_cannot_be_measured_is_left_out_of_the_mean() -> None:
    assert tables.summary([3.0, math.nan]) == {
        "mean": 3.0,
        "sd": pytest.approx(math.nan, nan_ok=True),
        "n": 1,
    }


def test_measurement_is_counted_by_task_and_by_skin() -> None:
    clips = [result("I-II", "A", 40.0, error=1.0), result("V-VI", "D", 40.0, error=3.0)]
    table = tables.measurement_table(clips)
    assert table["task"]["D"]["network"]["mae"]["mean"] == 3.0
    assert table["tone"]["I-II"]["network"]["mae"]["mean"] == 1.0


def test_clips_of_one_person_are_not_further_people() -> None:
    clips = [
        result("I-II", "A", 40.0, error=1.0, seed=1),
        result("I-II", "D", 40.0, error=5.0, seed=1),
        result("I-II", "A", 40.0, error=1.0, seed=2),
    ]
    cell = tables.measurement_table(clips)["tone"]["I-II"]["network"]["mae"]
    assert cell == {"mean": 2.0, "sd": pytest.approx(math.sqrt(2)), "n": 2}


def test_a_fall_is_the_same_person_s_and_does_not_have_the_spread_between_people() -> None:
    clips = [
        result("I-II", "A", 60.0, seed=1),
        result("I-II", "D", 56.0, seed=1),
        result("V-VI", "A", 40.0, seed=2),
        result("V-VI", "D", 38.0, seed=2),
        result("V-VI", "D", 10.0, seed=3),  # without a still clip
    ]
    assert tables.fall_table(clips)["evm"]["psnr"] == {"mean": 3.0, "sd": pytest.approx(math.sqrt(2)), "n": 2}
    assert "ssim_region" in tables.fall_table(clips)["evm"]


def test_fairness_names_the_worst_class_and_says_when_it_is_too_far_off() -> None:
    clips = three_of_each("A", [8.0, 9.0, 10.0], [4.0, 4.5, 5.0])
    ratios = tables.fairness_table(clips)["ratios"]["A"]
    shares = 1 / 9.0**2 + 0.5**2 / 4.5**2
    assert ratios["gain"] == {
        "ratio": 2.0,
        "sd": pytest.approx(2 * math.sqrt(shares / 3)),
        "n": {"I-II": 3, "V-VI": 3},
        "best": "I-II",
        "worst": "V-VI",
        "within": False,
    }
    assert ratios["coherence"]["within"] is True
    assert ratios["rate_error"]["ratio"] == 1.0  # both below one beat per minute
    assert ratios["rate_error"]["within"] is True


def test_one_person_of_each_class_cannot_show_fairness_but_can_show_its_lack() -> None:
    ratios = tables.fairness_table(three_of_each("A", [9.0], [4.0]))["ratios"]["A"]
    assert ratios["gain"]["within"] is False
    assert ratios["coherence"]["within"] is None
    judged = verdict.findings({}, {}, {}, {"ratios": {"A": {"coherence": ratios["coherence"]}}})
    (finding,) = [f for f in judged if "class of skin" in f.expectation]
    assert finding.met is None
    assert "people in each class: 1, 1" in finding.figures


def test_a_ratio_that_its_people_do_not_settle_is_left_open() -> None:
    ratio = tables.fairness_table(three_of_each("A", [4.0, 8.0, 12.0], [3.0, 6.0, 9.0]))["ratios"]["A"][
        "gain"
    ]
    assert ratio["ratio"] == pytest.approx(4 / 3)
    assert ratio["within"] is None


def test_fairness_of_the_other_tasks_is_that_of_the_clips_set_for_ten_times() -> None:
    still = three_of_each("A", [9.0, 9.0], [9.0, 9.0])
    moving = three_of_each("D", [9.0, 9.0], [3.0, 3.0], fair="large")
    table = tables.fairness_table([*still, *moving])
    assert table["comparison"] == {"A": "reference", "D": "large"}
    assert table["ratios"]["D"]["gain"]["ratio"] == pytest.approx(3.0)


def test_a_class_without_any_magnification_is_not_called_fair() -> None:
    ratio = tables.fairness_table(three_of_each("A", [9.0, 9.0], [-0.5, -0.4]))["ratios"]["A"]["gain"]
    assert ratio["ratio"] == math.inf
    assert ratio["within"] is False


def test_the_verdict_says_no_where_the_numbers_do() -> None:
    clips = [result("I-II", "A", 60.0), result("I-II", "C", 41.0), result("I-II", "D", 50.0)]
    table1 = tables.method_table(clips, "matched")
    judged = verdict.findings(table1, {}, tables.gamma_table(clips), {}, tables.fall_table(clips))
    found = {f.expectation: f for f in judged}
    evm = found["evm loses 3 dB or more from task A to D"]
    assert evm.met
    assert "loses 10.0 dB (the same person, n = 1); inside the region loses 10.0 dB" in evm.figures
    assert found["steady loses no more than 1 dB from task A to D"].met is False
    assert found["vam loses 3 dB or more from task A to D"].met is None
    (psnr,) = [f for name, f in found.items() if "PSNR" in name]
    assert psnr.met is False


def test_beside_the_paper_s_figure_stands_what_it_cannot_be_compared_by() -> None:
    clips = [result("I-II", "C", 56.0)]
    judged = verdict.findings({}, {}, tables.gamma_table(clips), {}, {}, tables.region_share(clips))
    (psnr,) = [f for f in judged if "PSNR" in f.expectation]
    assert psnr.met
    assert "51.0 dB inside the region" in psnr.figures
    assert "75 %, is left as it is, which alone is worth 6.0 dB" in psnr.figures
    assert "each doubling of the step costs 2.0 dB here and 1.1 dB in the paper" in psnr.figures


def test_the_verdict_compares_with_the_truth_and_with_doing_nothing() -> None:
    def cell(residual: float, **more: float) -> dict[str, Any]:
        return {
            "A": {
                key: {"mean": value, "sd": 0.0, "n": 2}
                for key, value in {"residual": residual, **more}.items()
            }
        }

    large = {"evm": cell(2.0, gain=9.9), "steady": cell(1.2, gain=7.0), "unmagnified": cell(1.0)}
    found = {f.expectation: f for f in verdict.findings({}, large, {}, {})}
    rivals = found["set for ten times, steady is nearer to the true video than all other methods, task A"]
    assert rivals.met is True
    assert "steady 1.20 at gain 7.0" in rivals.figures
    nothing = found["set for ten times, steady is nearer to the true video than the unmagnified one, task A"]
    assert nothing.met is False


def test_what_a_trace_gains_is_told_on_the_skin_and_off_it() -> None:
    t = np.arange(300) / RATE
    on = (t % 5 < 2.5).astype(np.float32)
    original = np.full((300, 3), 100.0, np.float32)
    wave = np.sin(2 * np.pi * 1.2 * t)[:, None] * [1.0, 2.0, 0.5]
    arrays = {
        "trace original": original,
        "trace 1": original + wave,
        "trace 2": original + 2 * wave,
        "on skin": on,
    }
    found = figures.trace_amplitudes(arrays)
    assert set(found) == {"1", "2"}
    for where in ("on skin", "off skin"):
        assert found["1"][where] == pytest.approx([0.5**0.5, 2 * 0.5**0.5, 0.5 * 0.5**0.5], rel=0.05)
    arrays["on skin"] = np.ones_like(on)
    assert figures.trace_amplitudes(arrays)["1"]["off skin"] == []


def test_the_scan_lines_say_what_gain_each_method_reached(tmp_path: Path) -> None:
    scan = np.zeros((60, 20, 3), np.uint8)
    arrays = {
        "frame": np.zeros((40, 50, 3), np.uint8),
        "row": np.array([10.0]),
        "left": np.array([5.0]),
        "scan original": scan,
        "scan paper": scan,
        "gain paper": np.array([7.0]),
    }
    caption = figures.scan_lines(arrays, {"paper": 100.0, "vam": None}, tmp_path)
    assert "the pulse grew 7.0 times by paper" in caption.text
    assert (tmp_path / caption.file).exists()


def test_the_report_has_a_row_for_a_method_that_does_not_magnify_and_the_reasons_of_clips_not_used() -> None:
    clips = [result("I-II", task, 50.0) for task in ("A", "C", "D")]
    empty = {
        "table1": tables.method_table(clips, "matched"),
        "large": {},
        "table2": tables.gamma_table(clips),
        "falls": tables.fall_table(clips),
        "region_share": tables.region_share(clips),
        "measurement": tables.measurement_table(clips),
        "fairness": tables.fairness_table(three_of_each("A", [9.0], [8.0])),
        "real": {
            "dark": {"bpm": 60.0, "not_measured": "no picture in it"},
            "face": {
                "bpm": 60.0,
                "measurement": {"network": {"bpm": 61.0, "error": 1.0, "snr": 1.0}},
                "scores": {"evm": {"gain": 3.0, "lag": -0.1}},
            },
            "wall": {"left_out": "it has a rate (bpm), but no box of face or skin"},
        },
        "setup": {
            "quick": True, "seed": 1, "size": [96, 72], "seconds": 3.0, "subjects": [], "versions": {},
            "weights": {"file": "w", "sha256": "0"}, "machine": "m", "cpus": 2, "jobs": 1,
            "strengths": {"matched": {"evm": 4.0, "vam": None}, "large": {}}, "matched_gain": 1.5,
        },
    }  # fmt: skip
    text = report.markdown(empty, [], [])
    assert "| A | vam | does not magnify |" in text
    assert "vam does not magnify" in text
    assert "| dark | 60.0 | not measured: no picture in it |" in text
    assert "| face | evm | 3.00 |" in text
    assert "Coherence is the best within 0.4 s" in text
    assert "Left out: wall: it has a rate (bpm), but no box of face or skin." in text
    assert "I-II (n = 1)" in text
    assert "not decided: too few people" in text


def test_json_has_null_where_there_is_no_number(tmp_path: Path) -> None:
    file = tmp_path / "x.json"
    output.write_json(file, {"a": [math.nan, np.float32(1.5), 2, True], "b": math.inf, 3: None})
    assert json.loads(file.read_text()) == {"a": [None, 1.5, 2, True], "b": None, "3": None}


def test_a_partial_result_does_not_replace_a_complete_one(tmp_path: Path) -> None:
    assert output.write_partial(tmp_path, {"complete": False}).name == "evaluate.json"
    output.write_json(tmp_path / "evaluate.json", {"complete": True})
    assert output.write_partial(tmp_path, {"complete": False}).name == "evaluate.partial.json"
    assert json.loads((tmp_path / "evaluate.json").read_text())["complete"]


def test_a_published_report_replaces_the_old_one_whole(tmp_path: Path) -> None:
    (tmp_path / "report.md").write_text("old")
    staging = output.Staging(tmp_path)
    (staging.path / "report.md").write_text("new")
    assert (tmp_path / "report.md").read_text() == "old"
    assert staging.publish() == [tmp_path / "report.md"]
    staging.discard()
    assert [file.name for file in tmp_path.iterdir()] == ["report.md"]
    assert (tmp_path / "report.md").read_text() == "new"


def test_a_plan_has_people_of_every_skin_and_nobody_twice() -> None:
    for plan in (quick_plan(3), full_plan(3)):
        everybody = plan.subjects + plan.more
        assert {who.tone for who in plan.subjects} == set(TONES)
        assert len({who.seed for who in everybody}) == len(everybody)
        for who in everybody:
            assert ["I", "II", "III", "IV", "V", "VI"][fitzpatrick(who.melanin) - 1] in who.tone.split("-")
    assert people(3, 2) == people(3, 2)
    assert people(3, 2) != people(4, 2)


def test_a_real_clip_is_scored_in_step_with_a_late_sensor() -> None:
    t = np.arange(300) / RATE
    pulse = np.sin(2 * np.pi * 1.2 * t)
    noise = np.random.default_rng(0).standard_normal((300, 6, 8)).astype(np.float32)
    where = box_blocks((64, 48), (16, 16, 24, 16))
    before = 100 + 0.01 * noise + np.where(where.inside, pulse[:, None, None], 0)
    after = before + np.where(where.inside, 5 * pulse[:, None, None], 0) + 0.5 * pulse[:, None, None]
    late = np.sin(2 * np.pi * 1.2 * (t - 0.2))
    scores = score(before.astype(np.float32), after.astype(np.float32), where, late, RATE)
    assert scores["gain"] == pytest.approx(6.5, rel=0.02)
    assert scores["coherence"] > 0.999
    assert scores["blocks"] > 0.99
    assert scores["leak"] == pytest.approx(0.5 / 5.5, rel=0.02)
    assert scores["lag"] == pytest.approx(-0.2)  # what was added is earlier


def test_the_square_around_a_face_stays_inside_the_picture() -> None:
    assert square_around((285, 90, 130, 210), (640, 480)) == (192, 38, 315, 315)
    x, y, w, h = square_around((0, 0, 100, 400), (640, 480))
    assert (x, y) == (0, 0)
    assert w == h == 480


def test_a_folder_without_clips_is_refused_in_words(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"cannot read .*clips\.json"):
        read_clips(tmp_path)


def test_only_clips_with_a_rate_and_a_box_are_read(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").touch()
    listed = {
        "still": {"file": "a.mp4", "bpm": 60, "face": [1, 2, 30, 40]},
        "wrist": {"file": "a.mp4", "bpm": 55, "skin": [1, 2, 30, 40]},
        "wall": {"file": "a.mp4", "pulse": False},
    }
    (tmp_path / "clips.json").write_text(json.dumps(listed))
    assert [(clip.name, clip.face) for clip in read_clips(tmp_path)] == [("still", True), ("wrist", False)]


def test_the_shared_clips_with_a_rate_are_all_found(shared_data: Path) -> None:
    assert {"clip_a", "evm_face", "evm_wrist"} <= {clip.name for clip in read_clips(shared_data)}


def test_the_pixel_of_a_turning_head_is_on_skin_for_most_of_the_time() -> None:
    skin = np.zeros((100, 20, 30), np.float32)
    skin[:70, 5:15, 10:14] = 1.0
    skin[:, 8:12, 14:20] = 1.0
    x, y = turning_pixel(skin)
    assert (skin[:, y, x] > 0.5).mean() == pytest.approx(0.7)
    assert y == 5
