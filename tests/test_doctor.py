"""The doctor finds what is there, and says what to do about what is not."""

from __future__ import annotations

import hashlib
import shlex
import sys
import tomllib
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import NoReturn

import numpy as np
import pytest

from deepmag.models.weights import PULSE
from deepmag.stream import doctor
from deepmag.stream.doctor import Finding, examine


@pytest.fixture(scope="module")
def findings() -> dict[str, Finding]:
    return {finding.name: finding for finding in examine()}


def test_versions_are_those_of_the_packages(findings: dict[str, Finding]) -> None:
    assert findings["numpy"].value == np.__version__
    assert findings["deepmag"].value == version("deepmag")
    assert findings["python"].value == ".".join(map(str, sys.version_info[:3]))


def test_the_network_that_ships_is_named_by_its_checksum(findings: dict[str, Finding]) -> None:
    assert hashlib.sha256(PULSE.read_bytes()).hexdigest() in findings["pulse network"].value
    for target in ("pulse", "respiration"):
        value = findings[f"{target} runs in"].value
        assert "CPU" in value or "CUDA" in value


def test_here_where_the_tests_run_the_demo_can_run(findings: dict[str, Finding]) -> None:
    assert [finding for finding in findings.values() if finding.level == "problem"] == []
    assert findings["libx264"].level == findings["RTSP"].level == "ok"


def test_whatever_is_missing_comes_with_what_to_do(findings: dict[str, Finding]) -> None:
    for finding in findings.values():
        assert (finding.level == "ok") == (finding.advice == ""), finding


def test_a_missing_network_is_a_problem(tmp_path: Path) -> None:
    finding = doctor.weights_file(tmp_path / "none.safetensors", "pulse")
    assert finding.level == "problem"
    assert "deepmag train pulse" in finding.advice


def test_without_the_network_of_respiration_the_demo_still_runs(tmp_path: Path) -> None:
    finding = doctor.weights_file(tmp_path / "none.safetensors", "respiration")
    assert (finding.name, finding.level) == ("respiration network", "note")
    assert "deepmag train respiration" in finding.advice


def test_a_package_that_is_not_installed_is_named_with_its_command() -> None:
    finding = doctor.package("no-such-package-anywhere")
    assert (finding.value, finding.level) == ("missing", "problem")
    assert "pip install no-such-package-anywhere" in finding.advice


def test_what_is_missing_is_to_be_installed_in_a_version_that_is_taken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def missing(name: str) -> NoReturn:
        raise PackageNotFoundError(name)

    root = Path(__file__).parents[1]
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    (torch,) = (line.removeprefix("torch") for line in project["dependencies"] if line.startswith("torch"))
    command, versions = shlex.split(doctor.wanted("torch"))[0], torch.split(",")
    assert command.startswith("torch")
    assert sorted(command.removeprefix("torch").split(",")) == sorted(versions)
    assert f"pip install 'torch{torch}'" in (root / "README.md").read_text()
    assert doctor.wanted("onnx").startswith("'onnx>=")  # not that of onnxruntime
    monkeypatch.setattr(doctor, "version", missing)
    assert doctor.wanted("torch") in doctor.package("torch").advice
    monkeypatch.setattr(doctor, "requires", missing)
    assert doctor.wanted("torch") == "torch"


@pytest.mark.parametrize("there", ["opencv-python", "opencv-python-headless", None])
def test_opencv_may_be_the_one_without_windows(monkeypatch: pytest.MonkeyPatch, there: str | None) -> None:
    def version_of(name: str) -> str:
        if name.startswith("opencv") and name != there:
            raise PackageNotFoundError(name)
        return "5.0"

    monkeypatch.setattr(doctor, "version", version_of)
    (found,) = (one for one in doctor.versions() if one.name.startswith("opencv"))
    if there is None:
        assert (found.name, found.level) == ("opencv-python", "problem")
    else:
        assert (found.name, found.level) == (there, "ok")


def test_a_check_that_breaks_is_a_finding_and_hides_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)  # as if it could not be imported
    found = {finding.name: finding for finding in examine()}
    assert found["providers"].level == "problem"
    assert found["numpy"].level == found["libx264"].level == "ok"
