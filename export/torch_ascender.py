"""The ascent in torch: where ONNX Runtime is missing, or only torch can use the GPU."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch

from deepmag.export.pairs import per_pair, require_pairs
from deepmag.export.runtime import AscenderUnavailableError
from deepmag.models.ascent import ascend_paper, ascend_steady
from deepmag.models.networks import PulseNet

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray


class TorchAscender:
    """See ``deepmag.export.runtime.Ascender``."""

    def __init__(
        self,
        weights: Mapping[str, NDArray[np.float32]],
        device: Literal["cpu", "cuda"],
        threads: int,
        paper_iterations: int,
        steady_iterations: int,
    ) -> None:
        """Raise AscenderUnavailableError if CUDA is wanted and torch has none.

        threads: becomes the whole process's number, since torch has only one.
        """
        if device == "cuda" and not torch.cuda.is_available():
            raise AscenderUnavailableError("this torch cannot use the GPU: install a torch built for CUDA")
        if device == "cpu":
            torch.set_num_threads(threads)
        self._device = torch.device(device)
        self._iterations = (paper_iterations, steady_iterations)
        tensors = {name: torch.from_numpy(np.array(array)) for name, array in weights.items()}
        self._net = PulseNet.from_weights(tensors).to(self._device)
        plural = "" if threads == 1 else "s"
        self.description = (
            f"torch CUDA ({torch.cuda.get_device_name()})"
            if device == "cuda"
            else f"torch CPU, {threads} thread{plural}"
        )

    def paper(self, x: NDArray[np.float32], gamma: float) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Eq. 4 (see Ascender.paper)."""
        with _full_precision():
            dx, y = ascend_paper(self._net, self._tensor(require_pairs(x)), gamma, self._iterations[0])
        return _array(dx), _array(y)

    def steady(
        self, x: NDArray[np.float32], direction: NDArray[np.float32], growth: float | NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
        """Steps of growth * y * direction (see Ascender.steady)."""
        x = require_pairs(x)
        direction = require_pairs(direction, len(x))
        with _full_precision():
            dx, y, grad = ascend_steady(
                self._net,
                self._tensor(x),
                self._tensor(direction),
                self._tensor(per_pair(growth, len(x))),
                self._iterations[1],
            )
        return _array(dx), _array(y), _array(grad)

    def _tensor(self, array: NDArray[np.float32]) -> torch.Tensor:
        # A copy: a caller's read-only array must not become a writable tensor.
        return torch.from_numpy(array.copy()).to(self._device)


def _array(tensor: torch.Tensor) -> NDArray[np.float32]:
    array: NDArray[np.float32] = tensor.cpu().numpy()
    return array


@contextmanager
def _full_precision() -> Iterator[None]:
    """CUDA convolutions without TF32, whose ten bits of mantissa lose the gradient over twenty iterations."""
    with torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=False, allow_tf32=False):
        yield
