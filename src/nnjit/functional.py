"""The kernels as functions of arrays: activations, softmax, layers, losses.

Every function takes anything NumPy can make an array of (lists, any strides, any byte order,
read-only), computes float32 in float32 and float64 in float64, and everything else that is
real in float64. NaN and infinity pass through. Inputs are never changed, unless the same
array is given as `out`, which is allowed everywhere.

Rows are samples, columns are units, as in ``H = phi(A @ W + b)``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal, TypeAlias, TypeVar

import numpy as np
from numpy.typing import ArrayLike

from nnjit._arrays import (
    apart,
    check_matrix,
    check_rows,
    check_same_shape,
    check_shape,
    deliver,
    output,
    real,
    same_dtype,
)
from nnjit._types import ActivationName, Array, FloatArray
from nnjit.core.arrays import activations, dense, losses
from nnjit.core.arrays import hadamard as hadamard_kernels
from nnjit.core.arrays import softmax as softmax_kernels
from nnjit.core.jobs.threads import call
from nnjit.core.maps.activations import backward_unit, derivative_unit, value_unit
from nnjit.core.simd import TILE
from nnjit.formulas import find_activation

__all__ = [
    "cross_entropy",
    "cross_entropy_gradient",
    "dense_backward",
    "dense_forward",
    "hadamard",
    "log_softmax",
    "poisson",
    "poisson_gradient",
    "relu",
    "relu_derivative",
    "sigmoid",
    "sigmoid_derivative",
    "softmax",
    "softmax_jacobian",
    "softmax_vjp",
    "squared_error",
    "squared_error_gradient",
    "tanh",
    "tanh_derivative",
]

Activation: TypeAlias = Literal[ActivationName, "exp", "softmax"]
Kind: TypeAlias = Literal["binary", "multinomial", "multilabel"]
_Choice = TypeVar("_Choice")

# From here on two threads repay their start: a millisecond of work, since a join on a busy machine
# can cost several. In elements, of copy-like operations and of exponentials; in multiply-adds.
_PARALLEL_COPY, _PARALLEL_EXP, _PARALLEL_PRODUCT = 1 << 22, 1 << 20, 1 << 25


# --- activations -------------------------------------------------------------------------


def relu(Z: ArrayLike, *, out: Array | None = None) -> FloatArray:
    """Rectified linear unit, ``max(z, 0)`` of every element.

    Parameters
    ----------
    Z : array_like of real numbers, any shape
        Pre-activations.
    out : ndarray, optional
        Where the result goes: Z's shape, the result's dtype. May be Z.

    Returns
    -------
    ndarray of Z's shape
        float32 if Z is, else float64. NaN where Z is NaN.

    Raises
    ------
    TypeError
        If Z is not real, or `out` has another dtype than the result.
    ValueError
        If `out` has another shape than the result, or is read-only.

    Examples
    --------
    >>> from nnjit.functional import relu
    >>> relu([-1.0, 0.0, 2.5])
    array([0. , 0. , 2.5])
    """
    return _elementwise(value_unit, "relu", Z, out, _PARALLEL_COPY)


def relu_derivative(Z: ArrayLike, *, out: Array | None = None) -> FloatArray:
    """Derivative of `relu` at Z: 1 where ``z > 0``, else 0 (at 0 and NaN too).

    The output of `relu` may be given instead of Z; the result is the same.

    Parameters
    ----------
    Z : array_like of real numbers, any shape
        Pre-activations.
    out : ndarray, optional
        Where the result goes: Z's shape, the result's dtype. May be Z.

    Returns
    -------
    ndarray of Z's shape
        float32 if Z is, else float64.

    Raises
    ------
    TypeError, ValueError
        As for `relu`.

    Examples
    --------
    >>> from nnjit.functional import relu_derivative
    >>> relu_derivative([-1.0, 0.0, 2.5])
    array([0., 0., 1.])
    """
    return _elementwise(derivative_unit, "relu", Z, out, _PARALLEL_COPY)


def sigmoid(Z: ArrayLike, *, out: Array | None = None) -> FloatArray:
    """Logistic function, ``1 / (1 + exp(-z))`` of every element.

    Within 2 units in the last place, subnormal results included; never overflows.

    Parameters
    ----------
    Z : array_like of real numbers, any shape
        Pre-activations.
    out : ndarray, optional
        Where the result goes: Z's shape, the result's dtype. May be Z.

    Returns
    -------
    ndarray of Z's shape
        float32 if Z is, else float64. NaN where Z is NaN.

    Raises
    ------
    TypeError, ValueError
        As for `relu`.

    Examples
    --------
    >>> from nnjit.functional import sigmoid
    >>> sigmoid([-1000.0, 0.0, 1000.0])
    array([0. , 0.5, 1. ])
    """
    return _elementwise(value_unit, "logistic", Z, out, _PARALLEL_EXP)


def sigmoid_derivative(
    Z: ArrayLike, *, from_output: bool = False, out: Array | None = None
) -> FloatArray:
    """Derivative of `sigmoid`, ``s(z) (1 - s(z))``, by Z or by the output of `sigmoid`.

    At Z it is computed as ``s(z) s(-z)``, which stays accurate where ``s(z)`` rounds to 1.

    Parameters
    ----------
    Z : array_like of real numbers, any shape
        Pre-activations, or outputs.
    from_output : bool, default=False
        Whether Z holds outputs ``h = sigmoid(z)`` already; the result is then ``h (1 - h)``.
    out : ndarray, optional
        Where the result goes: Z's shape, the result's dtype. May be Z.

    Returns
    -------
    ndarray of Z's shape
        float32 if Z is, else float64.

    Raises
    ------
    TypeError, ValueError
        As for `relu`.

    Examples
    --------
    >>> from nnjit.functional import sigmoid_derivative
    >>> sigmoid_derivative([0.0])
    array([0.25])
    >>> sigmoid_derivative([0.5], from_output=True)
    array([0.25])
    """
    make = backward_unit if from_output else derivative_unit
    return _elementwise(make, "logistic", Z, out, _PARALLEL_EXP)


def tanh(Z: ArrayLike, *, out: Array | None = None) -> FloatArray:
    """Hyperbolic tangent of every element, within 3 units in the last place (2 in float32).

    Parameters
    ----------
    Z : array_like of real numbers, any shape
        Pre-activations.
    out : ndarray, optional
        Where the result goes: Z's shape, the result's dtype. May be Z.

    Returns
    -------
    ndarray of Z's shape
        float32 if Z is, else float64. NaN where Z is NaN.

    Raises
    ------
    TypeError, ValueError
        As for `relu`.

    Examples
    --------
    >>> from nnjit.functional import tanh
    >>> tanh([-1000.0, 0.0, 1000.0])
    array([-1.,  0.,  1.])
    """
    return _elementwise(value_unit, "tanh", Z, out, _PARALLEL_EXP)


def tanh_derivative(
    Z: ArrayLike, *, from_output: bool = False, out: Array | None = None
) -> FloatArray:
    """Derivative of `tanh`, ``1 - tanh(z)^2``, by Z or by the output of `tanh`.

    At Z it is computed as ``4 s(2z) s(-2z)`` with the logistic function s, which stays
    accurate where ``tanh(z)`` rounds to 1.

    Parameters
    ----------
    Z : array_like of real numbers, any shape
        Pre-activations, or outputs.
    from_output : bool, default=False
        Whether Z holds outputs ``h = tanh(z)`` already; the result is then ``1 - h^2``.
    out : ndarray, optional
        Where the result goes: Z's shape, the result's dtype. May be Z.

    Returns
    -------
    ndarray of Z's shape
        float32 if Z is, else float64.

    Raises
    ------
    TypeError, ValueError
        As for `relu`.

    Examples
    --------
    >>> from nnjit.functional import tanh_derivative
    >>> tanh_derivative([0.0])
    array([1.])
    >>> tanh_derivative([0.5], from_output=True)
    array([0.75])
    """
    make = backward_unit if from_output else derivative_unit
    return _elementwise(make, "tanh", Z, out, _PARALLEL_EXP)


def hadamard(A: ArrayLike, B: ArrayLike, *, out: Array | None = None) -> FloatArray:
    """Hadamard product, ``a b`` of every pair of elements.

    Parameters
    ----------
    A, B : array_like of real numbers, of one shape
        They are not broadcast: in backpropagation that would hide a mistake.
    out : ndarray, optional
        Where the result goes: A's shape, the result's dtype. May be A or B.

    Returns
    -------
    ndarray of A's shape
        float32 if both are, else float64.

    Raises
    ------
    TypeError, ValueError
        As for `relu`; ValueError if the shapes differ.

    Examples
    --------
    >>> from nnjit.functional import hadamard
    >>> hadamard([[1.0, 2.0]], [[3.0, 4.0]])
    array([[3., 8.]])
    """
    a, b = same_dtype(real(A, "A"), real(B, "B"))
    check_same_shape(a, "A", b, "B")
    result, target = output(out, b.shape, b.dtype, a, b)
    if target is a:
        a, b = b, a
    if target is a:  # all three are one
        a = a.copy()
    call(
        hadamard_kernels.hadamard, b.size >= _PARALLEL_COPY,
        _flat(a), _flat(b), target is b, _flat(target),
    )  # fmt: skip
    return deliver(result, target)


# --- softmax -----------------------------------------------------------------------------


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
    return _row_wise(softmax_kernels.softmax, Z, out)


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
    return _row_wise(softmax_kernels.log_softmax, Z, out)


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
    call(softmax_kernels.softmax_jacobian, m * n * n >= _PARALLEL_EXP, _flat(z), n, _flat(target))
    return deliver(result, target)


def softmax_vjp(S: ArrayLike, V: ArrayLike, *, out: Array | None = None) -> FloatArray:
    """Product of each row of V with the Jacobian of the softmax: ``s * (v - s . v)``.

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
        softmax_kernels.softmax_vjp, s.size >= _PARALLEL_EXP,
        _flat(s), _flat(v), s.shape[-1], _flat(target),
    )  # fmt: skip
    return deliver(result, target)


