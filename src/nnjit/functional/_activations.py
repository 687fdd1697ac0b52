"""Activations and their derivatives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numpy.typing import ArrayLike

from nnjit._arrays import deliver, output, real
from nnjit._types import Array, FloatArray
from nnjit.core.arrays import activations
from nnjit.core.jobs.threads import call
from nnjit.core.maps.activations import backward_unit, derivative_unit, value_unit
from nnjit.functional._parts import PARALLEL_COPY, PARALLEL_EXP, flat, single


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
    return _elementwise(value_unit, "relu", Z, out, PARALLEL_COPY)


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
    return _elementwise(derivative_unit, "relu", Z, out, PARALLEL_COPY)


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
    return _elementwise(value_unit, "logistic", Z, out, PARALLEL_EXP)


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
    return _elementwise(make, "logistic", Z, out, PARALLEL_EXP)


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
    return _elementwise(value_unit, "tanh", Z, out, PARALLEL_EXP)


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
    return _elementwise(make, "tanh", Z, out, PARALLEL_EXP)


def _elementwise(
    make: Callable[[str, bool], Any], name: str, Z: ArrayLike, out: Array | None, threshold: int
) -> FloatArray:
    """Apply a unit of an activation; that of the backward pass to deltas of 1."""
    z = real(Z, "Z")
    result, target = output(out, z.shape, z.dtype, z)
    pair = activations.output_derivative if make is backward_unit else activations.transform
    unit = make(name, single(z)).address
    call(pair, z.size >= threshold, unit, flat(z), target is z, flat(target))
    return deliver(result, target)
