"""`deepmag evaluate` from start to end on very small clips, stopped, and refused."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from deepmag.models.weights import PULSE
from deepmag.stream.cli import _register, app
from deepmag.stream.evaluation.plan import Plan, people
from deepmag.stream.evaluation.run import Outcome, evaluate
from deepmag.stream.evaluation.workers import Crew, StoppedError, tick

FIGURES = {
    "figure5_scan_lines.png",
    "figure7_pixel_traces.png",
    "figure9_learning_curves.png",
    "figure10_l1_norms.png",
    "figure11_sign_correction.png",
}
# Long enough to have an inside once a second is left out at each end, small and with a short ascent for speed.
TINY = Plan(
    7,
    True,
    (96, 72),
    3.0,
    people(7, 1)[:1],
    people(7, 1)[2:],
    ("A",),
    ssim_every=20,
    offline=False,
    iterations=2,
)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Outcome, list[tuple[str, float]]]:
    """One whole evaluation, in this process, with what it reported as it went."""
    folder = tmp_path_factory.mktemp("evaluation")
    seen: list[tuple[str, float]] = []
    outcome = evaluate(
        TINY, folder, PULSE, jobs=1, progress=lambda stage, _done, _of, share: seen.append((stage, share))
    )
    return folder, outcome, seen


@pytest.fixture(scope="module")
def numbers(run: tuple[Path, Outcome, list[tuple[str, float]]]) -> dict[str, Any]:
    """evaluate.json."""
    result: dict[str, Any] = json.loads((run[0] / "evaluate.json").read_text())
    return result


def test_a_run_leaves_report_numbers_and_figures_and_nothing_else(
    run: tuple[Path, Outcome, list[tuple[str, float]]],
) -> None:
    folder, outcome, _ = run
    assert outcome.complete
    assert outcome.clips == outcome.of == 6
    assert {file.name for file in folder.iterdir()} == FIGURES | {"report.md", "evaluate.json"}
    report = (folder / "report.md").read_text()
    for figure in FIGURES:
        assert figure in report
        assert (folder / figure).stat().st_size > 10_000


def test_the_numbers_have_every_method_on_every_task(numbers: dict[str, Any]) -> None:
    assert numbers["complete"] is True
    for method in ("evm", "vam", "paper", "steady"):
        for task in "ABCD":
            cell = numbers["table1"][method][task]
            assert {
                "psnr",
                "ssim",
                "psnr_true",
                "ssim_true",
                "gain",
                "coherence",
                "blocks",
                "leak",
                "residual",
            } <= set(cell)
            assert 10 < cell["psnr"]["mean"] <= 100
    assert set(numbers["table2"]) == {"0.5", "1", "2", "4"}
    assert set(numbers["fairness"]["classes"]["A"]) == {"I-II", "V-VI"}
    assert set(numbers["measurement"]["task"]["D"]) == {"network", "green", "chrom", "pbv", "pos"}
    assert numbers["real"] == {}


def test_all_methods_magnify_a_still_person_alike(numbers: dict[str, Any]) -> None:
    target = numbers["setup"]["matched_gain"]
    for method in ("evm", "vam", "paper", "steady"):
        assert numbers["table1"][method]["A"]["gain"]["mean"] == pytest.approx(target, abs=0.1)


def test_the_numbers_say_what_they_were_made_with(numbers: dict[str, Any]) -> None:
    import hashlib

    setup = numbers["setup"]
    assert setup["weights"]["sha256"] == hashlib.sha256(PULSE.read_bytes()).hexdigest()
    assert {"python", "torch", "numpy", "onnxruntime", "deepmag"} <= set(setup["versions"])
    assert setup["seed"] == 7
    assert setup["cpus"] >= 1
    assert setup["durations"]["total"] > 0
    assert {"make", "score", "paper", "steady"} <= set(setup["durations"]["work"])


def test_the_report_has_a_verdict_in_figures(numbers: dict[str, Any]) -> None:
    claims = {finding["expectation"]: finding for finding in numbers["verdict"]}
    assert any("task C: PSNR" in claim for claim in claims)
    assert all(finding["figures"] for finding in claims.values())


def test_progress_runs_forward_to_the_end(run: tuple[Path, Outcome, list[tuple[str, float]]]) -> None:
    shares = [share for _, share in run[2]]
    assert shares == sorted(shares)
    assert shares[-1] == 1.0
    assert {stage for stage, _ in run[2]} == {"finding equal strengths", "judging", "writing"}


def test_a_stopped_run_keeps_the_clips_that_are_done_and_says_so(tmp_path: Path) -> None:
    finished = 0

    def progress(_stage: str, done: int, _of: int, _share: float) -> None:
        nonlocal finished
        finished = done

    outcome = evaluate(TINY, tmp_path, PULSE, jobs=1, progress=progress, stop=lambda: finished >= 2)
    kept = json.loads((tmp_path / "evaluate.json").read_text())
    assert not outcome.complete
    assert kept["complete"] is False
    assert len(kept["clips"]) == outcome.clips == 2
    assert not (tmp_path / "report.md").exists()


def test_a_folder_that_cannot_be_written_to_is_refused_before_anything_is_computed(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(ValueError, match="cannot write to"):
        evaluate(TINY, file / "folder", PULSE, jobs=1, stop=lambda: pytest.fail("it began"))


@dataclass(frozen=True)
class Waiting:
    """A job that ticks until it is stopped."""

    cost: float = 1.0

    def run(self) -> None:
        """Tick without an end."""
        tick(0.25)
        while True:
            tick()


@dataclass(frozen=True)
class Threads:
    """A job that tells its process, and how many threads it may use."""

    cost: float = 1.0

    def run(self) -> tuple[int, int, str]:
        """Look."""
        import torch

        tick(0.5)
        return os.getpid(), torch.get_num_threads(), os.environ["OMP_NUM_THREADS"]


def test_jobs_run_in_other_processes_with_one_thread_each_and_can_be_stopped() -> None:
    with Crew(2) as crew:
        process, threads, limit = crew.submit(Threads()).result(timeout=60)
        assert process != os.getpid()
        assert (threads, limit) == (1, "1")
        assert crew.done == 0.5
        endless = crew.submit(Waiting())
        crew.stop()
        assert isinstance(endless.exception(timeout=60), StoppedError)


def test_the_command_refuses_a_folder_of_clips_that_is_none(tmp_path: Path) -> None:
    _register()
    done = CliRunner().invoke(
        app, ["evaluate", "--quick", "-o", str(tmp_path / "out"), "--data", str(tmp_path)]
    )
    assert done.exit_code == 1
    assert done.stderr.startswith("deepmag: cannot read")
    assert len(done.stderr.strip().splitlines()) == 1
