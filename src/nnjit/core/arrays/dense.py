"""A product of row-major matrices with bias and activation, for single dense layers.

Training has a path of its own over whole networks; this one serves a layer at a time.
"""

import numpy as np

from nnjit.core.compiler.jit import elementwise, kernel, prange, twins
from nnjit.core.compiler.units import call
from nnjit.core.simd import Rows, Strided, product

__all__ = ["affine", "column_sums"]

HEIGHT = 32  # rows of the result per block


@elementwise
def _finish(block, reach, bias, rows, out):
    """out[i, j] = block[i, j] + bias[j]; the block's rows are padded to `reach`."""
    n = len(bias)
    for i in range(rows):
        target = out[i * n : i * n + n]
        source = block[i * reach : i * reach + n]
        for j in range(n):
            target[j] = source[j] + bias[j]


@elementwise
def _affine_block(depth, a, b, reach, bias, rows, out):
    sums = np.empty(rows * reach, out.dtype)
    product(rows, reach, depth, a, Rows(b, 0, reach), Rows(sums, 0, reach), None, None, None)
    _finish(sums, reach, bias, rows, out)


@twins
def affine(unit, depth, a, a_row, a_column, b, reach, bias, out):
    """out = phi(A B + bias) for A of m x depth and B of depth x n.

    Parameters
    ----------
    unit : address of the `value_unit` of phi; 0 for the identity
    a : IN, A[i, k] at ``i * a_row + k * a_column``
    b : IN (depth * reach,), the rows of B padded to whole vectors
    bias : IN (n,)
    out : OUT (m * n,), apart from the inputs
    """
    n = len(bias)
    m = len(out) // n
    size, to = out.itemsize, out.ctypes.data
    for block in prange((m + HEIGHT - 1) // HEIGHT):
        first = block * HEIGHT
        rows = min(HEIGHT, m - first)
        _affine_block(
            depth, Strided(a, first * a_row, a_row, a_column), b, reach, bias, rows,
            out[first * n : (first + rows) * n],
        )  # fmt: skip
        if unit != 0:
            call(unit, (to + first * n * size, rows * n))


@kernel
def column_sums(x, reach, out):
    """out[j] = sum_i x[i, j], in the order of i. x IN (m * reach,), out OUT (n,)."""
    m = len(x) // reach
    for j in range(len(out)):
        out[j] = 0
    for i in range(m):
        row = x[i * reach : i * reach + len(out)]
        for j in range(len(out)):
            out[j] += row[j]