# --- dense layers ------------------------------------------------------------------------


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
    pairs = _three_outputs(out, shapes, d.dtype, (a, w, d))
    targets = [apart(target, a, w, d) for _, target in pairs]
    _product(d, w.T, None, "identity", targets[0])
    _product(a.T, d, None, "identity", targets[1])
    _column_sums(d, targets[2])
    dA, dW, db = (deliver(result, target) for (result, _), target in zip(pairs, targets))
    return dA, dW, db


# --- losses ------------------------------------------------------------------------------


def squared_error(Y: ArrayLike, P: ArrayLike, *, sample_weight: ArrayLike | None = None) -> float:
    """Half the mean squared error, ``1/(2 K W) sum_i w_i sum_k (y_ik - p_ik)^2``.

    W is the sum of the weights (the number of rows without weights), K the number of
    outputs. For one sample and K outputs this is 1/K of ``1/2 sum_k (y_k - p_k)^2``.

    Parameters
    ----------
    Y, P : array_like of real numbers, shape (m,) or (m, K)
        Targets and predictions.
    sample_weight : array_like of real numbers, shape (m,), optional
        Not negative, with a positive sum.

    Returns
    -------
    float
        The loss, summed up in float64.

    Raises
    ------
    TypeError
        If an input is not real.
    ValueError
        If shapes differ, there are no rows, or the weights are negative or sum to 0.

    Examples
    --------
    >>> from nnjit.functional import squared_error
    >>> squared_error([1.0, 2.0], [1.0, 4.0])
    1.0
    """
    y, p = _targets(Y, P)
    return _loss("squared_error", y, p, sample_weight) / _outputs_of(p)


