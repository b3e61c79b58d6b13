"""Respiration's network in torch: captured on a GPU; on the CPU where ONNX Runtime is missing, or for comparison."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from deepmag.export.pairs import per_pair
from deepmag.export.torch_device import on_device, open_torch_device, torch_description
from deepmag.models.networks import RespirationNet
from deepmag.models.phase import SIDE
from deepmag.models.pyramid_filters import ORIENTATIONS
from deepmag.models.respiration_ascent import ascend_paper, respiration_gradient
from deepmag.models.step_size import PAPER_ITERATIONS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from deepmag.export.device import Device


class TorchRespiration:
    """Implements ``respiration.GradientAscender``."""

    def __init__(
        self,
        weights: Mapping[str, NDArray[np.float32]],
        device: Device,
        threads: int | None = None,
        paper_iterations: int = PAPER_ITERATIONS,
    ) -> None:
        """Raise AscenderUnavailableError where torch cannot use the device, and ValueError for other weights.

        weights: RespirationNet's, by name. threads: on a CPU; they become the whole process's, since torch has only
        one number, which None leaves as it is. paper_iterations: N of `paper`.
        """
        self._iterations = paper_iterations
        where = open_torch_device(device)
        if threads is not None and not device.is_gpu:
            torch.set_num_threads(threads)
        tensors = {name: torch.from_numpy(np.array(array)) for name, array in weights.items()}
        try:
            self._net = RespirationNet.from_weights(tensors).to(where)
        except RuntimeError as error:
            raise ValueError(f"these are not the weights of a RespirationNet: {error}") from error
        self.description = torch_description(device)
        pair = (ORIENTATIONS, SIDE, SIDE)
        self._gradient = on_device(
            lambda x, weight: respiration_gradient(self._net, x, weight), (pair, pair), where
        )
        self._paper = on_device(
            lambda x, weight, gamma: ascend_paper(self._net, x, weight, gamma, self._iterations),
            (pair, pair, ()),
            where,
        )

    def gradient(
        self, x: NDArray[np.float32], weight: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """See ``GradientAscender``."""
        _check(x, weight)
        y, gradient = self._gradient(x, weight)
        return y, gradient

    def paper(
        self, x: NDArray[np.float32], weight: NDArray[np.float32], gamma: float
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """See ``GradientAscender``."""
        _check(x, weight)
        added, y = self._paper(x, weight, per_pair(gamma, len(x)))
        return added, y


def _check(x: NDArray[np.float32], weight: NDArray[np.float32]) -> None:
    if x.shape[1:] != (ORIENTATIONS, SIDE, SIDE) or x.ndim != 4 or weight.shape != x.shape:
        raise ValueError(
            f"expected pairs and weights of shape (B, {ORIENTATIONS}, {SIDE}, {SIDE}), "
            f"not {x.shape} and {weight.shape}"
        )
