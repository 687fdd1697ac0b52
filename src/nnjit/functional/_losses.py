"""Losses and their gradients."""

from __future__ import annotations

from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from nnjit._arrays import (
    check_rows,
    check_same_shape,
    check_shape,
    deliver,
    output,
    real,
    same_dtype,
)
from nnjit._types import Array, FloatArray
from nnjit.core.arrays import losses
from nnjit.core.jobs.threads import call
from nnjit.functional._parts import PARALLEL_COPY, PARALLEL_EXP, choice, flat, single

Kind: TypeAlias = Literal["binary", "multinomial", "multilabel"]

# Losses of `nnjit.core.arrays.losses` by the kinds of cross-entropy.
_KINDS = {"multinomial": "categorical", "binary": "bernoulli", "multilabel": "bernoulli"}


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
    name = choice(kind, "kind", _KINDS)
    labels, p = _class_numbers(Y, P, kind)
    if labels is None:
        y, p = _targets(Y, P, binary=kind == "binary")
        return _loss(name, y, p, sample_weight)
    weights, total = _weights(sample_weight, p)
    parts = np.empty(_blocks(1, p), np.float64)
    unit = losses.value_unit(name, single(p)).address
    call(losses.label_loss, len(labels) >= PARALLEL_EXP, unit, labels, flat(p), weights, parts)
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
    name, linked = choice(kind, "kind", _KINDS), _linked(wrt)
    labels, p = _class_numbers(Y, P, kind)
    if labels is None:
        y, p = _targets(Y, P, binary=kind == "binary")
        return _gradient(name, linked, y, p, sample_weight, 1.0, out)
    weights, total = _weights(sample_weight, p)
    result, target = output(out, p.shape, p.dtype, p)
    unit = losses.slope_unit(name, linked, single(p)).address
    call(
        losses.label_gradient, p.size >= PARALLEL_COPY, unit, labels, linked,
        flat(p), weights, p.dtype.type(1 / total), target is p, flat(target),
    )  # fmt: skip
    return deliver(result, target)


def _linked(wrt: str) -> bool:
    return choice(wrt, "wrt", {"output": False, "logits": True})


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
    unit = losses.value_unit(name, single(p)).address
    call(losses.loss, p.size >= PARALLEL_EXP, unit, flat(y), flat(p), weights, parts)
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
    unit = losses.slope_unit(name, linked, single(p)).address
    call(
        losses.loss_gradient, p.size >= PARALLEL_COPY, unit,
        flat(y), flat(p), weights, scale, target is p, flat(target),
    )  # fmt: skip
    return deliver(result, target)
