"""Losses and their gradients on row-major arrays of targets and outputs.

Each row's loss is summed over the outputs of the row, weighted, and summed over the rows in
float64, by blocks whose number depends on the shape alone. With weights w, W = sum w, targets y
and outputs p of K outputs:

    squared error   1 / (2 K W)  sum_i w_i sum_k (y - p)^2
    Poisson         1 / W        sum_i w_i sum_k y log(y / p) - y + p
    Bernoulli      -1 / W        sum_i w_i sum_k y log(p) + (1 - y) log(1 - p)
    categorical    -1 / W        sum_i w_i sum_k y log(p)

In the last two p is clipped to [eps, 1 - eps], eps the spacing of numbers at 1; y log(y / p)
is 0 at y = 0. Derivatives are those of the formula at the clipped p.

The formulas are units, made of the entries of `nnjit.formulas`; a kernel gets the address of one,
so it is compiled once for all losses.
"""

import functools

import numpy as np

from nnjit.core.compiler.jit import elementwise, kernel, prange, twins, vectorized
from nnjit.core.compiler.units import Unit, call
from nnjit.core.jobs.records import view
from nnjit.core.scalar import compiled, helper
from nnjit.formulas import find_activation, find_loss
from nnjit.formulas.library import library

__all__ = [
    "BLOCK",
    "add_up",
    "label_gradient",
    "label_loss",
    "loss",
    "loss_gradient",
    "slope_unit",
    "value_unit",
]

# Elements per block; at least one row.
BLOCK = 4096

# Loss and output activation of what `nnjit.functional` offers.
_PAIRS = {
    "squared_error": ("squared_error", "identity"),
    "poisson": ("poisson", "exp"),
    "bernoulli": ("log_loss", "logistic"),
    "categorical": ("log_loss", "softmax"),
}


@functools.cache
def value_unit(name, single):
    """Unit (y, p, n): p, clipped where it has to be, becomes the loss of each element."""
    return _unit(_value(name, single), f"{name}_value", single)


@functools.cache
def slope_unit(name, linked, single):
    """Unit (y, p, n): p becomes the derivative of the loss of each element by p.

    With `linked`, by the pre-activation of the output's own activation (for categorical with
    sum y = 1).
    """
    slope = _slope(name, single) if linked else _slope_by_output(name, single)
    return _unit(slope, f"{name}_{'linked_' if linked else ''}slope", single)


def _unit(formula, name, single):
    like = np.float32(0) if single else np.float64(0)

    @vectorized
    def apply(y, p):
        for i in range(len(p)):
            p[i] = formula(y[i], p[i])

    def unit(y_at, p_at, n):
        apply(view(y_at, n, like), view(p_at, n, like))

    return Unit(unit, f"loss_{name}_{'single' if single else 'double'}")


def _value(name, single):
    """Compiled function of y and p: the loss of one element, y any probability in a log loss."""
    if name not in ("bernoulli", "categorical"):
        return compiled(find_loss(*_PAIRS[name]), single).value
    of_class = compiled(find_loss("log_loss", "softmax"), single).value
    one = library(single, helper).one

    @helper
    def categorical(y, p):
        return y * of_class(p)

    @helper
    def bernoulli(y, p):
        return y * of_class(p) + (one - y) * of_class(one - p)

    return categorical if name == "categorical" else bernoulli


def _slope(name, single):
    """Compiled function of y and p: the derivative by the pre-activation."""
    if name != "categorical":
        return compiled(find_loss(*_PAIRS[name]), single).slope

    @helper
    def categorical(y, p):
        return p - y

    return categorical


def _slope_by_output(name, single):
    """Compiled function of y and p: the derivative by the output, that by z over phi'(z)."""
    if name == "categorical":
        return _slope_by_probability(single)
    loss, output = _PAIRS[name]
    m, activation = library(single, helper), find_activation(output)
    clip, one, low = m.clip, m.one, m.eps
    high = one - low
    slope = compiled(find_loss(loss, output), single).slope
    backward = compiled(activation, single).backward
    if activation.reads == ():
        return slope

    @helper
    def by_output(y, p):
        return slope(y, p) / backward(one, p)

    @helper
    def by_probability(y, p):
        clipped = clip(p, low, high)
        return slope(y, clipped) / backward(one, clipped)

    return by_probability if name == "bernoulli" else by_output


def _slope_by_probability(single):
    m = library(single, helper)
    clip, low = m.clip, m.eps
    high = m.one - low

    @helper
    def categorical(y, p):
        return -y / clip(p, low, high)

    return categorical


