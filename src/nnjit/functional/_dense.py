"""Dense layers, forward and backward."""

from __future__ import annotations

from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from nnjit._arrays import apart, check_matrix, check_shape, deliver, output, real, same_dtype
from nnjit._types import ActivationName, Array, FloatArray
from nnjit.core.arrays import activations, dense
from nnjit.core.jobs.threads import call
from nnjit.core.maps.activations import backward_unit, value_unit
from nnjit.core.simd import TILE
from nnjit.formulas import find_activation
from nnjit.functional._parts import (
    PARALLEL_COPY,
    PARALLEL_PRODUCT,
    flat,
    single,
    three_outputs,
)
from nnjit.functional._softmax import softmax, softmax_vjp

Activation: TypeAlias = Literal[ActivationName, "exp", "softmax"]


def dense_forward(
    A: ArrayLike,
    W: ArrayLike,
    b: ArrayLike | None = None,
    activation: Activation = "identity",
    *,
    out: Array | None = None,
) -> FloatArray:
    """One dense layer, ``H = phi(A @ W + b)``.

    Parameters
    ----------
    A : array_like of real numbers, shape (m, fan_in)
        Outputs of the layer below, one row per sample.
    W : array_like of real numbers, shape (fan_in, fan_out)
        Weights.
    b : array_like of real numbers, shape (fan_out,), optional
        Biases; zeros if None.
    activation : {"identity", "logistic", "tanh", "relu", "exp", "softmax"}
        phi; softmax goes over each row.
    out : ndarray of shape (m, fan_out), optional
        Where H goes, of the result's dtype.

    Returns
    -------
    ndarray of shape (m, fan_out)
        float32 if all inputs are, else float64.

    Raises
    ------
    TypeError, ValueError
        As for `relu`; ValueError if shapes do not fit or the activation is unknown.

    Examples
    --------
    >>> from nnjit.functional import dense_forward
    >>> dense_forward([[1, 2, 3], [4, 5, 6]], [[7, 8], [9, 10], [11, 12]])
    array([[ 58.,  64.],
           [139., 154.]])
    """
    a, w = real(A, "A", any_order=True), real(W, "W", any_order=True)
    bias = None if b is None else real(b, "b")
    a, w, bias = same_dtype(a, w, bias)
    if activation != "softmax":
        find_activation(activation)
    check_matrix(a, "A")
    check_matrix(w, "W")
    _check_inner(a, w)
    if bias is not None:
        check_shape(bias, "b", (w.shape[1],))
    result, target = output(out, (a.shape[0], w.shape[1]), a.dtype, a, w, bias)
    target = apart(target, a, w, bias)
    _product(a, w, bias, activation, target)
    if activation == "softmax" and target.size:
        softmax(target, out=target)
    return deliver(result, target)


