"""Register tiles in LLVM: the only place of the package that emits IR.

Four primitives, each an internal LLVM function emitted once per module, and for each a
Python twin that runs when Numba's JIT is off:

`tile_RxV`
    ``C[i, j] (+)= bias[i] + sum_k A[i, k] B[k, j]`` for R rows i and V vectors of columns j, accumulated in registers; A is broadcast with any strides, B and C have unit
    stride along j. Every element is one chain of fused multiply-adds in the order of k, so
    its bits do not depend on the tile it falls into.
`dot_RxC`
    ``C[i, j] (+)= sum_n A[i, n] B[j, n]`` with vectors along the summed index n.
`transpose`
    one square block of a row-major matrix, its rows optionally taken through an index.
`lanes`
    the vector length of an array's type as a compile-time constant.

The shape of the tile is chosen for the machine (see `TARGETS`); LLVM lowers the same IR to
AVX-512, AVX2, NEON or anything else.
"""

import os
from typing import NamedTuple

import llvmlite.binding as llvm
import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

__all__ = [
    "TARGETS", "TILE", "Tile", "lanes", "transpose",
    "dot_1x1", "dot_1x4", "dot_4x1", "dot_4x4",
    "tile_1x1", "tile_1x2", "tile_2x1", "tile_2x2",
    "tile_4x1", "tile_4x2", "tile_8x1", "tile_8x2",
]  # fmt: skip


class Tile(NamedTuple):
    """Register tile of a machine: vector bytes, rows and vectors of the accumulator block."""

    name: str
    bytes: int
    rows: int
    vectors: int


# rows x vectors accumulators + vectors of B + one broadcast must fit the registers:
# 32 of them on AVX-512 and NEON, 16 elsewhere.
TARGETS = {
    "avx512": Tile("avx512", 64, 8, 2),
    "avx2": Tile("avx2", 32, 4, 2),
    "neon": Tile("neon", 16, 8, 2),
    "generic": Tile("generic", 16, 4, 2),
}


def _choose_tile():
    forced = os.environ.get("NNJIT_TILE", "")
    if forced:
        if forced not in TARGETS:
            raise ValueError(f"NNJIT_TILE must be one of {sorted(TARGETS)}, got {forced!r}")
        return TARGETS[forced]
    triple = llvm.get_process_triple()
    if numba.config.CPU_NAME:  # the user compiles for another CPU than the host
        features = str(numba.config.CPU_FEATURES or "")
        present = {name[1:] for name in features.split(",") if name.startswith("+")}
    else:
        present = {name for name, on in llvm.get_host_cpu_features().items() if on}
    if triple.startswith(("x86_64", "i686", "i386")):
        if "avx512f" in present:
            return TARGETS["avx512"]
        if {"avx2", "fma"} <= present:
            return TARGETS["avx2"]
    elif triple.startswith(("aarch64", "arm64")):
        return TARGETS["neon"]
    return TARGETS["generic"]


TILE = _choose_tile()

_I = ir.IntType(64)
_VOID = ir.VoidType()


def _real(dtype):
    return ir.FloatType() if dtype == types.float32 else ir.DoubleType()


def _index(value):
    return ir.Constant(_I, value)


def _lanes(dtype):
    return TILE.bytes // (dtype.bitwidth // 8)


def _function(module, name, arguments):
    """Declare the internal function `name`, or return (function, False) if it is there."""
    if name in module.globals:
        return module.globals[name], False
    function = ir.Function(module, ir.FunctionType(_VOID, arguments), name)
    # identical in every module that carries it: the linker keeps one, and it stays a call
    function.linkage = "linkonce_odr"
    function.attributes.add("noinline")
    function.attributes.add("nounwind")
    return function, True