def squared_error_gradient(
    Y: ArrayLike,
    P: ArrayLike,
    *,
    sample_weight: ArrayLike | None = None,
    out: Array | None = None,
) -> FloatArray:
    """Gradient of `squared_error` by P, ``w_i (p_ik - y_ik) / (K W)``.

    Parameters
    ----------
    Y, P : array_like of real numbers, shape (m,) or (m, K)
        Targets and predictions.
    sample_weight : array_like of real numbers, shape (m,), optional
        Not negative, with a positive sum.
    out : ndarray, optional
        Where the result goes: P's shape, the result's dtype. May be P.

    Returns
    -------
    ndarray of P's shape
        float32 if Y and P are, else float64.

    Raises
    ------
    TypeError, ValueError
        As for `squared_error`.

    Examples
    --------
    >>> from nnjit.functional import squared_error_gradient
    >>> squared_error_gradient([1.0, 2.0], [1.0, 4.0])
    array([0., 1.])
    """
    y, p = _targets(Y, P)
    return _gradient("squared_error", False, y, p, sample_weight, 1 / _outputs_of(p), out)


def poisson(Y: ArrayLike, P: ArrayLike, *, sample_weight: ArrayLike | None = None) -> float:
    """Half the mean Poisson deviance, ``1/W sum_i w_i sum_k y log(y / p) - y + p``.

    Parameters
    ----------
    Y : array_like of real numbers, shape (m,) or (m, K)
        Counts, not negative; ``y log(y / p)`` is 0 at y = 0.
    P : array_like of real numbers, Y's shape
        Expected counts, positive.
    sample_weight : array_like of real numbers, shape (m,), optional
        Not negative, with a positive sum.

    Returns
    -------
    float
        The loss, summed up in float64.

    Raises
    ------
    TypeError, ValueError
        As for `squared_error`.

    Examples
    --------
    >>> from nnjit.functional import poisson
    >>> poisson([0.0, 2.0], [1.0, 2.0])
    0.5
    """
    y, p = _targets(Y, P)
    return _loss("poisson", y, p, sample_weight)


