"""Names of devices, runs of a captured graph, and a GPU that fails while a stream runs."""

from __future__ import annotations

import logging
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from numpy.typing import NDArray

from deepmag.export import device as device_module
from deepmag.export import respiration as respiration_module
from deepmag.export.device import CPU, Device, devices_to_try, parse_device
from deepmag.export.fallback import FallbackAscender, FallbackRespiration
from deepmag.export.pairs import turns
from deepmag.export.respiration import open_respiration_ascender
from deepmag.export.runtime import Ascender, AscenderUnavailableError, open_ascender
from deepmag.models.phase import SIDE
from deepmag.models.synthetic.clip import make_clip
from deepmag.models.weights import PULSE, RESPIRATION
from deepmag.stream.frames import Frame, MagnifiedFrame
from deepmag.stream.magnifier import PulseMagnifier
from deepmag.stream.roi import RoiTracker
from deepmag.stream.settings import Settings
from deepmag.stream.vitals import PulseRate

if TYPE_CHECKING:
    from collections.abc import Sequence

Floats = NDArray[np.float32]


class Lost(RuntimeError):
    """What a runtime says whose GPU is gone."""


class Failing:
    """The CPU's ascender, in the place of a GPU's that works for a number of calls."""

    def __init__(self, ascender: Ascender, calls: int) -> None:
        self._ascender = ascender
        self.left = calls
        self.description = "a GPU"

    def paper(self, x: Floats, gamma: float) -> tuple[Floats, Floats]:
        self._work()
        return self._ascender.paper(x, gamma)

    def steady(self, x: Floats, direction: Floats, growth: float | Floats) -> tuple[Floats, Floats, Floats]:
        self._work()
        return self._ascender.steady(x, direction, growth)

    def _work(self) -> None:
        if self.left == 0:
            raise Lost("CUDA error: unspecified launch failure\nCompile with TORCH_USE_CUDA_DSA")
        self.left -= 1


@pytest.fixture(scope="module")
def on_cpu() -> Ascender:
    return open_ascender(PULSE, "ort", "cpu", threads=1)


@pytest.mark.parametrize(
    ("name", "device"),
    [("auto", None), ("cpu", CPU), ("cuda", Device(0)), ("cuda:0", Device(0)), ("cuda:3", Device(3))],
)
def test_a_device_has_a_name(name: str, device: Device | None) -> None:
    assert parse_device(name) == device


@pytest.mark.parametrize(
    "name", ["", "gpu", "cuda:", "cuda:-1", "cuda:x", "cuda:1:2", "cuda:\N{SUPERSCRIPT TWO}", "cpu:0"]
)
def test_what_is_no_device_is_refused_in_words(name: str) -> None:
    with pytest.raises(ValueError, match="device must be auto, cpu, cuda or cuda:N, not"):
        parse_device(name)


def test_a_gpu_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device_module, "cuda_device_count", lambda: 2)
    refusals: list[str] = []
    assert devices_to_try("auto", refusals) == [Device(0), CPU]
    assert devices_to_try("cuda:1", refusals) == [Device(1)]
    assert refusals == []
    assert devices_to_try("cuda:2", refusals) == []
    assert refusals == ["there is no cuda:2 here, only cuda:0 to cuda:1"]
    monkeypatch.setattr(device_module, "cuda_device_count", lambda: 0)
    assert devices_to_try("auto", []) == [CPU]
    with pytest.raises(AscenderUnavailableError, match="sees no GPU"):
        open_ascender(PULSE, device="cuda:1")
    with pytest.raises(AscenderUnavailableError, match="sees no GPU"):
        open_respiration_ascender(RESPIRATION, "cuda")


@pytest.mark.parametrize(
    ("pairs", "sizes"), [(1, [1]), (3, [4]), (4, [4]), (5, [8]), (8, [8]), (20, [8, 8, 4]), (17, [8, 8, 1])]
)
def test_pairs_are_run_in_graphs_of_few_sizes(pairs: int, sizes: list[int]) -> None:
    runs = list(turns(pairs, most=8))
    assert [size for _, size in runs] == sizes
    assert [i for which, _ in runs for i in range(pairs)[which]] == list(range(pairs))


def pictures(ascender: Ascender, frames: Sequence[Frame]) -> list[MagnifiedFrame]:
    magnifier = PulseMagnifier(ascender, RoiTracker(), PulseRate(), clock=lambda: 0.0)
    settings = Settings(roi="full")
    done = [one for frame in frames for one in magnifier.push(frame, settings)]
    return done + magnifier.flush()


