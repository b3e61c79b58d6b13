"""What runs the network of respiration. Five times a second is slow enough for torch, on a CPU too."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch

from deepmag.export.device import CPU, devices_to_try
from deepmag.export.fallback import FallbackRespiration
from deepmag.export.pairs import per_pair
from deepmag.export.runtime import AscenderUnavailableError, load_weights
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
    from deepmag.export.runtime import DeviceName

_log = logging.getLogger("deepmag.export.respiration")


class GradientAscender(Protocol):
    """The network of respiration and its gradient; see `RespirationAscender`."""

    @property
    def description(self) -> str:
        """What runs."""
        ...

    def gradient(
        self, x: NDArray[np.float32], weight: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """x: (B, 4, SIDE, SIDE) rad. weight: like x. Returns y (B,) and dy/dX like x."""
        ...

    def paper(
        self, x: NDArray[np.float32], weight: NDArray[np.float32], gamma: float
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Eq. 4, for whole clips. x, weight: as for `gradient`. Returns X_N - X_1 like x, and y (B,)."""
        ...


class RespirationAscender:
    """RespirationNet and its gradient on frame pairs, each on its own. Arrays are float32."""

    def __init__(
        self,
        weights: Mapping[str, NDArray[np.float32]],
        device: Device,
        paper_iterations: int = PAPER_ITERATIONS,
    ) -> None:
        """weights: RespirationNet's, by name. paper_iterations: N of `paper`.

        Raises AscenderUnavailableError, and ValueError for other weights.
        """
        self._iterations = paper_iterations
        where = open_torch_device(device)
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
        """x: (B, 4, 123, 123) phase differences, rad. weight: like x. Returns y (B,) and dy/dX like x, per rad.

        Raises ValueError for other shapes.
        """
        _check(x, weight)
        y, gradient = self._gradient(x, weight)
        return y, gradient

    def paper(
        self, x: NDArray[np.float32], weight: NDArray[np.float32], gamma: float
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Eq. 4 on pairs and their weights, as for `gradient`. gamma: step, rad. Returns X_N - X_1 like x, and y (B,).

        Raises ValueError for other shapes.
        """
        _check(x, weight)
        added, y = self._paper(x, weight, per_pair(gamma, len(x)))
        return added, y


def _check(x: NDArray[np.float32], weight: NDArray[np.float32]) -> None:
    if x.shape[1:] != (ORIENTATIONS, SIDE, SIDE) or x.ndim != 4 or weight.shape != x.shape:
        raise ValueError(
            f"expected pairs and weights of shape (B, {ORIENTATIONS}, {SIDE}, {SIDE}), "
            f"not {x.shape} and {weight.shape}"
        )


def open_respiration_ascender(
    weights: Path | Mapping[str, NDArray[np.float32]],
    device: DeviceName = "auto",
    paper_iterations: int = PAPER_ITERATIONS,
) -> GradientAscender:
    """Open the network on the GPU where torch can use one, else on the CPU, where it also goes if the GPU fails.

    weights: RespirationNet's, as a safetensors file or as arrays by name. paper_iterations: N of `paper`. Raises
    AscenderUnavailableError where the wanted device is not there, OSError for a file that cannot be read, ValueError
    for one that holds other weights.
    """
    arrays = load_weights(weights) if isinstance(weights, Path) else weights
    refusals: list[str] = []
    for candidate in devices_to_try(device, refusals):
        try:
            ascender: GradientAscender = RespirationAscender(arrays, candidate, paper_iterations)
        except AscenderUnavailableError as refusal:
            refusals.append(str(refusal))
            continue
        if candidate.is_gpu:
            ascender = FallbackRespiration(
                ascender, lambda: RespirationAscender(arrays, CPU, paper_iterations)
            )
        _log.info("respiration runs in %s", ascender.description)
        return ascender
    raise AscenderUnavailableError("; ".join(refusals))