def poisson_gradient(
    Y: ArrayLike,
    P: ArrayLike,
    *,
    wrt: Literal["output", "logits"] = "output",
    sample_weight: ArrayLike | None = None,
    out: Array | None = None,
) -> FloatArray:
    """Gradient of `poisson` by P, ``w_i (1 - y / p) / W``, or by ``log P``.

    Parameters
    ----------
    Y : array_like of real numbers, shape (m,) or (m, K)
        Counts, not negative.
    P : array_like of real numbers, Y's shape
        Expected counts, positive.
    wrt : {"output", "logits"}
        By P, or by the pre-activation Z of ``P = exp(Z)``: ``w_i (p - y) / W``.
    sample_weight : array_like of real numbers, shape (m,), optional
        Not negative, with a positive sum.
    out : ndarray, optional
        Where the result goes: P's shape, the result's dtype. May be P.

    Returns
    -------
    ndarray of P's shape
        float32 if Y and P are, else float64.

    Raises
    ------
    TypeError, ValueError
        As for `poisson`; ValueError if `wrt` is unknown.

    Examples
    --------
    >>> from nnjit.functional import poisson_gradient
    >>> poisson_gradient([0.0, 2.0], [1.0, 2.0])
    array([0.5, 0. ])
    """
    y, p = _targets(Y, P)
    return _gradient("poisson", _linked(wrt), y, p, sample_weight, 1.0, out)