class _Vectors:
    """Emission helpers for one real type and one vector length."""

    def __init__(self, real, length):
        self.real = real
        self.length = length
        self.type = ir.VectorType(real, length)
        self.suffix = "f32" if isinstance(real, ir.FloatType) else "f64"
        self.align = 4 if isinstance(real, ir.FloatType) else 8
        self.zero = ir.Constant(self.type, [ir.Constant(real, 0.0)] * length)

    def load(self, builder, pointer):
        vector = builder.load(builder.bitcast(pointer, self.type.as_pointer()))
        vector.align = self.align
        return vector

    def store(self, builder, value, pointer):
        builder.store(value, builder.bitcast(pointer, self.type.as_pointer())).align = self.align

    def splat(self, builder, scalar):
        one = builder.insert_element(
            ir.Constant(self.type, ir.Undefined), scalar, ir.Constant(ir.IntType(32), 0)
        )
        mask = ir.Constant(ir.VectorType(ir.IntType(32), self.length), [0] * self.length)
        return builder.shuffle_vector(one, ir.Constant(self.type, ir.Undefined), mask)

    def shuffle(self, builder, left, right, indices):
        mask = ir.Constant(ir.VectorType(ir.IntType(32), self.length), indices)
        return builder.shuffle_vector(left, right, mask)

    def fma(self, builder, a, b, c):
        # fused where the machine has it, multiply and add elsewhere (never a libm call)
        name = f"llvm.fmuladd.v{self.length}{self.suffix}"
        signature = ir.FunctionType(self.type, [self.type] * 3)
        return builder.call(
            cgutils.get_or_insert_function(builder.module, signature, name), [a, b, c]
        )

    def sum(self, builder, vector):
        name = f"llvm.vector.reduce.fadd.v{self.length}{self.suffix}"
        signature = ir.FunctionType(self.real, [self.real, self.type])
        function = cgutils.get_or_insert_function(builder.module, signature, name)
        return builder.call(function, [ir.Constant(self.real, 0.0), vector], fastmath=["reassoc"])


def emit_tile(module, real, length, rows, vectors):
    """Emit (once) the tile of `rows` x `vectors` and return its LLVM function.

    Arguments: a, a_row, a_k, b, b_k, c, c_row, k, bias, use_bias, accumulate, tail; strides
    and counts in elements; `tail` is the number of valid lanes of the last vector.
    """
    v = _Vectors(real, length)
    pointer = real.as_pointer()
    name = f"nnjit_tile_{v.suffix}x{length}_{rows}x{vectors}"
    function, new = _function(
        module, name, [pointer, _I, _I, pointer, _I, pointer, _I, _I, pointer, _I, _I, _I]
    )
    if not new:
        return function
    a, a_row, a_k, b, b_k, c, c_row, depth, bias, use_bias, accumulate, tail = function.args
    builder = ir.IRBuilder(function.append_basic_block("entry"))
    scratch = builder.alloca(v.type, rows * vectors)
    a_rows = [builder.gep(a, [builder.mul(a_row, _index(i))]) for i in range(rows)]
    start = _tile_start(builder, v, bias, use_bias, rows)
    sums = _tile_loop(builder, v, a_rows, a_k, b, b_k, depth, start, vectors)
    _tile_store(builder, v, sums, c, c_row, accumulate, tail, scratch, vectors)
    builder.ret_void()
    return function


def _tile_start(builder, v, bias, use_bias, rows):
    """One start vector per row: bias[i] in every lane, or zeros."""
    entry = builder.block
    with builder.if_then(builder.icmp_signed("!=", use_bias, _index(0))):
        loaded = [
            v.splat(builder, builder.load(builder.gep(bias, [_index(i)]))) for i in range(rows)
        ]
        taken = builder.block
    start = []
    for value in loaded:
        phi = builder.phi(v.type)
        phi.add_incoming(v.zero, entry)
        phi.add_incoming(value, taken)
        start.append(phi)
    return start


