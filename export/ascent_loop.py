"""The ascent of either network as one self-contained ONNX model: a loop over evaluations of the network.

The body of the ``Loop`` holds the weights, once; the input ``mode`` decides how often it runs and what a step is.
Unrolled (`graph`, what this package runs itself) an ascent takes as long, but the two modes would be two graphs with
the weights in each, and loading takes five times as long (benchmarks/export.py).
"""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Literal

import numpy as np
import onnx
from onnx import TensorProto

from deepmag.export.graph import GRAPH_VERSION, weights_sha256
from deepmag.export.nodes import Nodes
from deepmag.models.step_size import REFERENCE_RATE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from deepmag.export.nodes import Shape

Signal = Literal["pulse", "respiration"]
Batch = int | Literal["dynamic"]

PAPER, STEADY = 0, 1  # of the input "mode"


class AscentLoop:
    """A model under construction. body: one evaluation and step, its network's nodes. main: what is around it.

    In the body, "x" is X_1 and "dx_n" is X_n - X_1. What ``main`` makes can be used in the body by its name.
    """

    def __init__(
        self, body: Nodes, size: tuple[int, int, int], batch: Batch, iterations: tuple[int, int]
    ) -> None:
        """size: of a pair's X. iterations: N of `paper` and of `steady`. Raises ValueError for less than two."""
        if min(iterations) < 2:
            raise ValueError(f"the ascent graph needs at least two iterations, not {min(iterations)}")
        if batch != "dynamic" and batch < 1:
            raise ValueError(f"the batch must be at least 1, not {batch}")
        self.body = body
        self.main = Nodes(prefix="around_")
        self._size, self._batch, self._iterations = size, batch, iterations
        self.first: int | str = "batch" if batch == "dynamic" else batch
        self.pairs: Shape = [self.first, *size]
        self._declare_main()
        self._declare_body()

    def advance(self, y: str, grad: str, steady_step: str) -> None:
        """End the body with a step. y (B,), grad: of the network at X_n. steady_step: what `steady` adds to dx_n."""
        body = self.body
        magnitude = body.node("Abs", grad)
        mean = body.node("ReduceMean", magnitude, axes=[1, 2, 3], keepdims=1)
        # A gradient of zero everywhere gives a step of zero, not 0 / 0.
        tiny = body.constant("tiny", np.finfo(np.float32).tiny, wide=True)
        direction = body.node("Div", magnitude, body.node("Max", mean, tiny))
        step = body.node("Where", "is_paper", body.node("Mul", direction, "paper_step"), steady_step)
        body.node("Add", "dx_n", step, output="dx_next")
        is_first = body.node("Equal", "n", body.constant("n_first", 0))
        body.node("Where", is_first, y, "y_1", output="y_kept")
        body.node("Where", is_first, grad, "grad_1", output="grad_kept")

    def model(
        self, signal: Signal, weights: Mapping[str, NDArray[np.float32]], properties: dict[str, str]
    ) -> onnx.ModelProto:
        """The model, checked, with what it was made from and ``properties`` as its metadata.

        Raises ValueError where the weights' shapes do not fit together.
        """
        carried = [self.main.node("ConstantOfShape", self.main.node("Shape", "x")) for _ in range(2)]
        y_0 = self.main.node("ReduceMean", carried[0], axes=[1, 2, 3], keepdims=0)
        body = self.body.graph("iteration")
        self.main.loop("steps", [carried[0], y_0, carried[1]], body, ["dx", "y", "grad"])
        paper, steady = self._iterations
        given = {
            "signal": signal,
            "version": GRAPH_VERSION,
            "deepmag_version": _package_version(),
            "weights_sha256": weights_sha256(weights),
            "paper_iterations": str(paper),
            "steady_iterations": str(steady),
            "size": "x".join(map(str, self._size)),
            "batch": str(self._batch),
            "precision": self.body.precision,
            "reference_rate_hz": f"{REFERENCE_RATE:g}",
        }
        try:
            return self.main.model(f"deepmag_{signal}", given | properties)
        except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
            raise ValueError(f"these are not the weights of the {signal}'s network: {error}") from error

    def _declare_main(self) -> None:
        main = self.main
        main.input("x", self.pairs)
        main.input("gamma", [])
        main.input("fps_scale", [])
        main.input("mode", [], TensorProto.INT64)
        main.output("dx", self.pairs)
        main.output("y", [self.first])
        main.output("grad", self.pairs)
        main.node("Equal", "mode", main.constant("paper", PAPER), output="is_paper")
        paper, steady = (
            main.constant(f"{name}_steps", n - 1)
            for name, n in zip(("paper", "steady"), self._iterations, strict=True)
        )
        main.node("Where", "is_paper", paper, steady, output="steps")
        # Each step moves X away from zero, so the sign of X_n is that of X_1.
        rate = main.node("Mul", "gamma", "fps_scale")
        main.node("Mul", main.node("Sign", "x"), rate, output="paper_step")

    def _declare_body(self) -> None:
        body = self.body
        body.input("n", [], TensorProto.INT64)
        body.input("go_on", [], TensorProto.BOOL)
        body.input("dx_n", self.pairs)
        body.input("y_1", [self.first])
        body.input("grad_1", self.pairs)
        body.node("Identity", "go_on", output="goes_on")
        body.output("goes_on", [], TensorProto.BOOL)
        body.output("dx_next", self.pairs)
        body.output("y_kept", [self.first])
        body.output("grad_kept", self.pairs)


def _package_version() -> str:
    try:
        return version("deepmag")
    except PackageNotFoundError:  # run from its sources, without an installation
        return "unknown"
