"""The pulse's ascent by kernels of our own (see `pulse_kernels`), for GPUs. Triton, which compiles them, is torch's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import torch

from deepmag.export import pulse_kernels as kernels
from deepmag.models.ascent import check_iterations
from deepmag.models.representation import INPUT_SCALE, L

if TYPE_CHECKING:
    from deepmag.models.networks import PulseNet

Precision = Literal["tf32x3", "tf32", "fp16"]

AREA = L * L
EDGE = 16  # pixels of a program of the first and the last kernel
BLOCKS = AREA // EDGE
CELLS = AREA // 16  # of the last pool
FEW = 4  # pairs up to which programs are made small, to have enough of them for the whole GPU


@dataclass(frozen=True, slots=True)
class Tiles:
    """How the work is cut. block, columns: pixels and channels of a convolution's program; warps: its warps.

    splits, rows: of the dense layer's inputs and pairs; together: pairs that a program turns back.
    """

    block: int
    columns: int
    warps: int
    splits: int
    rows: int
    together: int


# the fastest of some that were tried on an H200
SMALL = Tiles(16, 32, 4, splits=81, rows=16, together=1)
LARGE = Tiles(64, 64, 4, splits=9, rows=16, together=8)


@dataclass(frozen=True, slots=True)
class _Pass:
    """What a pass leaves: y (B,), the gradient or its size (B, 3, L, L), and the sums of its size (B, BLOCKS)."""

    y: torch.Tensor
    gradient: torch.Tensor
    share: torch.Tensor


class FusedPulse:
    """PulseNet and its gradient. net: frozen, on a GPU. precision: of the factors of matrix products.

    early: see `pulse_kernels`; by default where the GPU can. All is launched on the current stream and waits for
    nothing, so that it can be captured.
    """

    def __init__(self, net: PulseNet, precision: Precision = "tf32x3", *, early: bool | None = None) -> None:
        device = net.conv1.weight.device
        if early is None:
            early = device.type == "cuda" and torch.cuda.get_device_capability(device) >= (9, 0)
        self._launch: dict[str, Any] = {"EARLY": early} | ({"launch_pdl": True} if early else {})
        self._precision = precision
        convs = (net.conv2, net.conv3, net.conv4)
        scaled = net.conv1.weight / INPUT_SCALE
        self._first = _padded(scaled.reshape(32, 27).T)
        self._first_back = _padded(scaled.flip(2, 3).reshape(32, 27).T).T.contiguous()
        self._forward = [conv.weight.permute(2, 3, 1, 0).flatten(0, 1).contiguous() for conv in convs]
        self._backward = [
            conv.weight.flip(2, 3).permute(2, 3, 0, 1).flatten(0, 1).contiguous() for conv in convs
        ]
        self._bias = [net.conv1.bias, *(conv.bias for conv in convs)]
        dense = net.dense1.weight.reshape(128, 64, CELLS)
        self._dense, self._dense_bias = dense.permute(2, 1, 0).flatten(0, 1).contiguous(), net.dense1.bias
        self._last, self._last_bias = net.dense2.weight.reshape(128).contiguous(), net.dense2.bias

    def gradient(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """See ``models.ascent.pulse_gradient``."""
        made, _ = self._pass(x.contiguous(), absolute=False)
        return made.y, made.gradient

    def ascend_steady(
        self, x: torch.Tensor, direction: torch.Tensor, growth: torch.Tensor, iterations: int
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """See ``models.ascent.ascend_steady``. growth: (B,)."""
        check_iterations(iterations)
        y, gradient = self.gradient(x)
        rise, dx, at = growth[:, None, None, None] * direction, torch.zeros_like(x), y
        for n in range(1, iterations):
            if n > 1:
                at, _ = self.gradient(x + dx)
            dx = dx + at[:, None, None, None] * rise
        return dx, y, gradient

    def ascend_paper(
        self, x: torch.Tensor, gamma: torch.Tensor, iterations: int
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """See ``models.ascent.ascend_paper``. gamma: (B,)."""
        check_iterations(iterations)
        x = x.contiguous()
        made, at = self._pass(x, absolute=True)
        y = made.y
        if iterations == 1:
            return torch.zeros_like(x), y
        for _ in range(iterations - 2):
            made, at = self._pass(at, (made, gamma), absolute=True)
        dx = torch.empty_like(x)
        kernels.finish[(len(x) * BLOCKS,)](
            x, at, made.gradient, gamma, made.share, dx, BLOCK=EDGE, num_warps=2, **self._launch
        )
        return dx, y

    def _pass(
        self, x: torch.Tensor, step: tuple[_Pass, torch.Tensor] | None = None, *, absolute: bool
    ) -> tuple[_Pass, torch.Tensor]:
        """Go one step from x, by the pass before and gamma, if any, and evaluate there. Returns what is, and where."""
        pairs = len(x)
        tiles = SMALL if pairs <= FEW else LARGE
        h1 = x.new_empty(pairs, AREA, 32)
        at = size = gamma = share = x  # of these only x is read where there is no step
        if step is not None:
            before, gamma = step
            at, size, share = torch.empty_like(x), before.gradient, before.share
        kernels.enter[(pairs * BLOCKS,)](
            x, size, gamma, share, self._first, self._bias[0], at, h1,
            FIRST=step is None, BLOCK=EDGE, PRECISION=self._precision, num_warps=2, **self._launch,
        )  # fmt: skip
        open2 = x.new_empty(pairs, AREA, 32, dtype=torch.int8)
        open4 = x.new_empty(pairs, AREA // 4, 64, dtype=torch.int8)
        a2 = self._convolve(tiles, h1, 0, L, open2)
        h3 = self._convolve(tiles, a2, 1, L // 2, None)
        a4 = self._convolve(tiles, h3, 2, L // 2, open4)
        y, g4 = self._turn_round(tiles, a4, open4)
        g3 = self._convolve_back(tiles, g4, 2, L // 2, h3)
        g2 = self._convolve_back(tiles, g3, 1, L // 2, open2, spread=True)
        products = self._convolve_back(tiles, g2, 0, L, h1, last=True)
        gradient, sums = torch.empty_like(x), x.new_empty(pairs, BLOCKS)
        kernels.leave[(pairs * BLOCKS,)](
            products, gradient, sums, ABSOLUTE=absolute, BLOCK=EDGE, num_warps=2, **self._launch
        )
        return _Pass(y, gradient, sums), at

    def _convolve(
        self, tiles: Tiles, source: torch.Tensor, number: int, side: int, opened: torch.Tensor | None
    ) -> torch.Tensor:
        """Convolution, ReLU, and, where ``opened`` takes its units, a pool. source: (B, side side, K)."""
        pairs, weight = len(source), self._forward[number]
        _, k, n = weight.shape
        area = side * side
        target = source.new_empty(pairs, area if opened is None else area // 4, n)
        columns = min(n, tiles.columns)
        kernels.forward[(-(-pairs * area // tiles.block), n // columns)](
            source, weight, self._bias[1 + number], target, target if opened is None else opened, pairs * area,
            SIDE=side, K=k, N=n, POOLED=opened is not None, BLOCK=tiles.block, COLUMNS=columns,
            PRECISION=self._precision, num_warps=tiles.warps, **self._launch,
        )  # fmt: skip
        return target

    def _turn_round(
        self, tiles: Tiles, a4: torch.Tensor, open4: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The dense layers, there and back."""
        pairs = len(a4)
        parts, y = a4.new_empty(tiles.splits, pairs, 128), a4.new_empty(pairs)
        g4 = a4.new_empty(pairs, AREA // 4, 64)
        kernels.dense[(tiles.splits, -(-pairs // tiles.rows))](
            a4, self._dense, parts, pairs, SPLITS=tiles.splits, ROWS=tiles.rows,
            PRECISION=self._precision, num_warps=4, **self._launch,
        )  # fmt: skip
        kernels.turn[(CELLS, -(-pairs // tiles.together))](
            parts, self._dense_bias, self._last, self._last_bias, self._dense, open4, y, g4, pairs,
            SPLITS=tiles.splits, PADDED=1 << (tiles.splits - 1).bit_length(), ROWS=tiles.together,
            num_warps=4, **self._launch,
        )  # fmt: skip
        return y, g4

    def _convolve_back(
        self,
        tiles: Tiles,
        source: torch.Tensor,
        number: int,
        side: int,
        gate: torch.Tensor,
        *,
        spread: bool = False,
        last: bool = False,
    ) -> torch.Tensor:
        """See ``pulse_kernels.backward``."""
        weight = self._backward[number]
        _, k, n = weight.shape
        total = len(source) * side * side
        target = torch.empty_like(gate, dtype=source.dtype)
        columns = n if last else min(n, tiles.columns)
        kernels.backward[(-(-total // tiles.block), n // columns)](
            source, weight, gate, self._first_back, target, total,
            SIDE=side, K=k, N=n, SPREAD=spread, LAST=last, BLOCK=tiles.block, COLUMNS=columns,
            PRECISION=self._precision, num_warps=tiles.warps, **self._launch,
        )  # fmt: skip
        return target


def _padded(matrix: torch.Tensor) -> torch.Tensor:
    """(27, 32) with rows of zeros to (32, 32)."""
    result = matrix.new_zeros(32, 32)
    result[:27] = matrix
    return result
