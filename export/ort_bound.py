"""A session of ONNX Runtime whose inputs and outputs lie on its GPU: written once, read once, nothing in between.

Without that, ONNX Runtime takes new memory for each input and output of each run, and cannot capture it as a CUDA
graph. Memory is taken for 1, 2, 4, ... pairs, and what is between is padded, so that a provider which makes its kernels
for a shape makes few.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import onnxruntime as ort

from deepmag.export.pairs import padded, turns

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from deepmag.export.device import Device


@dataclass(frozen=True, slots=True)
class _Bound:
    """Memory on the device for a number of pairs, by name, bound to a session."""

    binding: Any
    options: Any
    inputs: dict[str, Any]
    outputs: dict[str, Any]


class BoundSession:
    """Runs a session on frame pairs, each on its own. For any number of threads, one at a time.

    session: of a graph whose outputs are float32, (batch, ...). device: that of its first provider.
    """

    def __init__(self, session: Any, device: Device) -> None:
        self._session = session
        self._place = ("cpu", 0) if device.index is None else ("cuda", device.index)
        self._bound: dict[int, _Bound] = {}
        self._lock = threading.Lock()

    def run(
        self, batched: Mapping[str, NDArray[np.float32]], shared: Mapping[str, NDArray[np.float32]]
    ) -> list[NDArray[np.float32]]:
        """The outputs, as arrays of one's own. batched: inputs (B, ...). shared: inputs of all pairs together."""
        parts: list[list[NDArray[np.float32]]] = []
        with self._lock:
            for which, size in turns(len(next(iter(batched.values())))):
                parts.append(
                    self._turn({name: array[which] for name, array in batched.items()}, shared, size)
                )
        return [np.concatenate(part) if len(part) > 1 else part[0] for part in zip(*parts, strict=True)]

    def _turn(
        self,
        batched: Mapping[str, NDArray[np.float32]],
        shared: Mapping[str, NDArray[np.float32]],
        size: int,
    ) -> list[NDArray[np.float32]]:
        count = len(next(iter(batched.values())))
        given = {name: padded(array, size) for name, array in batched.items()} | dict(shared)
        if size not in self._bound:
            self._bound[size] = self._bind(given, size)
        bound = self._bound[size]
        for name, array in given.items():
            bound.inputs[name].update_inplace(array)
        bound.binding.synchronize_inputs()
        self._session.run_with_iobinding(bound.binding, bound.options)
        bound.binding.synchronize_outputs()
        return [value.numpy()[:count].copy() for value in bound.outputs.values()]

    def _bind(self, given: Mapping[str, NDArray[np.float32]], size: int) -> _Bound:
        binding = self._session.io_binding()
        inputs = {name: self._memory(array.shape) for name, array in given.items()}
        outputs = {
            output.name: self._memory((size, *output.shape[1:])) for output in self._session.get_outputs()
        }
        for name, value in inputs.items():
            binding.bind_ortvalue_input(name, value)
        for name, value in outputs.items():
            binding.bind_ortvalue_output(name, value)
        options = ort.RunOptions()
        # where the session captures graphs: one a size
        options.add_run_config_entry("gpu_graph_id", str(size))
        return _Bound(binding, options, inputs, outputs)

    def _memory(self, shape: tuple[int, ...]) -> Any:
        # not from the array: on a CPU that would be the caller's own memory
        return ort.OrtValue.ortvalue_from_shape_and_type(shape, np.float32, *self._place)
