"""Output activation, loss and its gradient, one row of the minibatch per thread.

The formulas are those of the registry, and the order of each row's sums is that of its units.
"""

import functools

from nnjit.backends.cuda._cuda import device, smaller
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
    if loss.output == "softmax":
        return make_softmax(single)
    activate = device_formulas(find_activation(loss.output), single).value

    @device
    def activate_row(z, at, units):
        for t in range(units):
            z[at + t] = activate(z[at + t])

    return activate_row


@functools.cache
def make_row_gradient(single, loss):
    """The loss of a row, and its gradient.

    ``row_gradient(z, at, units, delta, delta_at, samples, sample, weight, scale, parameters)``
    returns the row's loss before weighting, and writes the gradient at the pre-activations `z`,
    times weight and scale. What is left in `z` is of no use. `parameters` are those of the loss,
    by output.
    """
    if loss.classes:
        make = _class_gradient
    elif loss.output == "softmax":
        make = _softmax_gradient
    else:
        make = _element_gradient
    return make(single, loss, device_formulas(loss, single))


def _class_gradient(single, loss, formulas):
    """By the probability of the row's class."""
    softmax, real = make_softmax(single), real_of(single)
    settings, one = reader(len(loss.parameters), real), real(1)
    given = ("p", *loss.parameters)
    value = taking(formulas.value, loss.value_reads, given)
    factor = taking(formulas.factor or _one(real), loss.slope_reads, given)

    @device
    def gradient(z, at, units, delta, delta_at, samples, sample, weight, scale, parameters):
        softmax(z, at, units)
        label = samples.labels[sample]
        p = z[at + label]
        here = (p,) + settings(parameters, 0, 1)
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


def _softmax_gradient(single, loss, formulas):
    """Output by output behind a softmax, the target being 1 for the row's class, else 0.

    A slope by p goes through the softmax's Jacobian, delta_k = p_k (g_k - sum_i p_i g_i).
    """
    softmax, real = make_softmax(single), real_of(single)
    settings, one, zero = reader(len(loss.parameters), real), real(1), real(0)
    mean, by_output = loss.mean_over_outputs, loss.by_output
    given = ("y", "p", "choices", *loss.parameters)
    value = taking(formulas.value, loss.value_reads, given)
    slope = taking(formulas.slope, loss.slope_reads, given)

    @device
    def gradient(z, at, units, delta, delta_at, samples, sample, weight, scale, parameters):
        softmax(z, at, units)
        label, choices, dot, total = samples.labels[sample], real(units), zero, zero
        share = one / choices if mean else one
        for t in range(units):
            p = z[at + t]
            here = (one if t == label else zero, p, choices) + settings(parameters, 0, 1)
            towards = slope(here)
            delta[delta_at + t] = towards
            dot += p * towards
            total += value(here) * share
        for t in range(units):
            towards = delta[delta_at + t]
            if by_output:
                towards = z[at + t] * (towards - dot)
            delta[delta_at + t] = towards * weight * scale
        return total

    return gradient


def _element_gradient(single, loss, formulas):
    """Output by output, each with parameters of its own."""
    activate = device_formulas(find_activation(loss.output), single).value
    real, mean, count = real_of(single), loss.mean_over_outputs, len(loss.parameters)
    settings, one, two, zero = reader(count, real), real(1), real(2), real(0)
    given = ("y", "z", "p", "choices", *loss.parameters)
    value = taking(formulas.value, loss.value_reads, given)
    slope = _slope_by_logit(single, loss, taking(formulas.slope, loss.slope_reads, given))

    @device
    def gradient(z, at, units, delta, delta_at, samples, sample, weight, scale, parameters):
        share = one / real(units) if mean else one
        columns, total = samples.target_columns, zero
        for t in range(units):
            y, logit = samples.targets[sample * columns + smaller(t, columns - 1)], z[at + t]
            here = (y, logit, activate(logit), two) + settings(parameters, t * count, 1)
            delta[delta_at + t] = slope(here) * weight * scale
            total += value(here) * share
        return total

    return gradient


def _slope_by_logit(single, loss, slope):
    """The slope by z of a loss that may be given by p: the way back through the activation."""
    link = loss.link
    if link is None:
        return slope
    formula = device_formulas(link, single).backward
    backward = taking(formula, ("delta", *link.reads), ("delta", "z", "h"))

    @device
    def led_back(here):
        return backward((slope(here), here[1], here[2]))

    return led_back