def _tile_loop(builder, v, a_rows, a_k, b, b_k, depth, start, vectors):
    """The loop over k; returns rows x vectors sums in row order."""
    before = builder.block
    body = builder.append_basic_block("k")
    after = builder.append_basic_block("store")
    initial = [value for value in start for _ in range(vectors)]
    builder.cbranch(builder.icmp_signed(">", depth, _index(0)), body, after)
    builder.position_at_end(body)
    k = builder.phi(_I)
    a_offset = builder.phi(_I)
    b_row = builder.phi(b.type)
    sums = [builder.phi(v.type) for _ in initial]
    columns = [
        v.load(builder, builder.gep(b_row, [_index(j * v.length)])) for j in range(vectors)
    ]
    results = []
    for i, row in enumerate(a_rows):
        scalar = v.splat(builder, builder.load(builder.gep(row, [a_offset])))
        for j in range(vectors):
            results.append(v.fma(builder, scalar, columns[j], sums[i * vectors + j]))
    k_next = builder.add(k, _index(1))
    for phi, first, later in [
        (k, _index(0), k_next),
        (a_offset, _index(0), builder.add(a_offset, a_k)),
        (b_row, b, builder.gep(b_row, [b_k])),
        *zip(sums, initial, results, strict=True),
    ]:
        phi.add_incoming(first, before)
        phi.add_incoming(later, body)
    builder.cbranch(builder.icmp_signed("<", k_next, depth), body, after)
    builder.position_at_end(after)
    final = []
    for first, later in zip(initial, results, strict=True):
        phi = builder.phi(v.type)
        phi.add_incoming(first, before)
        phi.add_incoming(later, body)
        final.append(phi)
    return final


def _tile_store(builder, v, sums, c, c_row, accumulate, tail, scratch, vectors):
    """Write the sums: whole vectors where all lanes are valid, else lane by lane."""
    rows = len(sums) // vectors
    adding = builder.icmp_signed("!=", accumulate, _index(0))
    full = builder.icmp_signed("==", tail, _index(v.length))

    def place(i, j):
        offset = builder.add(builder.mul(c_row, _index(i)), _index(j * v.length))
        return builder.gep(c, [offset])

    with builder.if_else(full) as (whole, partial):
        with whole, builder.if_else(adding) as (add, overwrite):
            with add:
                for n, value in enumerate(sums):
                    target = place(*divmod(n, vectors))
                    v.store(builder, builder.fadd(v.load(builder, target), value), target)
            with overwrite:
                for n, value in enumerate(sums):
                    v.store(builder, value, place(*divmod(n, vectors)))
        with partial:
            flat = builder.bitcast(scratch, v.real.as_pointer())
            for n, value in enumerate(sums):
                v.store(builder, value, builder.gep(flat, [_index(n * v.length)]))
            width = builder.add(_index((vectors - 1) * v.length), tail)
            with cgutils.for_range(builder, _index(rows)) as row:
                source = builder.mul(row.index, _index(vectors * v.length))
                target = builder.mul(row.index, c_row)
                with cgutils.for_range(builder, width) as column:
                    value = builder.load(builder.gep(flat, [builder.add(source, column.index)]))
                    element = builder.gep(c, [builder.add(target, column.index)])
                    sum_ = builder.fadd(builder.load(element), value)
                    builder.store(builder.select(adding, sum_, value), element)


def emit_dot(module, real, length, rows, columns):
    """Emit (once) rows x columns dot products of padded vectors.

    Arguments: a, a_row, b, b_row, vectors, c, c_row, accumulate.
    """
    v = _Vectors(real, length)
    pointer = real.as_pointer()
    name = f"nnjit_dot_{v.suffix}x{length}_{rows}x{columns}"
    function, new = _function(module, name, [pointer, _I, pointer, _I, _I, pointer, _I, _I])
    if not new:
        return function
    a, a_row, b, b_row, count, c, c_row, accumulate = function.args
    before = function.append_basic_block("entry")
    body = function.append_basic_block("n")
    after = function.append_basic_block("store")
    builder = ir.IRBuilder(before)
    a_rows = [builder.gep(a, [builder.mul(a_row, _index(i))]) for i in range(rows)]
    b_rows = [builder.gep(b, [builder.mul(b_row, _index(j))]) for j in range(columns)]
    builder.branch(body)
    builder.position_at_end(body)
    n = builder.phi(_I)
    sums = [builder.phi(v.type) for _ in range(rows * columns)]
    offset = builder.mul(n, _index(length))
    left = [v.load(builder, builder.gep(row, [offset])) for row in a_rows]
    right = [v.load(builder, builder.gep(row, [offset])) for row in b_rows]
    results = [
        v.fma(builder, left[i], right[j], sums[i * columns + j])
        for i in range(rows)
        for j in range(columns)
    ]
    n_next = builder.add(n, _index(1))
    for phi, first, later in [(n, _index(0), n_next)] + [
        (phi, v.zero, result) for phi, result in zip(sums, results, strict=True)
    ]:
        phi.add_incoming(first, before)
        phi.add_incoming(later, body)
    builder.cbranch(builder.icmp_signed("<", n_next, count), body, after)
    builder.position_at_end(after)
    adding = builder.icmp_signed("!=", accumulate, _index(0))
    for i in range(rows):
        for j in range(columns):
            total = v.sum(builder, results[i * columns + j])
            element = builder.gep(c, [builder.add(builder.mul(c_row, _index(i)), _index(j))])
            with builder.if_else(adding) as (add, overwrite):
                with add:
                    builder.store(builder.fadd(builder.load(element), total), element)
                with overwrite:
                    builder.store(total, element)
    builder.ret_void()
    return function