def cross_entropy(
    Y: ArrayLike,
    P: ArrayLike,
    *,
    kind: Kind = "multinomial",
    sample_weight: ArrayLike | None = None,
) -> float:
    """Mean cross-entropy (log loss) of probabilities.

    ::

        multinomial           -1/W sum_i w_i sum_k y_ik log(p_ik)
        binary, multilabel    -1/W sum_i w_i sum_k y_ik log(p_ik) + (1 - y_ik) log(1 - p_ik)

    with natural logarithms, W the sum of the weights (the number of rows without weights) and
    p clipped to [eps, 1 - eps], eps the machine epsilon of its dtype.

    Parameters
    ----------
    Y : array_like
        Class numbers (integers) of shape (m,), or for every kind an array of P's shape:
        indicators or probabilities of the classes.
    P : array_like of real numbers
        Probabilities: shape (m, K), or (m,) too for "binary".
    kind : {"multinomial", "binary", "multilabel"}
        One of K classes; one of two classes, by the probability of the second; any number of
        K labels.
    sample_weight : array_like of real numbers, shape (m,), optional
        Not negative, with a positive sum.

    Returns
    -------
    float
        The loss, summed up in float64.

    Raises
    ------
    TypeError
        If an input is not real.
    ValueError
        If shapes do not fit, a class number is outside 0 .. K - 1, there are no rows, the
        kind is unknown, or the weights are negative or sum to 0.

    Examples
    --------
    >>> from nnjit.functional import cross_entropy
    >>> round(cross_entropy([0, 1], [[0.5, 0.5], [0.25, 0.75]]), 6)
    0.490415
    >>> round(cross_entropy([0, 1], [0.5, 0.75], kind="binary"), 6)
    0.490415
    """
    name = _choice(kind, "kind", _KINDS)
    labels, p = _class_numbers(Y, P, kind)
    if labels is None:
        y, p = _targets(Y, P, binary=kind == "binary")
        return _loss(name, y, p, sample_weight)
    weights, total = _weights(sample_weight, p)
    parts = np.empty(_blocks(1, p), np.float64)
    unit = losses.value_unit(name, _single(p)).address
    call(losses.label_loss, len(labels) >= _PARALLEL_EXP, unit, labels, _flat(p), weights, parts)
    return float(losses.add_up(parts)) / total


def cross_entropy_gradient(
    Y: ArrayLike,
    P: ArrayLike,
    *,
    kind: Kind = "multinomial",
    wrt: Literal["output", "logits"] = "output",
    sample_weight: ArrayLike | None = None,
    out: Array | None = None,
) -> FloatArray:
    """Gradient of `cross_entropy` by the probabilities, or by the logits they come from.

    ::

        multinomial          output: -w_i y / (p W)                  logits: w_i (p - y) / W
        binary, multilabel   output: w_i (p - y) / (p (1 - p) W)     logits: w_i (p - y) / W

    By the outputs, p is clipped as in the loss. Logits are the inputs of the softmax
    (multinomial; each row of Y has to sum to 1) or of the sigmoid (binary, multilabel).

    Parameters
    ----------
    Y : array_like
        Class numbers or an array of P's shape, as for `cross_entropy`.
    P : array_like of real numbers
        Probabilities: shape (m, K), or (m,) too for "binary".
    kind : {"multinomial", "binary", "multilabel"}
        Which cross-entropy.
    wrt : {"output", "logits"}
        By what the derivative is taken.
    sample_weight : array_like of real numbers, shape (m,), optional
        Not negative, with a positive sum.
    out : ndarray, optional
        Where the result goes: P's shape, the result's dtype. May be P.

    Returns
    -------
    ndarray of P's shape
        float32 if the real inputs are, else float64.

    Raises
    ------
    TypeError, ValueError
        As for `cross_entropy`; ValueError if `wrt` is unknown.

    Examples
    --------
    >>> from nnjit.functional import cross_entropy_gradient
    >>> cross_entropy_gradient([1], [[0.5, 0.5]])
    array([[ 0., -2.]])
    >>> cross_entropy_gradient([1], [[0.5, 0.5]], wrt="logits")
    array([[ 0.5, -0.5]])
    """
    name, linked = _choice(kind, "kind", _KINDS), _linked(wrt)
    labels, p = _class_numbers(Y, P, kind)
    if labels is None:
        y, p = _targets(Y, P, binary=kind == "binary")
        return _gradient(name, linked, y, p, sample_weight, 1.0, out)
    weights, total = _weights(sample_weight, p)
    result, target = output(out, p.shape, p.dtype, p)
    unit = losses.slope_unit(name, linked, _single(p)).address
    call(
        losses.label_gradient, p.size >= _PARALLEL_COPY, unit, labels, linked,
        _flat(p), weights, p.dtype.type(1 / total), target is p, _flat(target),
    )  # fmt: skip
    return deliver(result, target)


