"""The scalar functions of formulas as device functions: one source, a second compilation."""

import functools

from nnjit.backends.cuda._cuda import device
from nnjit.core.activations import EXP, LOGISTIC, RELU, TANH
from nnjit.formulas.library import bodies

__all__ = ["activation_functions", "scalar_functions"]


@functools.cache
def scalar_functions(single):
    """Device functions of one precision by the names they have in `nnjit.formulas.library`."""
    return {name: device(body) for name, body in bodies(single, device).items()}


@functools.cache
def activation_functions(single, real):
    """Device functions (activate, slope) that choose an activation by its code.

    ``activate(code, z)`` is phi(z); ``slope(code, h)`` is phi'(z) expressed by h = phi(z). Every
    thread of a launch has the same code, so the branches do not diverge.
    """
    functions = scalar_functions(single)
    sigmoid, tanh, relu, exp = (functions[name] for name in ("sigmoid", "tanh", "relu", "exp"))
    relu_derivative = functions["relu_derivative"]
    sigmoid_derivative = functions["sigmoid_derivative"]
    one = real(1)

    @device
    def activate(code, z):
        if code == RELU:
            return relu(z)
        if code == LOGISTIC:
            return sigmoid(z)
        if code == TANH:
            return tanh(z)
        if code == EXP:
            return exp(z)
        return z

    @device
    def slope(code, h):
        if code == RELU:
            return relu_derivative(h)
        if code == LOGISTIC:
            return sigmoid_derivative(h)
        if code == TANH:
            return (one - h) * (one + h)
        if code == EXP:
            return h
        return one

    return activate, slope
