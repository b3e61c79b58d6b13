"""PulseNet's forward and backward pass as ONNX nodes, laid out for ONNX Runtime's CPU kernels.

What the layout rests on, measured on one core of an AVX2 machine, where an iteration takes 1.6 ms:
- Convolutions run in blocks of eight channels, at 98 % of the core's sgemm peak. Masks, pools and unpoolings
  use operators that stay in the blocks: 57 changes of layout in twenty iterations in place of 247.
- The first layer's backward convolution has three output channels of a block's eight: 144 us. As a transposed
  convolution, which is one matrix product, it takes 56 us with the change of layout before it.
- The dense layer's matrix is one initializer for both directions and all iterations: 2.6 MB that stay in the
  cache, if the session makes no packed copies of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from deepmag.export.nodes import NEAREST, SAME, Nodes
from deepmag.models.representation import INPUT_SCALE, L

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from deepmag.export.nodes import Precision

OPEN_GAIN = 1e30  # makes at least 1 of an activation, unless it is so small that it is none
POOL_SHARE = 1 / 16  # of a gradient, for each pixel under the two 2x2 average pools
# In half precision: 91 % of the weights. Rounding those of conv1 alone moves the ascent by 1.5 %, by way of the ReLUs
# that then open elsewhere; conv2 by 1.1 %, conv3 0.8 %, conv4 0.3 %, these by 0.01 % (medians; benchmarks/export.py).
HALF_LAYERS = ("dense1", "dense2")


class PulseNodes(Nodes):
    """A graph that runs PulseNet forward and backward, its weights once each, under their own names.

    In half precision only HALF_LAYERS are half; what goes in and comes out is float32 all the same.
    """

    def __init__(self, weights: Mapping[str, NDArray[np.float32]], precision: Precision = "fp32") -> None:
        """weights: PulseNet's state dict as arrays. Raises ValueError if one is missing."""
        super().__init__(precision)
        self._weights = weights
        self._add_weights()

    def forward(self, x: str, layer: str | None = None) -> list[str]:
        """PulseNet up to its last hidden layer. x: units of X.

        Returns the names of its five layers' outputs after their ReLU: ``layer`` and 1 to 5, where that is given.
        """
        names = [layer and f"{layer}{i}" for i in range(1, 6)]
        h1 = self._convolve_relu(self.node("Div", x, "input_scale"), "conv1", names[0])
        h2 = self._convolve_relu(h1, "conv2", names[1])
        h3 = self._convolve_relu(self._pool(h2), "conv3", names[2])
        h4 = self._convolve_relu(h3, "conv4", names[3])
        flat = self.narrow(self.node("Flatten", self._pool(h4), axis=1))
        dense = self.node("Gemm", flat, "dense1.weight", "dense1.bias", transB=1)
        return [h1, h2, h3, h4, self.node("Relu", dense, output=names[4])]

    def value(self, tape: list[str], output: str | None = None) -> str:
        """PulseNet's output y (B,) from its last hidden layer."""
        y = self.node("Gemm", tape[4], "dense2.weight", "dense2.bias", transB=1)
        return self.node("Reshape", self.widen(y), self.constant("flat", [-1]), output=output)

    def backward(self, tape: list[str], output: str | None = None) -> str:
        """dy/dX (B, 3, 36, 36), per unit of X, at the point of a forward pass."""
        h1, h2, h3, h4, h5 = tape
        g = self.node("Mul", self.node("Sign", h5), "dense2.weight")
        g = self.node("Reshape", self.widen(self.node("Gemm", g, "dense1.weight")), "pooled_shape")
        # The product with the pools' share would be free in a kernel. Here it takes the small picture into
        # the blocks of channels, in which the unpooling after it then stays.
        g = self._scale(g, "pool_share", POOL_SHARE, "conv4")
        g = self._masked(self._unpool(g), h4, "conv4")
        g = self._masked(self._convolve(g, self.flipped("conv4.weight")), h3, "conv3")
        g = self._convolve(g, self.flipped("conv3.weight"))
        g = self._masked(self._unpool(g), h2, "conv2")
        g = self._masked(self._convolve(g, self.flipped("conv2.weight")), h1, "conv1")
        g = self.node("ConvTranspose", g, "conv1.weight", **SAME)
        return self.node("Div", g, "input_scale", output=output)

    def _add_weights(self) -> None:
        for layer in ("conv1", "conv2", "conv3", "conv4", "dense1", "dense2"):
            for part in ("weight", "bias"):
                name = f"{layer}.{part}"
                self.constant(name, self._weight(name), wide=layer not in HALF_LAYERS)
        self.constant("input_scale", INPUT_SCALE, wide=True)
        self.constant("double", [1.0, 1.0, 2.0, 2.0], wide=True)
        self.constant("pooled_shape", [-1, self._channels("conv4"), L // 4, L // 4])

    def _weight(self, name: str) -> NDArray[np.float32]:
        if name not in self._weights:
            raise ValueError(f"the pulse network's weights lack {name}")
        return np.asarray(self._weights[name], dtype=np.float32)

    def _channels(self, layer: str) -> int:
        return len(self._weight(f"{layer}.bias"))

    def _convolve_relu(self, x: str, layer: str, output: str | None) -> str:
        return self.node("Relu", self._convolve(x, f"{layer}.weight", f"{layer}.bias"), output=output)

    def _convolve(self, x: str, *parameters: str) -> str:
        return self.node("Conv", x, *parameters, **SAME)

    def _pool(self, x: str) -> str:
        return self.node("AveragePool", x, kernel_shape=[2, 2], strides=[2, 2])

    def _unpool(self, g: str) -> str:
        return self.node("Resize", g, "", "double", **NEAREST)

    def _scale(self, x: str, name: str, gain: float, layer: str) -> str:
        """Multiply x by a constant, as a convolution of each channel by itself, which stays in the blocks."""
        channels = self._channels(layer)
        kernel = self.constant(f"{name}_{channels}", np.full((channels, 1, 1, 1), gain), wide=True)
        return self.node("Conv", x, kernel, kernel_shape=[1, 1], group=channels)

    def _masked(self, g: str, activation: str, layer: str) -> str:
        """A gradient where the ReLU with this output was open, else 0."""
        opened = self._scale(activation, "open", OPEN_GAIN, layer)
        bounds = self.constant("zero", 0.0, wide=True), self.constant("one", 1.0, wide=True)
        return self.node("Mul", g, self.node("Clip", opened, *bounds))