def dense_backward(
    dH: ArrayLike,
    A: ArrayLike,
    W: ArrayLike,
    H: ArrayLike | None = None,
    activation: Activation = "identity",
    *,
    out: tuple[Array, Array, Array] | None = None,
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Backpropagate through one dense layer ``H = phi(A @ W + b)``.

    ::

        dZ = dH * phi'(Z)     the layer's delta; phi' is expressed by H
        dW = A^T dZ           summed over the samples, not averaged
        db = sum of dZ's rows
        dA = dZ W^T           dH of the layer below

    For an output layer whose delta is known, pass it as dH with ``activation="identity"``.

    Parameters
    ----------
    dH : array_like of real numbers, shape (m, fan_out)
        Gradient of the loss by H.
    A : array_like of real numbers, shape (m, fan_in)
        The layer's inputs.
    W : array_like of real numbers, shape (fan_in, fan_out)
        The layer's weights.
    H : array_like of real numbers, shape (m, fan_out), optional
        The layer's outputs. Needed unless the activation is the identity.
    activation : {"identity", "logistic", "tanh", "relu", "exp", "softmax"}
        phi; for softmax dZ is the product with its Jacobian.
    out : tuple of ndarray, shapes (m, fan_in), (fan_in, fan_out) and (fan_out,), optional
        Where dA, dW and db go, of the result's dtype.

    Returns
    -------
    dA : ndarray of shape (m, fan_in)
        Gradient by A; float32 if all inputs are, else float64, as the others.
    dW : ndarray of shape (fan_in, fan_out)
        Gradient by W.
    db : ndarray of shape (fan_out,)
        Gradient by b.

    Raises
    ------
    TypeError, ValueError
        As for `dense_forward`; ValueError if H is missing or `out` is not three arrays.

    References
    ----------
    Rumelhart, Hinton and Williams, Learning representations by back-propagating errors,
    Nature 323, 1986.

    Examples
    --------
    >>> from nnjit.functional import dense_backward
    >>> dA, dW, db = dense_backward([[1.0, 2.0]], [[3.0]], [[4.0, 5.0]])
    >>> dA, dW, db
    (array([[14.]]), array([[3., 6.]]), array([1., 2.]))
    """
    d, a, w = real(dH, "dH"), real(A, "A", any_order=True), real(W, "W", any_order=True)
    h = None if H is None else real(H, "H")
    d, a, w, h = same_dtype(d, a, w, h)
    check_matrix(a, "A")
    check_matrix(w, "W")
    _check_inner(a, w)
    check_shape(d, "dH", (a.shape[0], w.shape[1]))
    d = _delta(d, h, activation)
    shapes = (a.shape, w.shape, (w.shape[1],))
    pairs = three_outputs(out, "dA, dW and db", shapes, d, a, w)
    targets = [apart(target, a, w, d) for _, target in pairs]
    _product(d, w.T, None, "identity", targets[0])
    _product(a.T, d, None, "identity", targets[1])
    _column_sums(d, targets[2])
    dA, dW, db = (deliver(result, target) for (result, _), target in zip(pairs, targets))
    return dA, dW, db


def _check_inner(a: Array, w: Array) -> None:
    if a.shape[1] != w.shape[0]:
        raise ValueError(f"A's columns must match W's rows, got shapes {a.shape} and {w.shape}")


def _product(a: Array, b: Array, bias: Array | None, activation: str, target: Array) -> None:
    """target = phi(a @ b + bias), without phi for softmax."""
    (m, depth), n = a.shape, b.shape[1]
    if not target.size:
        return
    if a.flags.c_contiguous:
        values, row, column = flat(a), depth, 1
    else:
        values, row, column = flat(a.T), 1, m
    lanes = TILE.bytes // target.itemsize
    reach = -(-n // lanes) * lanes
    if reach != n or not b.flags.c_contiguous:
        padded = np.zeros((depth, reach), b.dtype)
        padded[:, :n] = b
        b = padded
    if bias is None:
        bias = np.zeros(n, target.dtype)
    elementwise = activation not in ("identity", "softmax")
    unit = value_unit(activation, single(target)).address if elementwise else 0
    call(
        dense.affine, m * depth * n >= PARALLEL_PRODUCT,
        unit, depth, values, row, column, flat(b), reach, bias, flat(target),
    )  # fmt: skip


def _delta(d: Array, h: Array | None, activation: Activation) -> Array:
    """dZ = dH * phi'(Z), by H."""
    if activation != "softmax":
        _check_by_output(activation)
    if activation == "identity":
        return d
    if h is None:
        raise ValueError(f"H is needed for the activation {activation!r}")
    check_shape(h, "H", d.shape)
    delta = np.empty_like(d)
    if not d.size:
        return delta
    if activation == "softmax":
        return softmax_vjp(h, d, out=delta)
    unit = backward_unit(activation, single(d)).address
    call(
        activations.backward, d.size >= PARALLEL_COPY,
        unit, flat(h), flat(d), False, flat(delta),
    )  # fmt: skip
    return delta


def _check_by_output(activation: str) -> None:
    """Refuse an activation that is unknown, or whose derivative is not known by its output."""
    if "z" in find_activation(activation).reads:
        raise ValueError(
            f"the derivative of {activation!r} needs pre-activations, of which dense_backward "
            "knows nothing"
        )


def _column_sums(d: Array, target: Array) -> None:
    if target.size:
        dense.column_sums(flat(d), d.shape[1], target)
