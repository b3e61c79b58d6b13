"""The exported models: standard, self-contained, what torch computes, and honest about what they are."""

from __future__ import annotations

import math
import re
import stat
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper
from onnx.reference import ReferenceEvaluator

from deepmag.export.device import Device, cuda_device_count
from deepmag.export.exported import ExportedModel, ExportedPulse, ExportedRespiration
from deepmag.export.graph import weights_sha256
from deepmag.export.model_parity import BOUNDS, compare_pulse, compare_respiration
from deepmag.export.onnx_file import write_model
from deepmag.export.pulse_model import pulse_model
from deepmag.export.respiration_model import respiration_model
from deepmag.export.runtime import AscenderUnavailableError, load_weights
from deepmag.export.sides import Imposed
from deepmag.models.ascent import ascend_paper, ascend_steady
from deepmag.models.networks import PulseNet, RespirationNet
from deepmag.models.representation import normalized_difference
from deepmag.models.synthetic.clip import make_clip
from deepmag.models.weights import PULSE, RESPIRATION
from deepmag.stream.evaluation.measurement import reduce_clip
from deepmag.stream.export_check import tick_pairs

if TYPE_CHECKING:
    from numpy.typing import NDArray

ITERATIONS = 3  # of `paper`, where twenty would only take longer
BUILD = {"pulse": pulse_model, "respiration": respiration_model}
COMPARE = {"pulse": compare_pulse, "respiration": compare_respiration}
WEIGHTS = {"pulse": load_weights(PULSE), "respiration": load_weights(RESPIRATION)}
SIGNALS = ("pulse", "respiration")
PRECISIONS = ("fp32", "fp16")
Arrays = tuple["NDArray[np.float32]", ...]


def build(signal: str, precision: str = "fp32", batch: int | str = 1, iterations: int = ITERATIONS) -> Any:
    return BUILD[signal](WEIGHTS[signal], precision, batch, paper_iterations=iterations)  # type: ignore[operator]


def net(signal: str) -> Any:
    network = {"pulse": PulseNet, "respiration": RespirationNet}[signal]
    return network.from_weights({name: torch.from_numpy(part) for name, part in WEIGHTS[signal].items()})


@pytest.fixture(scope="module")
def pairs() -> dict[tuple[str, str], Arrays]:
    """Five pairs of each signal, random and of a rendered person; for respiration with their weights."""
    clip = make_clip("B", seed=3, seconds=1.4, rate=10.0, size=(96, 72))
    small = reduce_clip(clip.video, clip.region)
    x = normalized_difference(small[:-1], small[1:])
    phases = tick_pairs(list(clip.video), [i / 10.0 for i in range(len(clip.video))])
    rng = np.random.default_rng(0)
    shape = phases[0][:5].shape
    return {
        ("pulse", "random"): (rng.normal(0, 0.004, (5, 3, 36, 36)).astype(np.float32),),
        ("pulse", "real"): (np.ascontiguousarray(x[:5]),),
        ("respiration", "random"): (
            rng.normal(0, 0.1, shape).astype(np.float32),
            rng.random(shape).astype(np.float32),
        ),
        ("respiration", "real"): (phases[0][:5], phases[1][:5]),
    }


# --- what they compute ---


@pytest.mark.parametrize("batch", [1, 5])
@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("signal", SIGNALS)
def test_both_modes_compute_what_torch_does(
    signal: str, precision: str, batch: int, pairs: dict[tuple[str, str], Arrays]
) -> None:
    model, network = build(signal, precision, batch), net(signal)
    for kind in ("random", "real"):
        found = COMPARE[signal](model, network, *pairs[signal, kind], 10.0)  # type: ignore[operator]
        assert {parity.name for parity in found} >= {"paper dx", "paper y", "steady y", "steady grad"}
        for parity in found:
            assert parity.agrees, (kind, parity)
            assert parity.flipped < 1e-3 * parity.units


