"""Output activation, loss and its gradient, one row of the minibatch per thread.

The formulas are those of the registry, and the order of each row's sums is that of its units.
"""

import functools

from nnjit.backends.cuda._cuda import device
from nnjit.backends.cuda.control import DELTA_SCALE, PARAMETERS
from nnjit.backends.cuda.scalars import device_formulas, device_library, real_of
from nnjit.backends.cuda.tuples import reader, taking
from nnjit.formulas.registry import find_activation

__all__ = ["make_output", "make_row_gradient", "make_softmax"]


@functools.cache
def make_softmax(single):
    """``softmax(z, at, units)``: the softmax of one row in place."""
    exp, zero = device_library(single).exp, real_of(single)(0)

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
def make_output(single, loss):
    """``activate_row(z, at, units)``: the output activation that goes with a loss, in place."""
    if loss.classes:
        return make_softmax(single)
    activate = device_formulas(find_activation(loss.output), single).value

    @device
    def activate_row(z, at, units):
        for t in range(units):
            z[at + t] = activate(z[at + t])

    return activate_row


@functools.cache
def make_row_gradient(single, loss):
    """``row_gradient(z, at, units, delta, delta_at, samples, sample, weight, control)``.

    It returns the row's loss before weighting, and writes the gradient at the pre-activations `z`,
    times weight and scale. What is left in `z` is of no use.
    """
    make = _class_gradient if loss.classes else _element_gradient
    return make(single, loss, device_formulas(loss, single))


def _class_gradient(single, loss, formulas):
    softmax, real = make_softmax(single), real_of(single)
    settings, one = reader(len(loss.parameters), real), real(1)
    given = ("p", *loss.parameters)
    value = taking(formulas.value, loss.value_reads, given)
    factor = taking(formulas.factor or _one(real), loss.slope_reads, given)

    @device
    def gradient(z, at, units, delta, delta_at, samples, sample, weight, control):
        softmax(z, at, units)
        label = samples.labels[sample]
        p = z[at + label]
        here = (p,) + settings(control, PARAMETERS, 1)
        share = factor(here) * weight
        for t in range(units):
            delta[delta_at + t] = z[at + t] * share
        delta[delta_at + label] = (p - one) * share
        return value(here)

    return gradient


def _one(real):
    one = real(1)

    @device
    def factor():
        return one

    return factor


def _element_gradient(single, loss, formulas):
    activate = device_formulas(find_activation(loss.output), single).value
    real, mean = real_of(single), loss.mean_over_outputs
    settings, one, zero = reader(len(loss.parameters), real), real(1), real(0)
    given = ("y", "z", "p", *loss.parameters)
    value = taking(formulas.value, loss.value_reads, given)
    slope = taking(formulas.slope, loss.slope_reads, given)

    @device
    def gradient(z, at, units, delta, delta_at, samples, sample, weight, control):
        parameters, scale = settings(control, PARAMETERS, 1), real(control[DELTA_SCALE])
        share = one / real(units) if mean else one
        total = zero
        for t in range(units):
            y, logit = samples.targets[sample * units + t], z[at + t]
            here = (y, logit, activate(logit)) + parameters
            delta[delta_at + t] = slope(here) * weight * scale
            total += value(here) * share
        return total

    return gradient