# --- shared parts ------------------------------------------------------------------------

# Losses of `nnjit.core.arrays.losses` by the kinds of cross-entropy.
_KINDS = {"multinomial": "categorical", "binary": "bernoulli", "multilabel": "bernoulli"}


def _flat(array: Array) -> Array:
    return array.reshape(-1)


def _choice(value: str, name: str, choices: Mapping[str, _Choice]) -> _Choice:
    """choices[value], or an error that lists them."""
    try:
        return choices[value]
    except (KeyError, TypeError):
        raise ValueError(f"{name} must be one of {sorted(choices)}, got {value!r}") from None


def _single(array: Array) -> bool:
    return array.itemsize == 4


def _linked(wrt: str) -> bool:
    return _choice(wrt, "wrt", {"output": False, "logits": True})


def _elementwise(
    make: Callable[[str, bool], Any], name: str, Z: ArrayLike, out: Array | None, threshold: int
) -> FloatArray:
    """Apply a unit of an activation; that of the backward pass to deltas of 1."""
    z = real(Z, "Z")
    result, target = output(out, z.shape, z.dtype, z)
    pair = activations.output_derivative if make is backward_unit else activations.transform
    unit = make(name, _single(z)).address
    call(pair, z.size >= threshold, unit, _flat(z), target is z, _flat(target))
    return deliver(result, target)


def _row_wise(pair: Any, Z: ArrayLike, out: Array | None) -> FloatArray:
    z = real(Z, "Z")
    check_rows(z, "Z")
    result, target = output(out, z.shape, z.dtype, z)
    call(pair, z.size >= _PARALLEL_EXP, _flat(z), z.shape[-1], _flat(target))
    return deliver(result, target)


def _check_inner(a: Array, w: Array) -> None:
    if a.shape[1] != w.shape[0]:
        raise ValueError(f"A's columns must match W's rows, got shapes {a.shape} and {w.shape}")


