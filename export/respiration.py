"""What runs the network of respiration. Five times a second is slow enough for torch, on a CPU too."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch

from deepmag.export.runtime import AscenderUnavailableError, load_weights
from deepmag.models.networks import RespirationNet
from deepmag.models.phase import SIDE
from deepmag.models.pyramid import ORIENTATIONS
from deepmag.models.respiration_ascent import ascend_paper, respiration_gradient
from deepmag.models.step_size import PAPER_ITERATIONS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from deepmag.export.runtime import Device

_log = logging.getLogger("deepmag.export.respiration")


class RespirationAscender:
    """RespirationNet and its gradient on frame pairs, each on its own. Arrays are float32."""

    def __init__(
        self,
        weights: Mapping[str, NDArray[np.float32]],
        device: Literal["cpu", "cuda"],
        paper_iterations: int = PAPER_ITERATIONS,
    ) -> None:
        """weights: RespirationNet's, by name. Raises AscenderUnavailableError, and ValueError for other weights."""
        if device == "cuda" and not torch.cuda.is_available():
            raise AscenderUnavailableError("this torch cannot use the GPU: install a torch built for CUDA")
        self._device = torch.device(device)
        self._paper_iterations = paper_iterations
        tensors = {name: torch.from_numpy(np.array(array)) for name, array in weights.items()}
        try:
            self._net = RespirationNet.from_weights(tensors).to(self._device)
        except RuntimeError as error:
            raise ValueError(f"these are not the weights of a RespirationNet: {error}") from error
        self.description = f"torch CUDA ({torch.cuda.get_device_name()})" if device == "cuda" else "torch CPU"

    def gradient(
        self, x: NDArray[np.float32], weight: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """x: (B, 4, 123, 123) phase differences, rad. weight: like x. Returns y (B,) and dy/dX like x, per rad.

        Raises ValueError for other shapes.
        """
        _check(x, weight)
        y, gradient = respiration_gradient(self._net, self._tensor(x), self._tensor(weight))
        return y.cpu().numpy(), gradient.cpu().numpy()

    def paper(
        self, x: NDArray[np.float32], weight: NDArray[np.float32], gamma: float
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Eq. 4 on pairs and their weights, as for `gradient`. gamma: step, rad. Returns X_N - X_1 like x, and y (B,).

        Raises ValueError for other shapes.
        """
        _check(x, weight)
        given = self._tensor(x), self._tensor(weight)
        added, y = ascend_paper(self._net, *given, gamma, self._paper_iterations)
        return added.cpu().numpy(), y.cpu().numpy()

    def _tensor(self, array: NDArray[np.float32]) -> torch.Tensor:
        # a copy: a caller's read-only array must not become a writable tensor
        return torch.from_numpy(np.array(array, np.float32)).to(self._device)


def _check(x: NDArray[np.float32], weight: NDArray[np.float32]) -> None:
    if x.shape[1:] != (ORIENTATIONS, SIDE, SIDE) or x.ndim != 4 or weight.shape != x.shape:
        raise ValueError(
            f"expected pairs and weights of shape (B, {ORIENTATIONS}, {SIDE}, {SIDE}), "
            f"not {x.shape} and {weight.shape}"
        )


def open_respiration_ascender(
    weights: Path | Mapping[str, NDArray[np.float32]], device: Device = "auto"
) -> RespirationAscender:
    """Open the network on the GPU where torch can use one, else on the CPU.

    weights: RespirationNet's, as a safetensors file or as arrays by name. Raises AscenderUnavailableError where the
    wanted device is not there, OSError for a file that cannot be read, ValueError for one that holds other weights.
    """
    arrays = load_weights(weights) if isinstance(weights, Path) else weights
    where: Literal["cpu", "cuda"] = "cpu"
    if device == "cuda" or (device == "auto" and torch.cuda.is_available()):
        where = "cuda"
    ascender = RespirationAscender(arrays, where)
    _log.info("respiration runs in %s", ascender.description)
    return ascender
