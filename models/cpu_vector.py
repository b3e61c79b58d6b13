"""Vectors of sixteen floats for compiled code, as LLVM has them; and what bytes become as such.

Numba makes SIMD of plain loops, but for loops as short as a pixel's channels it first asks, each time, whether the
arrays overlap, in vectors of half the width. Here the code says what it means. Where the CPU's vectors are shorter,
LLVM makes several of each.
"""

from __future__ import annotations

import hashlib
import inspect
from typing import TYPE_CHECKING, Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, models, register_model

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import ModuleType

LANES = 16
REAL = ir.FloatType()
VECTOR = ir.VectorType(REAL, LANES)
_ZERO = ir.Constant(VECTOR, [0.0] * LANES)


def sources(*modules: ModuleType) -> str:
    """What compiled code is made of, as a digest; for a function to take from around it.

    Numba keeps what it compiled until the function's own file changes, or what the function takes from around it.
    """
    digest = hashlib.sha256()
    for module in modules:
        digest.update(inspect.getsource(module).encode())
    return digest.hexdigest()


class VectorType(types.Type):  # type: ignore[misc]  # numba has no types for mypy
    """Numba's type of a vector."""

    def __init__(self) -> None:
        super().__init__(name="Vector")


vector = VectorType()


@register_model(VectorType)
class _VectorModel(models.PrimitiveModel):  # type: ignore[misc]
    """How a vector is kept: as itself."""

    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, VECTOR)


def pointer(context: Any, builder: ir.IRBuilder, kind: Any, array: Any, index: Any) -> Any:
    """LLVM's pointer to an element of a flat array."""
    return builder.gep(context.make_array(kind)(context, builder, value=array).data, [index])


def load_at(builder: ir.IRBuilder, place: Any) -> Any:
    """LLVM's load of a vector, from a pointer to its first float."""
    return builder.load(builder.bitcast(place, VECTOR.as_pointer()), align=4)


def store_at(builder: ir.IRBuilder, value: Any, place: Any) -> None:
    """LLVM's store of a vector, to a pointer to its first float."""
    builder.store(value, builder.bitcast(place, VECTOR.as_pointer()), align=4)


def spread_lane(builder: ir.IRBuilder, value: Any) -> Any:
    """LLVM's vector with one number everywhere."""
    undefined, lane = ir.Constant(VECTOR, ir.Undefined), ir.IntType(32)
    one = builder.insert_element(undefined, value, ir.Constant(lane, 0))
    return builder.shuffle_vector(one, undefined, ir.Constant(ir.VectorType(lane, LANES), [0] * LANES))


def fuse(builder: ir.IRBuilder, a: Any, b: Any, c: Any) -> Any:
    """LLVM's a b + c, fused where the CPU can: llvm.fma would call the C library where it cannot."""
    name = f"llvm.fmuladd.v{LANES}f32"
    function = cgutils.get_or_insert_function(builder.module, ir.FunctionType(VECTOR, [VECTOR] * 3), name)
    return builder.call(function, [a, b, c])


@intrinsic
def load(_context: Any, array: Any, index: Any) -> tuple[Any, Any]:
    """The vector that begins at an index of a flat array."""

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Any:
        return load_at(builder, pointer(context, builder, signature.args[0], *arguments))

    return vector(array, types.intp), generate


@intrinsic
def store(_context: Any, array: Any, index: Any, value: Any) -> tuple[Any, Any]:
    """Write a vector to where it begins in a flat array."""

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Any:
        store_at(builder, arguments[2], pointer(context, builder, signature.args[0], *arguments[:2]))
        return context.get_dummy_value()

    return types.void(array, types.intp, vector), generate


@intrinsic
def load_bytes(_context: Any, array: Any, index: Any) -> tuple[Any, Any]:
    """The vector made of the bytes that begin at an index of a flat array."""

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Any:
        place = pointer(context, builder, signature.args[0], *arguments)
        kind = ir.VectorType(ir.IntType(8), LANES)
        return builder.uitofp(builder.load(builder.bitcast(place, kind.as_pointer()), align=1), VECTOR)

    return vector(array, types.intp), generate


