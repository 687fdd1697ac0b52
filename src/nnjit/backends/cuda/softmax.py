"""Softmax of many rows, its Jacobians, and their product with vectors, on the device.

Rows come as NumPy or device arrays, and the result goes back as what came in.
"""

import functools

import numpy as np

from nnjit.backends.cuda._cuda import SIMULATED, cuda, kernel, launch
from nnjit.backends.cuda.memory import allocate
from nnjit.backends.cuda.output import make_softmax
from nnjit.backends.cuda.rows import device_rows

__all__ = ["softmax", "softmax_jacobian", "softmax_vjp"]

THREADS, MOST_BLOCKS = (4, 2) if SIMULATED else (128, 4096)


def softmax(x):
    """Softmax of each row: ``exp(x - max x) / sum``.

    Parameters
    ----------
    x : array of shape (m, n), float32 or float64

    Returns
    -------
    array of shape (m, n)
    """
    x = device_rows(x)
    return _deliver(_softmax(x), x, x.shape)


def softmax_jacobian(x):
    """Jacobian of the softmax of each row, ``J[i, j, k] = s[i, j] (delta_jk - s[i, k])``.

    Parameters
    ----------
    x : array of shape (m, n), float32 or float64

    Returns
    -------
    array of shape (m, n, n)
    """
    x = device_rows(x)
    m, n = x.shape
    out = allocate("The Jacobian", out=(m * n * n, x.dtype))["out"]
    if m * n:
        launch(_jacobian(x.dtype.type), _blocks(m * n * n), THREADS, _softmax(x), m, n, out)
    return _deliver(out, x, (m, n, n))


def softmax_vjp(s, v):
    """Product of each row of v with the Jacobian, ``s (v - s.v)``, without the Jacobian.

    Parameters
    ----------
    s : array of shape (m, n), float32 or float64
        Outputs of the softmax.
    v : array of shape (m, n)
        Computed in the type of s.

    Returns
    -------
    array of shape (m, n)
    """
    s = device_rows(s)
    v = device_rows(v, s.dtype)
    if s.shape != v.shape:
        raise ValueError(f"s and v must have the same shape, got {s.shape} and {v.shape}")
    m, n = s.shape
    out = allocate("The product", out=(m * n, s.dtype))["out"]
    if m * n:
        launch(_vjp(), _blocks(m), THREADS, s.x, s.row, s.column, v.x, v.row, v.column, m, n, out)
    return _deliver(out, s, (m, n))


def _softmax(x):
    """Softmax of the rows, row-major on the device."""
    m, n = x.shape
    flat = x.take(np.arange(m)).x
    if m * n:
        rows_softmax = rows_kernel(x.dtype == np.float32)
        launch(rows_softmax, _blocks(m), THREADS, flat, m, n)
    return flat


def _blocks(work):
    return max(1, min(MOST_BLOCKS, -(-work // THREADS)))


def _deliver(flat, x, shape):
    size = int(np.prod(shape))
    result = flat[:size].reshape(shape)
    return x.like_given(result) if x.given is not None else result.copy_to_host()


@functools.cache
def rows_kernel(single):
    """Kernel of the softmax of m rows of n values in place, a row per thread."""
    softmax_row = make_softmax(single)

    def rows(z, m, n):
        for i in range(cuda.grid(1), m, cuda.gridsize(1)):
            softmax_row(z, i * n, n)

    return kernel(rows)


@functools.cache
def _jacobian(real):
    one = real(1)

    def jacobian(s, m, n, out):
        for e in range(cuda.grid(1), m * n * n, cuda.gridsize(1)):
            i, j, k = e // (n * n), e // n % n, e % n
            left, right = s[i * n + j], s[i * n + k]
            out[e] = left * (one - left) if j == k else -left * right

    return kernel(jacobian)


@functools.cache
def _vjp():
    def vjp(s, s_row, s_column, v, v_row, v_column, m, n, out):
        for i in range(cuda.grid(1), m, cuda.gridsize(1)):
            dot = s[i * s_row] * v[i * v_row]
            for j in range(1, n):
                dot += s[i * s_row + j * s_column] * v[i * v_row + j * v_column]
            for j in range(n):
                value = v[i * v_row + j * v_column] - dot
                out[i * n + j] = s[i * s_row + j * s_column] * value

    return kernel(vjp)
