"""PulseNet's forward and backward pass as ONNX nodes, laid out for ONNX Runtime's CPU kernels.

What the layout rests on, measured on one core of an AVX2 machine, where an iteration takes 1.6 ms:
- Convolutions run in blocks of eight channels, at 98 % of the core's sgemm peak. Masks, pools and unpoolings
  use operators that stay in the blocks: 57 changes of layout in twenty iterations in place of 247.
- The first layer's backward convolution has three output channels of a block's eight: 144 us. As a transposed
  convolution, which is one matrix product, it takes 56 us with the change of layout before it, and needs no
  flipped kernel.
- The dense layer's matrix is one initializer for both directions and all iterations: 2.6 MB that stay in the
  cache, if the session makes no packed copies of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from deepmag.models.representation import INPUT_SCALE, L

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

OPSET = 17
IR_VERSION = 8
OPEN_GAIN = 1e30  # makes at least 1 of an activation, unless it is so small that it is none
POOL_SHARE = 1 / 16  # of a gradient, for each pixel under the two 2x2 average pools


class PulseNodes:
    """A graph under construction: nodes, the network's weights as initializers, inputs and outputs."""

    def __init__(self, weights: Mapping[str, NDArray[np.float32]]) -> None:
        """weights: PulseNet's state dict as arrays. Raises ValueError if one is missing."""
        self._weights = weights
        self._nodes: list[onnx.NodeProto] = []
        self._inputs: list[onnx.ValueInfoProto] = []
        self._outputs: list[onnx.ValueInfoProto] = []
        self._constants: dict[str, onnx.TensorProto] = {}
        self._add_weights()

    def input(self, name: str, shape: list[int | str]) -> None:
        """Declare a float32 input."""
        self._inputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape))

    def output(self, name: str, shape: list[int | str]) -> None:
        """Declare a float32 output, to be made by a node of that name."""
        self._outputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape))

    def constant(self, name: str, value: Any) -> str:
        """Store an array, as float32 or int64, under a name. Returns the name."""
        array = np.asarray(value)
        array = array.astype(np.int64 if array.dtype.kind == "i" else np.float32)
        self._constants[name] = numpy_helper.from_array(np.ascontiguousarray(array), name)
        return name

    def node(self, operator: str, *inputs: str, output: str | None = None, **attributes: Any) -> str:
        """Add a node with one output. Returns the output's name."""
        output = output or f"{operator.lower()}_{len(self._nodes)}"
        self._nodes.append(helper.make_node(operator, list(inputs), [output], name=output, **attributes))
        return output

    def forward(self, x: str) -> list[str]:
        """PulseNet up to its last hidden layer. x: units of X.

        Returns the names of its five layers' outputs after their ReLU.
        """
        h1 = self._convolve_relu(x, "conv1")
        h2 = self._convolve_relu(h1, "conv2")
        h3 = self._convolve_relu(self._pool(h2), "conv3")
        h4 = self._convolve_relu(h3, "conv4")
        flat = self.node("Flatten", self._pool(h4), axis=1)
        h5 = self.node("Relu", self.node("Gemm", flat, "dense1.weight", "dense1.bias", transB=1))
        return [h1, h2, h3, h4, h5]

    def value(self, tape: list[str], output: str | None = None) -> str:
        """PulseNet's output y (B,) from its last hidden layer."""
        y = self.node("Gemm", tape[4], "dense2.weight", "dense2.bias", transB=1)
        return self.node("Reshape", y, self.constant("flat", [-1]), output=output)

    def backward(self, tape: list[str], output: str | None = None) -> str:
        """dy/dX (B, 3, 36, 36), per unit of X, at the point of a forward pass."""
        h1, h2, h3, h4, h5 = tape
        g = self.node("Mul", self.node("Sign", h5), "dense2.weight")
        g = self.node("Reshape", self.node("Gemm", g, "dense1.weight"), "pooled_shape")
        # The product with the pools' share would be free in a kernel. Here it takes the small picture into
        # the blocks of channels, in which the unpooling after it then stays.
        g = self._scale(g, "pool_share", "conv4")
        g = self._masked(self._unpool(g), h4, "conv4")
        g = self._masked(self._convolve(g, "conv4.flipped"), h3, "conv3")
        g = self._convolve(g, "conv3.flipped")
        g = self._masked(self._unpool(g), h2, "conv2")
        g = self._masked(self._convolve(g, "conv2.flipped"), h1, "conv1")
        return self.node("ConvTranspose", g, "conv1.weight", output=output, **_SAME)

    def model(self, name: str, properties: dict[str, str]) -> onnx.ModelProto:
        """The model with its metadata, checked.

        Raises an error of onnx's checker or shape inference if the weights' shapes do not fit together.
        """
        constants = list(self._constants.values())
        model = helper.make_model(
            helper.make_graph(self._nodes, name, self._inputs, self._outputs, constants),
            opset_imports=[helper.make_opsetid("", OPSET)],
            ir_version=IR_VERSION,
            producer_name="deepmag",
        )
        helper.set_model_props(model, properties)
        onnx.checker.check_model(model, full_check=True)
        return model

    def _add_weights(self) -> None:
        for layer in ("conv1", "conv2", "conv3", "conv4"):
            kernel = self._weight(f"{layer}.weight")
            if layer == "conv1":
                kernel = kernel / np.float32(INPUT_SCALE)
            else:
                self.constant(f"{layer}.flipped", kernel[:, :, ::-1, ::-1].transpose(1, 0, 2, 3))
            self.constant(f"{layer}.weight", kernel)
            self.constant(f"{layer}.bias", self._weight(f"{layer}.bias"))
        for name in ("dense1.weight", "dense1.bias", "dense2.weight", "dense2.bias"):
            self.constant(name, self._weight(name))
        for layer in ("conv2", "conv4"):
            self.constant(f"open_{self._channels(layer)}", self._per_channel(layer, OPEN_GAIN))
        self.constant(f"pool_share_{self._channels('conv4')}", self._per_channel("conv4", POOL_SHARE))
        self.constant("zero", 0.0)
        self.constant("one", 1.0)
        self.constant("double", [1.0, 1.0, 2.0, 2.0])
        self.constant("pooled_shape", [-1, self._channels("conv4"), L // 4, L // 4])

    def _weight(self, name: str) -> NDArray[np.float32]:
        if name not in self._weights:
            raise ValueError(f"the pulse network's weights lack {name}")
        return np.asarray(self._weights[name], dtype=np.float32)

    def _channels(self, layer: str) -> int:
        return len(self._weight(f"{layer}.bias"))

    def _per_channel(self, layer: str, value: float) -> NDArray[np.float32]:
        return np.full((self._channels(layer), 1, 1, 1), value, dtype=np.float32)

    def _convolve_relu(self, x: str, layer: str) -> str:
        return self.node("Relu", self._convolve(x, f"{layer}.weight", f"{layer}.bias"))

    def _convolve(self, x: str, *parameters: str) -> str:
        return self.node("Conv", x, *parameters, **_SAME)

    def _pool(self, x: str) -> str:
        return self.node("AveragePool", x, kernel_shape=[2, 2], strides=[2, 2])

    def _unpool(self, g: str) -> str:
        return self.node("Resize", g, "", "double", **_NEAREST)

    def _scale(self, x: str, gain: str, layer: str) -> str:
        """Multiply x by a constant, as a convolution of each channel by itself, which stays in the blocks."""
        channels = self._channels(layer)
        return self.node("Conv", x, f"{gain}_{channels}", kernel_shape=[1, 1], group=channels)

    def _masked(self, g: str, activation: str, layer: str) -> str:
        """A gradient where the ReLU with this output was open, else 0."""
        opened = self.node("Clip", self._scale(activation, "open", layer), "zero", "one")
        return self.node("Mul", g, opened)


_SAME: dict[str, Any] = {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}
_NEAREST: dict[str, Any] = {
    "mode": "nearest",
    "nearest_mode": "floor",
    "coordinate_transformation_mode": "asymmetric",
}
