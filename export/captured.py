"""A function of frame pairs as CUDA graphs: captured once for a number of pairs, replayed with one launch.

An ascent is some three hundred small kernels; launched one by one they take longer to launch than to run. Pairs come
and go with the streams, so graphs are made for 1, 2, 4, ... pairs, and what is between is padded.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from deepmag.export.pairs import turns

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

WARM_UP = 3  # runs before the capture, in which libraries choose their kernels and take their memory


@dataclass(frozen=True, slots=True)
class _Graph:
    """sent, fetched: what it reads and writes, in pinned memory. given, results: their copies on the GPU."""

    graph: torch.cuda.CUDAGraph
    given: tuple[torch.Tensor, ...]
    results: tuple[torch.Tensor, ...]
    sent: tuple[torch.Tensor, ...]
    fetched: tuple[torch.Tensor, ...]


class Captured:
    """Calls a function on a GPU by replaying it.

    function: of tensors (B, ...) float32, returns tensors (B, ...) float32, each pair on its own, by kernels alone:
    nothing in it may wait for the GPU. shapes: of one pair in each argument. device: a GPU.
    """

    def __init__(
        self,
        function: Callable[..., tuple[torch.Tensor, ...]],
        shapes: Sequence[tuple[int, ...]],
        device: torch.device,
    ) -> None:
        self._function = function
        self._shapes = tuple(shapes)
        self._device = device
        self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        self._graphs: dict[int, _Graph] = {}
        self._lock = threading.Lock()

    def warm_up(self, pairs: int) -> None:
        """Capture the graph for so many pairs, so that the first frame need not wait for it."""
        with self._lock, torch.cuda.device(self._device), torch.cuda.stream(self._stream):
            for _, size in turns(pairs):
                self._graph(size)

    def __call__(self, *arrays: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        """Run it. arrays: (B, ...) float32, as many as there are shapes. Returns arrays of one's own."""
        parts: list[list[NDArray[np.float32]]] = []
        with self._lock, torch.cuda.device(self._device), torch.cuda.stream(self._stream):
            for which, size in turns(len(arrays[0])):
                parts.append(self._replay(self._graph(size), [array[which] for array in arrays]))
        return [np.concatenate(part) if len(part) > 1 else part[0] for part in zip(*parts, strict=True)]

    def _replay(self, made: _Graph, arrays: Sequence[NDArray[np.float32]]) -> list[NDArray[np.float32]]:
        count = len(arrays[0])
        for array, sent in zip(arrays, made.sent, strict=True):
            np.copyto(sent[:count].numpy(), array)
        made.graph.replay()
        self._stream.synchronize()
        return [fetched[:count].numpy().copy() for fetched in made.fetched]

    def _graph(self, size: int) -> _Graph:
        if size not in self._graphs:
            self._graphs[size] = self._capture(size)
        return self._graphs[size]

    def _capture(self, size: int) -> _Graph:
        given = tuple(torch.zeros((size, *shape), device=self._device) for shape in self._shapes)
        for _ in range(WARM_UP):
            results = self._function(*given)
        self._stream.synchronize()
        sent, fetched = (
            tuple(torch.zeros(one.shape, pin_memory=True) for one in tensors) for tensors in (given, results)
        )
        graph = torch.cuda.CUDAGraph()
        # The copies, too: launched one by one, each takes as long as some of the kernels. What other threads do
        # meanwhile, such as to pin memory, is none of it.
        with torch.cuda.graph(graph, stream=self._stream, capture_error_mode="thread_local"):
            for target, source in zip(given, sent, strict=True):
                target.copy_(source, non_blocking=True)
            results = self._function(*given)
            for target, source in zip(fetched, results, strict=True):
                target.copy_(source, non_blocking=True)
        return _Graph(graph, given, results, sent, fetched)
