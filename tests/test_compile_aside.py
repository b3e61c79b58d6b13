"""Kernels for the CPU that are not compiled yet: a stream begins without them, and has them when they are there."""

from __future__ import annotations

import contextlib
import logging
import os
import subprocess
import sys
import threading
from pathlib import Path

import psutil
import pytest

from deepmag.export import compile_aside
from deepmag.export.cpu_pulse import CpuPulse
from deepmag.export.runtime import Ascender, open_ascender
from deepmag.models.weights import PULSE

TIMEOUT = 240.0  # s: beside other tests, compiling may take four times as long as alone
# At the start of each process: it takes this CPU for one of half the registers, so nothing is compiled for it.
ANOTHER_CPU = """
import llvmlite.binding

host = llvmlite.binding.get_host_cpu_features()

def fewer():
    for name in host:
        if name.startswith(("avx512", "avx10", "amx")):
            host[name] = False
    return host

llvmlite.binding.get_host_cpu_features = fewer
import numba
numba.config.CPU_NAME = "generic"
numba.config.CPU_FEATURES = fewer().flatten()
"""
BETTER = """
import threading
import numpy as np
from deepmag.export import compile_aside
from deepmag.export.cpu_tile import COLUMNS
from deepmag.export.runtime import open_ascender
from deepmag.models.weights import PULSE
from test_ascent import pairs
from test_cpu_pulse import test_the_kernels_compute_what_torch_computes

assert COLUMNS == 16
compile_aside.NICENESS = 0  # other tests take all cores
ascender = open_ascender(PULSE, device="cpu", threads=2, at_once=True)
assert ascender.description == "onnxruntime CPU, 2 threads", ascender.description
x = pairs(2).float().numpy()
before = ascender.steady(x, 1e-3 * x, 0.3)
for thread in threading.enumerate():
    if thread.name == "compile-aside":
        thread.join()
assert ascender.description == "numba CPU, 2 threads", ascender.description
for one, other in zip(before, ascender.steady(x, 1e-3 * x, 0.3)):
    assert np.linalg.norm(one - other) < 1e-4 * np.linalg.norm(one)
again = open_ascender(PULSE, device="cpu", threads=2, at_once=True)
assert type(again).__name__ == "NumbaAscender"
test_the_kernels_compute_what_torch_computes(2, 2.0)
"""
LEFT = """
import threading
import psutil
from deepmag.export.runtime import open_ascender
from deepmag.models.weights import PULSE

open_ascender(PULSE, device="cpu", at_once=True)
while not psutil.Process().children():
    assert any(thread.name == "compile-aside" for thread in threading.enumerate())
print(psutil.Process().children()[0].pid)
"""


def run(script: str, folder: Path) -> str:
    """Run it where nothing is compiled; returns what it prints."""
    (folder / "sitecustomize.py").write_text(ANOTHER_CPU)
    search = os.pathsep.join([str(folder), *sys.path])
    environment = os.environ | {"PYTHONPATH": search, "NUMBA_CACHE_DIR": str(folder / "kept")}
    command = [sys.executable, "-c", script]
    return subprocess.run(
        command, env=environment, check=True, timeout=TIMEOUT, stdout=subprocess.PIPE, text=True
    ).stdout


def test_the_next_best_runs_until_the_kernels_are_compiled_for_this_cpu(tmp_path: Path) -> None:
    """Here one of fewer registers, on which they compute the same."""
    run(BETTER, tmp_path)


def test_no_process_is_left_behind(tmp_path: Path) -> None:
    with contextlib.suppress(psutil.NoSuchProcess):
        compiler = psutil.Process(int(run(LEFT, tmp_path)))
        if compiler.status() != psutil.STATUS_ZOMBIE:  # whose parent is gone: not everywhere anyone buries it
            compiler.wait(60)  # it looks when it has imported what it needs
    assert not any(tmp_path.rglob("*.nbi"))  # nor has it done its work to the end


@pytest.fixture
def nothing_compiled(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(CpuPulse, "load", lambda _: False)
    caplog.set_level(logging.INFO, "deepmag")


def after(ascender: Ascender) -> str:
    for thread in threading.enumerate():
        if thread.name == "compile-aside":
            thread.join(TIMEOUT)
    return ascender.description


@pytest.mark.usefixtures("nothing_compiled")
def test_where_it_cannot_be_compiled_the_next_best_stays(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(compile_aside, "COMMAND", "raise SystemExit('no LLVM for this CPU')")
    assert after(open_ascender(PULSE, device="cpu", threads=1, at_once=True)) == "onnxruntime CPU, 1 thread"
    assert caplog.messages[-1] == "the ascent stays in onnxruntime CPU, 1 thread: no LLVM for this CPU"


@pytest.mark.usefixtures("nothing_compiled")
def test_where_no_process_can_be_started_the_next_best_stays(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "none"))
    assert after(open_ascender(PULSE, device="cpu", threads=1, at_once=True)) == "onnxruntime CPU, 1 thread"
    assert "No such file" in caplog.messages[-1]


@pytest.mark.usefixtures("nothing_compiled")
def test_a_runtime_that_was_asked_for_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled = False

    def compile_now(_: CpuPulse) -> None:
        nonlocal compiled
        compiled = True

    monkeypatch.setattr(CpuPulse, "compile", compile_now)
    assert open_ascender(PULSE, "numba", "cpu", threads=1, at_once=True).description == "numba CPU, 1 thread"
    assert compiled
