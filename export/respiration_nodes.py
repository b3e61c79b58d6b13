"""RespirationNet's forward and backward pass as ONNX nodes."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from deepmag.export.nodes import NEAREST, SAME, Nodes
from deepmag.models.phase import SIDE

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray

    from deepmag.export.nodes import Precision

STAGES = 6
# SELU's constants (Klambauer et al. 2017)
SELU_SCALE = 1.0507009873554805
SELU_ALPHA = 1.6732632423543772
# In half precision. What twenty steps add is sensitive to the weights, by way of the SELUs' kinks: rounding those of
# any one layer moves it by 2 to 4 % (benchmarks/export.py). This one has three weights in ten; the last one has 64, by
# whose rounding a wall's share of the motion added to a clip changes from 0.109 to 0.117.
HALF_LAYER = "dense1"


class RespirationNodes(Nodes):
    """A graph that runs RespirationNet forward and backward, its weights once each, under their own names.

    In half precision only HALF_LAYER is half; what goes in and comes out is float32 all the same.
    """

    def __init__(self, weights: Mapping[str, NDArray[np.float32]], precision: Precision = "fp32") -> None:
        """weights: RespirationNet's state dict as arrays. Raises ValueError if one is missing."""
        super().__init__(precision)
        self._sides = [SIDE // 2**stage for stage in range(STAGES)]  # px, of what each convolution sees
        for layer in (*(f"convs.{i}" for i in range(STAGES)), "dense1", "dense2"):
            for name in (f"{layer}.weight", f"{layer}.bias"):
                if name not in weights:
                    raise ValueError(f"the respiration network's weights lack {name}")
                self.constant(name, weights[name], wide=layer != HALF_LAYER)
        channels = len(weights[f"convs.{STAGES - 1}.bias"])
        self.constant("last_shape", [-1, channels, self._sides[-1], self._sides[-1]])
        self.constant("quarter", 0.25, wide=True)
        self.constant("double", [1.0, 1.0, 2.0, 2.0], wide=True)
        self.constant("odd", [0, 0, 0, 0, 0, 0, 1, 1])

    def forward(self, x: str) -> list[str]:
        """RespirationNet up to its last hidden layer. x: its input (B, 4, 123, 123), float32.

        Returns the names of its seven layers' outputs after their SELU, "layer1" to "layer7".
        """
        tape = []
        h = x
        for i in range(STAGES):
            if i:
                h = self.node("AveragePool", h, kernel_shape=[2, 2], strides=[2, 2])
            h = self._selu(
                self.node("Conv", h, f"convs.{i}.weight", f"convs.{i}.bias", **SAME), f"layer{i + 1}"
            )
            tape.append(h)
        flat = self.narrow(self.node("Flatten", h, axis=1))
        dense = self.node("Gemm", flat, "dense1.weight", "dense1.bias", transB=1)
        return [*tape, self._selu(self.widen(dense), f"layer{STAGES + 1}")]

    def value(self, tape: list[str]) -> str:
        """RespirationNet's output y (B,) from its last hidden layer."""
        y = self.node("Gemm", tape[-1], "dense2.weight", "dense2.bias", transB=1)
        return self.node("Reshape", y, self.constant("flat", [-1]))

    def backward(self, tape: list[str]) -> str:
        """dy/d(input) (B, 4, 123, 123), float32, at the point of a forward pass."""
        hidden = self.narrow(self._through_selu("dense2.weight", tape[-1]))
        g = self.node("Gemm", hidden, "dense1.weight")
        g = self.node("Reshape", self.widen(g), "last_shape")
        for i in reversed(range(STAGES)):
            g = self._through_selu(g, tape[i])
            g = self.node("Conv", g, self.flipped(f"convs.{i}.weight"), **SAME)
            if i:
                g = self._unpool(g, self._sides[i - 1])
        return g

    def _selu(self, x: str, output: str) -> str:
        """SELU, with exp(x) - 1 = 2 t / (1 - t), t = tanh(x / 2), below zero.

        Where a picture is flat, many cells are near the same small x, and the difference, which ONNX Runtime's Selu
        takes, has few digits left there. So written, the ascent on the demo's pairs is 50 times nearer to
        torch's (5e-4 to 1e-5, median), and takes a fifth longer.
        """
        c = partial(self.constant, wide=True)
        t = self.node("Tanh", self.node("Mul", self.node("Min", x, c("zero", 0.0)), c("half", 0.5)))
        numerator = self.node("Mul", t, c("twice_selu_scale_alpha", 2.0 * SELU_SCALE * SELU_ALPHA))
        negative = self.node("Div", numerator, self.node("Sub", c("one", 1.0), t))
        positive = self.node("Mul", self.node("Relu", x), c("selu_scale", SELU_SCALE))
        return self.node("Add", positive, negative, output=output)

    def _through_selu(self, g: str, output: str) -> str:
        """Gradient of a SELU's input, from what the SELU gave: below zero its slope is that plus scale times alpha."""
        c = partial(self.constant, wide=True)
        below = self.node("Add", output, c("selu_scale_alpha", SELU_SCALE * SELU_ALPHA))
        is_open = self.node("Greater", output, c("zero", 0.0))
        return self.node("Mul", g, self.node("Where", is_open, c("selu_scale", SELU_SCALE), below))

    def _unpool(self, g: str, side: int) -> str:
        """Gradient of an average pool's input of ``side`` px, whose last row and column, if odd, are not seen."""
        g = self.node("Resize", self.node("Mul", g, "quarter"), "", "double", **NEAREST)
        return self.node("Pad", g, "odd") if side % 2 else g
