"""PulseNet's forward and backward pass in ten kernels for a GPU: each convolution with all that surrounds it.

On one frame pair an ascent is bound by the number of its kernels, not by their arithmetic: twenty iterations are a
thousand kernels of torch, and two hundred of these. Activations are (B, pixels, channels); a program takes BLOCK
pixels, four by four in the order of the pooled picture's cells, so that a pool is a sum within it. Products of matrices
are in three parts of TF32 (tf32x3), which is float32 to a few units in the last place, at several times its speed.

EARLY: the next kernel's programs may come up while the last ones of this one still run, and wait there for its end
(programmatic dependent launch, compute capability 9.0 and later). So each kernel waits before it touches memory.
"""

from __future__ import annotations

import triton
import triton.language as tl
from triton.language.extra.cuda import gdc_launch_dependents, gdc_wait


@triton.jit
def _begin(EARLY: tl.constexpr):
    """Wait for the kernel before, and let the next one come up."""
    if EARLY:
        gdc_wait()
        gdc_launch_dependents()


@triton.jit
def _pixel(r, SIDE: tl.constexpr):
    """Row and column of the r-th pixel, cell by cell of 2 x 2."""
    cell, part = r // 4, r % 4
    return 2 * (cell // (SIDE // 2)) + part // 2, 2 * (cell % (SIDE // 2)) + part % 2


@triton.jit
def _neighbours(row, column):
    """Of 27 columns by colour and tap, and five that are none: pixels in 36 x 36, and whether these are inside."""
    k = tl.arange(0, 32)
    colour, tap = k // 9, k % 9
    y = row[:, None] + (tap // 3 - 1)[None]
    z = column[:, None] + (tap % 3 - 1)[None]
    inside = (y >= 0) & (y < 36) & (z >= 0) & (z < 36) & (k < 27)[None]
    return k, colour, tap, y * 36 + z, inside


@triton.jit
def _product(a, b, sums, PRECISION: tl.constexpr):
    """Add a b to sums. PRECISION: of the factors; sums are float32."""
    if PRECISION == "fp16":
        result = tl.dot(a.to(tl.float16), b.to(tl.float16), sums)
    else:
        result = tl.dot(a, b, sums, input_precision=PRECISION)
    return result


@triton.jit
def _scale(share, step, b, blocks: tl.constexpr):
    """Gamma over the mean size of a pair's gradient, whose sums over blocks ``share`` holds."""
    index = tl.arange(0, 128)
    total = tl.sum(tl.load(share + b * blocks + index, mask=index < blocks, other=0.0), 0)
    return tl.load(step + b) / tl.maximum(total / 3888.0, 1.1754943508222875e-38)


@triton.jit
def _sign(value):
    return tl.where(value > 0, 1.0, tl.where(value < 0, -1.0, 0.0))


@triton.jit
def enter(
    x, size, step, share, weight, bias, x_next, h1,
    FIRST: tl.constexpr, BLOCK: tl.constexpr, PRECISION: tl.constexpr, EARLY: tl.constexpr,
):  # fmt: skip
    """One step of Eq. 4, and the first convolution with its ReLU at what it gives.

    x, x_next: (B, 3, 36, 36). size: |gradient| there, share: its sums over blocks (B, blocks). step: gamma (B,).
    weight: (32, 32), its first 27 rows by colour and tap. h1: (B, 1296, 32). FIRST: without the step.
    """
    blocks: tl.constexpr = 1296 // BLOCK
    b = tl.program_id(0) // blocks
    row, column = _pixel((tl.program_id(0) % blocks) * BLOCK + tl.arange(0, BLOCK), 36)
    k, colour, tap, pixel, inside = _neighbours(row, column)
    place = b * 3888 + colour[None] * 1296 + pixel
    _begin(EARLY)
    value = tl.load(x + place, mask=inside, other=0.0)
    if not FIRST:
        along = tl.load(size + place, mask=inside, other=0.0)
        value += _scale(share, step, b, blocks) * _sign(value) * along
        tl.store(x_next + place, value, mask=inside & (tap == 4)[None])
    n = tl.arange(0, 32)
    w = tl.load(weight + k[:, None] * 32 + n[None])
    out = _product(value, w, tl.zeros((BLOCK, 32), tl.float32), PRECISION) + tl.load(bias + n)[None]
    tl.store(h1 + (b * 1296 + row * 36 + column)[:, None] * 32 + n[None], tl.maximum(out, 0.0))


@triton.jit
def _convolved(
    source, weight, b, row, column, valid, n,
    SIDE: tl.constexpr, K: tl.constexpr, N: tl.constexpr,
    BLOCK: tl.constexpr, COLUMNS: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """The sums of a padded 3 x 3 convolution, (BLOCK, COLUMNS). source: (B, SIDE SIDE, K). weight: (9, K, N)."""
    k = tl.arange(0, K)
    sums = tl.zeros((BLOCK, COLUMNS), tl.float32)
    for tap in tl.range(9):
        y, z = row + (tap // 3 - 1), column + (tap % 3 - 1)
        inside = (valid & (y >= 0) & (y < SIDE) & (z >= 0) & (z < SIDE))[:, None]
        place = (b * (SIDE * SIDE) + y * SIDE + z)[:, None] * K + k[None]
        values = tl.load(source + place, mask=inside, other=0.0)
        w = tl.load(weight + tap * K * N + k[:, None] * N + n[None])
        sums = _product(values, w, sums, PRECISION)
    return sums


@triton.jit
def forward(
    source, weight, bias, target, opened, total,
    SIDE: tl.constexpr, K: tl.constexpr, N: tl.constexpr, POOLED: tl.constexpr,
    BLOCK: tl.constexpr, COLUMNS: tl.constexpr, PRECISION: tl.constexpr, EARLY: tl.constexpr,
):  # fmt: skip
    """A convolution with bias and ReLU, K channels to N; total: B SIDE SIDE.

    POOLED: target is averaged over 2 x 2, and ``opened`` says in bytes which units were above zero.
    """
    area: tl.constexpr = SIDE * SIDE
    m = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    valid = m < total
    b = m // area
    row, column = _pixel(m % area, SIDE)
    n = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)
    _begin(EARLY)
    sums = _convolved(source, weight, b, row, column, valid, n, SIDE, K, N, BLOCK, COLUMNS, PRECISION)
    sums = tl.maximum(sums + tl.load(bias + n)[None], 0.0)
    place = (b * area + row * SIDE + column)[:, None] * N + n[None]
    if POOLED:
        tl.store(opened + place, (sums > 0).to(tl.int8), mask=valid[:, None])
        mean = tl.sum(tl.reshape(sums, (BLOCK // 4, 4, COLUMNS)), 1) * 0.25
        cell = tl.program_id(0) * (BLOCK // 4) + tl.arange(0, BLOCK // 4)
        tl.store(target + cell[:, None] * N + n[None], mean, mask=(cell < total // 4)[:, None])
    else:
        tl.store(target + place, sums, mask=valid[:, None])


@triton.jit
def backward(
    source, weight, gate, first, target, total,
    SIDE: tl.constexpr, K: tl.constexpr, N: tl.constexpr, SPREAD: tl.constexpr, LAST: tl.constexpr,
    BLOCK: tl.constexpr, COLUMNS: tl.constexpr, PRECISION: tl.constexpr, EARLY: tl.constexpr,
):  # fmt: skip
    """The gradient of a convolution, whose weight is turned, and of what came before it.

    gate: the ReLU's activations (B, pixels, N), or in bytes which were above zero. SPREAD: before the ReLU came an
    average pool: each pixel's quarter goes to four, target and gate have twice the side. LAST: what is left is the
    gradient of the first convolution: its products (27 of 32, by colour and tap) with ``first`` (32, 32) are kept.
    """
    area: tl.constexpr = SIDE * SIDE
    m = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    valid = m < total
    b = m // area
    row, column = _pixel(m % area, SIDE)
    n = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)
    _begin(EARLY)
    sums = _convolved(source, weight, b, row, column, valid, n, SIDE, K, N, BLOCK, COLUMNS, PRECISION)
    if SPREAD:
        for part in tl.static_range(4):
            pixel = (2 * row + part // 2) * (2 * SIDE) + 2 * column + part % 2
            place = (b * (4 * area) + pixel)[:, None] * N + n[None]
            is_open = tl.load(gate + place, mask=valid[:, None], other=0)
            tl.store(target + place, tl.where(is_open != 0, 0.25 * sums, 0.0), mask=valid[:, None])
    else:
        place = (b * area + row * SIDE + column)[:, None] * N + n[None]
        activation = tl.load(gate + place, mask=valid[:, None], other=0.0)
        sums = tl.where(activation > 0, sums, 0.0)
        if LAST:
            k = tl.arange(0, 32)
            w = tl.load(first + n[:, None] * 32 + k[None])
            sums = _product(sums, w, tl.zeros((BLOCK, 32), tl.float32), PRECISION)
        tl.store(target + place, sums, mask=valid[:, None])


@triton.jit
def leave(products, gradient, share, ABSOLUTE: tl.constexpr, BLOCK: tl.constexpr, EARLY: tl.constexpr):
    """The sum of what `backward` kept of each neighbour, (B, 1296, 32), to the gradient (B, 3, 36, 36).

    share: (B, blocks), sums of its size over blocks. ABSOLUTE: its size instead of itself.
    """
    blocks: tl.constexpr = 1296 // BLOCK
    b = tl.program_id(0) // blocks
    row, column = _pixel((tl.program_id(0) % blocks) * BLOCK + tl.arange(0, BLOCK), 36)
    k, colour, _, pixel, inside = _neighbours(row, column)
    _begin(EARLY)
    values = tl.load(products + (b * 1296 + pixel) * 32 + k[None], mask=inside, other=0.0)
    total = 0.0
    for c in tl.static_range(3):
        found = tl.sum(tl.where((colour == c)[None], values, 0.0), 1)
        total += tl.sum(tl.abs(found), 0)
        if ABSOLUTE:
            found = tl.abs(found)
        tl.store(gradient + b * 3888 + c * 1296 + row * 36 + column, found)
    tl.store(share + tl.program_id(0), total)


@triton.jit
def finish(x, at, size, step, share, dx, BLOCK: tl.constexpr, EARLY: tl.constexpr):
    """The last step of Eq. 4, and what all steps came to: dx = X_N - X_1.

    x, at: X_1 and X_{N-1}, (B, 3, 36, 36). size, step, share: as of `enter`.
    """
    blocks: tl.constexpr = 1296 // BLOCK
    b = tl.program_id(0) // blocks
    place = b * 3888 + (tl.program_id(0) % blocks) * (3 * BLOCK) + tl.arange(0, 4 * BLOCK)
    inside = tl.arange(0, 4 * BLOCK) < 3 * BLOCK
    _begin(EARLY)
    scale = _scale(share, step, b, blocks)
    value = tl.load(at + place, mask=inside, other=0.0)
    along = tl.load(size + place, mask=inside, other=0.0)
    first = tl.load(x + place, mask=inside, other=0.0)
    tl.store(dx + place, value - first + scale * _sign(value) * along, mask=inside)


@triton.jit
def dense(
    a4, weight, parts, pairs,
    SPLITS: tl.constexpr, ROWS: tl.constexpr, PRECISION: tl.constexpr, EARLY: tl.constexpr,
):  # fmt: skip
    """The dense layer's sums over a SPLITS-th of its 5184 inputs. a4: (B, 5184). weight: (5184, 128).

    parts: (SPLITS, B, 128).
    """
    chunks: tl.constexpr = 81 // SPLITS
    b = tl.program_id(1) * ROWS + tl.arange(0, ROWS)
    n = tl.arange(0, 128)
    sums = tl.zeros((ROWS, 128), tl.float32)
    _begin(EARLY)
    for chunk in tl.range(chunks):
        k = (tl.program_id(0) * chunks + chunk) * 64 + tl.arange(0, 64)
        values = tl.load(a4 + b[:, None] * 5184 + k[None], mask=(b < pairs)[:, None], other=0.0)
        w = tl.load(weight + k[:, None] * 128 + n[None])
        sums = _product(values, w, sums, PRECISION)
    place = (tl.program_id(0) * pairs + b)[:, None] * 128 + n[None]
    tl.store(parts + place, sums, mask=(b < pairs)[:, None])


@triton.jit
def turn(
    parts, bias, last, last_bias, weight, opened, y, g4, pairs,
    SPLITS: tl.constexpr, PADDED: tl.constexpr, ROWS: tl.constexpr, EARLY: tl.constexpr,
):  # fmt: skip
    """From the dense layer's sums to the output y (B,), and back through the last pool and ReLU to g4 (B, 324, 64).

    last, last_bias: the last layer's, (128,) and (1,). opened: (B, 324, 64), the ReLU's. PADDED: SPLITS or more, a
    power of two.
    """
    cell = tl.program_id(0)
    n, c, s = tl.arange(0, 128), tl.arange(0, 64), tl.arange(0, PADDED)
    offset = tl.load(bias + n)
    along = tl.load(last + n)
    w = tl.load(
        weight + (cell * 64 + c)[:, None] * 128 + n[None]
    )  # weights are never written: no need to wait
    _begin(EARLY)
    for i in range(ROWS):
        b = tl.program_id(1) * ROWS + i
        if b < pairs:
            split = tl.load(
                parts + (s * pairs + b)[:, None] * 128 + n[None], mask=(s < SPLITS)[:, None], other=0.0
            )
            h5 = tl.sum(split, 0) + offset
            if cell == 0:
                tl.store(y + b, tl.sum(tl.maximum(h5, 0.0) * along, 0) + tl.load(last_bias))
            g5 = tl.where(h5 > 0, along, 0.0)
            quarter = tl.sum(w * g5[None], 1) * 0.25
            for part in tl.static_range(4):
                pixel = (2 * (cell // 9) + part // 2) * 18 + 2 * (cell % 9) + part % 2
                place = (b * 324 + pixel) * 64 + c
                tl.store(g4 + place, tl.where(tl.load(opened + place) != 0, quarter, 0.0))
