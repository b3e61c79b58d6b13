"""PulseNet's weights and what lies between its layers, as the kernels for a CPU want them (see `cpu_phases`)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from deepmag.export.cpu_tile import COLUMNS
from deepmag.models.representation import INPUT_SCALE, L

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    Floats = NDArray[np.float32]

HALF = L // 2
PADDED, HALF_PADDED = L + 2, HALF + 2
CELLS = (L // 4) ** 2  # of the last pool
BANDS, HALF_BANDS = L // 2, HALF // 2  # of two rows each
SLICES = 9  # of the dense layer's inputs
ACTIVE = 512  # room in a thread's list of channels: more than it needs, so that no two share a cache line
CACHE_LINE = 64  # bytes

_NAMES = ("conv1", "conv2", "conv3", "conv4", "dense1", "dense2")


class Layers(NamedTuple):
    """Weights, (3, 3, from, to) where not said otherwise, flat. Those of the way back are turned."""

    conv1: Floats
    conv2: Floats
    conv3: Floats
    conv4: Floats
    bias1: Floats
    bias2: Floats
    bias3: Floats
    bias4: Floats
    dense: Floats  # (cells, 64, 128)
    dense_bias: Floats
    last: Floats  # (128,)
    last_bias: Floats  # (1,)
    conv4_back: Floats
    conv3_back: Floats
    conv2_back: Floats
    conv1_back: Floats  # (3 colours, 3, 3, 32)

    @classmethod
    def of(cls, weights: Mapping[str, Floats]) -> Layers:
        """From PulseNet's state dict. Raises ValueError if one is missing."""
        for name in (f"{name}.{part}" for name in _NAMES for part in ("weight", "bias")):
            if name not in weights:
                raise ValueError(f"the pulse network's weights lack {name}")
        kernels = {name: np.asarray(weights[f"{name}.weight"], np.float32) for name in _NAMES}
        # in units of X: the network's own division, there and back
        kernels["conv1"] = kernels["conv1"] / np.float32(INPUT_SCALE)
        there = [kernels[name].transpose(2, 3, 1, 0) for name in _NAMES[:4]]
        back = {name: kernels[name][:, :, ::-1, ::-1] for name in _NAMES[:4]}
        biases = [weights[f"{name}.bias"] for name in _NAMES]
        dense = kernels["dense1"].reshape(128, 64, CELLS).transpose(2, 1, 0)
        ordered = (
            *there,
            *biases[:4],
            dense,
            biases[4],
            kernels["dense2"],
            biases[5],
            *(back[name].transpose(2, 3, 0, 1) for name in ("conv4", "conv3", "conv2")),
            back["conv1"].transpose(1, 2, 3, 0),
        )
        return cls(*map(_aligned, ordered))


class Scratch(NamedTuple):
    """What lies between the layers, (pairs, ...). Pictures are (side + 2, side + 2, channels), zeros around them."""

    x: Floats  # X_n
    h1: Floats  # of the first ReLU; on the way back its gradient
    open2: Floats  # a quarter where a unit of the second ReLU was above zero, else 0; on the way back its gradient
    a2: Floats
    h3: Floats  # as h1
    open4: Floats  # as open2
    a4: Floats  # (cells, 64)
    parts: Floats  # (slices, 128): the dense layer's sums
    share: Floats  # (bands,): sums of the gradient's size
    sums: Floats  # (members, ...): what a thread has at hand
    active: NDArray[np.int64]  # (members, ACTIVE): channels

    @classmethod
    def of(cls, pairs: int, members: int) -> Scratch:
        """For so many pairs, or fewer, and threads."""
        whole, half = PADDED * PADDED, HALF_PADDED * HALF_PADDED
        sizes = (3 * whole, 32 * whole, 32 * whole, 32 * half, 64 * half, 64 * half, 64 * CELLS, 128 * SLICES)
        layers = [_zeros(pairs, size) for size in sizes]
        sums = _zeros(members, max(2 * L * COLUMNS, 64 + 128 * pairs))
        x, h1, open2, a2, h3, open4, a4, parts = layers
        share, active = _zeros(pairs, BANDS), np.zeros((members, ACTIVE), np.int64)
        return cls(x, h1, open2, a2, h3, open4, a4, parts, share, sums, active)


def _aligned(values: Any) -> Floats:
    """A flat copy that begins with a cache line: a vector that lies across two costs twice."""
    target: Floats = _zeros(1, values.size)[0]
    target[:] = np.ascontiguousarray(values, np.float32).reshape(-1)
    return target


def _zeros(rows: int, size: int) -> Floats:
    """(rows, size), from the beginning of a cache line on."""
    memory = np.zeros(rows * size + CACHE_LINE // 4, np.float32)
    start = -(memory.ctypes.data // 4) % (CACHE_LINE // 4)
    return memory[start : start + rows * size].reshape(rows, size)
