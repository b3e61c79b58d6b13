"""The ONNX graphs: standard, self-contained, honest about what they were made from, and right."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
import torch
from numpy.typing import NDArray
from onnx.reference import ReferenceEvaluator
from test_ascent import pairs, pulse_net, relative

from deepmag.export.graph import paper_graph, steady_graph, weights_sha256
from deepmag.models.ascent import ascend_paper, ascend_steady

Weights = dict[str, NDArray[np.float32]]


@pytest.fixture(scope="module")
def weights() -> Weights:
    return {name: tensor.numpy() for name, tensor in pulse_net(torch.float32).state_dict().items()}


def test_the_paper_graph_is_the_torch_ascent_in_onnx_own_reference_evaluator(weights: Weights) -> None:
    x = pairs(2, torch.float32)
    dx, y = ReferenceEvaluator(paper_graph(weights, 2)).run(
        None, {"x": x.numpy(), "gamma": np.array(6e-5, dtype=np.float32)}
    )
    expected_dx, expected_y = ascend_paper(pulse_net(torch.float32), x, 6e-5, 2)
    assert relative(torch.from_numpy(dx), expected_dx) < 1e-4
    assert relative(torch.from_numpy(y), expected_y) < 1e-4


def test_the_steady_graph_is_the_torch_ascent_in_onnx_own_reference_evaluator(weights: Weights) -> None:
    x, direction = pairs(2, torch.float32), pairs(2, torch.float32, seed=3)
    growth = np.array([0.1, 0.3], dtype=np.float32)
    outputs = ReferenceEvaluator(steady_graph(weights, 3)).run(
        None, {"x": x.numpy(), "direction": direction.numpy(), "growth": growth}
    )
    expected = ascend_steady(pulse_net(torch.float32), x, direction, torch.from_numpy(growth), 3)
    for output, reference in zip(outputs, expected, strict=True):
        assert relative(torch.from_numpy(output), reference) < 1e-4


@pytest.mark.parametrize("build", [paper_graph, steady_graph])
def test_graphs_hold_standard_operators_and_the_weights_once(weights: Weights, build: object) -> None:
    model = build(weights, 20)  # type: ignore[operator]
    onnx.checker.check_model(model, full_check=True)
    assert {node.domain for node in model.graph.node} == {""}
    bytes_of_weights = sum(array.nbytes for array in weights.values())
    assert model.ByteSize() < 1.5 * bytes_of_weights  # the flipped kernels are a tenth of it


@pytest.mark.parametrize(("build", "mode"), [(paper_graph, "paper"), (steady_graph, "steady")])
def test_graphs_say_what_they_were_made_from(weights: Weights, build: object, mode: str) -> None:
    model = build(weights, 7)  # type: ignore[operator]
    properties = {entry.key: entry.value for entry in model.metadata_props}
    assert properties["mode"] == mode
    assert properties["iterations"] == "7"
    assert properties["weights_sha256"] == weights_sha256(weights)
    assert properties["version"]


def test_the_digest_changes_with_any_weight(weights: Weights) -> None:
    changed = dict(weights)
    changed["dense2.bias"] = weights["dense2.bias"] + np.float32(1e-6)
    assert weights_sha256(changed) != weights_sha256(weights)
    assert weights_sha256(dict(reversed(weights.items()))) == weights_sha256(weights)


def test_wrong_weights_and_too_few_iterations_are_refused(weights: Weights) -> None:
    lacking = {name: array for name, array in weights.items() if name != "conv3.bias"}
    with pytest.raises(ValueError, match=r"lack conv3\.bias"):
        paper_graph(lacking)
    with pytest.raises(ValueError, match="two iterations"):
        steady_graph(weights, 1)
