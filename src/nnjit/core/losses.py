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
"""

import numpy as np

from nnjit.core.compiler.jit import elementwise, kernel, prange, twins
from nnjit.core.output import clip, clip_probabilities
from nnjit.core.scalar import log

__all__ = [
    "BERNOULLI",
    "CATEGORICAL",
    "POISSON",
    "SQUARED",
    "add_up",
    "label_gradient",
    "label_loss",
    "loss",
    "loss_gradient",
]

SQUARED, POISSON, BERNOULLI, CATEGORICAL = 0, 1, 2, 3

# Elements per block; at least one row.
BLOCK = 4096


@elementwise
def block_rows(k):
    """Rows per block of k outputs."""
    return max(1, BLOCK // k)


@elementwise
def _loss_piece(code, y, p):
    """Replace p, clipped where it has to be, by the loss of each element."""
    zero, half, one = p.dtype.type(0), p.dtype.type(0.5), p.dtype.type(1)
    if code == SQUARED:
        for i in range(len(p)):
            p[i] = half * (y[i] - p[i]) * (y[i] - p[i])
    elif code == POISSON:
        for i in range(len(p)):
            ratio = one if y[i] == zero else y[i] / p[i]
            p[i] = y[i] * log(ratio) - y[i] + p[i]
    elif code == BERNOULLI:
        for i in range(len(p)):
            p[i] = -y[i] * log(p[i]) - (one - y[i]) * log(one - p[i])
    else:
        for i in range(len(p)):
            p[i] = -y[i] * log(p[i])


@elementwise
def _gradient_piece(code, linked, y, p):
    """Replace p by the derivative of the loss of each element.

    With `linked`, by the pre-activation of the output's own activation (identity for squared
    error, exp for Poisson, logistic for Bernoulli, softmax for categorical with sum y = 1).
    """
    one = p.dtype.type(1)
    if code == SQUARED or linked:
        for i in range(len(p)):
            p[i] = p[i] - y[i]
    elif code == POISSON:
        for i in range(len(p)):
            p[i] = one - y[i] / p[i]
    elif code == BERNOULLI:
        for i in range(len(p)):
            p[i] = (p[i] - y[i]) / (p[i] * (one - p[i]))
    else:
        for i in range(len(p)):
            p[i] = -y[i] / p[i]


@twins
def loss(code, y, p, weights, eps, parts):
    """parts[b] = weighted loss of block b of rows, to be added up and divided by the weights.

    y, p IN (m * k,), weights IN (m,), parts OUT float64, one per block.
    """
    m = len(weights)
    k = len(p) // m
    height = block_rows(k)
    for b in prange(len(parts)):
        first, last = b * height, min(m, (b + 1) * height)
        values = p[first * k : last * k].copy()
        if code >= BERNOULLI:
            clip_probabilities(values, eps)
        _loss_piece(code, y[first * k : last * k], values)
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
def loss_gradient(code, linked, y, p, weights, scale, eps, copied, out):
    """out[i, j] = scale * w_i * d loss / d p[i, j] (by the pre-activation if `linked`).

    y, p IN (m * k,), weights IN (m,), scale IN a number of p's type, out OUT (m * k,), not y;
    `copied` says that out is p.
    """
    m = len(weights)
    k = len(p) // m
    height = block_rows(k)
    for b in prange((m + height - 1) // height):
        first, last = b * height, min(m, (b + 1) * height)
        target = out[first * k : last * k]
        if not copied:
            source = p[first * k : last * k]
            for i in range(len(target)):
                target[i] = source[i]
        if code >= BERNOULLI and not linked:
            clip_probabilities(target, eps)
        _gradient_piece(code, linked, y[first * k : last * k], target)
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
def label_loss(labels, p, weights, eps, parts):
    """Like `loss` for the categorical loss with class numbers: -w_i log p[i, labels[i]].

    labels IN int64 (m,), p IN (m * k,), weights IN (m,), parts OUT
    float64, one per BLOCK rows.
    """
    m = len(labels)
    k = len(p) // m
    for b in prange(len(parts)):
        first, last = b * BLOCK, min(m, (b + 1) * BLOCK)
        chosen = np.empty(last - first, p.dtype)
        for i in range(first, last):
            chosen[i - first] = p[i * k + labels[i]]
        clip_probabilities(chosen, eps)
        for i in range(last - first):
            chosen[i] = -log(chosen[i])
        parts[b] = _weighted_sum(chosen, weights[first:last], 1)


@twins
def label_gradient(labels, linked, p, weights, scale, eps, copied, out):
    """Like `loss_gradient` for the categorical loss with class numbers.

    labels IN int64 (m,), p IN (m * k,), weights IN (m,), out OUT (m * k,).
    """
    m = len(labels)
    k = len(p) // m
    one, zero = p.dtype.type(1), p.dtype.type(0)
    for i in prange(m):
        source, target = p[i * k : i * k + k], out[i * k : i * k + k]
        if linked:
            if not copied:
                for j in range(k):
                    target[j] = source[j]
            target[labels[i]] -= one
        else:
            chosen = clip(source[labels[i]], eps, one - eps)
            for j in range(k):
                target[j] = zero
            target[labels[i]] = -one / chosen
        factor = scale * weights[i]
        for j in range(k):
            target[j] *= factor


@kernel
def add_up(values):
    """Sum in float64, in order."""
    total = 0.0
    for i in range(len(values)):
        total += values[i]
    return total
