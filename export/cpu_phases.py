"""What one evaluation of PulseNet is made of, forward and backward: each convolution with all that surrounds it.

An evaluation is ten phases, each of parts that any thread may do; a step of the ascent is the eleventh. Activations
are (pixels, channels), and what a layer's ReLU left is overwritten by its gradient.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from deepmag.export.cpu_layers import BANDS, CELLS, HALF, HALF_BANDS, HALF_PADDED, PADDED, SLICES
from deepmag.export.cpu_tile import COLUMNS, convolution_band
from deepmag.models.cpu_vector import (
    LANES,
    add,
    load,
    multiply,
    multiply_add,
    spread,
    store,
    total,
    where_positive,
)
from deepmag.models.representation import L

AREA = L * L
SLICE = CELLS // SLICES  # cells
TINY = np.float32(np.finfo(np.float32).tiny)
# Sums may be made in any order and a product and a sum in one, as in any matrix product; zeros and infinities stay.
EXACT_ENOUGH = {"contract", "reassoc", "nsz"}

(
    CONV1, CONV2, CONV3, CONV4, DENSE, TURN, CONV4_BACK, CONV3_BACK, CONV2_BACK, CONV1_BACK, STEP,
) = range(11)  # fmt: skip
PHASES = STEP + 1

_conv1 = convolution_band(3, L, 32, sparse=False)
# what the first ReLU leaves has zeros everywhere, but not in regions
_conv2 = convolution_band(32, L, 32, sparse=False)
_conv3 = convolution_band(32, HALF, 64, sparse=True)
_conv4 = convolution_band(64, HALF, 64, sparse=True)
_conv3_back = convolution_band(64, HALF, 32, sparse=True)
_conv2_back = convolution_band(32, L, 32, sparse=True)


@njit
def parts_of(phase: int, pairs: int) -> int:
    """How many parts a phase has."""
    if phase in (DENSE, TURN):
        return SLICES
    if phase == CONV3_BACK:
        return pairs * HALF_BANDS * 3
    if phase == STEP:
        return pairs
    return pairs * BANDS


@njit
def _relu(sums: Any, side: int, bias: Any, first: int, target: Any, to: int, outputs: int) -> None:
    """ReLU of a band's sums, into a padded picture."""
    for n in range(0, COLUMNS, LANES):
        offset = load(bias, first + n)
        for r in range(2):
            for c in range(side):
                value = add(load(sums, (r * side + c) * COLUMNS + n), offset)
                store(target, to + (r * (side + 2) + c) * outputs + first + n, where_positive(value, value))


