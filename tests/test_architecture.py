"""Which package may know which: read from the sources, so that a forbidden import fails before it runs."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FORBIDDEN = {"models": {"export", "stream"}, "export": {"stream"}, "stream": set()}
TOP_LEVEL = {"models", "export", "stream"}


def imported_modules(source: str) -> set[str]:
    """Names of all modules imported anywhere in a source, also inside functions."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports hide what a module knows"
            names.add(node.module or "")
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


@pytest.mark.parametrize("package", sorted(FORBIDDEN))
def test_a_package_imports_only_what_lies_below_it(package: str) -> None:
    files = sorted((ROOT / package).rglob("*.py"))
    assert files
    wrong = []
    for file in files:
        for name in imported_modules(file.read_text()):
            parts = name.split(".")
            if parts[0] in TOP_LEVEL:
                wrong.append(f"{file}: {name} must be imported as deepmag.{name}")
            if parts[0] == "deepmag" and len(parts) > 1 and parts[1] in FORBIDDEN[package]:
                wrong.append(f"{file}: {name}")
    assert wrong == []


def test_an_import_inside_a_function_is_seen_too() -> None:
    found = imported_modules("def f():\n    from deepmag.stream import ring\n    import torch.nn\n")
    assert {"deepmag.stream", "deepmag.stream.ring", "torch.nn"} <= found


@pytest.mark.parametrize(
    "module", ["deepmag.export.ort_session", "deepmag.stream.face", "deepmag.stream.doctor"]
)
def test_onnx_runtime_is_imported_without_its_telemetry(module: str, tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"}
    code = f"import sys, {module}; sys.modules.get('onnxruntime') or __import__('onnxruntime')"
    subprocess.run(
        [sys.executable, "-c", code], env={**environment, "TMPDIR": str(tmp_path)}, check=True, timeout=60
    )
    assert list(tmp_path.iterdir()) == []  # else it keeps a number of the session there


@pytest.mark.parametrize("package", sorted(FORBIDDEN))
def test_types_are_shipped_for_those_who_check_theirs(package: str) -> None:
    # each has its own mark, since what they lie in, a namespace, can have none
    data = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]
    assert "py.typed" in data[f"deepmag.{package}"]
    assert (ROOT / package / "py.typed").read_bytes() == b""


def test_every_package_with_sources_is_shipped() -> None:
    shipped = set(tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"])
    there = {
        ".".join(("deepmag", *folder.relative_to(ROOT).parts))
        for package in FORBIDDEN
        for folder in (ROOT / package, *(ROOT / package).rglob("*"))
        if folder.is_dir() and any(folder.glob("*.py"))
    }
    assert there == shipped
