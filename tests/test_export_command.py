"""``deepmag export`` as a person meets it: one clear line for what is wrong, and a check that can fail."""

from __future__ import annotations

import math
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest
import typer
from safetensors.numpy import save_file
from typer.testing import CliRunner

from deepmag.export.exported import ExportedPulse
from deepmag.export.graph import weights_sha256
from deepmag.export.model_parity import ModelParity
from deepmag.export.pulse_model import pulse_model
from deepmag.export.respiration_model import respiration_model
from deepmag.export.runtime import load_weights
from deepmag.models.weights import PULSE, RESPIRATION
from deepmag.stream import export_check
from deepmag.stream.commands import export
from deepmag.stream.commands.export import parse_batch
from deepmag.stream.export_check import Check, ScoreChange, check_pulse, check_respiration

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from click.testing import Result


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """The command, in this process."""
    monkeypatch.setattr(export, "set_up_logging", lambda _level: None)  # pytest's own handlers stay
    app = typer.Typer()
    export.register(app)
    app.callback()(lambda: None)
    return lambda *arguments: CliRunner().invoke(app, ["export", *map(str, arguments)])


def test_a_file_is_written_and_runs(run: Callable[..., Result], tmp_path: Path) -> None:
    out = tmp_path / "pulse.onnx"
    done = run("pulse", "-o", out, "--batch", "dynamic", "--precision", "fp16")
    assert done.exit_code == 0, done.output
    assert "pulse, fp16, batch dynamic, 1.6 MB" in done.output
    x = np.zeros((2, 3, 36, 36), np.float32)
    assert ExportedPulse(out).steady(x, x, 9.0)[2].shape == x.shape


def test_other_weights_can_be_exported(run: Callable[..., Result], tmp_path: Path) -> None:
    weights = {name: part * np.float32(0.5) for name, part in load_weights(RESPIRATION).items()}
    save_file(weights, tmp_path / "mine.safetensors")
    out = tmp_path / "mine.onnx"
    assert run("respiration", "--weights", tmp_path / "mine.safetensors", "-o", out).exit_code == 0
    found = {entry.key: entry.value for entry in onnx.load(out).metadata_props}
    assert found["weights_sha256"] == weights_sha256(weights)


def test_what_is_wrong_is_said_in_one_line_and_nothing_is_written(
    run: Callable[..., Result], tmp_path: Path
) -> None:
    (tmp_path / "folder.onnx").mkdir()
    (tmp_path / "text.safetensors").write_text("no weights")
    out = tmp_path / "x.onnx"
    wrong: list[tuple[int, str, tuple[Any, ...]]] = [
        (2, "say where to write it, -o pulse.onnx", ("pulse",)),
        (2, "must end in .onnx", ("pulse", "-o", tmp_path / "x.pt")),
        (2, "does not exist", ("pulse", "-o", tmp_path / "no" / "x.onnx")),
        (2, "it is a folder", ("pulse", "-o", tmp_path / "folder.onnx")),
        (2, "--batch must be a number of frame pairs", ("pulse", "-o", out, "--batch", "many")),
        (2, "--clip is for --check", ("pulse", "-o", out, "--clip", "x.mp4")),
        (2, "none.mp4: no such file", ("pulse", "--check", "--clip", tmp_path / "none.mp4")),
        (1, "not a safetensors file", ("pulse", "-o", out, "--weights", tmp_path / "text.safetensors")),
        (1, "no file of weights", ("pulse", "-o", out, "--weights", tmp_path)),
        (1, "none.safetensors", ("pulse", "-o", out, "--weights", tmp_path / "none.safetensors")),
        (1, "pulse network's weights lack", ("pulse", "-o", out, "--weights", RESPIRATION)),
        (1, "respiration network's weights lack", ("respiration", "-o", out, "--weights", PULSE)),
    ]
    for code, words, arguments in wrong:
        done = run(*arguments)
        said = done.stderr.strip().splitlines()
        assert done.exit_code == code, (arguments, done.output)
        assert len(said) == 1, said
        assert said[0].startswith("deepmag: ")
        assert words in said[0]
    assert not out.exists()