@pytest.mark.parametrize("precision", PRECISIONS)
def test_twenty_steps_of_the_pulse_stay_within_the_bounds(
    precision: str, pairs: dict[tuple[str, str], Arrays]
) -> None:
    x = pairs["pulse", "real"][0][:2]
    found = compare_pulse(build("pulse", precision, "dynamic", 20), net("pulse"), x)
    assert {parity.name: parity.agrees for parity in found} == dict.fromkeys(
        ("paper dx", "paper y", "steady dx", "steady y", "steady grad"), True
    )
    if precision == "fp16":  # also without torch on the model's sides
        assert all(parity.error < BOUNDS["fp16"] for parity in found)


@pytest.mark.parametrize("signal", SIGNALS)
def test_a_model_of_slightly_other_weights_is_told_apart(
    signal: str, pairs: dict[tuple[str, str], Arrays]
) -> None:
    layer = {"pulse": "conv3.weight", "respiration": "convs.3.weight"}[signal]
    other = WEIGHTS[signal] | {layer: WEIGHTS[signal][layer] * np.float32(1.003)}
    model = BUILD[signal](other, "fp32", "dynamic", paper_iterations=3)
    given = [array[:2] for array in pairs[signal, "real"]]
    found = {parity.name: parity.agrees for parity in COMPARE[signal](model, net(signal), *given)}  # type: ignore[operator]
    assert not found["paper dx"]
    assert not found["steady grad"]


def test_a_unit_of_the_wrong_sign_is_no_tie(pairs: dict[tuple[str, str], Arrays]) -> None:
    model = build("pulse", "fp32", "dynamic", 2)
    loop = next(node for node in model.graph.node if node.op_type == "Loop")
    body = next(attribute.g for attribute in loop.attribute if attribute.name == "body")
    for node in body.node:
        if node.op_type == "Relu" and node.output[0] == "layer2":
            node.op_type = "LeakyRelu"
    found = {parity.name: parity for parity in compare_pulse(model, net("pulse"), *pairs["pulse", "real"])}
    assert not found["steady y"].agrees


def test_imposed_sides_are_taken_and_those_that_differ_counted() -> None:
    x = torch.tensor([[-2.0, -1e-7, 1e-7, 2.0]])
    sides = np.array([[False, True, True, True]])
    with Imposed([sides]) as imposed:
        assert (x.clone().relu_() > 0).tolist() == sides.tolist()
    assert (imposed.differing, imposed.units) == (1, 4)
    assert imposed.furthest == pytest.approx(1e-7 / math.sqrt(2.0))
    leaf = x.clone().requires_grad_()
    with Imposed([sides]) as imposed:
        torch.nn.functional.selu(leaf).sum().backward()
    assert imposed.differing == 1
    assert leaf.grad is not None
    scale = 1.0507009873554805
    assert leaf.grad[0, 1:].tolist() == pytest.approx([scale] * 3)
    assert float(leaf.grad[0, 0]) == pytest.approx(scale * 1.6732632423543772 * math.exp(-2.0))


def test_onnx_own_reference_evaluator_computes_the_same(pairs: dict[tuple[str, str], Arrays]) -> None:
    x = pairs["pulse", "random"][0][:1]
    direction, growth = x[:, :, ::-1] * np.float32(1e-3), np.array([0.3], np.float32)
    evaluator = ReferenceEvaluator(build("pulse", iterations=3))
    given = {"x": x, "direction": direction, "growth": growth, "gamma": np.array(3e-5, np.float32)}
    given["fps_scale"] = np.array(2.0, np.float32)
    tensor = torch.from_numpy(x)
    dx, y, _ = evaluator.run(None, given | {"mode": np.array(0)})
    expected = ascend_paper(net("pulse"), tensor, 6e-5, 3)
    for output, reference in zip((dx, y), expected, strict=True):
        assert output == pytest.approx(reference.numpy(), rel=1e-3, abs=1e-7)
    outputs = evaluator.run(None, given | {"mode": np.array(1)})
    steady = ascend_steady(net("pulse"), tensor, torch.from_numpy(direction.copy()), 0.3)
    for output, reference in zip(outputs, steady, strict=True):
        assert output == pytest.approx(reference.numpy(), rel=1e-3, abs=1e-7)


