"""Softmax of the rows of a matrix, its logarithm, its Jacobian and products with that.

Rows are taken in blocks and turned, so that vectors run along the rows and short rows cost
no more per element than long ones. A row's result depends on that row alone.

Matrices are passed flat, with the number of columns beside them.
"""

import numpy as np

from nnjit.core.compiler.jit import elementwise, prange, twins
from nnjit.core.maps.outputs import column_maxima, softmax_columns, subtract_from_columns
from nnjit.core.scalar import exp, log
from nnjit.core.simd import Rows, Vector, lanes, outer_product, transpose_into

__all__ = ["log_softmax", "softmax", "softmax_jacobian", "softmax_vjp"]


@elementwise
def _padded(count, length):
    """`count` rounded up to whole vectors."""
    return (count + length - 1) // length * length


@elementwise
def _block_rows(n):
    """Rows per block: whole vectors, and a scratch array of the L1 cache's size."""
    return min(256, max(16, 4096 // n // 16 * 16))


@elementwise
def _to_columns(x, first, rows, n, work, width):
    """work[j * width + i] = x[(first + i) * n + j]; lanes past the last row repeat it."""
    length = lanes(x)
    reach = _padded(n, length)
    source = x
    at = first * n
    if at + (rows - 1) * n + reach > len(x):  # the last vector would be read past the end
        source = np.empty(rows * n + length, x.dtype)
        inside = x[at : at + rows * n]
        for k in range(len(inside)):
            source[k] = inside[k]
        at = 0
    transpose_into(rows, reach, Rows(source, at, n), None, Rows(work, 0, width))


@elementwise
def _to_rows(work, width, n, turned, reach):
    """turned[i * reach + j] = work[j * width + i]; what lies past column n has no meaning."""
    transpose_into(n, width, Rows(work, 0, width), None, Rows(turned, 0, reach))


@elementwise
def _store_rows(work, width, n, out, first, rows):
    """out[(first + i) * n + j] = work[j * width + i]."""
    reach = _padded(n, lanes(out))
    turned = np.empty(width * reach, out.dtype)
    _to_rows(work, width, n, turned, reach)
    for i in range(rows):
        source = turned[i * reach : i * reach + n]
        target = out[(first + i) * n : (first + i) * n + n]
        for j in range(n):
            target[j] = source[j]


@elementwise
def _softmax_block(x, first, rows, n, out):
    width = _padded(rows, lanes(x))
    work = np.empty((_padded(n, lanes(x)) + 1) * width, x.dtype)
    _to_columns(x, first, rows, n, work, width)
    softmax_columns(work, 0, n, width, width, n * width)
    _store_rows(work, width, n, out, first, rows)


@twins
def softmax(x, n, out):
    """out[i] = exp(x[i] - max x[i]) / sum.

    x IN (m * n,), out OUT (m * n,), may be x.
    """
    m, height = len(x) // n, _block_rows(n)
    for block in prange((m + height - 1) // height):
        _softmax_block(x, block * height, min(height, m - block * height), n, out)


@elementwise
def _log_softmax_columns(work, n, width, top, total):
    """Log-softmax of every column of work; top and total are free vectors."""
    column_maxima(work, 0, n, width, width, top)
    subtract_from_columns(work, 0, n, width, width, top)
    for i in range(width):
        total[i] = 0
    for j in range(n):
        z = work[j * width : j * width + width]
        for i in range(width):
            total[i] += exp(z[i])
    for i in range(width):
        total[i] = log(total[i])
    subtract_from_columns(work, 0, n, width, width, total)


@elementwise
def _log_softmax_block(x, first, rows, n, out):
    width = _padded(rows, lanes(x))
    work = np.empty(_padded(n, lanes(x)) * width, x.dtype)
    _to_columns(x, first, rows, n, work, width)
    _log_softmax_columns(work, n, width, np.empty(width, x.dtype), np.empty(width, x.dtype))
    _store_rows(work, width, n, out, first, rows)


@twins
def log_softmax(x, n, out):
    """out[i] = x[i] - log sum_j exp(x[i, j]).

    x IN (m * n,), out OUT (m * n,), may be x.
    """
    m, height = len(x) // n, _block_rows(n)
    for block in prange((m + height - 1) // height):
        _log_softmax_block(x, block * height, min(height, m - block * height), n, out)


@elementwise
def _careful_rows(s, negative, diagonal, at, first, n, block):
    """block[j, k] = -s[j] s[k] and s[j] (1 - s[j]) on the diagonal, for the rows from first."""
    for j in range(first, n):
        row = block[j * n : j * n + n]
        for k in range(n):
            row[k] = s[at + j] * negative[at + k]
        row[j] = diagonal[at + j]


@elementwise
def _jacobian_block(x, first, rows, n, out):
    one = x.dtype.type(1)
    length = lanes(x)
    width, reach = _padded(rows, length), _padded(n, length)
    work = np.empty((reach + 1) * width, x.dtype)
    _to_columns(x, first, rows, n, work, width)
    softmax_columns(work, 0, n, width, width, n * width)
    s = np.empty(width * reach, x.dtype)
    negative, diagonal = np.empty(len(s), x.dtype), np.empty(len(s), x.dtype)
    _to_rows(work, width, n, s, reach)
    for i in range(len(s)):
        negative[i] = -s[i]
    for i in range(len(s)):
        diagonal[i] = s[i] * (one - s[i])
    end = (first + rows) * n * n
    for i in range(rows):
        start = (first + i) * n * n
        at = i * reach
        whole = n
        if start + (n - 1) * n + reach > end:  # would run over into another thread's block
            whole = max(0, end - start - reach + n) // n
        outer_product(
            whole, reach // length, Vector(s, at), Vector(negative, at), Vector(diagonal, at),
            Rows(out, start, n),
        )  # fmt: skip
        if whole < n:
            _careful_rows(s, negative, diagonal, at, whole, n, out[start : start + n * n])


@twins
def softmax_jacobian(x, n, out):
    """out[i, j, k] = s_j (delta_jk - s_k) with s = softmax(x[i]).

    x IN (m * n,), out OUT (m * n * n,).
    """
    m, height = len(x) // n, _block_rows(n)
    for block in prange((m + height - 1) // height):
        _jacobian_block(x, block * height, min(height, m - block * height), n, out)


@elementwise
def _vjp_columns(s, v, n, width, dot):
    """v = s * (v - s.v) in every column; dot starts at 0."""
    for j in range(n):
        sj = s[j * width : j * width + width]
        vj = v[j * width : j * width + width]
        for i in range(width):
            dot[i] += sj[i] * vj[i]
    for j in range(n):
        sj = s[j * width : j * width + width]
        vj = v[j * width : j * width + width]
        for i in range(width):
            vj[i] = sj[i] * (vj[i] - dot[i])


@elementwise
def _vjp_block(s, v, first, rows, n, out):
    width = _padded(rows, lanes(s))
    left = np.empty(_padded(n, lanes(s)) * width, s.dtype)
    right = np.empty(_padded(n, lanes(s)) * width, s.dtype)
    dot = np.empty(width, s.dtype)
    for i in range(width):
        dot[i] = 0
    _to_columns(s, first, rows, n, left, width)
    _to_columns(v, first, rows, n, right, width)
    _vjp_columns(left, right, n, width, dot)
    _store_rows(right, width, n, out, first, rows)


@twins
def softmax_vjp(s, v, n, out):
    """out[i] = s[i] * (v[i] - s[i].v[i]), the Jacobian of softmax at outputs s times v.

    s, v IN (m * n,), out OUT (m * n,), may be s or v.
    """
    m, height = len(s) // n, _block_rows(n)
    for block in prange((m + height - 1) // height):
        _vjp_block(s, v, block * height, min(height, m - block * height), n, out)
