"""On which side of zero each unit was: read off an exported model, and imposed on torch.

A ReLU or SELU has a kink at zero. Where a unit comes so near to it that rounding decides, two correct runtimes may take
different sides; the gradient then jumps, and what the ascent adds differs by up to some per cent in that pair. With the
model's sides imposed, torch computes what the model should have given to the last digits, and the units for which it
would have chosen the other side are counted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch.utils._python_dispatch import TorchDispatchMode

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

LAYER = "layer"  # what the outputs of activations are called in a model's loop, followed by their number
SUFFIX = "_open"
OPEN = 1e-30  # at least, of a ReLU that is imposed to be open

_RELU, _RELU_IN_PLACE = torch.ops.aten.relu.default, torch.ops.aten.relu_.default
_ELU, _ELU_BACKWARD = torch.ops.aten.elu.default, torch.ops.aten.elu_backward.default


def with_sides(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy of an exported model that also tells, per activation, which units were above zero.

    Its further outputs, "layer1_open" and so on, are bool, (evaluations of the network, B, ...).
    """
    result = onnx.ModelProto()
    result.CopyFrom(model)
    loop = next(node for node in result.graph.node if node.op_type == "Loop")
    body = next(attribute.g for attribute in loop.attribute if attribute.name == "body")
    layers = sorted(name for node in body.node for name in node.output if name.removeprefix(LAYER).isdigit())
    nothing = "layers_nothing"
    body.initializer.append(numpy_helper.from_array(np.zeros((), np.float32), nothing))
    for name in layers:
        wide = f"{name}_wide"  # a dense layer's may be half
        body.node.append(helper.make_node("Cast", [name], [wide], to=TensorProto.FLOAT))
        body.node.append(helper.make_node("Greater", [wide, nothing], [f"{name}{SUFFIX}"]))
        body.output.append(helper.make_tensor_value_info(f"{name}{SUFFIX}", TensorProto.BOOL, None))
        loop.output.append(f"{name}{SUFFIX}_all")
        result.graph.output.append(
            helper.make_tensor_value_info(f"{name}{SUFFIX}_all", TensorProto.BOOL, None)
        )
    return result


class Imposed(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Within it, torch's ReLUs and SELUs take the sides given, in their order.

    sides: (units) bool of each activation in the order of the forward passes. After it, ``differing`` units of
    ``units`` would have taken the other side, and the furthest of them was ``furthest`` of its layer's RMS from zero.
    """

    def __init__(self, sides: Sequence[NDArray[np.bool_]]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._sides = iter(sides)
        self._of_input: dict[int, torch.Tensor] = {}
        self.differing = self.units = 0
        self.furthest = 0.0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run one of torch's operators."""
        if func is _RELU or func is _RELU_IN_PLACE:
            side = self._next(args[0])
            output = torch.where(side, args[0].clamp_min(OPEN), torch.zeros_like(args[0]))
            return args[0].copy_(output) if func is _RELU_IN_PLACE else output
        if func is _ELU:
            x, alpha, scale = args
            side = self._of_input[x.data_ptr()] = self._next(x)
            return torch.where(side, scale * x, scale * alpha * torch.expm1(x))
        if func is _ELU_BACKWARD:
            gradient, alpha, scale, _, _, x = args
            side = self._of_input.pop(x.data_ptr())
            return gradient * torch.where(side, torch.full_like(x, scale), scale * alpha * torch.exp(x))
        return func(*args, **(kwargs or {}))

    def _next(self, x: torch.Tensor) -> torch.Tensor:
        side = torch.from_numpy(next(self._sides))
        other = (x > 0) != side
        self.differing += int(other.sum())
        self.units += x.numel()
        if other.any():
            nearness = x[other].abs().max() / x.square().mean().sqrt()
            self.furthest = max(self.furthest, float(nearness))
        return side
