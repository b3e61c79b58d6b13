"""A 3 x 3 convolution on a CPU, two rows at a time, in tiles whose sums stay in vector registers.

Half to four fifths of what the layers behind a ReLU are given is zero, on the way back too, and most of it channel by
channel over whole regions. So each tile first looks which channels are not zero everywhere around it, and takes only
those: what it leaves out would have added nothing.
"""

from __future__ import annotations

from typing import Any

import llvmlite.binding
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

from deepmag.models.cpu_vector import (
    LANES,
    VECTOR,
    fuse,
    load_at,
    nonzero_lanes,
    pointer,
    spread_lane,
    store_at,
)

ROWS = 2  # of a tile and a band, so that a pool lies within one
INDEX = ir.IntType(64)

# Columns of a tile and its vectors of channels. The sums must leave room for a pixel and the weights: of AVX-512's 32
# registers they take 24, of AVX2's 16, of half the size, 12.
_ROOMY = bool(llvmlite.binding.get_host_cpu_features().get("avx512f"))
WIDTH, VECTORS = (6, 2) if _ROOMY else (3, 1)
COLUMNS = VECTORS * LANES  # channels of a tile


def convolution_band(channels: int, side: int, outputs: int, *, sparse: bool) -> Any:
    """A function for compiled code: a band's sums of a convolution, from ``channels`` to ``outputs``, without bias.

    It is called as band(source, number, begin, end, weight, first, sums, active). source: (side + 2, side + 2,
    channels), zeros around the picture. number: of the band. begin, end: its columns, multiples of six. weight:
    (3, 3, channels, outputs); first: the first of COLUMNS outputs. sums: written, (2, side, COLUMNS). All float32 and
    flat. active: int64, for the function's own use, six times as many as there are channels, and one. sparse: whether
    to look for zeros.
    """
    tile = _tile(channels, side, outputs, sparse=sparse)
    lanes = nonzero_lanes(
        [(r * (side + 2) + c) * channels for r in range(ROWS + 2) for c in range(WIDTH + 2)]
    )

    @njit
    def find(source: Any, start: int, active: Any) -> int:
        """List which channels of a row of three taps are not zero around a tile, and where their weights are.

        Both, since LLVM makes one from the other too early and then has no registers left for the sums.
        """
        count = 0
        for channel in range(0, channels, LANES):
            mask = lanes(source, start + channel)
            for lane in range(LANES):  # without a branch, which no CPU would foresee
                active[count] = channel + lane
                count += mask >> lane & 1
        for i in range(count):
            active[count + i] = active[i] + channels
            active[2 * count + i] = active[i] + 2 * channels
        for i in range(3 * count):
            active[3 * count + i] = active[i] * outputs
        return 3 * count

    @njit
    def band(
        source: Any, number: int, begin: int, end: int, weight: Any, first: int, sums: Any, active: Any
    ) -> None:
        for column in range(begin, end, WIDTH):
            start = (ROWS * number * (side + 2) + column) * channels
            count = find(source, start, active) if sparse else 0
            tile(source, start, weight, first, sums, column * COLUMNS, active, count)

    return band


def _tile(channels: int, side: int, outputs: int, *, sparse: bool) -> Any:
    """A function for compiled code: tile(source, start, weight, first, sums, place, active, count).

    start: of the tile's upper left neighbour. place: of its upper left pixel in ``sums``. active, count: with
    ``sparse``, which channels of a row of three taps to take, and then where their weights are.
    """
    row = (side + 2) * channels
    cells = [(r, c, n) for r in range(ROWS) for c in range(WIDTH) for n in range(VECTORS)]

    def number(value: int) -> ir.Constant:
        return ir.Constant(INDEX, value)

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Any:
        source, weight, target = (
            pointer(context, builder, signature.args[i], arguments[i], arguments[i + 1]) for i in (0, 2, 4)
        )
        sums = {cell: cgutils.alloca_once(builder, VECTOR) for cell in cells}
        for place in sums.values():
            builder.store(ir.Constant(VECTOR, [0.0] * LANES), place)

        def add_product(pixel: Any, factors: Any) -> None:
            """Add one channel's product of one tap. pixel: of the tile's first. factors: where its weights begin."""
            loaded = [load_at(builder, builder.gep(factors, [number(n * LANES)])) for n in range(VECTORS)]
            everywhere = {}
            for r, c, n in cells:
                if n == 0:
                    value = builder.load(builder.gep(pixel, [number(r * row + c * channels)]))
                    everywhere[r, c] = spread_lane(builder, value)
                before = builder.load(sums[r, c, n])
                builder.store(fuse(builder, everywhere[r, c], loaded[n], before), sums[r, c, n])

        # A row's three taps lie side by side in the picture, and so do their weights.
        with cgutils.for_range(builder, number(3), intp=INDEX) as down:
            above = builder.gep(source, [builder.mul(down.index, number(row))])
            matrix = builder.gep(weight, [builder.mul(down.index, number(3 * channels * outputs))])
            if sparse:
                active = pointer(context, builder, signature.args[6], arguments[6], number(0))
                with cgutils.for_range(builder, arguments[7], intp=INDEX) as which:
                    along = builder.load(builder.gep(active, [which.index]))
                    place = builder.gep(active, [builder.add(which.index, arguments[7])])
                    add_product(builder.gep(above, [along]), builder.gep(matrix, [builder.load(place)]))
            else:
                with cgutils.for_range(builder, number(3 * channels), intp=INDEX) as along:
                    factors = builder.gep(matrix, [builder.mul(along.index, number(outputs))])
                    add_product(builder.gep(above, [along.index]), factors)
        for r, c, n in cells:
            place = builder.gep(target, [number((r * side + c) * COLUMNS + n * LANES)])
            store_at(builder, builder.load(sums[r, c, n]), place)
        return context.get_dummy_value()

    @intrinsic
    def tile(
        _context: Any,
        source: Any,
        _start: Any,
        weight: Any,
        _first: Any,
        sums: Any,
        _place: Any,
        active: Any,
        _count: Any,
    ) -> tuple[Any, Any]:
        at = types.int64
        return types.void(source, at, weight, at, sums, at, active, at), generate

    return tile
