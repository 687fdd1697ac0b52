"""Softmax of rows, its logarithm and its Jacobian."""

from __future__ import annotations

from typing import Any

from numpy.typing import ArrayLike

from nnjit._arrays import (
    check_matrix,
    check_rows,
    check_same_shape,
    deliver,
    output,
    real,
    same_dtype,
)
from nnjit._types import Array, FloatArray
from nnjit.core.arrays import softmax as kernels
from nnjit.core.jobs.threads import call
from nnjit.functional._parts import PARALLEL_EXP, flat


def softmax(Z: ArrayLike, *, out: Array | None = None) -> FloatArray:
    """Softmax of each row, ``exp(z_j) / sum_k exp(z_k)``.

    The row's maximum is subtracted first, so nothing overflows. Each row is normalized by
    itself: rows sum to 1.

    Parameters
    ----------
    Z : array_like of real numbers, shape (n,) or (m, n), n > 0
        Logits, one row per sample.
    out : ndarray, optional
        Where the result goes: Z's shape, the result's dtype. May be Z.

    Returns
    -------
    ndarray of Z's shape
        float32 if Z is, else float64. A row with NaN or +inf is NaN.

    Raises
    ------
    TypeError, ValueError
        As for `relu`; ValueError if Z has no or more than two dimensions, or no columns.

    Examples
    --------
    >>> from nnjit.functional import softmax
    >>> softmax([[0.0, 0.0], [1000.0, 0.0]])
    array([[0.5, 0.5],
           [1. , 0. ]])
    """
    return _row_wise(kernels.softmax, Z, out)


def log_softmax(Z: ArrayLike, *, out: Array | None = None) -> FloatArray:
    """Logarithm of the softmax of each row, ``z_j - log sum_k exp(z_k)``.

    Finite for finite Z, where ``log(softmax(Z))`` may be -inf, unless two logits of a row lie
    further apart than the largest number of their type.

    Parameters
    ----------
    Z : array_like of real numbers, shape (n,) or (m, n), n > 0
        Logits, one row per sample.
    out : ndarray, optional
        Where the result goes: Z's shape, the result's dtype. May be Z.

    Returns
    -------
    ndarray of Z's shape
        float32 if Z is, else float64. A row with NaN or +inf is NaN.

    Raises
    ------
    TypeError, ValueError
        As for `softmax`.

    Examples
    --------
    >>> from nnjit.functional import log_softmax
    >>> log_softmax([[1000.0, 0.0]])
    array([[    0., -1000.]])
    """
    return _row_wise(kernels.log_softmax, Z, out)


def softmax_jacobian(Z: ArrayLike, *, out: Array | None = None) -> FloatArray:
    """Jacobian of the softmax of each row: ``J[i, j, k] = s_ij (delta_jk - s_ik)``.

    ``J[i, j, k]`` is the derivative of output j of row i by its input k. Where only the
    product with a vector is needed, `softmax_vjp` gives it without the n x n matrices.

    Parameters
    ----------
    Z : array_like of real numbers, shape (m, n), n > 0
        Inputs of the softmax (logits), not its outputs.
    out : ndarray of shape (m, n, n), optional
        Where the result goes, of the result's dtype.

    Returns
    -------
    ndarray of shape (m, n, n)
        float32 if Z is, else float64.

    Raises
    ------
    TypeError, ValueError
        As for `softmax`; ValueError unless Z has two dimensions.

    Examples
    --------
    >>> from nnjit.functional import softmax_jacobian
    >>> softmax_jacobian([[0.0, 0.0]])
    array([[[ 0.25, -0.25],
            [-0.25,  0.25]]])
    """
    z = real(Z, "Z")
    check_matrix(z, "Z")
    check_rows(z, "Z")
    m, n = z.shape
    result, target = output(out, (m, n, n), z.dtype, z)
    call(kernels.softmax_jacobian, m * n * n >= PARALLEL_EXP, flat(z), n, flat(target))
    return deliver(result, target)


def softmax_vjp(S: ArrayLike, V: ArrayLike, *, out: Array | None = None) -> FloatArray:
    """Product of each row of V with the Jacobian of the softmax: ``s * (v - sum_j s_j v_j)``.

    With S = softmax(Z) and V the gradient of a loss by S, this is its gradient by Z. The
    Jacobian is symmetric, so it is the product from either side.

    Parameters
    ----------
    S : array_like of real numbers, shape (n,) or (m, n), n > 0
        Outputs of the softmax.
    V : array_like of real numbers, S's shape
        What the Jacobian is multiplied with.
    out : ndarray, optional
        Where the result goes: S's shape, the result's dtype. May be S or V.

    Returns
    -------
    ndarray of S's shape
        float32 if both are, else float64.

    Raises
    ------
    TypeError, ValueError
        As for `softmax`; ValueError if the shapes differ.

    Examples
    --------
    >>> from nnjit.functional import softmax_vjp
    >>> softmax_vjp([[0.5, 0.5]], [[1.0, 0.0]])
    array([[ 0.25, -0.25]])
    """
    s, v = same_dtype(real(S, "S"), real(V, "V"))
    check_rows(s, "S")
    check_same_shape(s, "S", v, "V")
    result, target = output(out, s.shape, s.dtype, s, v)
    call(
        kernels.softmax_vjp, s.size >= PARALLEL_EXP,
        flat(s), flat(v), s.shape[-1], flat(target),
    )  # fmt: skip
    return deliver(result, target)


def _row_wise(pair: Any, Z: ArrayLike, out: Array | None) -> FloatArray:
    z = real(Z, "Z")
    check_rows(z, "Z")
    result, target = output(out, z.shape, z.dtype, z)
    call(pair, z.size >= PARALLEL_EXP, flat(z), z.shape[-1], flat(target))
    return deliver(result, target)