@elementwise
def block_rows(k):
    """Rows per block of k outputs."""
    return max(1, BLOCK // k)


@twins
def loss(unit, y, p, weights, parts):
    """parts[b] = weighted loss of block b of rows, to be added up and divided by the weights.

    unit : address of a `value_unit`
    y, p IN (m * k,), weights IN (m,), parts OUT float64, one per block.
    """
    m = len(weights)
    k = len(p) // m
    height = block_rows(k)
    size, y_at = y.itemsize, y.ctypes.data
    for b in prange(len(parts)):
        first, last = b * height, min(m, (b + 1) * height)
        values = p[first * k : last * k].copy()
        call(unit, (y_at + first * k * size, values.ctypes.data, len(values)))
        parts[b] = _weighted_sum(values, weights[first:last], k)


@elementwise
def _weighted_sum(values, weights, k):
    """sum_i w_i sum_j values[i, j] in float64, in order."""
    total = 0.0
    for i in range(len(weights)):
        row = values[i * k : i * k + k]
        part = 0.0
        for j in range(k):
            part += row[j]
        total += weights[i] * part
    return total


@twins
def loss_gradient(unit, y, p, weights, scale, copied, out):
    """out[i, j] = scale * w_i * the derivative of the loss of element i, j.

    unit : address of a `slope_unit`
    y, p IN (m * k,), weights IN (m,), scale IN a number of p's type, out OUT (m * k,), not y;
    `copied` says that out is p.
    """
    m = len(weights)
    k = len(p) // m
    height = block_rows(k)
    size, y_at, to = y.itemsize, y.ctypes.data, out.ctypes.data
    for b in prange((m + height - 1) // height):
        first, last = b * height, min(m, (b + 1) * height)
        target = out[first * k : last * k]
        if not copied:
            source = p[first * k : last * k]
            for i in range(len(target)):
                target[i] = source[i]
        call(unit, (y_at + first * k * size, to + first * k * size, len(target)))
        _scale_rows(target, weights[first:last], scale, k)


@elementwise
def _scale_rows(values, weights, scale, k):
    """values[i, j] *= scale * w_i."""
    for i in range(len(weights)):
        row = values[i * k : i * k + k]
        factor = scale * weights[i]
        for j in range(k):
            row[j] *= factor


@twins
def label_loss(unit, labels, p, weights, parts):
    """Like `loss` for the categorical loss with class numbers: -w_i log p[i, labels[i]].

    labels IN int64 (m,), p IN (m * k,), weights IN (m,), parts OUT float64, one per BLOCK rows.
    """
    m = len(labels)
    k = len(p) // m
    for b in prange(len(parts)):
        first, last = b * BLOCK, min(m, (b + 1) * BLOCK)
        chosen, ones = np.empty(last - first, p.dtype), np.ones(last - first, p.dtype)
        for i in range(first, last):
            chosen[i - first] = p[i * k + labels[i]]
        call(unit, (ones.ctypes.data, chosen.ctypes.data, len(chosen)))
        parts[b] = _weighted_sum(chosen, weights[first:last], 1)


@twins
def label_gradient(unit, labels, linked, p, weights, scale, copied, out):
    """Like `loss_gradient` for the categorical loss with class numbers.

    labels IN int64 (m,), p IN (m * k,), weights IN (m,), out OUT (m * k,).
    """
    m = len(labels)
    k = len(p) // m
    height = block_rows(k)
    for b in prange((m + height - 1) // height):
        first, last = b * height, min(m, (b + 1) * height)
        chosen, ones = np.empty(last - first, p.dtype), np.ones(last - first, p.dtype)
        for i in range(first, last):
            chosen[i - first] = p[i * k + labels[i]]
        call(unit, (ones.ctypes.data, chosen.ctypes.data, len(chosen)))
        for i in range(first, last):
            target = out[i * k : i * k + k]
            _spread(p[i * k : i * k + k], linked, copied, target)
            target[labels[i]] = chosen[i - first]
            factor = scale * weights[i]
            for j in range(k):
                target[j] *= factor


@elementwise
def _spread(source, linked, copied, target):
    """Derivatives of a row by the outputs that are not of its class: its outputs, or 0."""
    if not linked:
        for j in range(len(target)):
            target[j] = 0
    elif not copied:
        for j in range(len(target)):
            target[j] = source[j]


@kernel
def add_up(values):
    """Sum in float64, in order."""
    total = 0.0
    for i in range(len(values)):
        total += values[i]
    return total
