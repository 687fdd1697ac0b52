"""Output activation, loss and its gradient, one row of the minibatch per thread.

The formulas are those of core/output.py, and the order of each row's sums is that of its units.
"""

import functools

from nnjit.backends.cuda._cuda import device
from nnjit.backends.cuda.scalars import activation_functions, scalar_functions
from nnjit.core.activations import IDENTITY
from nnjit.core.output import POISSON, SOFTMAX

__all__ = ["make_output"]


@functools.cache
def make_softmax(single, real):
    """``softmax(z, at, units)``: the softmax of one row in place."""
    exp = scalar_functions(single)["exp"]
    zero = real(0)

    @device
    def softmax(z, at, units):
        top = z[at]
        for t in range(1, units):
            value = z[at + t]
            top = value if value > top else top
        total = zero
        for t in range(units):
            value = exp(z[at + t] - top)
            z[at + t] = value
            total += value
        for t in range(units):
            z[at + t] = z[at + t] / total

    return softmax


@functools.cache
def make_output(single, real):
    """Device functions (activate_row, row_gradient) for the last layer.

    ``activate_row(code, z, at, units)`` applies the output activation in place.
    ``row_gradient(code, loss, p, at, units, delta, delta_at, samples, sample, weight, eps, scale)``
    returns the row's loss before weighting, and writes the gradient at the pre-activation, times
    weight and scale.
    """
    softmax = make_softmax(single, real)
    activate, _ = activation_functions(single, real)
    element_loss = _make_element_loss(single, real)
    log = scalar_functions(single)["log"]
    one, zero = real(1), real(0)

    @device
    def activate_row(code, z, at, units):
        if code == SOFTMAX:
            softmax(z, at, units)
        else:
            for t in range(units):
                z[at + t] = activate(code, z[at + t])

    @device
    def clipped(p, eps):
        low = eps if p < eps else p
        return one - eps if low > one - eps else low

    @device
    def label_gradient(p, at, units, delta, delta_at, label, weight, eps):
        for t in range(units):
            delta[delta_at + t] = p[at + t] * weight
        delta[delta_at + label] = (p[at + label] - one) * weight
        return -log(clipped(p[at + label], eps))

    @device
    def row_gradient(
        code, loss, p, at, units, delta, delta_at, samples, sample, weight, eps, scale
    ):
        if code == SOFTMAX:
            label = samples.labels[sample]
            return label_gradient(p, at, units, delta, delta_at, label, weight, eps)
        share = one / real(units)
        total = zero
        for t in range(units):
            y = samples.targets[sample * units + t]
            delta[delta_at + t] = (p[at + t] - y) * weight * scale
            total += element_loss(code, loss, p[at + t], y, eps, share)
        return total

    return activate_row, row_gradient


def _make_element_loss(single, real):
    log = scalar_functions(single)["log"]
    half, zero, one = real(0.5), real(0), real(1)

    @device
    def element_loss(code, loss, p, y, eps, share):
        if code == IDENTITY:
            return half * share * (p - y) * (p - y)
        if loss == POISSON:
            mean = eps if p < eps else p
            ratio = y / mean if y > zero else one
            return y * log(ratio) - y + p
        low = eps if p < eps else p
        probability = one - eps if low > one - eps else low
        return -log(probability if y > half else one - probability)

    return element_loss
