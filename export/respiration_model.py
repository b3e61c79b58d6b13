"""Respiration's ascent as a model to take along: what ``deepmag export respiration`` writes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deepmag.export.ascent_loop import AscentLoop
from deepmag.export.respiration_nodes import RespirationNodes
from deepmag.models.breath import BREATH_BAND
from deepmag.models.phase import SIDE
from deepmag.models.pyramid_filters import ORIENTATIONS
from deepmag.models.respiration import INPUT_SCALE
from deepmag.models.step_size import PAPER_ITERATIONS, RESPIRATION_GAMMA, STEADY_ITERATIONS
from deepmag.models.temporal import RESPIRATION_BAND

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    import onnx
    from numpy.typing import NDArray

    from deepmag.export.ascent_loop import Batch
    from deepmag.export.nodes import Precision


def respiration_model(
    weights: Mapping[str, NDArray[np.float32]],
    precision: Precision = "fp32",
    batch: Batch = 1,
    *,
    paper_iterations: int = PAPER_ITERATIONS,
) -> onnx.ModelProto:
    """Both modes of `models.respiration_ascent` (Eq. 4, and the gradient that `steady` wants) in one graph.

    weights: RespirationNet's state dict as arrays. Inputs, B being ``batch``: x (B, 4, 123, 123), phase differences,
    rad; weight, like x, trust in them; gamma (), rad at 30 pairs a second, and fps_scale (), 30 / pairs a second, both
    of `paper` only; mode (), int64, 0 for `paper`, else `steady`. Outputs: dx = X_N - X_1 like x, rad, zero in
    `steady`; y(X_1) (B,); grad = dy/dX at X_1 like x, per rad. All but mode are float32. Raises ValueError for other
    weights, less than two iterations, and a batch of less than one.
    """
    nodes = RespirationNodes(weights, precision)
    loop = AscentLoop(nodes, (ORIENTATIONS, SIDE, SIDE), batch, (paper_iterations, STEADY_ITERATIONS))
    loop.main.input("weight", loop.pairs)
    scale = loop.main.constant("input_scale", INPUT_SCALE)
    loop.main.node("Div", "weight", scale, output="share")

    tape = nodes.forward(nodes.node("Mul", nodes.node("Add", "x", "dx_n"), "share"))
    grad = nodes.node("Mul", nodes.backward(tape), "share")
    loop.advance(nodes.value(tape), grad, nodes.constant("still", 0.0, wide=True))
    return loop.model(
        "respiration",
        weights,
        {
            "gamma": f"{RESPIRATION_GAMMA:g}",
            "input_scale": f"{INPUT_SCALE:g}",
            "band_hz": "{:g}-{:g}".format(*RESPIRATION_BAND),
            "steady_band_hz": "{:g}-{:g}".format(*BREATH_BAND),
        },
    )