def emit_transpose(module, real, length):
    """Emit (once) the transpose of a length x length block.

    Arguments: source, index, use_index, row, last_row, stride, column, target,
    target_stride. Source row i is ``row + i``, clamped to `last_row` and then taken through
    `index` if `use_index`; target row j is the block's column j.
    """
    v = _Vectors(real, length)
    pointer = real.as_pointer()
    name = f"nnjit_transpose_{v.suffix}x{length}"
    function, new = _function(
        module, name, [pointer, _I.as_pointer(), _I, _I, _I, _I, _I, pointer, _I]
    )
    if not new:
        return function
    source, index, use_index, row, last, stride, column, target, target_stride = function.args
    builder = ir.IRBuilder(function.append_basic_block("entry"))
    indexed = builder.icmp_signed("!=", use_index, _index(0))
    block = []
    for i in range(length):
        wanted = builder.add(row, _index(i))
        number = builder.select(builder.icmp_signed("<", wanted, last), wanted, last)
        entry = builder.block
        with builder.if_then(indexed):
            through = builder.load(builder.gep(index, [number]))
            taken = builder.block
        actual = builder.phi(_I)
        actual.add_incoming(number, entry)
        actual.add_incoming(through, taken)
        offset = builder.add(builder.mul(actual, stride), column)
        block.append(v.load(builder, builder.gep(source, [offset])))
    step = length // 2
    while step:
        upper = [j + length - step if j & step else j for j in range(length)]
        lower = [j + length if j & step else j + step for j in range(length)]
        for i in range(length):
            if not i & step:
                first, second = block[i], block[i + step]
                block[i] = v.shuffle(builder, first, second, upper)
                block[i + step] = v.shuffle(builder, first, second, lower)
        step //= 2
    for j in range(length):
        v.store(builder, block[j], builder.gep(target, [builder.mul(target_stride, _index(j))]))
    builder.ret_void()
    return function


def _pointer(context, builder, array_type, array, offset):
    data = cgutils.create_struct_proxy(array_type)(context, builder, array).data
    return builder.gep(data, [offset])


def _intp(context, builder, kind, value):
    return context.cast(builder, value, kind, types.intp)


def _arguments(context, builder, signature, values, is_array):
    """LLVM arguments of a primitive: an (array, offset) pair becomes one pointer."""
    kinds = signature.args
    arguments, n = [], 0
    while n < len(values):
        if is_array[n]:
            offset = _intp(context, builder, kinds[n + 1], values[n + 1])
            arguments.append(_pointer(context, builder, kinds[n], values[n], offset))
            n += 2
        else:
            arguments.append(_intp(context, builder, kinds[n], values[n]))
            n += 1
    return arguments


def _primitive(emit):
    """Signature and code generation of a primitive whose arguments are arrays and integers."""

    def generate(kinds):
        is_array = [isinstance(kind, types.Array) for kind in kinds]

        def codegen(context, builder, signature, values):
            function = emit(builder.module, kinds)
            builder.call(function, _arguments(context, builder, signature, values, is_array))
            return context.get_dummy_value()

        return types.void(*kinds), codegen

    return generate


def _make_tile(rows, vectors):
    @_primitive
    def generate(module, kinds):
        dtype = kinds[0].dtype
        return emit_tile(module, _real(dtype), _lanes(dtype), rows, vectors)

    @intrinsic
    def tile_(
        typingctx,
        a, a_offset, a_row, a_k,
        b, b_offset, b_k,
        c, c_offset, c_row,
        depth,
        bias, bias_offset, use_bias, accumulate, tail,
    ):  # fmt: skip
        return generate(
            (a, a_offset, a_row, a_k, b, b_offset, b_k, c, c_offset, c_row, depth)
            + (bias, bias_offset, use_bias, accumulate, tail)
        )

    return tile_