@pytest.mark.skipif(sys.platform != "linux", reason="a folder that nobody can write to is needed")
def test_a_folder_that_cannot_be_written_to_is_said(run: Callable[..., Result]) -> None:
    done = run("pulse", "-o", "/proc/x.onnx")
    assert done.exit_code == 2
    assert done.stderr.startswith("deepmag: cannot export to /proc/x.onnx: ")


def test_batches_are_numbers_or_dynamic() -> None:
    assert (parse_batch("5"), parse_batch("dynamic")) == (5, "dynamic")
    for text in ("0", "-1", "1.5", ""):
        with pytest.raises(ValueError, match="or dynamic"):
            parse_batch(text)


# --- the check ---


@pytest.mark.parametrize(
    ("with_torch", "exported", "unchanged"),
    [(7.43, 7.47, True), (7.43, 7.49, False), (0.93, 0.934, True), (0.93, 0.94, False), (24.0, 24.4, True),
     (24.0, 24.6, False), (0.02, 0.024, True), (-0.5, -0.49, False), (0.0, 0.0, True), (math.nan, math.nan, True),
     (math.nan, 1.0, False), (1.0, math.nan, False)],
)  # fmt: skip
def test_scores_are_compared_to_two_digits(with_torch: float, exported: float, unchanged: bool) -> None:
    assert ScoreChange("gain", with_torch, exported).unchanged == unchanged


def test_a_model_of_the_pulse_passes_and_fails_with_any_of_its_bounds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(export_check, "PULSE_CLIP", (2.6, (80, 60)))
    monkeypatch.setattr(export_check, "PAIRS", 2)
    monkeypatch.setattr(export_check, "MODES", ("paper",))
    weights = load_weights(PULSE)
    found = check_pulse(pulse_model(weights, batch="dynamic", paper_iterations=2), weights)
    assert found.passed
    assert [score.name for score in found.scores] == [
        "paper gain",
        "paper coherence",
        "paper blocks",
        "paper leak",
    ]
    assert set(found.parities) == {"random", "synthetic person"}
    bad = replace(found.parities["random"][0], alike=1.0)
    assert not Check({"random": [bad]}, found.scores).passed
    assert not Check(found.parities, [ScoreChange("gain", 2.0, 3.0)]).passed


def test_a_model_of_respiration_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export_check, "BREATH_CLIP", (3.0, (160, 120)))
    monkeypatch.setattr(export_check, "BREATH_CLIP_RATE", 5.0)
    monkeypatch.setattr(export_check, "PAIRS", 2)
    monkeypatch.setattr(export_check, "MODES", ("steady",))  # the other takes 20 s: by hand
    weights = load_weights(RESPIRATION)
    found = check_respiration(respiration_model(weights, paper_iterations=2), weights)
    assert found.passed
    assert [score.name for score in found.scores] == ["steady gain", "steady coherence", "steady leak"]


def test_in_a_pipe_each_number_of_the_check_is_whole(
    run: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    parity = ModelParity("steady grad", 1e-7, 2e-7, 3e-7, 99_635, 18_930_688, 1e-6, "fp32")
    broken = replace(parity, alike=4.0)
    found = Check({"random": [parity], "synthetic person": [broken]}, [ScoreChange("gain", 2.0, 2.0)])
    monkeypatch.setattr(export_check, "check_pulse", lambda *_arguments: found)
    said = run("pulse", "--check").stdout
    assert all(len(line) <= 80 for line in said.splitlines())
    for whole in ("synthetic person", "1.0e-07", "2.0e-07", "3.0e-07", "4.0e+00", "18,930,688", "BROKEN"):
        assert whole in said


def test_a_broken_bound_fails(run: Callable[..., Result], monkeypatch: pytest.MonkeyPatch) -> None:
    found = Check({}, [ScoreChange("gain", 2.0, 3.0)])
    monkeypatch.setattr(export_check, "check_pulse", lambda *_arguments: found)
    done = run("pulse", "--check")
    assert done.exit_code == 1
    assert "CHANGED" in done.stdout
    assert "differs from PyTorch by more than the bounds allow" in done.stderr
