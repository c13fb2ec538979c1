"""Products of bytes: quantised rows of two matrices in, bounds on their products out, in registers.

One tile is some rows by WIDTH products, as the CPU's own instruction for four products of bytes
added to 32 bits has it (AVX-512 VNNI, AVX-VNNI). It is written out here for the compiler, which
does not find it by itself. No tile of products is ever written to be read again: what leaves the
registers is one bit for each product that may be among the best, and the estimates beside.
"""

from __future__ import annotations

import functools
from typing import Any

import llvmlite.binding as llvm
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

WIDTH = 48  # products of a tile
_HAS = dict(llvm.get_host_cpu_features())
LANES = 16 if _HAS.get("avx512vnni") else 8 if _HAS.get("avxvnni") else 0  # 0: none, no tiles
TALL = 8 if LANES == 16 else 2  # rows of a tile: as many as the registers hold

I8, I32, I64, F32 = ir.IntType(8), ir.IntType(32), ir.IntType(64), ir.FloatType()


def _tile(rows: int) -> Any:
    """tile(left, right, steps, starts, scales, errors, lengths, floors, values, masks).

    All are addresses but `steps`, the groups of four factors. left: (rows, 4 steps) int8. right:
    (WIDTH / LANES, steps, LANES, 4) uint8. starts: (rows,) int32, where each row's sums start.
    scales, errors: (WIDTH,) float32. lengths, floors: (rows,) float32. Writes values, (rows,
    WIDTH) float32 = sum * scale, and masks, (rows,) uint64: bit j is set where
    value + error * length > floor.
    """

    @intrinsic
    def tile(  # type: ignore[no-untyped-def]
        context, left, right, steps, starts, scales, errors, lengths, floors, values, masks
    ):
        signature = types.void(*[types.intp] * 10)

        def code(context, builder, signature, given):  # type: ignore[no-untyped-def]
            left, right, steps, starts, scales, errors, lengths, floors, values, masks = given
            wide = WIDTH // LANES
            ints, floats = ir.VectorType(I32, LANES), ir.VectorType(F32, LANES)
            octets = ir.VectorType(I8, 4 * LANES)
            add = functools.partial(_call, builder, f"llvm.x86.avx512.vpdpbusd.{32 * LANES}", ints)
            load = functools.partial(_load, builder)
            every = functools.partial(_every, builder)

            first = [every(load(starts, 4 * r, I32), ints) for r in range(rows)]
            before, loop, after = (
                builder.block,
                builder.append_basic_block("step"),
                builder.append_basic_block("bounds"),
            )
            builder.branch(loop)
            builder.position_at_end(loop)
            step = builder.phi(I64)
            step.add_incoming(I64(0), before)
            sums = [builder.phi(ints) for _ in range(rows * wide)]
            for place, total in enumerate(sums):
                total.add_incoming(first[place // wide], before)
            stride = builder.mul(steps, I64(4 * LANES))
            at = builder.add(right, builder.mul(step, I64(4 * LANES)))
            theirs = [
                load(builder.add(at, builder.mul(stride, I64(c))), 0, octets) for c in range(wide)
            ]
            long = builder.mul(steps, I64(4))
            at = builder.add(left, builder.mul(step, I64(4)))
            more = []
            for r in range(rows):
                four = load(builder.add(at, builder.mul(long, I64(r))), 0, I32)
                hers = builder.bitcast(every(four, ints), octets)
                more += [add(sums[r * wide + c], theirs[c], hers) for c in range(wide)]
            following = builder.add(step, I64(1))
            step.add_incoming(following, loop)
            for total, new in zip(sums, more, strict=True):
                total.add_incoming(new, loop)
            builder.cbranch(builder.icmp_signed("<", following, steps), loop, after)

            builder.position_at_end(after)
            for r in range(rows):
                length = every(load(lengths, 4 * r, F32), floats)
                floor = every(load(floors, 4 * r, F32), floats)
                bits = I64(0)
                for c in range(wide):
                    scale = load(scales, 4 * LANES * c, floats)
                    value = builder.fmul(builder.sitofp(more[r * wide + c], floats), scale)
                    _store(builder, value, values, 4 * (WIDTH * r + LANES * c))
                    error = load(errors, 4 * LANES * c, floats)
                    greatest = _fused(builder, error, length, value)
                    may = builder.fcmp_ordered(">", greatest, floor)
                    word = builder.zext(builder.bitcast(may, ir.IntType(LANES)), I64)
                    bits = builder.or_(bits, builder.shl(word, I64(LANES * c)))
                _store(builder, bits, masks, 8 * r)
            return context.get_dummy_value()

        return signature, code

    return tile


tile = _tile(TALL)
line = _tile(1)


@intrinsic  # type: ignore[misc, unused-ignore]
def above(context, values, floor):  # type: ignore[no-untyped-def]
    """Bit j of 64 is set where the float32 at address values + 4 j is greater; never for NaN."""

    def code(context, builder, signature, given):  # type: ignore[no-untyped-def]
        floats = ir.VectorType(F32, 16)
        floor, bits = _every(builder, given[1], floats), I64(0)
        for c in range(4):
            greater = builder.fcmp_ordered(">", _load(builder, given[0], 64 * c, floats), floor)
            word = builder.zext(builder.bitcast(greater, ir.IntType(16)), I64)
            bits = builder.or_(bits, builder.shl(word, I64(16 * c)))
        return bits

    return types.uint64(types.intp, types.float32), code


@intrinsic  # type: ignore[misc, unused-ignore]
def lowest(context, bits):  # type: ignore[no-untyped-def]
    """The place of the lowest bit that is set; one must be."""

    def code(context, builder, signature, given):  # type: ignore[no-untyped-def]
        return builder.cttz(given[0], ir.IntType(1)(1))

    return types.int64(types.uint64), code


@intrinsic  # type: ignore[misc, unused-ignore]
def fetch(context, address):  # type: ignore[no-untyped-def]
    """Ask memory for the cache line at an address, which will be read soon."""

    def code(context, builder, signature, given):  # type: ignore[no-untyped-def]
        pointer = builder.inttoptr(given[0], I8.as_pointer())
        kind = ir.FunctionType(ir.VoidType(), [I8.as_pointer(), I32, I32, I32])
        function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
        builder.call(function, [pointer, I32(0), I32(3), I32(1)])
        return context.get_dummy_value()

    return types.void(types.intp), code


def _call(builder: Any, name: str, ints: Any, total: Any, theirs: Any, hers: Any) -> Any:
    octets = theirs.type
    kind = ir.FunctionType(ints, [ints, octets, octets])
    return builder.call(
        cgutils.get_or_insert_function(builder.module, kind, name), [total, theirs, hers]
    )


def _fused(builder: Any, one: Any, two: Any, three: Any) -> Any:
    """One * two + three, rounded once."""
    name = f"llvm.fma.v{LANES}f32"
    kind = ir.FunctionType(one.type, [one.type] * 3)
    return builder.call(
        cgutils.get_or_insert_function(builder.module, kind, name), [one, two, three]
    )


def _load(builder: Any, address: Any, offset: int, kind: Any) -> Any:
    pointer = builder.inttoptr(builder.add(address, I64(offset)), kind.as_pointer())
    loaded = builder.load(pointer)
    loaded.align = 4
    return loaded


def _store(builder: Any, value: Any, address: Any, offset: int) -> None:
    pointer = builder.inttoptr(builder.add(address, I64(offset)), value.type.as_pointer())
    builder.store(value, pointer).align = 4


def _every(builder: Any, value: Any, kind: Any) -> Any:
    """The same value in every lane."""
    empty = ir.Constant(kind, ir.Undefined)
    one = builder.insert_element(empty, value, I32(0))
    return builder.shuffle_vector(
        one, empty, ir.Constant(ir.VectorType(I32, kind.count), [0] * kind.count)
    )
