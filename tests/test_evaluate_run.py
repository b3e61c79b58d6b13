"""`deepmag evaluate` from start to end on very small clips, stopped, and refused."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import sys
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from deepmag.models.weights import PULSE
from deepmag.stream.cli import app, register_commands
from deepmag.stream.evaluation.plan import Plan, Subject, people
from deepmag.stream.evaluation.real_clip import RealClip, RealClips
from deepmag.stream.evaluation.run import Outcome, evaluate
from deepmag.stream.evaluation.workers import Crew, tick
from deepmag.stream.stopped import StoppedError

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
TIMEOUT = 240.0  # s: a process imports torch, on a busy machine in the better part of a minute

Seen = list[tuple[str, int, float]]  # stage, jobs done and share of the work, at each report


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Outcome, Seen]:
    """One whole evaluation, in this process, with a real clip that is broken, and what it reported as it went."""
    folder = tmp_path_factory.mktemp("evaluation")
    broken = tmp_path_factory.mktemp("real") / "broken.mp4"
    broken.write_bytes(b"no video at all " * 64)
    clip = RealClip("damaged", broken, (0, 0, 40, 40), 72.0, True, None)
    real = RealClips((clip,), {"boxless": "it has a rate (bpm), but no box of face or skin"})
    seen: Seen = []

    def progress(stage: str, done: int, _of: int, share: float) -> None:
        seen.append((stage, done, share))

    return folder, evaluate(TINY, folder, PULSE, jobs=1, real=real, progress=progress), seen


@pytest.fixture(scope="module")
def numbers(run: tuple[Path, Outcome, Seen]) -> dict[str, Any]:
    """evaluate.json."""
    result: dict[str, Any] = json.loads((run[0] / "evaluate.json").read_text())
    return result


def test_a_run_leaves_report_numbers_and_figures_and_nothing_else(
    run: tuple[Path, Outcome, Seen],
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


def test_all_methods_magnify_a_still_person_alike(numbers: dict[str, Any]) -> None:
    # At ten times: what an ascent of so few steps adds at its own step is lost in the rounding to bytes.
    strengths = {m: s for m, s in numbers["setup"]["strengths"]["large"].items() if s is not None and s < 100}
    assert set(strengths) >= {"evm", "vam", "steady"}
    for method in strengths:
        assert numbers["large"][method]["A"]["gain"]["mean"] - 1 == pytest.approx(10 - 1, rel=0.1)


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


def test_a_broken_real_clip_costs_only_itself_and_the_report_says_why(
    run: tuple[Path, Outcome, Seen], numbers: dict[str, Any]
) -> None:
    assert set(numbers["real"]["damaged"]) == {"bpm", "not_measured"}
    rows = [
        line for line in (run[0] / "report.md").read_text().splitlines() if line.startswith("| damaged |")
    ]
    assert len(rows) == 1
    assert "not measured: broken.mp4 is not a video, or is damaged" in rows[0]


def test_a_real_clip_that_is_left_out_is_in_the_report_with_the_reason(
    run: tuple[Path, Outcome, Seen], numbers: dict[str, Any]
) -> None:
    assert set(numbers["real"]["boxless"]) == {"left_out"}
    assert "Left out: boxless: it has a rate (bpm), but no box" in (run[0] / "report.md").read_text()


def test_progress_runs_forward_to_the_end(run: tuple[Path, Outcome, Seen]) -> None:
    shares = [share for _, _, share in run[2]]
    assert shares == sorted(shares)
    assert shares[-1] == 1.0
    assert {stage for stage, _, _ in run[2]} == {"finding equal strengths", "judging", "writing"}


def test_progress_counts_each_job_as_it_is_done(run: tuple[Path, Outcome, Seen]) -> None:
    assert {done for _, done, _ in run[2]} == set(range(7 + 2))  # six clips, a real one, the studies; all


def test_a_run_stopped_in_the_middle_of_a_job_keeps_the_clips_that_are_done(tmp_path: Path) -> None:
    share_at_three: float | None = None
    stopped = False

    def progress(_stage: str, done: int, _of: int, share: float) -> None:
        nonlocal share_at_three, stopped
        if done == 3 and share_at_three is None:
            share_at_three = share
        stopped = share_at_three is not None and share > share_at_three  # the fourth has begun

    outcome = evaluate(TINY, tmp_path, PULSE, jobs=1, progress=progress, stop=lambda: stopped)
    kept = json.loads((tmp_path / "evaluate.json").read_text())
    assert not outcome.complete
    assert kept["complete"] is False
    # one of the three may be the studies, which are no clip; a fourth may end before the stop reaches it
    assert 2 <= outcome.clips < outcome.of
    assert len(kept["clips"]) == outcome.clips
    assert not (tmp_path / "report.md").exists()


def test_a_job_that_fails_does_not_lose_the_clips_that_are_done(tmp_path: Path) -> None:
    nobody = Subject(1, 3.0, "V-VI")  # more melanin than there is
    with pytest.raises(ValueError, match="melanin") as failure:
        evaluate(replace(TINY, more=(nobody,)), tmp_path, PULSE, jobs=1)
    kept = json.loads((tmp_path / "evaluate.json").read_text())
    assert kept["complete"] is False
    assert [(clip["task"], clip["phase"]) for clip in kept["clips"]] == [("A", "reference")]
    assert failure.value.__notes__ == [
        f"the numbers of the 1 finished clips are in {tmp_path / 'evaluate.json'}"
    ]


def test_an_earlier_complete_report_is_left_as_it_is_by_one_that_fails(tmp_path: Path) -> None:
    earlier = '{"complete": true}'
    (tmp_path / "evaluate.json").write_text(earlier)
    with pytest.raises(ValueError, match="melanin"):
        evaluate(replace(TINY, more=(Subject(1, 3.0, "V-VI"),)), tmp_path, PULSE, jobs=1)
    assert (tmp_path / "evaluate.json").read_text() == earlier
    assert len(json.loads((tmp_path / "evaluate.partial.json").read_text())["clips"]) == 1


def end_the_processes() -> bool:
    """End every child of this process from outside; whether there was one."""
    children = [child for child in multiprocessing.active_children() if child.pid is not None]
    for child in children:
        child.kill()
        child.join()
    return bool(children)


def test_processes_that_end_by_ctrl_c_while_they_start_are_no_lack_of_memory(tmp_path: Path) -> None:
    ended = False

    def progress(*_: object) -> None:
        nonlocal ended
        ended = ended or end_the_processes()

    outcome = evaluate(TINY, tmp_path, PULSE, jobs=2, progress=progress, stop=lambda: ended)
    assert ended
    assert not outcome.complete


def test_processes_that_are_ended_from_outside_are_told_in_words(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="ended from outside, most likely for lack of memory"):
        evaluate(TINY, tmp_path, PULSE, jobs=2, progress=lambda *_: end_the_processes() and None)


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
        process, threads, limit = crew.submit(Threads()).result(timeout=TIMEOUT)
        assert process != os.getpid()
        assert (threads, limit) == (1, "1")
        assert crew.done == 0.5
        endless = crew.submit(Waiting())
        crew.stop()
        assert isinstance(endless.exception(timeout=TIMEOUT), StoppedError)


@dataclass(frozen=True)
class Killed:
    """A job whose process is ended as a tick has taken a lock."""

    cost: float = 1.0

    def run(self) -> None:
        """End it."""

        def on_step(_frame: Any, event: str, function: Any) -> None:
            if event == "c_return" and function.__name__ == "__enter__":
                os.kill(os.getpid(), signal.SIGKILL)

        sys.setprofile(on_step)
        tick(0.25)


def test_a_process_that_is_ended_takes_no_lock_with_it_that_the_crew_waits_for() -> None:
    with Crew(2) as crew:
        assert isinstance(crew.submit(Killed()).exception(timeout=TIMEOUT), BrokenProcessPool)
        assert crew.done == 0.0


def test_a_process_is_deaf_to_ctrl_c_from_its_first_moment() -> None:
    with Crew(2) as crew:
        job = crew.submit(Threads())
        for child in multiprocessing.active_children():
            assert child.pid is not None
            os.kill(child.pid, signal.SIGINT)
        assert job.result(timeout=TIMEOUT)[0] != os.getpid()


def test_the_command_refuses_a_folder_of_clips_that_is_none(tmp_path: Path) -> None:
    register_commands()
    done = CliRunner().invoke(
        app, ["evaluate", "--quick", "-o", str(tmp_path / "out"), "--data", str(tmp_path)]
    )
    assert done.exit_code == 1
    assert done.stderr.startswith("deepmag: cannot read")
    assert len(done.stderr.strip().splitlines()) == 1