def _product(a: Array, b: Array, bias: Array | None, activation: str, target: Array) -> None:
    """target = phi(a @ b + bias), without phi for softmax."""
    (m, depth), n = a.shape, b.shape[1]
    if not target.size:
        return
    if a.flags.c_contiguous:
        flat, row, column = _flat(a), depth, 1
    else:
        flat, row, column = _flat(a.T), 1, m
    lanes = TILE.bytes // target.itemsize
    reach = -(-n // lanes) * lanes
    if reach != n or not b.flags.c_contiguous:
        padded = np.zeros((depth, reach), b.dtype)
        padded[:, :n] = b
        b = padded
    if bias is None:
        bias = np.zeros(n, target.dtype)
    elementwise = activation not in ("identity", "softmax")
    unit = value_unit(activation, _single(target)).address if elementwise else 0
    call(
        dense.affine, m * depth * n >= _PARALLEL_PRODUCT,
        unit, depth, flat, row, column, _flat(b), reach, bias, _flat(target),
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
    unit = backward_unit(activation, _single(d)).address
    call(
        activations.backward, d.size >= _PARALLEL_COPY,
        unit, _flat(h), _flat(d), False, _flat(delta),
    )  # fmt: skip
    return delta


def _check_by_output(activation: str) -> None:
    """Refuse an activation that is unknown, or whose derivative is not known by its output."""
    if "z" in find_activation(activation).reads:
        raise ValueError(
            f"the derivative of {activation!r} needs pre-activations, of which dense_backward "
            "knows nothing"
        )


def _three_outputs(
    out: Any, shapes: tuple[tuple[int, ...], ...], dtype: np.dtype[Any], inputs: tuple[Array, ...]
) -> list[tuple[Array, Array]]:
    if out is None:
        out = (None, None, None)
    if not isinstance(out, (tuple, list)) or len(out) != 3:
        raise ValueError("out must be three arrays, for dA, dW and db")
    return [output(array, shape, dtype, *inputs) for array, shape in zip(out, shapes)]


def _targets(Y: ArrayLike, P: ArrayLike, *, binary: bool = False) -> tuple[Array, Array]:
    """Targets and outputs of a loss, both of one shape and dtype."""
    y, p = same_dtype(real(Y, "Y"), real(P, "P"))
    if binary and y.ndim < p.ndim and p.shape == (*y.shape, 1):
        y = y.reshape(p.shape)
    check_same_shape(y, "Y", p, "P")
    if p.ndim and p.shape[0] == 0:
        raise ValueError("a loss needs at least one row")
    check_rows(p, "P")
    return y, p


def _outputs_of(p: Array) -> int:
    return int(p.shape[1]) if p.ndim == 2 else 1


def _class_numbers(Y: ArrayLike, P: ArrayLike, kind: str) -> tuple[Array | None, Array]:
    """(labels, P) if Y holds class numbers, else (None, P)."""
    p = real(P, "P")
    y = np.asarray(Y)
    if kind != "multinomial" or y.ndim != 1 or p.ndim != 2:
        return None, p
    if y.dtype.kind not in "iu":
        raise ValueError(f"class numbers in Y must be integers, got dtype {y.dtype}")
    check_rows(p, "P")
    check_shape(y, "Y", p.shape[:1])
    if y.size and (y.min() < 0 or y.max() >= p.shape[1]):
        raise ValueError(f"class numbers in Y must be in 0 .. {p.shape[1] - 1}")
    return np.array(y, np.int64), p


def _weights(sample_weight: ArrayLike | None, p: Array) -> tuple[Array, float]:
    """Weights of the rows in p's dtype, and their sum."""
    rows = p.shape[0]
    if rows == 0:
        raise ValueError("a loss needs at least one row")
    if sample_weight is None:
        return np.ones(rows, p.dtype), float(rows)
    weights = real(sample_weight, "sample_weight").astype(p.dtype, copy=False)
    check_shape(weights, "sample_weight", (rows,))
    total = float(weights.sum(dtype=np.float64))
    if (weights < 0).any() or not total > 0:
        raise ValueError("sample_weight must not be negative and must have a positive sum")
    return weights, total


def _blocks(k: int, p: Array) -> int:
    """Number of partial sums of a loss over rows of k outputs."""
    height: int = max(1, losses.BLOCK // k)
    return -(-len(p) // height)


def _loss(name: str, y: Array, p: Array, sample_weight: ArrayLike | None) -> float:
    weights, total = _weights(sample_weight, p)
    parts = np.empty(_blocks(_outputs_of(p), p), np.float64)
    unit = losses.value_unit(name, _single(p)).address
    call(losses.loss, p.size >= _PARALLEL_EXP, unit, _flat(y), _flat(p), weights, parts)
    return float(losses.add_up(parts)) / total


def _gradient(
    name: str,
    linked: bool,
    y: Array,
    p: Array,
    sample_weight: ArrayLike | None,
    factor: float,
    out: Array | None,
) -> FloatArray:
    weights, total = _weights(sample_weight, p)
    result, target = output(out, p.shape, p.dtype, y, p)
    if target is y:
        y = y.copy()
    scale = p.dtype.type(factor / total)
    unit = losses.slope_unit(name, linked, _single(p)).address
    call(
        losses.loss_gradient, p.size >= _PARALLEL_COPY, unit,
        _flat(y), _flat(p), weights, scale, target is p, _flat(target),
    )  # fmt: skip
    return deliver(result, target)


def _column_sums(d: Array, target: Array) -> None:
    if target.size:
        dense.column_sums(_flat(d), d.shape[1], target)