@pytest.mark.parametrize("signal", SIGNALS)
def test_gamma_is_scaled_by_the_rate_and_steady_ignores_both(
    signal: str, pairs: dict[tuple[str, str], Arrays]
) -> None:
    model = ExportedModel(build(signal, iterations=3).SerializeToString(), signal)  # type: ignore[arg-type]
    x = pairs[signal, "random"][0][:1]
    given = {"x": x, "weight": np.ones_like(x)} if signal == "respiration" else {"x": x, "direction": x}
    if signal == "pulse":
        given["growth"] = np.zeros(1, np.float32)
    slow, fast = (model.run(0, gamma, scale, given)[0] for gamma, scale in ((1e-4, 1.0), (2e-4, 0.5)))
    assert slow == pytest.approx(fast, rel=1e-5)
    assert np.abs(slow).mean() == pytest.approx(2 * 1e-4, rel=0.05)
    still, _, grad = model.run(1, 1e-4, 1.0, given)
    assert not still.any()
    assert grad.any()


@pytest.mark.skipif(cuda_device_count() == 0, reason="no GPU here")
@pytest.mark.parametrize("precision", PRECISIONS)
def test_the_gpu_computes_what_the_cpu_computes(precision: str, pairs: dict[tuple[str, str], Arrays]) -> None:
    x = pairs["pulse", "real"][0]
    content = build("pulse", precision, "dynamic").SerializeToString()
    try:
        on_gpu = ExportedPulse(content, Device(0))
    except AscenderUnavailableError as refusal:
        pytest.skip(str(refusal))
    for output, expected in zip(on_gpu.paper(x, 6e-5), ExportedPulse(content).paper(x, 6e-5), strict=True):
        error = np.linalg.norm(output - expected) / np.linalg.norm(expected)
        assert error < 2e-2  # a unit at zero may open in one and not in the other


# --- what they are ---


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("signal", SIGNALS)
def test_a_model_is_standard_and_holds_each_weight_once_under_its_name(signal: str, precision: str) -> None:
    model = build(signal, precision, "dynamic")
    onnx.checker.check_model(model, full_check=True)
    loop = next(node for node in model.graph.node if node.op_type == "Loop")
    body = next(attribute.g for attribute in loop.attribute if attribute.name == "body")
    assert {node.domain for node in (*model.graph.node, *body.node)} == {""}
    assert [entry.domain for entry in model.opset_import] == [""]
    held = {array.name: numpy_helper.to_array(array) for array in body.initializer}
    weights = {name: held[name] for name in WEIGHTS[signal]}
    large = [
        array.nbytes
        for array in (*body.initializer, *model.graph.initializer)
        for array in [numpy_helper.to_array(array)]
        if array.nbytes > 1000
    ]
    assert sum(large) == sum(array.nbytes for array in weights.values() if array.nbytes > 1000)
    if precision == "fp32":
        assert weights_sha256(weights) == weights_sha256(WEIGHTS[signal])
    else:
        half = {name for name, array in weights.items() if array.dtype == np.float16}
        layers = {"pulse": ("dense1.", "dense2."), "respiration": ("dense1.",)}[signal]
        assert half == {name for name in weights if name.startswith(layers)}
        assert model.ByteSize() < {"pulse": 0.6, "respiration": 0.9}[signal] * build(signal).ByteSize()
    for given in (*model.graph.input, *model.graph.output):
        kind = onnx.TensorProto.INT64 if given.name == "mode" else onnx.TensorProto.FLOAT
        assert given.type.tensor_type.elem_type == kind


@pytest.mark.parametrize(("signal", "size", "bands", "gamma"), [
    ("pulse", "3x36x36", ("0.7-2.5", "0.7-3.1"), "6e-05"),
    ("respiration", "4x123x123", ("0.16-0.5", "0.1-0.8"), "0.0036"),
])  # fmt: skip
def test_a_model_says_what_it_was_made_from(
    signal: str, size: str, bands: tuple[str, str], gamma: str
) -> None:
    model = build(signal, "fp16", "dynamic", 20)
    found = {entry.key: entry.value for entry in model.metadata_props}
    assert found.pop("input_scale") == {"pulse": "0.004", "respiration": "0.1"}[signal]
    assert found.pop("deepmag_version") == version("deepmag")
    assert found == {
        "signal": signal,
        "version": "1",
        "weights_sha256": weights_sha256(WEIGHTS[signal]),
        "paper_iterations": "20",
        "steady_iterations": "2",
        "size": size,
        "batch": "dynamic",
        "precision": "fp16",
        "reference_rate_hz": "30",
        "gamma": gamma,
        "band_hz": bands[0],
        "steady_band_hz": bands[1],
    }


