"""The pulse's ascent as a model to take along: what ``deepmag export pulse`` writes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deepmag.export.ascent_loop import AscentLoop
from deepmag.export.pulse_nodes import PulseNodes
from deepmag.models.magnify import BANDS
from deepmag.models.representation import INPUT_SCALE, L
from deepmag.models.step_size import GAMMA, PAPER_ITERATIONS, STEADY_ITERATIONS

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    import onnx
    from numpy.typing import NDArray

    from deepmag.export.ascent_loop import Batch
    from deepmag.export.nodes import Precision


def pulse_model(
    weights: Mapping[str, NDArray[np.float32]],
    precision: Precision = "fp32",
    batch: Batch = 1,
    *,
    paper_iterations: int = PAPER_ITERATIONS,
    steady_iterations: int = STEADY_ITERATIONS,
) -> onnx.ModelProto:
    """Both modes of `models.ascent` (Eq. 4, and the steady ascent) in one graph.

    weights: PulseNet's state dict as arrays. Inputs, B being ``batch``: x (B, 3, 36, 36), units of X; gamma (), units
    of X at 30 pairs a second, and fps_scale (), 30 / pairs a second, both of `paper` only; direction, like x, units of
    X, and growth (B,), no unit, both of `steady` only; mode (), int64, 0 for `paper`, else `steady`. Outputs: dx =
    X_N - X_1 like x; y(X_1) (B,); grad = dy/dX at X_1 like x, per unit of X. All but mode are float32. Raises
    ValueError for other weights, less than two iterations, and a batch of less than one.
    """
    nodes = PulseNodes(weights, precision)
    loop = AscentLoop(nodes, (3, L, L), batch, (paper_iterations, steady_iterations))
    main = loop.main
    main.input("direction", loop.pairs)
    main.input("growth", [loop.first])
    growth = main.node("Reshape", "growth", main.constant("each_pair", [-1, 1, 1, 1]))
    main.node("Mul", growth, "direction", output="steady_step")

    tape = nodes.forward(nodes.node("Add", "x", "dx_n"), "layer")
    y = nodes.value(tape)
    rise = nodes.node("Reshape", y, nodes.constant("per_pair", [-1, 1, 1, 1]))
    loop.advance(y, nodes.backward(tape), nodes.node("Mul", rise, "steady_step"))
    return loop.model(
        "pulse",
        weights,
        {
            "gamma": f"{GAMMA:g}",
            "input_scale": f"{INPUT_SCALE:g}",
            "band_hz": "{:g}-{:g}".format(*BANDS["paper"]),
            "steady_band_hz": "{:g}-{:g}".format(*BANDS["steady"]),
        },
    )
