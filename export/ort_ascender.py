"""The ascent in ONNX Runtime, on the CPU or by its CUDA provider."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from deepmag.export.graph import paper_graph, steady_graph
from deepmag.export.ort_session import SPIN, open_session
from deepmag.export.pairs import per_pair, require_pairs

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from deepmag.export.device import Device


class OrtAscender:
    """See ``deepmag.export.runtime.Ascender``.

    Both modes are opened at once, so that changing the mode costs no time.
    """

    def __init__(
        self,
        weights: Mapping[str, NDArray[np.float32]],
        device: Device,
        threads: int,
        paper_iterations: int,
        steady_iterations: int,
        *,
        spin: int = SPIN,
    ) -> None:
        """Raise AscenderUnavailableError if CUDA is wanted and its provider does not start. spin: us."""
        self._cuda = device.is_gpu
        paper, steady = paper_graph(weights, paper_iterations), steady_graph(weights, steady_iterations)
        self._paper, self._steady = (
            open_session(graph.SerializeToString(), device, threads, spin=spin, batch=1)
            for graph in (paper, steady)
        )
        plural = "" if threads == 1 else "s"
        self.description = (
            f"onnxruntime CUDA, GPU {device.index}"
            if self._cuda
            else f"onnxruntime CPU, {threads} thread{plural}"
        )

    def paper(self, x: NDArray[np.float32], gamma: float) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Eq. 4 (see Ascender.paper)."""
        x = require_pairs(x)
        dx, y = self._run(self._paper, {"x": x}, {"gamma": np.array(gamma, dtype=np.float32)})
        return dx, y

    def steady(
        self, x: NDArray[np.float32], direction: NDArray[np.float32], growth: float | NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
        """Steps of growth * y * direction (see Ascender.steady)."""
        x = require_pairs(x)
        direction = require_pairs(direction, len(x))
        dx, y, grad = self._run(
            self._steady, {"x": x, "direction": direction, "growth": per_pair(growth, len(x))}, {}
        )
        return dx, y, grad

    def _run(
        self,
        session: Any,
        batched: dict[str, NDArray[np.float32]],
        shared: dict[str, NDArray[np.float32]],
    ) -> list[NDArray[np.float32]]:
        """Run the graph on all pairs: one after the other on the CPU, whose session is made for one pair."""
        pairs = len(batched["x"])
        if self._cuda or pairs == 1:
            outputs: list[NDArray[np.float32]] = session.run(None, batched | shared)
            return outputs
        runs = [
            session.run(None, {name: array[i : i + 1] for name, array in batched.items()} | shared)
            for i in range(pairs)
        ]
        return [np.concatenate(parts) for parts in zip(*runs, strict=True)]
