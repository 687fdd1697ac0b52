"""Matrix products on register tiles: the only place of the package that emits IR.

Primitives that kernels call like functions; matrices are (flat array, offset, strides). Each
is an internal LLVM function (emit_*.py), and a few lines of NumPy when Numba's JIT is off.

`product`
    ``C[i, j] = phi(start + sum_k A[i, k] B[k, j])``, start being 0, bias[i] or C[i, j] (`add`),
    accumulated in registers, a few rows times two vectors of columns at a time. A is broadcast
    with any strides; B and C have unit stride along j. Every element is one chain of fused
    multiply-adds in the order of k, so its bits do not depend on the tile it falls into.
    phi(x) is x (`end` = PLAIN), max(x, 0) (RELU), or x where the element `gate` places behind
    C[i, j] is positive and 0 elsewhere (GATE, the Hadamard product with ReLU's derivative).
`product_ahead`
    the same, while the caches are asked for what the caller reads next: `ahead` elements of
    `mask` + 1 arrays, `gap` elements apart, from (stream, offset) on.
`dot_product`
    ``C[i, j] = [C +] sum_n A[i, n] B[j, n]`` with vectors along the summed index.
`outer_product`
    ``C[i, j] = a[i] b[j]``, ``C[i, i] = d[i]`` in whole vectors: a row's last vector may run
    over into the next row, which is written after it.
`transpose_into`
    a transpose, the source's rows optionally taken through an index.
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
from numba.extending import intrinsic

from nnjit.core.emit_dot import emit_dot_product
from nnjit.core.emit_outer import emit_outer_product
from nnjit.core.emit_product import emit_product
from nnjit.core.emit_tile import GATE, PLAIN, RELU
from nnjit.core.emit_transpose import emit_transpose_into

__all__ = [
    "GATE",
    "PLAIN",
    "RELU",
    "TARGETS",
    "TILE",
    "Tile",
    "dot_product",
    "lanes",
    "outer_product",
    "product",
    "product_ahead",
    "transpose_into",
]


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


def _real(dtype):
    return ir.FloatType() if dtype == types.float32 else ir.DoubleType()


def _lanes(dtype):
    return TILE.bytes // (dtype.bitwidth // 8)


def _arguments(context, builder, kinds, values):
    """LLVM arguments of a primitive: an (array, offset) pair becomes one pointer."""
    arguments, n = [], 0
    while n < len(values):
        if isinstance(kinds[n], types.Array):
            offset = context.cast(builder, values[n + 1], kinds[n + 1], types.intp)
            data = context.make_array(kinds[n])(context, builder, values[n]).data
            arguments.append(builder.gep(data, [offset]))
            n += 2
        else:
            arguments.append(context.cast(builder, values[n], kinds[n], types.intp))
            n += 1
    return arguments


def _call(emit, kinds):
    """Signature and code generation of a primitive without a result."""

    def codegen(context, builder, signature, values):
        function = emit(builder.module)
        builder.call(function, _arguments(context, builder, signature.args, values))
        return context.get_dummy_value()

    return types.void(*kinds), codegen


@intrinsic
def _product(
    typingctx, m, n, depth, a, a0, a_row, a_k, b, b0, b_k, c, c0, c_row, bias, bias0, biased, add,
    end, gate,
):  # fmt: skip
    signature = types.void(
        m, n, depth, a, a0, a_row, a_k, b, b0, b_k, c, c0, c_row, bias, bias0, biased, add,
        end, gate,
    )  # fmt: skip

    def codegen(context, builder, signature, values):
        function = emit_product(builder.module, _real(a.dtype), _lanes(a.dtype), TILE.rows)
        arguments = _arguments(context, builder, signature.args, values)
        no_stream = [arguments[3], *[context.get_constant(types.intp, 0)] * 3]
        builder.call(function, arguments + no_stream)
        return context.get_dummy_value()

    return signature, codegen


@intrinsic
def _product_ahead(
    typingctx, m, n, depth, a, a0, a_row, a_k, b, b0, b_k, c, c0, c_row, bias, bias0, biased, add,
    end, gate, stream, stream0, ahead, gap, mask,
):  # fmt: skip
    def emit(module):
        return emit_product(module, _real(a.dtype), _lanes(a.dtype), TILE.rows)

    return _call(
        emit,
        (m, n, depth, a, a0, a_row, a_k, b, b0, b_k, c, c0, c_row, bias, bias0, biased, add,
         end, gate, stream, stream0, ahead, gap, mask),
    )  # fmt: skip


@intrinsic
def _dot_product(typingctx, m, n, vectors, a, a0, a_row, b, b0, b_row, c, c0, c_row, add):
    def emit(module):
        return emit_dot_product(module, _real(a.dtype), _lanes(a.dtype))

    return _call(emit, (m, n, vectors, a, a0, a_row, b, b0, b_row, c, c0, c_row, add))


@intrinsic
def _outer_product(typingctx, rows, vectors, a, a0, b, b0, d, d0, c, c0, c_row):
    def emit(module):
        return emit_outer_product(module, _real(a.dtype), _lanes(a.dtype))

    return _call(emit, (rows, vectors, a, a0, b, b0, d, d0, c, c0, c_row))


@intrinsic
def _transpose_into(
    typingctx, rows, columns, source, s0, stride, index, index0, indexed, target, t0, t_row
):
    def emit(module):
        return emit_transpose_into(module, _real(source.dtype), _lanes(source.dtype))

    return _call(
        emit, (rows, columns, source, s0, stride, index, index0, indexed, target, t0, t_row)
    )


@intrinsic
def _lanes_of(typingctx, array):
    value = _lanes(array.dtype)

    def codegen(context, builder, signature, args):
        return context.get_constant(types.intp, value)

    return types.intp(array), codegen


def _matrix(array, offset, rows, columns, row, column):
    """Strided view of a flat array."""
    size = array.itemsize
    return np.lib.stride_tricks.as_strided(
        array[offset:], (rows, columns), (row * size, column * size)
    )


def _python_product(
    m, n, depth, a, a0, a_row, a_k, b, b0, b_k, c, c0, c_row, bias, bias0, biased, add, end, gate
):
    left, right = _matrix(a, a0, m, depth, a_row, a_k), _matrix(b, b0, depth, n, b_k, 1)
    target = _matrix(c, c0, m, n, c_row, 1)
    if not add:
        target[...] = bias[bias0 : bias0 + m, np.newaxis] if biased else 0
    for k in range(depth):  # in this order, so that bits do not depend on the shape
        target += left[:, k : k + 1] * right[k]
    if end == RELU:
        target[target < 0] = 0
    elif end == GATE:
        target[~(_matrix(c, c0 + gate, m, n, c_row, 1) > 0)] = 0


def _python_product_ahead(*arguments):
    _python_product(*arguments[:-5])


def _python_dot_product(m, n, vectors, a, a0, a_row, b, b0, b_row, c, c0, c_row, add):
    width = vectors * _python_lanes(a)
    result = _matrix(a, a0, m, width, a_row, 1) @ _matrix(b, b0, n, width, b_row, 1).T
    target = _matrix(c, c0, m, n, c_row, 1)
    target[...] = target + result if add else result


def _python_outer_product(rows, vectors, a, a0, b, b0, d, d0, c, c0, c_row):
    width = vectors * _python_lanes(a)
    for i in range(rows):
        c[c0 + i * c_row : c0 + i * c_row + width] = a[a0 + i] * b[b0 : b0 + width]
        c[c0 + i * (c_row + 1)] = d[d0 + i]


def _python_transpose_into(
    rows, columns, source, s0, stride, index, index0, indexed, target, t0, t_row
):
    width = _python_lanes(source)
    padded = np.minimum(np.arange(-(-rows // width) * width), rows - 1)
    numbers = index[index0 + padded] if indexed else padded
    block = source[s0 + numbers[:, np.newaxis] * stride + np.arange(columns)]
    _matrix(target, t0, columns, len(padded), t_row, 1)[...] = block.T


def _python_lanes(array):
    return TILE.bytes // array.dtype.itemsize


if numba.config.DISABLE_JIT:
    product, product_ahead = _python_product, _python_product_ahead
    dot_product = _python_dot_product
    outer_product = _python_outer_product
    transpose_into, lanes = _python_transpose_into, _python_lanes
else:
    product, product_ahead = _product, _product_ahead
    dot_product = _dot_product
    outer_product = _outer_product
    transpose_into, lanes = _transpose_into, _lanes_of
