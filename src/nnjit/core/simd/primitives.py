"""Matrix products on register tiles: the only place of the package that emits IR.

Primitives that kernels call like functions; matrices are (flat array, offset, strides). Each
is an LLVM function that objects.py makes, and a few lines of NumPy when Numba's JIT is off.

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

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from nnjit.core.simd.objects import declare_primitive
from nnjit.core.simd.targets import TILE
from nnjit.core.simd.tile import GATE, PLAIN, RELU

__all__ = [
    "GATE",
    "PLAIN",
    "RELU",
    "dot_product",
    "lanes",
    "outer_product",
    "product",
    "product_ahead",
    "transpose_into",
]


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


def _call(name, dtype, kinds, unused=()):
    """Signature and code generation of a primitive without a result.

    `unused` are last arguments of the LLVM function that stay 0.
    """

    def codegen(context, builder, signature, values):
        function = declare_primitive(builder.module, name, _real(dtype))
        arguments = _arguments(context, builder, signature.args, values)
        arguments += [ir.Constant(kind, None) for kind in unused]
        builder.call(function, arguments)
        return context.get_dummy_value()

    return types.void(*kinds), codegen


@intrinsic
def _product(
    typingctx, m, n, depth, a, a0, a_row, a_k, b, b0, b_k, c, c0, c_row, bias, bias0, biased, add,
    end, gate,
):  # fmt: skip
    return _call(
        "product", a.dtype,
        (m, n, depth, a, a0, a_row, a_k, b, b0, b_k, c, c0, c_row, bias, bias0, biased, add,
         end, gate),
        unused=(_real(a.dtype).as_pointer(), *[ir.IntType(64)] * 3),
    )  # fmt: skip


@intrinsic
def _product_ahead(
    typingctx, m, n, depth, a, a0, a_row, a_k, b, b0, b_k, c, c0, c_row, bias, bias0, biased, add,
    end, gate, stream, stream0, ahead, gap, mask,
):  # fmt: skip
    return _call(
        "product", a.dtype,
        (m, n, depth, a, a0, a_row, a_k, b, b0, b_k, c, c0, c_row, bias, bias0, biased, add,
         end, gate, stream, stream0, ahead, gap, mask),
    )  # fmt: skip


@intrinsic
def _dot_product(typingctx, m, n, vectors, a, a0, a_row, b, b0, b_row, c, c0, c_row, add):
    return _call(
        "dot_product", a.dtype, (m, n, vectors, a, a0, a_row, b, b0, b_row, c, c0, c_row, add)
    )


@intrinsic
def _outer_product(typingctx, rows, vectors, a, a0, b, b0, d, d0, c, c0, c_row):
    return _call("outer_product", a.dtype, (rows, vectors, a, a0, b, b0, d, d0, c, c0, c_row))


@intrinsic
def _transpose_into(
    typingctx, rows, columns, source, s0, stride, index, index0, indexed, target, t0, t_row
):
    return _call(
        "transpose_into", source.dtype,
        (rows, columns, source, s0, stride, index, index0, indexed, target, t0, t_row),
    )  # fmt: skip


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
