"""Activation functions.

Each returns value(z) = phi(z), derivative(z) = phi'(z), accurate where phi saturates, and
backward(delta, ...) = delta phi'(z), which reads the pre-activation z, the output h = phi(z), or
both, as its arguments say.
"""

import math

from nnjit.formulas.registry import activation

__all__ = ["exp", "identity", "logistic", "relu", "softplus", "tanh"]


@activation()
def identity(m):
    """Return z itself, linear."""
    one = m.one

    def value(z):
        return z

    def derivative(z):
        return one

    def backward(delta):
        return delta

    return value, derivative, backward


@activation(gain=2.0, range=(0.0, 1.0))
def logistic(m):
    """1 / (1 + exp(-z)); its gain is the one of scikit-learn."""
    one, sigmoid = m.one, m.sigmoid

    def value(z):
        return sigmoid(z)

    def derivative(z):
        return sigmoid(z) * sigmoid(-z)

    def backward(delta, h):
        return delta * (h * (one - h))

    return value, derivative, backward


@activation(range=(-1.0, 1.0))
def tanh(m):
    """Hyperbolic tangent."""
    one, two, sigmoid, hyperbolic = m.one, m.two, m.sigmoid, m.tanh

    def value(z):
        return hyperbolic(z)

    def derivative(z):
        return two * two * (sigmoid(two * z) * sigmoid(-two * z))

    def backward(delta, h):
        return delta * ((one - h) * (one + h))

    return value, derivative, backward


@activation(range=(0.0, math.inf), epilogue="relu")
def relu(m):
    """max(z, 0); NaN stays NaN. The derivative at 0 is 0."""
    zero, one, select = m.zero, m.one, m.select

    def value(z):
        return select(z < zero, zero, z)

    def derivative(z):
        return select(z > zero, one, zero)

    def backward(delta, h):
        return select(h > zero, delta, zero)

    return value, derivative, backward


@activation(range=(0.0, math.inf), hidden=False)
def exp(m):
    """e^z, for outputs that are positive."""
    exponential = m.exp

    def value(z):
        return exponential(z)

    def derivative(z):
        return exponential(z)

    def backward(delta, h):
        return delta * h

    return value, derivative, backward


@activation(range=(0.0, math.inf), hidden=False)
def softplus(m):
    """log(1 + e^z), a smooth relu."""
    sigmoid, smooth = m.sigmoid, m.softplus

    def value(z):
        return smooth(z)

    def derivative(z):
        return sigmoid(z)

    def backward(delta, z):
        return delta * sigmoid(z)

    return value, derivative, backward
