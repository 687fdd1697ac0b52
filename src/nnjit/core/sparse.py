"""Products of the first layer with CSR rows; nothing is densified."""

from nnjit.core.compiler.jit import inline
from nnjit.core.simd import Rows, transpose_into

__all__ = ["sparse_product", "sparse_transposed_product"]


@inline
def sparse_product(
    data, base, order, start, rows, params, weights, w_row, bias, fan_out, work, across,
    across_row, z, stride,
):  # fmt: skip
    """z[:, j] = bias + sum over the row's entries of value * W[column, :].

    Rows are summed up sample-major at `across` and transposed to `z`.
    """
    b = params[bias : bias + fan_out]
    for j in range(rows):
        out = work[across + j * across_row : across + j * across_row + fan_out]
        for t in range(fan_out):
            out[t] = b[t]
        sample = base + order[start + j]
        for p in range(data.indptr[sample], data.indptr[sample + 1]):
            value = data.x[p]
            at = weights + data.indices[p] * w_row
            w = params[at : at + fan_out]
            for t in range(fan_out):
                out[t] += value * w[t]
    transpose_into(rows, fan_out, Rows(work, across, across_row), None, Rows(work, z, stride))


@inline
def sparse_transposed_product(
    data, order, start, rows, work, across, across_row, low, n, fan_out, grads, at, g_row, add
):
    """Rows low..low+n-1 of dW (+)= X^T delta with delta sample-major at `across`."""
    if add == 0:
        whole = grads[at : at + n * g_row]
        for i in range(len(whole)):
            whole[i] = 0
    for j in range(rows):
        delta = work[across + j * across_row : across + j * across_row + fan_out]
        sample = order[start + j]
        for p in range(data.indptr[sample], data.indptr[sample + 1]):
            row = data.indices[p] - low
            if row < 0 or row >= n:
                continue
            value = data.x[p]
            g = grads[at + row * g_row : at + row * g_row + fan_out]
            for t in range(fan_out):
                g[t] += value * delta[t]
