"""The runtimes: they agree with torch, say what they are, and refuse what they cannot do."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from ascender_parity import TOLERANCE, compare, compare_ascenders
from numpy.typing import NDArray
from safetensors.numpy import save_file
from test_ascent import pairs, pulse_net

from deepmag.export.device import CPU, Device, cuda_device_count
from deepmag.export.graph import paper_graph, steady_graph
from deepmag.export.ort_ascender import OrtAscender
from deepmag.export.ort_bound import BoundSession
from deepmag.export.ort_session import Provider, open_session
from deepmag.export.pairs import MOST
from deepmag.export.respiration import open_respiration_ascender
from deepmag.export.runtime import (
    Ascender,
    AscenderUnavailableError,
    Runtime,
    load_weights,
    open_ascender,
)
from deepmag.export.tensorrt import engine_cache, profile
from deepmag.models.ascent import ascend_paper

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

Weights = dict[str, NDArray[np.float32]]


@pytest.fixture(scope="module")
def weights() -> Weights:
    return {name: tensor.numpy() for name, tensor in pulse_net(torch.float32).state_dict().items()}


@pytest.fixture(scope="module")
def ort_cpu(weights: Weights) -> Ascender:
    return open_ascender(weights, "ort", "cpu", threads=2, paper_iterations=4)


@pytest.fixture(scope="module")
def torch_cpu(weights: Weights) -> Ascender:
    return open_ascender(weights, "torch", "cpu", torch.get_num_threads(), paper_iterations=4)


def x(count: int) -> NDArray[np.float32]:
    array: NDArray[np.float32] = pairs(count, torch.float32).numpy()
    return array


def test_onnx_runtime_computes_what_torch_computes(weights: Weights) -> None:
    ort_cpu = open_ascender(weights, "ort", "cpu")
    torch_cpu = open_ascender(weights, "torch", "cpu", threads=torch.get_num_threads())
    results = compare_ascenders(ort_cpu, torch_cpu, x(3), gamma=6e-5, growth=0.3)
    assert [result.name for result in results] == [
        "paper dx",
        "paper y",
        "steady dx",
        "steady y",
        "steady grad",
    ]
    for result in results:
        assert result.agrees, str(result)


@pytest.mark.skipif(cuda_device_count() == 0, reason="no GPU here")
@pytest.mark.parametrize("runtime", ["ort", "tensorrt", "torch"])
def test_the_gpu_computes_what_the_cpu_computes(
    weights: Weights, torch_cpu: Ascender, runtime: Runtime, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))  # TensorRT's kernels
    try:
        on_gpu = open_ascender(weights, runtime, "cuda", paper_iterations=4)
    except AscenderUnavailableError as refusal:
        pytest.skip(str(refusal))
    for count in (1, 5):  # on a GPU few pairs and many are cut differently
        for result in compare_ascenders(on_gpu, torch_cpu, x(count), gamma=6e-5, growth=0.3):
            assert result.agrees, str(result)


def test_outputs_are_float32_and_shaped_like_the_input(ort_cpu: Ascender, torch_cpu: Ascender) -> None:
    for ascender in (ort_cpu, torch_cpu):
        dx, y = ascender.paper(x(2), 6e-5)
        steady = ascender.steady(x(2), x(2), np.array([0.1, 0.2], dtype=np.float32))
        assert [array.shape for array in (dx, y)] == [(2, 3, 36, 36), (2,)]
        assert [array.shape for array in steady] == [(2, 3, 36, 36), (2,), (2, 3, 36, 36)]
        assert {array.dtype for array in (dx, y, *steady)} == {np.dtype(np.float32)}


def test_the_input_is_not_changed(ort_cpu: Ascender, torch_cpu: Ascender) -> None:
    for ascender in (ort_cpu, torch_cpu):
        given = x(1)
        given.flags.writeable = False
        ascender.paper(given, 6e-5)
        ascender.steady(given, given, 0.3)
        assert (given == x(1)).all()


def test_other_iterations_can_be_asked_for(weights: Weights) -> None:
    ascender = open_ascender(weights, "ort", "cpu", threads=1, paper_iterations=3, steady_iterations=2)
    dx, _ = ascender.paper(x(1), 6e-5)
    expected, _ = ascend_paper(pulse_net(torch.float32), pairs(1, torch.float32), 6e-5, iterations=3)
    assert compare("dx", dx, expected.numpy()).errors.max() < TOLERANCE


def test_descriptions_name_runtime_device_and_threads(ort_cpu: Ascender, torch_cpu: Ascender) -> None:
    assert ort_cpu.description == "onnxruntime CPU, 2 threads"
    assert torch_cpu.description.startswith("torch CPU")


@pytest.mark.parametrize("shape", [(3, 36, 36), (1, 3, 35, 36), (0, 3, 36, 36)])
def test_an_array_that_is_no_frame_pair_is_refused(
    ort_cpu: Ascender, torch_cpu: Ascender, shape: tuple[int, ...]
) -> None:
    for ascender in (ort_cpu, torch_cpu):
        with pytest.raises(ValueError, match="expected frame pairs"):
            ascender.paper(np.zeros(shape, dtype=np.float32), 6e-5)
    with pytest.raises(ValueError, match=r"shape \(1, 3, 36, 36\), not \(2, 3, 36, 36\)"):
        ort_cpu.steady(x(1), x(2), 0.1)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("runtime", ["numba", "ort", "torch"])
def test_what_is_no_number_is_refused_by_each_runtime(
    weights: Weights, runtime: Runtime, value: float
) -> None:
    ascender = open_ascender(weights, runtime, "cpu", threads=1, paper_iterations=2, steady_iterations=2)
    good, bad = x(2), x(2)
    bad[1, 2, 3, 4] = value
    for ask in (
        lambda: ascender.paper(bad, 6e-5),
        lambda: ascender.steady(bad, good, 0.1),
        lambda: ascender.steady(good, bad, 0.1),
    ):
        with pytest.raises(ValueError, match="finite numbers in frame pairs"):
            ask()


def test_weights_come_from_a_safetensors_file(weights: Weights, tmp_path: Path, ort_cpu: Ascender) -> None:
    path = tmp_path / "pulse.safetensors"
    save_file(weights, path)
    assert load_weights(path).keys() == weights.keys()
    for given in (path, str(path)):
        from_file = open_ascender(given, "ort", "cpu", threads=2, paper_iterations=4)
        assert (from_file.paper(x(1), 6e-5)[0] == ort_cpu.paper(x(1), 6e-5)[0]).all()


@pytest.mark.parametrize("opens", [open_ascender, open_respiration_ascender])
def test_what_is_no_runtime_or_no_number_of_threads_is_refused(opens: Callable[..., object]) -> None:
    """It ran in torch, on as many threads as there are cores."""
    with pytest.raises(ValueError, match=r"^runtime must be auto, numba, ort, tensorrt or torch, not nope$"):
        opens({}, runtime="nope")
    for threads in (0, -3):
        with pytest.raises(ValueError, match=f"^threads must be 1 or more, not {threads}$"):
            opens({}, threads=threads)


@pytest.mark.parametrize("runtime", ["numba", "ort", "torch"])
def test_what_are_no_weights_of_this_network_are_refused(weights: Weights, runtime: Runtime) -> None:
    part = {name: array for name, array in weights.items() if name != "dense2.bias"}
    with pytest.raises(ValueError, match=r"dense2\.bias"):
        open_ascender(part, runtime, "cpu", threads=1)


def test_a_file_that_holds_no_weights_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "pulse.safetensors"
    path.write_text("not weights")
    with pytest.raises(ValueError, match=r"pulse\.safetensors is not a safetensors file"):
        open_ascender(path)
    with pytest.raises(OSError, match=r"missing\.safetensors"):
        open_ascender(tmp_path / "missing.safetensors")


@pytest.mark.skipif(cuda_device_count() > 0, reason="there is a GPU here")
def test_without_a_gpu_auto_takes_the_cpu_and_cuda_is_refused_in_one_line(
    weights: Weights, capfd: pytest.CaptureFixture[str]
) -> None:
    assert "CPU" in open_ascender(weights, "auto", "auto").description
    for runtime in ("auto", "ort", "tensorrt", "torch"):
        with pytest.raises(AscenderUnavailableError, match=r"^the CUDA driver sees no GPU here: .*$"):
            open_ascender(weights, runtime, "cuda")  # type: ignore[arg-type]
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(("provider", "name"), [("cuda", "CUDA"), ("tensorrt", "TensorRT")])
def test_a_provider_that_does_not_start_is_named_without_noise(
    weights: Weights,
    provider: Provider,
    name: str,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    if cuda_device_count() > 0:
        pytest.skip("the provider may start here")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("NVIDIA_TF32_OVERRIDE", "0")
    with pytest.raises(
        AscenderUnavailableError, match=rf"onnxruntime.* {name} .*pip install|install onnxruntime-gpu"
    ):
        OrtAscender(weights, Device(0), 1, 3, 3, provider=provider)
    assert capfd.readouterr() == ("", "")


def test_tensorrt_is_refused_on_a_cpu(weights: Weights) -> None:
    with pytest.raises(AscenderUnavailableError, match="TensorRT provider needs a GPU"):
        open_ascender(weights, "tensorrt", "cpu")


def test_tensorrt_is_told_the_shapes_of_one_pair_and_of_most(weights: Weights) -> None:
    pair, most = "1x3x36x36", f"{MOST}x3x36x36"
    paper, steady = (graph(weights, 2).SerializeToString() for graph in (paper_graph, steady_graph))
    assert profile(paper, 1) == f"x:{pair}"
    assert profile(steady, MOST) == f"x:{most},direction:{most},growth:{MOST}"


def test_tensorrt_keeps_what_it_made_of_other_weights_elsewhere(
    weights: Weights, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """It knows a model by its operators alone."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    others = {name: 2 * array for name, array in weights.items()}
    paths = [engine_cache(paper_graph(found, 2).SerializeToString()) for found in (weights, others, weights)]
    assert paths[0] == paths[2] != paths[1]
    assert all(path.is_dir() and tmp_path in path.parents for path in paths)
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(AscenderUnavailableError, match="nowhere to keep its kernels"):
        OrtAscender(weights, Device(0), 1, 3, 3, provider="tensorrt")


