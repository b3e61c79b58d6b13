"""The ascent in ONNX Runtime, on the CPU or by its CUDA or TensorRT provider."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from deepmag.export.graph import paper_graph, steady_graph
from deepmag.export.ort_bound import BoundSession
from deepmag.export.ort_session import NAMES, SPIN, Provider, open_session
from deepmag.export.pairs import per_pair, require_pairs
from deepmag.export.runtime import AscenderUnavailableError
from deepmag.models.representation import L

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from deepmag.export.device import Device

    Arrays = Mapping[str, NDArray[np.float32]]


class OrtAscender:
    """See ``deepmag.export.runtime.Ascender``.

    Both modes are opened at once, so that changing the mode costs no time.
    """

    def __init__(
        self,
        weights: Arrays,
        device: Device,
        threads: int,
        paper_iterations: int,
        steady_iterations: int,
        *,
        spin: int = SPIN,
        provider: Provider | None = None,
    ) -> None:
        """Raise AscenderUnavailableError if the provider does not start (see `open_session`). spin: us."""
        graphs = paper_graph(weights, paper_iterations), steady_graph(weights, steady_iterations)
        self._paper, self._steady = (
            partial(_one_by_one, session) if not device.is_gpu else BoundSession(session, device).run
            for session in (
                open_session(
                    graph.SerializeToString(),
                    device,
                    threads,
                    spin=spin,
                    batch=1,
                    provider=provider,
                    captured=True,
                )
                for graph in graphs
            )
        )
        plural = "" if threads == 1 else "s"
        self.description = f"onnxruntime CPU, {threads} thread{plural}"
        if device.is_gpu:
            self.description = f"onnxruntime {NAMES[provider or 'cuda']}, GPU {device.index}"
            self._warm_up()

    def _warm_up(self) -> None:
        """Run both modes: a GPU's kernels are chosen or made in the first run, and libraries found to be missing."""
        nothing = np.zeros((1, 3, L, L), np.float32)
        try:
            self.paper(nothing, 0.0)
            self.steady(nothing, nothing, 0.0)
        except Exception as error:  # the binding's exceptions have no common base of their own
            reason = str(error).partition("\n")[0]
            raise AscenderUnavailableError(f"{self.description} cannot run the ascent: {reason}") from error

    def paper(self, x: NDArray[np.float32], gamma: float) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Eq. 4 (see Ascender.paper)."""
        x = require_pairs(x)
        dx, y = self._paper({"x": x}, {"gamma": np.array(gamma, dtype=np.float32)})
        return dx, y

    def steady(
        self, x: NDArray[np.float32], direction: NDArray[np.float32], growth: float | NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
        """Steps of growth * y * direction (see Ascender.steady)."""
        x = require_pairs(x)
        direction = require_pairs(direction, len(x))
        dx, y, grad = self._steady({"x": x, "direction": direction, "growth": per_pair(growth, len(x))}, {})
        return dx, y, grad


def _one_by_one(session: Any, batched: Arrays, shared: Arrays) -> list[NDArray[np.float32]]:
    """Run a session that is made for one pair on all of them, one after the other."""
    runs = [
        session.run(None, {name: array[i : i + 1] for name, array in batched.items()} | dict(shared))
        for i in range(len(batched["x"]))
    ]
    return runs[0] if len(runs) == 1 else [np.concatenate(parts) for parts in zip(*runs, strict=True)]
