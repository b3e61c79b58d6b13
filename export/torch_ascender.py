"""The ascent in torch: where ONNX Runtime is missing, or only torch can use the GPU.

On a GPU every ascent is one CUDA graph.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
import torch

from deepmag.export.pairs import per_pair, require_pairs
from deepmag.export.torch_device import on_device, open_torch_device, torch_description
from deepmag.models.ascent import ascend_paper, ascend_steady
from deepmag.models.networks import PulseNet
from deepmag.models.representation import L

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

    from deepmag.export.device import Device


class TorchAscender:
    """See ``deepmag.export.runtime.Ascender``."""

    def __init__(
        self,
        weights: Mapping[str, NDArray[np.float32]],
        device: Device,
        threads: int,
        paper_iterations: int,
        steady_iterations: int,
    ) -> None:
        """Raise AscenderUnavailableError if CUDA is wanted and torch has none.

        threads: becomes the whole process's number, since torch has only one.
        """
        self._device = open_torch_device(device)
        if not device.is_gpu:
            torch.set_num_threads(threads)
        self._iterations = (paper_iterations, steady_iterations)
        tensors = {name: torch.from_numpy(np.array(array)) for name, array in weights.items()}
        self._net = PulseNet.from_weights(tensors).to(self._device)
        plural = "" if threads == 1 else "s"
        self.description = torch_description(device) + (
            "" if device.is_gpu else f", {threads} thread{plural}"
        )
        pair = (3, L, L)
        self._paper = on_device(self._ascend_paper, (pair, ()), self._device)
        self._steady = on_device(self._ascend_steady, (pair, pair, ()), self._device)

    def paper(self, x: NDArray[np.float32], gamma: float) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Eq. 4 (see Ascender.paper)."""
        x = require_pairs(x)
        dx, y = self._paper(x, per_pair(gamma, len(x)))
        return dx, y

    def steady(
        self, x: NDArray[np.float32], direction: NDArray[np.float32], growth: float | NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
        """Steps of growth * y * direction (see Ascender.steady)."""
        x = require_pairs(x)
        direction = require_pairs(direction, len(x))
        dx, y, gradient = self._steady(x, direction, per_pair(growth, len(x)))
        return dx, y, gradient

    def _ascend_paper(self, x: torch.Tensor, gamma: torch.Tensor) -> tuple[torch.Tensor, ...]:
        with _full_precision():
            return ascend_paper(self._net, x, gamma, self._iterations[0])

    def _ascend_steady(
        self, x: torch.Tensor, direction: torch.Tensor, growth: torch.Tensor
    ) -> tuple[torch.Tensor, ...]:
        with _full_precision():
            return ascend_steady(self._net, x, direction, growth, self._iterations[1])


@contextmanager
def _full_precision() -> Iterator[None]:
    """CUDA convolutions without TF32, whose ten bits of mantissa lose the gradient over twenty iterations."""
    with torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=False, allow_tf32=False):
        yield
