"""Memory for pictures that a GPU reads by itself: pinned, so that nobody has to wait while one goes up.

By CUDA's own calls. torch's pinned memory is of sizes that are powers of two and is never given back, and to free it
after the GPU has failed ends the process.
"""

from __future__ import annotations

import math
import mmap
import weakref
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

PORTABLE = 1  # CUDA's flag: pinned for every GPU


def pinned_picture(shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """An array (H, W, 3) uint8 in pinned memory. Raises RuntimeError where no more can be pinned."""
    size = math.prod(shape)
    memory: NDArray[np.uint8] = np.frombuffer(mmap.mmap(-1, size), np.uint8)  # pages that nothing else is on
    address = memory.ctypes.data
    error = int(_cuda().cudaHostRegister(address, size, PORTABLE))
    if error:
        raise RuntimeError(f"CUDA error {error}: {size} bytes cannot be pinned")
    # when the last view of it is gone; at the process's end the system does it
    weakref.finalize(memory, _unpin, address).atexit = False
    return memory.reshape(shape)


def _unpin(address: int) -> None:
    # of a GPU that has failed this returns an error, which says nothing new
    _cuda().cudaHostUnregister(address)


def _cuda() -> Any:
    """CUDA's runtime, as far as torch shows it."""
    return torch.cuda.cudart()  # type: ignore[no-untyped-call]