def _make_dot(rows, columns):
    @_primitive
    def generate(module, kinds):
        dtype = kinds[0].dtype
        return emit_dot(module, _real(dtype), _lanes(dtype), rows, columns)

    @intrinsic
    def dot_(
        typingctx, a, a_offset, a_row, b, b_offset, b_row, vectors, c, c_offset, c_row, accumulate
    ):
        return generate(
            (a, a_offset, a_row, b, b_offset, b_row, vectors, c, c_offset, c_row, accumulate)
        )

    return dot_


@_primitive
def _generate_transpose(module, kinds):
    return emit_transpose(module, _real(kinds[0].dtype), _lanes(kinds[0].dtype))


@intrinsic
def _transpose(
    typingctx,
    source, source_offset,
    index, index_offset, use_index,
    row, last_row, stride, column,
    target, target_offset, target_stride,
):  # fmt: skip
    return _generate_transpose(
        (source, source_offset, index, index_offset, use_index, row, last_row)
        + (stride, column, target, target_offset, target_stride)
    )


@intrinsic
def _lanes_of(typingctx, array):
    value = _lanes(array.dtype)

    def codegen(context, builder, signature, args):
        return ir.Constant(_I, value)

    return types.intp(array), codegen


def _python_tile(rows, vectors):
    def tile_(
        a, a_offset, a_row, a_k,
        b, b_offset, b_k,
        c, c_offset, c_row,
        depth,
        bias, bias_offset, use_bias, accumulate, tail,
    ):  # fmt: skip
        width = (vectors - 1) * _python_lanes(a) + tail
        for i in range(rows):
            start = bias[bias_offset + i] if use_bias else c.dtype.type(0)
            total = np.full(width, start, c.dtype)
            for k in range(depth):
                first = b_offset + k * b_k
                total += a[a_offset + i * a_row + k * a_k] * b[first : first + width]
            row = c[c_offset + i * c_row : c_offset + i * c_row + width]
            row[:] = row + total if accumulate else total

    return tile_


def _python_dot(rows, columns):
    def dot_(a, a_offset, a_row, b, b_offset, b_row, vectors, c, c_offset, c_row, accumulate):
        width = vectors * _python_lanes(a)
        for i in range(rows):
            for j in range(columns):
                left = a[a_offset + i * a_row : a_offset + i * a_row + width]
                right = b[b_offset + j * b_row : b_offset + j * b_row + width]
                start = c[c_offset + i * c_row + j] if accumulate else 0
                c[c_offset + i * c_row + j] = start + np.dot(left, right)

    return dot_


def _python_transpose(
    source, source_offset,
    index, index_offset, use_index,
    row, last_row, stride, column,
    target, target_offset, target_stride,
):  # fmt: skip
    length = _python_lanes(source)
    for i in range(length):
        number = min(row + i, last_row)
        if use_index:
            number = index[index_offset + number]
        for j in range(length):
            value = source[source_offset + number * stride + column + j]
            target[target_offset + j * target_stride + i] = value


def _python_lanes(array):
    return TILE.bytes // array.dtype.itemsize


# The names that kernels use.
if numba.config.DISABLE_JIT:
    _tile, _dot = _python_tile, _python_dot
    transpose = _python_transpose
    lanes = _python_lanes
else:
    _tile, _dot = _make_tile, _make_dot
    transpose = _transpose
    lanes = _lanes_of

# tile_RxV: R rows, V vectors; kernels start at TILE.rows and halve for the last rows
tile_8x2, tile_8x1 = _tile(8, 2), _tile(8, 1)
tile_4x2, tile_4x1 = _tile(4, 2), _tile(4, 1)
tile_2x2, tile_2x1 = _tile(2, 2), _tile(2, 1)
tile_1x2, tile_1x1 = _tile(1, 2), _tile(1, 1)
# dot_RxC: R rows of A times C rows of B
dot_4x4, dot_4x1 = _dot(4, 4), _dot(4, 1)
dot_1x4, dot_1x1 = _dot(1, 4), _dot(1, 1)
