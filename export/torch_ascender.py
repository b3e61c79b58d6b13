"""The ascent in torch: where ONNX Runtime is missing, or only torch can use the GPU.

On a GPU every ascent is one CUDA graph, of our own kernels where Triton is there to compile them.
"""

from __future__ import annotations

import logging
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch

from deepmag.export.pairs import per_pair, require_pairs
from deepmag.export.torch_device import on_device, open_torch_device, torch_description
from deepmag.models.ascent import ascend_paper, ascend_steady
from deepmag.models.networks import PulseNet
from deepmag.models.representation import L

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from deepmag.export.device import Device

Tensors = tuple[torch.Tensor, ...]

_log = logging.getLogger("deepmag.export.torch_ascender")


class Pulse(Protocol):
    """A pulse network's ascents on tensors; see ``models.ascent``. gamma, growth: (B,)."""

    def ascend_paper(self, x: torch.Tensor, gamma: torch.Tensor, iterations: int) -> Tensors:
        """Eq. 4."""

    def ascend_steady(
        self, x: torch.Tensor, direction: torch.Tensor, growth: torch.Tensor, iterations: int
    ) -> Tensors:
        """Steps of growth * y * direction."""


class PlainPulse:
    """Implements ``Pulse`` by torch's own operators."""

    def __init__(self, net: PulseNet) -> None:
        self._net = net

    def ascend_paper(self, x: torch.Tensor, gamma: torch.Tensor, iterations: int) -> Tensors:
        """See ``Pulse``."""
        with _full_precision():
            return ascend_paper(self._net, x, gamma, iterations)

    def ascend_steady(
        self, x: torch.Tensor, direction: torch.Tensor, growth: torch.Tensor, iterations: int
    ) -> Tensors:
        """See ``Pulse``."""
        with _full_precision():
            return ascend_steady(self._net, x, direction, growth, iterations)


class TorchAscender:
    """See ``deepmag.export.runtime.Ascender``; also a ``models.steady.WholeAscent``."""

    def __init__(
        self,
        weights: Mapping[str, NDArray[np.float32]],
        device: Device,
        threads: int,
        paper_iterations: int,
        steady_iterations: int,
        *,
        makers: Sequence[Callable[[PulseNet], Pulse]] | None = None,
    ) -> None:
        """Raise AscenderUnavailableError if CUDA is wanted and torch has none, ValueError for other weights.

        threads: becomes the whole process's number, since torch has only one. makers: of what can run the network, the
        fastest first; the first that works is taken.
        """
        self._device = open_torch_device(device)
        if not device.is_gpu:
            torch.set_num_threads(threads)
        self._iterations = (paper_iterations, steady_iterations)
        tensors = {name: torch.from_numpy(np.array(array)) for name, array in weights.items()}
        try:
            net = PulseNet.from_weights(tensors).to(self._device)
        except RuntimeError as error:
            raise ValueError(f"these are not the weights of a PulseNet: {error}") from error
        plural = "" if threads == 1 else "s"
        self.description = torch_description(device) + (
            "" if device.is_gpu else f", {threads} thread{plural}"
        )
        if makers is None:
            makers = (_fused, PlainPulse) if device.is_gpu else (PlainPulse,)
        for make in makers[:-1]:
            try:
                self._open(make(net))
            except Exception as error:  # Triton's, the compiler's and the driver's have no base of their own
                reason = str(error).partition("\n")[0] or type(error).__name__
                _log.warning("torch's own operators run the ascent, several times slower: %s", reason)
            else:
                return
        self._open(makers[-1](net))

    def _open(self, pulse: Pulse) -> None:
        pair = (3, L, L)
        paper, steady = self._iterations
        self._paper = on_device(partial(pulse.ascend_paper, iterations=paper), (pair, ()), self._device)
        ascend = partial(pulse.ascend_steady, iterations=steady)
        self._steady = on_device(ascend, (pair, pair, ()), self._device, warm=())
        # two: from there on kernels are made for many pairs, which is not to be met in the middle of a stream
        self._symmetric = on_device(
            partial(_ascend_symmetric, ascend), (pair, pair, ()), self._device, warm=(1, 2)
        )

    def paper(self, x: NDArray[np.float32], gamma: float) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Eq. 4 (see Ascender.paper)."""
        x = require_pairs(x)
        dx, y = self._paper(x, per_pair(gamma, len(x)))
        return dx, y

    def steady(
        self, x: NDArray[np.float32], direction: NDArray[np.float32], growth: float | NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
        """Steps of growth * y * direction (see Ascender.steady)."""
        return self._along(self._steady, x, direction, growth)

    def symmetric(
        self, x: NDArray[np.float32], direction: NDArray[np.float32], growth: float | NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
        """See ``models.steady.WholeAscent``."""
        return self._along(self._symmetric, x, direction, growth)

    def _along(
        self,
        ascend: Callable[..., list[NDArray[np.float32]]],
        x: NDArray[np.float32],
        direction: NDArray[np.float32],
        growth: float | NDArray[np.float32],
    ) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
        x = require_pairs(x)
        direction = require_pairs(direction, len(x))
        dx, y, gradient = ascend(x, direction, per_pair(growth, len(x)))
        return dx, y, gradient


def _fused(net: PulseNet) -> Pulse:
    from deepmag.export.fused_pulse import FusedPulse  # only here: there is no Triton without a GPU

    _log.info("the kernels for the GPU are being made, which takes some ten seconds the first time")
    return FusedPulse(net)


def _ascend_symmetric(
    ascend: Callable[..., Tensors], x: torch.Tensor, direction: torch.Tensor, growth: torch.Tensor
) -> Tensors:
    """As ``models.steady.ascend_symmetric``, of all four images of X at once."""
    mirrored, along = x.flip(-1), direction.flip(-1)
    dx, y, gradient = ascend(
        torch.cat([x, -x, mirrored, -mirrored]),
        torch.cat([direction, direction, along, along]),
        growth.repeat(4),
    )
    up, down, up_mirrored, down_mirrored = dx.chunk(4)
    y_up, y_down, y_up_mirrored, y_down_mirrored = y.chunk(4)
    above, below, above_mirrored, below_mirrored = gradient.chunk(4)
    return (
        0.25 * (up - down + (up_mirrored - down_mirrored).flip(-1)),
        0.25 * (y_up - y_down + y_up_mirrored - y_down_mirrored),
        0.25 * (above + below + (above_mirrored + below_mirrored).flip(-1)),
    )


@contextmanager
def _full_precision() -> Iterator[None]:
    """CUDA convolutions without TF32, whose ten bits of mantissa lose the gradient over twenty iterations."""
    with torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=False, allow_tf32=False):
        yield