@njit
def _pool(
    sums: Any, side: int, bias: Any, first: int, opened: Any, at: int, outputs: int, pooled: Any, to: int
) -> None:
    """ReLU of a band's sums, their averages over 2 x 2, and what each pixel has of a cell's gradient."""
    quarter = spread(np.float32(0.25))
    for n in range(0, COLUMNS, LANES):
        offset = load(bias, first + n)
        for cell in range(side // 2):
            mean = spread(np.float32(0.0))
            for corner in range(4):
                pixel = (corner // 2) * side + 2 * cell + corner % 2
                value = add(load(sums, pixel * COLUMNS + n), offset)
                gate = where_positive(value, quarter)
                padded = (corner // 2) * (side + 2) + 2 * cell + corner % 2
                store(opened, at + padded * outputs + first + n, gate)
                mean = multiply_add(value, gate, mean)
            store(pooled, to + cell * outputs + first + n, mean)


@njit
def _gated(sums: Any, side: int, first: int, target: Any, to: int, outputs: int) -> None:
    """A band's sums where a padded picture, the ReLU's output, is above zero; in its place."""
    for r in range(2):
        for c in range(side):
            for n in range(0, COLUMNS, LANES):
                place = to + (r * (side + 2) + c) * outputs + first + n
                value = load(sums, (r * side + c) * COLUMNS + n)
                store(target, place, where_positive(load(target, place), value))


@njit
def _spread(sums: Any, first: int, row: int, column: int, target: Any) -> None:
    """Six columns of a band's sums, to the four pixels of each cell of the pool before; in place of their shares."""
    for r in range(2):
        for c in range(column, column + 6):
            for n in range(0, COLUMNS, LANES):
                value = load(sums, (r * HALF + c) * COLUMNS + n)
                for corner in range(4):
                    y, x = 2 * (row + r) + corner // 2, 2 * c + corner % 2
                    place = ((y + 1) * PADDED + x + 1) * 32 + first + n
                    store(target, place, multiply(value, load(target, place)))


@njit
def _open(values: Any, first: int, active: Any) -> int:
    """Which of 64 values are not zero, as `active_channels`. A pool's output is zero where all below it is closed."""
    count = 0
    for c in range(64):
        active[count] = c
        count += values[first + c] != 0
    return count


@njit
def _dense(layers: Any, s: Any, pairs: int, part: int, active: Any) -> None:
    """A slice's sums of the dense layer, for all pairs: its weights are read once."""
    for pair in range(pairs):
        for n in range(part * 128, (part + 1) * 128, LANES):
            store(s.parts[pair], n, spread(np.float32(0.0)))
    for cell in range(part * SLICE, (part + 1) * SLICE):
        for pair in range(pairs):
            target, values = s.parts[pair], s.a4[pair]
            count = _open(values, cell * 64, active)
            for n in range(part * 128, (part + 1) * 128, 4 * LANES):
                a, b = load(target, n), load(target, n + LANES)
                c, d = load(target, n + 2 * LANES), load(target, n + 3 * LANES)
                for i in range(count):
                    k = cell * 64 + active[i]
                    value, row = spread(values[k]), k * 128 + n - part * 128
                    a = multiply_add(value, load(layers.dense, row), a)
                    b = multiply_add(value, load(layers.dense, row + LANES), b)
                    c = multiply_add(value, load(layers.dense, row + 2 * LANES), c)
                    d = multiply_add(value, load(layers.dense, row + 3 * LANES), d)
                store(target, n, a)
                store(target, n + LANES, b)
                store(target, n + 2 * LANES, c)
                store(target, n + 3 * LANES, d)


@njit(fastmath=EXACT_ENOUGH)
def _turn(layers: Any, s: Any, pairs: int, part: int, sums: Any, active: Any, y: Any) -> None:
    """From the dense layer's sums to y (pairs,), and back through the last pool and ReLU, for a slice of its cells."""
    along = sums[64:]
    for pair in range(pairs):
        result = layers.last_bias[0]
        for n in range(128):
            h5 = layers.dense_bias[n]
            for piece in range(SLICES):
                h5 += s.parts[pair, piece * 128 + n]
            result += layers.last[n] * max(h5, np.float32(0.0))
            along[pair * 128 + n] = layers.last[n] if h5 > 0 else np.float32(0.0)
        if part == 0:
            y[pair] = result
    for cell in range(part * SLICE, (part + 1) * SLICE):
        row, column = 2 * (cell // 9), 2 * (cell % 9)
        for pair in range(pairs):
            for c in range(0, 64, LANES):
                store(sums, c, spread(np.float32(0.0)))
            for i in range(_open(s.a4[pair], cell * 64, active)):
                c = active[i]
                at, factors = (cell * 64 + c) * 128, 64 + pair * 128
                even = multiply(load(layers.dense, at), load(sums, factors))
                odd = multiply(load(layers.dense, at + LANES), load(sums, factors + LANES))
                for n in range(2 * LANES, 128, 2 * LANES):
                    even = multiply_add(load(layers.dense, at + n), load(sums, factors + n), even)
                    odd = multiply_add(
                        load(layers.dense, at + n + LANES), load(sums, factors + n + LANES), odd
                    )
                sums[c] = total(add(even, odd))
            for corner in range(4):
                to = ((row + corner // 2 + 1) * HALF_PADDED + column + corner % 2 + 1) * 64
                for c in range(0, 64, LANES):
                    place = load(s.open4[pair], to + c)
                    store(s.open4[pair], to + c, multiply(load(sums, c), place))


@njit(fastmath=EXACT_ENOUGH)
def _leave(g1: Any, weight: Any, band: int, gradient: Any) -> Any:
    """The first convolution's gradient, two rows of (3, 36, 36). Returns the sum of its size over them."""
    size = np.float32(0.0)
    for row in range(2 * band, 2 * band + 2):
        for column in range(L):
            red, green, blue = spread(np.float32(0.0)), spread(np.float32(0.0)), spread(np.float32(0.0))
            for tap in range(3):
                at, factors = ((row + tap) * PADDED + column) * 32, tap * 96
                for k in range(0, 96, LANES):
                    around = load(g1, at + k)
                    red = multiply_add(around, load(weight, factors + k), red)
                    green = multiply_add(around, load(weight, factors + 288 + k), green)
                    blue = multiply_add(around, load(weight, factors + 576 + k), blue)
            pixel = row * L + column
            gradient[pixel] = total(red)
            gradient[AREA + pixel] = total(green)
            gradient[2 * AREA + pixel] = total(blue)
            size += abs(gradient[pixel]) + abs(gradient[AREA + pixel]) + abs(gradient[2 * AREA + pixel])
    return size


@njit(fastmath=EXACT_ENOUGH)
def step(
    paper: bool, x: Any, rate: Any, direction: Any, y: Any, gradient: Any, s: Any, pair: int, dx: Any
) -> None:
    """X_{n+1} from X_n, into the padded picture and, less X_1, into dx. Arrays as in `ascend`."""
    scale = rate[pair] * y[pair]
    if paper:
        size = np.float32(0.0)
        for band in range(BANDS):
            size += s.share[pair, band]
        scale = rate[pair] / max(size / np.float32(3 * AREA), TINY)
    for colour in range(3):
        for row in range(L):
            for column in range(L):
                i = colour * AREA + row * L + column
                value = x[pair, i]
                if paper:  # each step moves X away from zero, so the sign of X_n is that of X_1
                    sign = np.float32((value > 0) - (value < 0))
                    along = sign * abs(gradient[pair, i])
                else:
                    along = direction[pair, i]
                dx[pair, i] += scale * along
                s.x[pair, ((row + 1) * PADDED + column + 1) * 3 + colour] = value + dx[pair, i]


@njit(inline="always")
def _whole(
    phase: int, layers: Any, s: Any, pair: int, band: int, sums: Any, active: Any, gradient: Any
) -> None:
    """A band of a layer that has the whole picture's size."""
    inner = ((2 * band + 1) * PADDED + 1) * 32  # where its pixels begin in a padded picture
    if phase == CONV1_BACK:
        s.share[pair, band] = _leave(s.h1[pair], layers.conv1_back, band, gradient[pair])
        return
    for first in range(0, 32, COLUMNS):
        if phase == CONV1:
            _conv1(s.x[pair], band, 0, L, layers.conv1, first, sums, active)
            _relu(sums, L, layers.bias1, first, s.h1[pair], inner, 32)
        elif phase == CONV2:
            _conv2(s.h1[pair], band, 0, L, layers.conv2, first, sums, active)
            cells = ((band + 1) * HALF_PADDED + 1) * 32
            _pool(sums, L, layers.bias2, first, s.open2[pair], inner, 32, s.a2[pair], cells)
        else:
            _conv2_back(s.open2[pair], band, 0, L, layers.conv2_back, first, sums, active)
            _gated(sums, L, first, s.h1[pair], inner, 32)


@njit(inline="always")
def _half(phase: int, layers: Any, s: Any, pair: int, band: int, begin: int, sums: Any, active: Any) -> None:
    """A band of a layer of half the size, and of its 64 outputs 32 from ``begin`` on."""
    inner = ((2 * band + 1) * HALF_PADDED + 1) * 64
    for first in range(begin, begin + 32, COLUMNS):
        if phase == CONV3:
            _conv3(s.a2[pair], band, 0, HALF, layers.conv3, first, sums, active)
            _relu(sums, HALF, layers.bias3, first, s.h3[pair], inner, 64)
        elif phase == CONV4:
            _conv4(s.h3[pair], band, 0, HALF, layers.conv4, first, sums, active)
            _pool(sums, HALF, layers.bias4, first, s.open4[pair], inner, 64, s.a4[pair], band * 9 * 64)
        else:
            _conv4(s.open4[pair], band, 0, HALF, layers.conv4_back, first, sums, active)
            _gated(sums, HALF, first, s.h3[pair], inner, 64)


@njit(inline="always")
def do_part(
    phase: int, part: int, layers: Any, s: Any, pairs: int, sums: Any, active: Any, y: Any, gradient: Any
) -> None:
    """One part of a phase of an evaluation at ``s.x``: y (pairs,) and the gradient (pairs, 3 36 36)."""
    if phase == DENSE:
        _dense(layers, s, pairs, part, active)
    elif phase == TURN:
        _turn(layers, s, pairs, part, sums, active, y)
    elif phase == CONV3_BACK:
        pair, band, column = part // (HALF_BANDS * 3), part // 3 % HALF_BANDS, 6 * (part % 3)
        for first in range(0, 32, COLUMNS):
            _conv3_back(s.h3[pair], band, column, column + 6, layers.conv3_back, first, sums, active)
            _spread(sums, first, 2 * band, column, s.open2[pair])
    elif phase in (CONV3, CONV4, CONV4_BACK):
        _half(phase, layers, s, part // BANDS, part % BANDS // 2, 32 * (part % 2), sums, active)
    else:
        _whole(phase, layers, s, part // BANDS, part % BANDS, sums, active, gradient)