@intrinsic
def store_colours(_context: Any, array: Any, index: Any, value: Any) -> tuple[Any, Any]:
    """Write the sum of four pixels' three colours, one after the other in a vector, rounded and held to 0..255.

    array: of bytes, flat. A fourth byte is written as well, of no meaning.
    """
    lane, four = ir.IntType(32), 4

    def moved(builder: ir.IRBuilder, value: Any, by: int, count: int) -> Any:
        lanes = [min(i + by, LANES - 1) for i in range(count)]
        mask = ir.Constant(ir.VectorType(lane, count), lanes)
        return builder.shuffle_vector(value, ir.Constant(VECTOR, ir.Undefined), mask)

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Any:
        value = arguments[2]
        value = builder.fadd(value, moved(builder, value, 6, LANES))  # the third pixel to the first
        value = builder.fadd(value, moved(builder, value, 3, LANES))
        kind = ir.VectorType(REAL, four)
        value = builder.fadd(moved(builder, value, 0, four), ir.Constant(kind, [0.5] * four))
        for limit, outside in ((0.0, "<"), (255.0, ">")):
            bound = ir.Constant(kind, [limit] * four)
            value = builder.select(builder.fcmp_ordered(outside, value, bound), bound, value)
        whole = builder.fptosi(value, ir.VectorType(lane, four))
        colours = builder.bitcast(builder.trunc(whole, ir.VectorType(ir.IntType(8), four)), lane)
        place = pointer(context, builder, signature.args[0], *arguments[:2])
        builder.store(colours, builder.bitcast(place, lane.as_pointer()), align=1)
        return context.get_dummy_value()

    return types.void(array, types.intp, vector), generate


@intrinsic
def spread(_context: Any, value: Any) -> tuple[Any, Any]:
    """A vector with one number everywhere."""

    def generate(_context: Any, builder: ir.IRBuilder, _signature: Any, arguments: Any) -> Any:
        return spread_lane(builder, arguments[0])

    return vector(types.float32), generate


@intrinsic
def multiply_add(_context: Any, a: Any, b: Any, c: Any) -> tuple[Any, Any]:
    """Compute a b + c."""

    def generate(_context: Any, builder: ir.IRBuilder, _signature: Any, arguments: Any) -> Any:
        return fuse(builder, *arguments)

    return vector(vector, vector, vector), generate


@intrinsic
def add(_context: Any, a: Any, b: Any) -> tuple[Any, Any]:
    """Compute a + b."""

    def generate(_context: Any, builder: ir.IRBuilder, _signature: Any, arguments: Any) -> Any:
        return builder.fadd(*arguments)

    return vector(vector, vector), generate


@intrinsic
def multiply(_context: Any, a: Any, b: Any) -> tuple[Any, Any]:
    """Compute a b."""

    def generate(_context: Any, builder: ir.IRBuilder, _signature: Any, arguments: Any) -> Any:
        return builder.fmul(*arguments)

    return vector(vector, vector), generate


@intrinsic
def where_positive(_context: Any, gate: Any, value: Any) -> tuple[Any, Any]:
    """A vector where another one is above zero, else 0; of itself, a ReLU."""

    def generate(_context: Any, builder: ir.IRBuilder, _signature: Any, arguments: Any) -> Any:
        return builder.select(builder.fcmp_ordered(">", arguments[0], _ZERO), arguments[1], _ZERO)

    return vector(vector, vector), generate


@intrinsic
def total(_context: Any, value: Any) -> tuple[Any, Any]:
    """The sum of a vector's lanes, in whatever order is the fastest."""

    def generate(_context: Any, builder: ir.IRBuilder, _signature: Any, arguments: Any) -> Any:
        name = f"llvm.vector.reduce.fadd.v{LANES}f32"
        kind = ir.FunctionType(REAL, [REAL, VECTOR])
        function = cgutils.get_or_insert_function(builder.module, kind, name)
        return builder.call(function, [ir.Constant(REAL, 0.0), arguments[0]], fastmath=("reassoc",))

    return types.float32(vector), generate


def nonzero_lanes(offsets: Sequence[int]) -> Any:
    """A function for compiled code: lanes(array, index) has bit i set where lane i is not zero everywhere.

    offsets: from the index, of the vectors that are looked at.
    """
    word = ir.VectorType(ir.IntType(32), LANES)

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Any:
        place = pointer(context, builder, signature.args[0], *arguments)
        bits = ir.Constant(word, [0] * LANES)
        for offset in offsets:
            value = load_at(builder, builder.gep(place, [ir.Constant(ir.IntType(64), offset)]))
            bits = builder.or_(bits, builder.bitcast(value, word))
        # without the sign: zero has either
        size = builder.shl(bits, ir.Constant(word, [1] * LANES))
        mask = builder.icmp_unsigned("!=", size, ir.Constant(word, [0] * LANES))
        return builder.zext(builder.bitcast(mask, ir.IntType(LANES)), ir.IntType(64))

    @intrinsic
    def lanes(_context: Any, array: Any, _index: Any) -> tuple[Any, Any]:
        return types.int64(array, types.intp), generate

    return lanes