def test_wrong_weights_batches_and_iterations_are_refused() -> None:
    lacking = {name: part for name, part in WEIGHTS["pulse"].items() if name != "conv3.bias"}
    with pytest.raises(ValueError, match=r"lack conv3\.bias"):
        pulse_model(lacking)
    with pytest.raises(ValueError, match=r"respiration network's weights lack convs\.0\.weight"):
        respiration_model(WEIGHTS["pulse"])
    other = WEIGHTS["pulse"] | {"dense1.weight": np.zeros((128, 100), np.float32)}
    with pytest.raises(ValueError, match="not the weights of the pulse's network"):
        pulse_model(other)
    with pytest.raises(ValueError, match="at least 1, not 0"):
        pulse_model(WEIGHTS["pulse"], batch=0)
    with pytest.raises(ValueError, match="two iterations, not 1"):
        respiration_model(WEIGHTS["respiration"], paper_iterations=1)


# --- in place of the networks ---


def test_a_fixed_batch_takes_any_number_of_pairs(pairs: dict[tuple[str, str], Arrays]) -> None:
    x = pairs["pulse", "random"][0]
    three, one = (
        ExportedPulse(build("pulse", batch=batch, iterations=3).SerializeToString()) for batch in (3, 1)
    )
    for of_three, of_one in zip(three.steady(x, x, 0.1), one.steady(x, x, 0.1), strict=True):
        assert of_three.shape == of_one.shape
        assert np.linalg.norm(of_three - of_one) < 1e-5 * np.linalg.norm(of_one)
    phases, weight = (array[:2] for array in pairs["respiration", "real"])
    y, grad = ExportedRespiration(build("respiration", batch=3).SerializeToString()).gradient(phases, weight)
    assert (y.shape, grad.shape) == ((2,), phases.shape)


def test_what_is_no_such_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no export of the respiration's network"):
        ExportedRespiration(build("pulse", iterations=2).SerializeToString())
    model = ExportedPulse(build("pulse", iterations=2).SerializeToString())
    with pytest.raises(ValueError, match=r"shape \(B, 3, 36, 36\), not \(1, 3, 35, 36\)"):
        model.paper(np.zeros((1, 3, 35, 36), np.float32), 1e-4)
    for name in (tmp_path / "none.onnx", str(tmp_path / "none.onnx")):
        with pytest.raises(OSError, match=r"none\.onnx"):
            ExportedPulse(name)
    (tmp_path / "text.onnx").write_text("no model")
    with pytest.raises(AscenderUnavailableError, match="cannot run"):
        ExportedPulse(tmp_path / "text.onnx")


# --- as a file ---


def test_a_file_is_replaced_whole_and_as_readable_as_others(tmp_path: Path) -> None:
    path, beside = tmp_path / "pulse.onnx", tmp_path / "other"
    path.write_text("older")
    beside.write_text("")
    model = build("pulse")
    write_model(model, path)
    assert onnx.load(path) == model
    assert stat.S_IMODE(path.stat().st_mode) == stat.S_IMODE(beside.stat().st_mode)
    assert sorted(tmp_path.iterdir()) == [beside, path]


def test_a_failure_leaves_the_older_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "pulse.onnx"
    path.write_text("older")

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("deepmag.export.onnx_file.os.fsync", full)
    with pytest.raises(ValueError, match=r"cannot export to .*pulse\.onnx: No space left on device"):
        write_model(build("pulse"), path)
    assert path.read_text() == "older"
    assert list(tmp_path.iterdir()) == [path]


def test_the_documented_example_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = (Path(__file__).resolve().parents[1] / "docs" / "export.md").read_text()
    (example,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    write_model(build("pulse", batch="dynamic"), tmp_path / "pulse.onnx")
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    exec(example, names)
    assert names["dx"].shape == (1, 3, 36, 36)
    assert np.abs(names["dx"]).mean() == pytest.approx((ITERATIONS - 1) * 6e-5 * 30 / 25, rel=0.05)
