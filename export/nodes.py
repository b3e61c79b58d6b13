"""An ONNX graph under construction: nodes, constants, inputs and outputs."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

OPSET = 17
IR_VERSION = 8
# attributes of a 3 x 3 convolution that keeps the picture's size, and of a resize that repeats each pixel
SAME: dict[str, Any] = {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}
NEAREST: dict[str, Any] = {
    "mode": "nearest",
    "nearest_mode": "floor",
    "coordinate_transformation_mode": "asymmetric",
}
BEFORE_FIRST = -(2**31)  # where a slice that runs backward ends, to hold the first element too

Precision = Literal["fp32", "fp16"]
Shape = list[int | str]

_TYPES: dict[str, int] = {"fp32": TensorProto.FLOAT, "fp16": TensorProto.FLOAT16}


class Nodes:
    """What a graph is made of, in the order in which it is made.

    precision: of the floating-point constants, and of what is computed between `narrow` and `widen`. prefix: of the
    names that it makes up, for a graph inside another: no two values of a model may share a name.
    """

    def __init__(self, precision: Precision = "fp32", prefix: str = "") -> None:
        self.precision = precision
        self._prefix = prefix
        self._nodes: list[onnx.NodeProto] = []
        self._inputs: list[onnx.ValueInfoProto] = []
        self._outputs: list[onnx.ValueInfoProto] = []
        self._constants: dict[str, onnx.TensorProto] = {}
        self._flipped: set[str] = set()

    def input(self, name: str, shape: Shape, kind: int = TensorProto.FLOAT) -> str:
        """Declare an input, float32 unless another of TensorProto's types is given. Returns its name."""
        self._inputs.append(helper.make_tensor_value_info(name, kind, shape))
        return name

    def output(self, name: str, shape: Shape, kind: int = TensorProto.FLOAT) -> None:
        """Declare an output, to be made by a node of that name."""
        self._outputs.append(helper.make_tensor_value_info(name, kind, shape))

    def constant(self, name: str, value: Any, *, wide: bool = False) -> str:
        """Store an array under a name: integers as int64, floats in the graph's precision. Returns the name.

        wide: float32 whatever the precision.
        """
        array = np.asarray(value)
        if array.dtype.kind == "i":
            array = array.astype(np.int64)
        elif array.dtype.kind == "f":
            array = array.astype(np.float16 if self.precision == "fp16" and not wide else np.float32)
        self._constants[name] = numpy_helper.from_array(np.array(array, order="C"), name)
        return name

    def node(self, operator: str, *inputs: str, output: str | None = None, **attributes: Any) -> str:
        """Add a node. Returns its output's name."""
        output = output or f"{self._prefix}{operator.lower()}_{len(self._nodes)}"
        self._nodes.append(helper.make_node(operator, list(inputs), [output], name=output, **attributes))
        return output

    def loop(self, trips: str, carried: list[str], body: onnx.GraphProto, outputs: list[str]) -> None:
        """Run a body ``trips`` times. carried: what its state starts as. outputs: names of what it ends as."""
        self._nodes.append(
            helper.make_node(
                "Loop", [trips, self.constant("always", True), *carried], outputs, name=body.name, body=body
            )
        )

    def flipped(self, kernel: str) -> str:
        """A convolution's kernel as its backward pass needs it: turned by half, its channels swapped.

        Of the stored one, so that no weight is stored twice; ONNX Runtime does it once, when it loads the graph.
        """
        name = f"{kernel}.flipped"
        if name not in self._flipped:
            self._flipped.add(name)
            last, first = self.constant("last", [-1, -1]), self.constant("before_first", [BEFORE_FIRST] * 2)
            turned = self.node("Slice", kernel, last, first, self.constant("rows_and_columns", [2, 3]), last)
            self.node("Transpose", turned, perm=[1, 0, 2, 3], output=name)
        return name

    def narrow(self, x: str) -> str:
        """A float32 value in the graph's precision."""
        return x if self.precision == "fp32" else self.node("Cast", x, to=_TYPES[self.precision])

    def widen(self, x: str) -> str:
        """A value of the graph's precision as float32."""
        return x if self.precision == "fp32" else self.node("Cast", x, to=TensorProto.FLOAT)

    def graph(self, name: str) -> onnx.GraphProto:
        """All that was added, as a graph."""
        constants = list(self._constants.values())
        return helper.make_graph(self._nodes, name, self._inputs, self._outputs, constants)

    def model(self, name: str, properties: dict[str, str]) -> onnx.ModelProto:
        """The model with its metadata, checked.

        Raises an error of onnx's checker or shape inference if the weights' shapes do not fit together.
        """
        model = helper.make_model(
            self.graph(name),
            opset_imports=[helper.make_opsetid("", OPSET)],
            ir_version=IR_VERSION,
            producer_name="deepmag",
        )
        helper.set_model_props(model, properties)
        onnx.checker.check_model(model, full_check=True)
        return model