def test_bound_memory_gives_what_an_unbound_run_gives(weights: Weights) -> None:
    session = open_session(steady_graph(weights, 3).SerializeToString(), CPU, 2)
    bound = BoundSession(session, CPU)
    rng = np.random.default_rng(0)
    for count in (3, 1, 5, 3):  # the memory for four pairs holds what an earlier run has left
        given = {
            "x": x(count),
            "direction": rng.normal(0, 0.01, (count, 3, 36, 36)).astype(np.float32),
            "growth": np.full(count, 0.3, np.float32),
        }
        kept = {name: array.copy() for name, array in given.items()}
        found = bound.run(given, {})
        for one, other in zip(found, session.run(None, given), strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-7)
        for name, array in kept.items():
            np.testing.assert_array_equal(given[name], array)
    first = found[0].copy()
    bound.run(given | {"x": 2 * given["x"]}, {})
    np.testing.assert_array_equal(found[0], first)  # is the caller's own


def test_the_onnx_runtime_path_does_not_load_torch(weights: Weights, tmp_path: Path) -> None:
    path = tmp_path / "pulse.safetensors"
    save_file(weights, path)
    code = (
        "import sys; from pathlib import Path; from deepmag.export.runtime import open_ascender\n"
        "open_ascender(Path(sys.argv[1]), device='cpu'); sys.exit('torch' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code, path], check=True, timeout=60, env=os.environ)
