"""The primitives in NumPy, for when Numba's JIT is off."""

import numpy as np

from nnjit.core.simd.arguments import Strided
from nnjit.core.simd.targets import TILE
from nnjit.core.simd.tile import FROM_BIAS, FROM_C, MASK, RELU

__all__ = [
    "dot_product",
    "gathered_dot",
    "gathered_product",
    "lanes",
    "outer_product",
    "product",
    "transpose_into",
]


def _matrix(given, rows, columns):
    """View of a `Strided` or of `Rows`."""
    values, offset, row, column = given if isinstance(given, Strided) else (*given, 1)
    size = values.itemsize
    return np.lib.stride_tricks.as_strided(
        values[offset:], (rows, columns), (row * size, column * size)
    )


def product(m, n, depth, a, b, c, prologue, epilogue, prefetch):
    left, right = _matrix(a, m, depth), _matrix(b, depth, n)
    _product(m, n, zip(left.T, right, strict=True), c, prologue, epilogue)


def _product(m, n, factors, c, prologue, epilogue):
    """The product of the columns of A and the rows of B, one after another."""
    target = _matrix(c, m, n)
    if prologue is None or prologue.kind != FROM_C:
        target[...] = 0
    if prologue is not None and prologue.kind == FROM_BIAS:
        target[...] = prologue.values[prologue.offset : prologue.offset + m, np.newaxis]
    for column, row in factors:  # in this order, so that bits do not depend on the shape
        target += column[:, np.newaxis] * row
    if epilogue is not None and epilogue.kind == RELU:
        target[target < 0] = 0
    if epilogue is not None and epilogue.kind == MASK:
        target[~(_matrix(c._replace(offset=c.offset + epilogue.mask), m, n) > 0)] = 0


def dot_product(m, n, vectors, a, b, c, add):
    width = vectors * lanes(a.values)
    result, target = _matrix(a, m, width) @ _matrix(b, n, width).T, _matrix(c, m, n)
    target[...] = target + result if add else result


def gathered_product(m, n, depth, a, b, taps, c, prologue, epilogue):
    table = taps.values[taps.offset : taps.offset + 2 * depth].reshape(depth, 2)
    rows, columns = a.offset + np.arange(m) * a.row, b.offset + np.arange(n)
    factors = (
        (a.values[rows + column], b.values[columns + row * taps.scale]) for column, row in table
    )
    _product(m, n, factors, c, prologue, epilogue)


def gathered_dot(m, n, segments, a, b, c, add):
    table = segments.values[segments.offset : segments.offset + 3 * segments.count]
    target = _matrix(c, m, n)
    result = np.zeros((m, n), target.dtype)
    for at_a, at_b, length in table.reshape(-1, 3) * segments.scale:
        left = _matrix(a._replace(offset=a.offset + at_a), m, length)
        result += left @ _matrix(b._replace(offset=b.offset + at_b), n, length).T
    target[...] = target + result if add else result


def outer_product(rows, vectors, a, b, diagonal, c):
    width = vectors * lanes(a.values)
    for i in range(rows):
        start = c.offset + i * c.row
        right = b.values[b.offset : b.offset + width]
        c.values[start : start + width] = a.values[a.offset + i] * right
        c.values[start + i] = diagonal.values[diagonal.offset + i]


def transpose_into(rows, columns, source, index, target):
    width = lanes(source.values)
    numbers = np.minimum(np.arange(-(-rows // width) * width), rows - 1)
    padded = len(numbers)
    if index is not None:
        numbers = index.values[index.offset + numbers]
    lines = source.offset + numbers[:, np.newaxis] * source.row
    _matrix(target, columns, padded)[...] = source.values[lines + np.arange(columns)].T


def lanes(array):
    return TILE.bytes // array.dtype.itemsize
