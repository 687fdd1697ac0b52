"""What kernels call: products on register tiles, transposes.

Each is an LLVM function that objects.py makes, or numpy_forms.py when Numba's JIT is off. The
arguments are those of arguments.py; None stands for what is not wanted.

`product(m, n, depth, a, b, c, prologue, epilogue, prefetch)`
    ``C = epilogue(prologue + A B)`` for A of m x depth (`Strided`), B of depth x n and C (`Rows`),
    accumulated in registers, a few rows times two vectors of columns at a time. Every element is
    one chain of fused multiply-adds in the order of k, so its bits do not depend on the tile it
    falls into. Without a prologue sums begin at 0. B is read in whole vectors.
`dot_product(m, n, vectors, a, b, c, add)`
    ``C[i, j] = [C +] sum_n A[i, n] B[j, n]`` (`Rows`) with vectors along the summed index.
`gathered_product(m, n, depth, a, b, taps, c, prologue, epilogue)`
    The same product where column k of A and row k of B lie where a table tells (`Taps`): A is a
    `Strided` whose `column` is not used, B starts at a `Vector`. Every element is the same chain
    of fused multiply-adds, whatever n. A depth of 0 gives ``epilogue(prologue)``.
`gathered_dot(m, n, segments, a, b, c, add)`
    ``C[i, j] = [C +] sum A[i, a + t] B[j, b + t]`` (`Rows`) over the segments of a table
    (`Segments`) and the t below their lengths; nothing else of A and B is read.
`outer_product(rows, vectors, a, b, diagonal, c)`
    ``C[i, j] = a[i] b[j]``, ``C[i, i] = diagonal[i]`` (`Vector`, `Rows`) in whole vectors: a row's
    last vector may run over into the next row, which is written after it.
`transpose_into(rows, columns, source, index, target)`
    ``target[j, i] = source[index[i], j]`` (`Rows`, `Index`), i up to whole vectors: the last row
    repeats. Without an index rows are taken as they come.
`lanes(array)`
    the vector length of an array's type as a compile-time constant.

The shape of the tile is chosen for the machine (see targets.py); LLVM lowers the same IR to
AVX-512, AVX2, NEON or anything else.
"""

import numba
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from nnjit.core.simd import numpy_forms
from nnjit.core.simd.objects import declare_primitive
from nnjit.core.simd.targets import TILE

__all__ = [
    "dot_product",
    "gathered_dot",
    "gathered_product",
    "lanes",
    "outer_product",
    "product",
    "transpose_into",
]


def _primitive(name, values, kinds):
    """Signature and code generation of a primitive; `values` is a matrix of its precision."""
    real = ir.FloatType() if values.types[0].dtype == types.float32 else ir.DoubleType()

    def codegen(context, builder, signature, arguments):
        function = declare_primitive(builder.module, name, real)
        given = []
        for kind, argument in zip(signature.args, arguments, strict=True):
            if isinstance(kind, types.NoneType):
                width = _WIDTHS[name][len(given)]
                wanted = function.function_type.args[len(given) : len(given) + width]
                given += [ir.Constant(absent, None) for absent in wanted]
            else:
                given += _flat(context, builder, kind, argument)
        builder.call(function, given)
        return context.get_dummy_value()

    return types.void(*kinds), codegen


# How many arguments of the LLVM function, from which one on, stand for what may be None.
_WIDTHS = {
    "product": {10: 2, 12: 2, 14: 4},
    "gathered_product": {11: 2, 13: 2},
    "transpose_into": {4: 1},
}


def _flat(context, builder, kind, argument):
    """A number, or the members of a tuple; an array and its offset become one pointer."""
    if not isinstance(kind, types.BaseTuple):
        return [context.cast(builder, argument, kind, types.intp)]
    members, pointer = [], None
    for number, member in enumerate(kind.types):
        value = builder.extract_value(argument, number)
        if isinstance(member, types.Array):
            pointer = context.make_array(member)(context, builder, value).data
        elif pointer is not None:
            members.append(builder.gep(pointer, [context.cast(builder, value, member, types.intp)]))
            pointer = None
        else:
            members.append(context.cast(builder, value, member, types.intp))
    return members


@intrinsic
def _product(typingctx, m, n, depth, a, b, c, prologue, epilogue, prefetch):
    return _primitive("product", c, (m, n, depth, a, b, c, prologue, epilogue, prefetch))


@intrinsic
def _dot_product(typingctx, m, n, vectors, a, b, c, add):
    return _primitive("dot_product", c, (m, n, vectors, a, b, c, add))


@intrinsic
def _gathered_product(typingctx, m, n, depth, a, b, taps, c, prologue, epilogue):
    return _primitive("gathered_product", c, (m, n, depth, a, b, taps, c, prologue, epilogue))


@intrinsic
def _gathered_dot(typingctx, m, n, segments, a, b, c, add):
    return _primitive("gathered_dot", c, (m, n, segments, a, b, c, add))


@intrinsic
def _outer_product(typingctx, rows, vectors, a, b, diagonal, c):
    return _primitive("outer_product", c, (rows, vectors, a, b, diagonal, c))


@intrinsic
def _transpose_into(typingctx, rows, columns, source, index, target):
    return _primitive("transpose_into", target, (rows, columns, source, index, target))


@intrinsic
def _lanes(typingctx, array):
    value = TILE.bytes // (array.dtype.bitwidth // 8)

    def codegen(context, builder, signature, arguments):
        return context.get_constant(types.intp, value)

    return types.intp(array), codegen


if numba.config.DISABLE_JIT:
    product, dot_product = numpy_forms.product, numpy_forms.dot_product
    gathered_product, gathered_dot = numpy_forms.gathered_product, numpy_forms.gathered_dot
    outer_product, transpose_into = numpy_forms.outer_product, numpy_forms.transpose_into
    lanes = numpy_forms.lanes
else:
    product, dot_product = _product, _dot_product
    gathered_product, gathered_dot = _gathered_product, _gathered_dot
    outer_product, transpose_into = _outer_product, _transpose_into
    lanes = _lanes
