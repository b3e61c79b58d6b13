"""A device as torch has it, and how a function of frame pairs runs there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from deepmag.export.captured import Captured
from deepmag.export.runtime import AscenderUnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from deepmag.export.device import Device

Tensors = tuple[torch.Tensor, ...]


def open_torch_device(device: Device) -> torch.device:
    """The device for torch. Raises AscenderUnavailableError where this torch cannot use it."""
    if device.is_gpu and not torch.cuda.is_available():
        raise AscenderUnavailableError("this torch cannot use the GPU: install a torch built for CUDA")
    return torch.device(str(device))


def torch_description(device: Device) -> str:
    """What runs there, in words."""
    return f"torch CUDA ({torch.cuda.get_device_name(device.index)})" if device.is_gpu else "torch CPU"


def on_device(
    function: Callable[..., Tensors],
    shapes: Sequence[tuple[int, ...]],
    device: torch.device,
    warm: Sequence[int] = (1,),
) -> Callable[..., list[NDArray[np.float32]]]:
    """A function of tensors as one of arrays: on a GPU captured, on a CPU called as it is.

    function, shapes: see ``captured.Captured``. warm: numbers of pairs for which it is captured now, so that no frame
    has to wait for that. Raises AscenderUnavailableError where it cannot be captured.
    """
    if device.type != "cuda":
        return lambda *arrays: _call(function, arrays)
    captured = Captured(function, shapes, device)
    try:
        for pairs in warm:
            captured.warm_up(pairs)
    except RuntimeError as error:
        raise AscenderUnavailableError(f"torch cannot run the ascent on {device}: {error}") from error
    return captured


def _call(
    function: Callable[..., Tensors], arrays: Sequence[NDArray[np.float32]]
) -> list[NDArray[np.float32]]:
    # copies: a caller's read-only array must not become a writable tensor
    return [result.numpy() for result in function(*(torch.from_numpy(array.copy()) for array in arrays))]