def test_a_stream_goes_on_as_if_nothing_had_been_when_the_gpu_fails(
    on_cpu: Ascender, caplog: pytest.LogCaptureFixture
) -> None:
    video = make_clip("A", seed=3, seconds=3.0, rate=15.0, size=(96, 96)).video
    frames = [Frame(0, i, i / 15.0, 0.0, image) for i, image in enumerate(video)]
    expected = pictures(on_cpu, frames)
    gpu = Failing(on_cpu, calls=41)  # two for each pair: it fails between the two of one
    ascender = FallbackAscender(gpu, lambda: on_cpu)
    assert ascender.description == "a GPU"
    with caplog.at_level(logging.ERROR, "deepmag"):
        found = pictures(ascender, frames)
    assert gpu.left == 0
    assert ascender.description == "onnxruntime CPU, 1 thread"
    assert [record.getMessage() for record in caplog.records] == [
        "a GPU failed: CUDA error: unspecified launch failure; going on in onnxruntime CPU, 1 thread"
    ]
    assert len(found) == len(expected) == len(frames)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one.image, other.image)


def test_what_is_the_callers_fault_is_no_failure_of_the_gpu(on_cpu: Ascender) -> None:
    ascender = FallbackAscender(Failing(on_cpu, calls=5), lambda: on_cpu)
    with pytest.raises(ValueError, match="expected frame pairs"):
        ascender.paper(np.zeros((3, 36, 36), np.float32), 6e-5)
    assert ascender.description == "a GPU"


def test_where_the_cpu_fails_too_it_is_said(on_cpu: Ascender) -> None:
    ascender = FallbackAscender(Failing(on_cpu, calls=0), lambda: Failing(on_cpu, calls=0))
    x = np.zeros((1, 3, 36, 36), np.float32)
    for _ in range(2):
        with pytest.raises(Lost):
            ascender.paper(x, 6e-5)


def test_what_a_failed_network_has_on_its_gpu_is_not_freed_even_when_the_process_ends() -> None:
    code = """
import os, numpy as np
from deepmag.export.fallback import FallbackAscender

class Gpu:
    description = "a GPU"
    def paper(self, x, gamma):
        raise RuntimeError("CUDA error: unspecified launch failure")
    def __del__(self):
        os._exit(134)  # as torch ends the process

class Spare:
    description = "the CPU"
    def paper(self, x, gamma):
        return x, x[:, 0, 0, 0]

ascender = FallbackAscender(Gpu(), Spare)
print(ascender.paper(np.ones((1, 3, 36, 36), np.float32), 1.0)[1][0])
"""
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout.strip()) == (0, "1.0"), ended.stderr


class Gone:
    description = "a GPU"

    def gradient(self, x: Floats, weight: Floats) -> tuple[Floats, Floats]:
        raise Lost

    def paper(self, x: Floats, weight: Floats, gamma: float) -> tuple[Floats, Floats]:
        raise Lost


def test_what_takes_the_place_of_respirations_gpu_is_the_cpus_best(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[tuple[str, Device]] = []
    really = respiration_module._open

    def opening(runs_in: str, weights: Any, device: Device, *how: int) -> Any:
        opened.append((runs_in, device))
        return Gone() if device.is_gpu else really(runs_in, weights, device, *how)

    monkeypatch.setattr(respiration_module, "_open", opening)
    monkeypatch.setattr(
        respiration_module, "devices_to_try", lambda name, _: [CPU] if name == "cpu" else [Device(0), CPU]
    )
    ascender = open_respiration_ascender(RESPIRATION)
    assert opened == [("torch", Device(0))]
    x = np.zeros((1, 4, SIDE, SIDE), np.float32)
    assert ascender.gradient(x, x)[1].shape == x.shape
    assert opened == [("torch", Device(0)), ("ort", CPU)]
    assert ascender.description == "onnxruntime CPU, 1 thread"


def test_respiration_goes_on_too() -> None:
    on_cpu = open_respiration_ascender(RESPIRATION, "cpu")
    ascender = FallbackRespiration(Gone(), lambda: on_cpu)
    x = np.random.default_rng(0).normal(0, 0.1, (1, 4, SIDE, SIDE)).astype(np.float32)
    for got, wanted in zip(
        ascender.gradient(x, np.ones_like(x)), on_cpu.gradient(x, np.ones_like(x)), strict=True
    ):
        np.testing.assert_array_equal(got, wanted)
    assert ascender.description == on_cpu.description == "onnxruntime CPU, 1 thread"
