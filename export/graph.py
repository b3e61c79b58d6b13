"""The whole fixed-N gradient ascent (Eq. 4) as one ONNX graph, made directly from the network's weights.

``torch.onnx`` does not export a gradient, and would load torch before the first picture. Here the ascent is
unrolled N - 1 times over one set of initializers, in standard operators, with a free batch dimension. All
inputs and outputs are in units of X, the normalized difference (Eq. 14).
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np

from deepmag.export.pulse_nodes import PulseNodes
from deepmag.models.representation import L
from deepmag.models.step_size import PAPER_ITERATIONS, STEADY_ITERATIONS

if TYPE_CHECKING:
    from collections.abc import Mapping

    import onnx
    from numpy.typing import NDArray

GRAPH_VERSION = "1"  # of the inputs, the outputs and their units

_PAIRS: list[int | str] = ["batch", 3, L, L]


def paper_graph(
    weights: Mapping[str, NDArray[np.float32]], iterations: int = PAPER_ITERATIONS
) -> onnx.ModelProto:
    """Eq. 4, as ``deepmag.models.ascent.ascend_paper`` computes it.

    weights: PulseNet's state dict as arrays. Inputs of the graph: x (B, 3, 36, 36) and gamma (), units of X.
    Outputs: dx (B, 3, 36, 36), units of X, and y (B,). Raises ValueError for fewer than two iterations or
    weights that lack a layer.
    """
    _require_a_step(iterations)
    graph = PulseNodes(weights)
    graph.input("x", _PAIRS)
    graph.input("gamma", [])
    graph.output("dx", _PAIRS)
    graph.output("y", ["batch"])
    tiny = graph.constant("tiny", np.finfo(np.float32).tiny)
    # Each step moves X away from zero, so the sign of X_n is that of X_1.
    step = graph.node("Mul", graph.node("Sign", "x"), "gamma")
    magnified = "x"
    for n in range(1, iterations):
        tape = graph.forward(magnified)
        if n == 1:
            graph.value(tape, "y")
        magnitude = graph.node("Abs", graph.backward(tape))
        mean = graph.node("ReduceMean", magnitude, axes=[1, 2, 3], keepdims=1)
        # A gradient of zero everywhere gives a step of zero, not 0 / 0.
        direction = graph.node("Div", magnitude, graph.node("Max", mean, tiny))
        magnified = graph.node("Add", magnified, graph.node("Mul", direction, step))
    graph.node("Sub", magnified, "x", output="dx")
    return graph.model("deepmag_paper", _properties("paper", iterations, weights))


def steady_graph(
    weights: Mapping[str, NDArray[np.float32]], iterations: int = STEADY_ITERATIONS
) -> onnx.ModelProto:
    """Ascent along a given direction, as ``deepmag.models.ascent.ascend_steady`` computes it.

    weights: PulseNet's state dict as arrays. Inputs of the graph: x and direction (B, 3, 36, 36), units of X,
    and growth (B,). Outputs: dx (B, 3, 36, 36), units of X, y (B,), and grad (B, 3, 36, 36) = dy/dX at X_1,
    per unit of X. Raises ValueError for fewer than two iterations or weights that lack a layer.
    """
    _require_a_step(iterations)
    graph = PulseNodes(weights)
    graph.input("x", _PAIRS)
    graph.input("direction", _PAIRS)
    graph.input("growth", ["batch"])
    graph.output("dx", _PAIRS)
    graph.output("y", ["batch"])
    graph.output("grad", _PAIRS)
    per_pair = graph.constant("per_pair", [-1, 1, 1, 1])
    step = graph.node("Mul", graph.node("Reshape", "growth", per_pair), "direction")
    first = graph.forward("x")
    graph.backward(first, output="grad")
    y = graph.value(first, "y")
    dx = graph.node("Mul", step, graph.node("Reshape", y, per_pair))
    for _ in range(2, iterations):
        y = graph.value(graph.forward(graph.node("Add", "x", dx)))
        dx = graph.node("Add", dx, graph.node("Mul", step, graph.node("Reshape", y, per_pair)))
    graph.node("Identity", dx, output="dx")
    return graph.model("deepmag_steady", _properties("steady", iterations, weights))


def weights_sha256(weights: Mapping[str, NDArray[np.float32]]) -> str:
    """Hex digest of the weights' names, shapes and values, whatever their order."""
    digest = hashlib.sha256()
    for name in sorted(weights):
        array = np.ascontiguousarray(weights[name], dtype="<f4")
        digest.update(f"{name}{array.shape}".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def _properties(mode: str, iterations: int, weights: Mapping[str, NDArray[np.float32]]) -> dict[str, str]:
    """What a graph was made from, for its metadata."""
    return {
        "mode": mode,
        "iterations": str(iterations),
        "weights_sha256": weights_sha256(weights),
        "version": GRAPH_VERSION,
    }


def _require_a_step(iterations: int) -> None:
    if iterations < 2:
        raise ValueError(f"the ascent graph needs at least two iterations, not {iterations}")
