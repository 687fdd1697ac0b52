"""The end of the network: output activation, loss and its gradient for one block of rows.

Everything is feature-major: `work[z + t * stride + j]` is output t of row j. For the pairs
offered here (identity with squared error, logistic or softmax with log loss, exp with
Poisson) the gradient at the pre-activation is ``activation(z) - y``, times the row's weight.

Definitions of the losses, weights w, as in scikit-learn 1.9:

    squared error  1/2 sum_j w_j mean_t (z - y)^2
    Poisson        sum_j w_j sum_t (y log(y / p) - y + p)                        p = exp(z)
    log loss      -sum_j w_j sum_t (y log(p) + (1 - y) log(1 - p))               p = logistic(z)
    log loss      -sum_j w_j log(p[label_j])                                     p = softmax(z)

with p clipped to [eps, 1 - eps] in the log losses and its logarithm taken of at least eps in
Poisson's, where that is the smallest normal number: a mean that underflowed costs much, not
infinitely much. The caller divides by the weights' sum.
"""

from nnjit.core.activations import activate_piece
from nnjit.core.compiler.jit import elementwise, vectorized
from nnjit.core.scalar import exp, log

__all__ = ["LOSSES", "SOFTMAX", "apply_output", "output_gradient", "softmax_columns"]

# An output activation beside those of activations.py.
SOFTMAX = 4

SQUARED_ERROR, POISSON, LOG_LOSS = 0, 1, 2
LOSSES = {"squared_error": SQUARED_ERROR, "poisson": POISSON, "log_loss": LOG_LOSS}


@vectorized
def column_maxima(work, z, units, lanes, stride, top):
    """top[j] = the largest of column j's units."""
    first = work[z : z + lanes]
    for j in range(lanes):
        top[j] = first[j]
    for t in range(1, units):
        row = work[z + t * stride : z + t * stride + lanes]
        for j in range(lanes):
            top[j] = row[j] if row[j] > top[j] else top[j]


@vectorized
def subtract_from_columns(work, z, units, lanes, stride, values):
    """Subtract values[j] from all units of column j."""
    for t in range(units):
        row = work[z + t * stride : z + t * stride + lanes]
        for j in range(lanes):
            row[j] = row[j] - values[j]


@vectorized
def softmax_columns(work, z, units, lanes, stride, spare):
    """Softmax over the units of every column; `spare` is the offset of one free row."""
    top = work[spare : spare + lanes]
    first = work[z : z + lanes]
    column_maxima(work, z, units, lanes, stride, top)
    subtract_from_columns(work, z, units, lanes, stride, top)
    values = work[z : z + (units - 1) * stride + lanes]
    for i in range(len(values)):
        values[i] = exp(values[i])
    for j in range(lanes):
        top[j] = first[j]
    for t in range(1, units):
        row = work[z + t * stride : z + t * stride + lanes]
        for j in range(lanes):
            top[j] += row[j]
    for t in range(units):
        row = work[z + t * stride : z + t * stride + lanes]
        for j in range(lanes):
            row[j] = row[j] / top[j]


@elementwise
def apply_output(code, work, z, units, lanes, stride, spare):
    """Output activation in place."""
    if code == SOFTMAX:
        softmax_columns(work, z, units, lanes, stride, spare)
        return
    activate_piece(code, work[z : z + (units - 1) * stride + lanes])


@vectorized
def gather_column(values, width, column, order, start, rows, row):
    """row[j] = values[order[start + j], column] for a row-major matrix of `width` columns."""
    for j in range(rows):
        row[j] = values[order[start + j] * width + column]


@vectorized
def weighted_sum(row, weights, rows):
    """sum_j weights[j] row[j] in float64, in the order of j."""
    total = 0.0
    for j in range(rows):
        total += float(weights[j]) * float(row[j])
    return total


@elementwise
def clip(value, low, high):
    """`value` in [low, high]; NaN stays NaN."""
    raised = low if value < low else value
    return high if raised > high else raised


@vectorized
def clip_probabilities(p, eps):
    """Put all of p into [eps, 1 - eps]."""
    high = p.dtype.type(1) - eps
    for j in range(len(p)):
        p[j] = clip(p[j], eps, high)


@vectorized
def softmax_gradient(
    work, z, units, stride, delta, labels, order, start, rows, weights, spare, eps
):
    """Loss and delta of softmax with log loss; `labels` are class numbers."""
    real = work.dtype.type
    zero, one = real(0), real(1)
    chosen = work[spare : spare + rows]
    # as reals, to be compared a vector at a time
    label = work[spare + stride : spare + stride + rows]
    for j in range(rows):
        label[j] = labels[order[start + j]]
    for t in range(units):
        p = work[z + t * stride : z + t * stride + rows]
        d = work[delta + t * stride : delta + t * stride + rows]
        for j in range(rows):
            d[j] = (p[j] - (one if label[j] == real(t) else zero)) * weights[j]
        for j in range(rows):
            chosen[j] = p[j] if label[j] == real(t) else chosen[j]
    clip_probabilities(chosen, eps)
    for j in range(rows):
        chosen[j] = -log(chosen[j])
    return weighted_sum(chosen, weights, rows)


@vectorized
def column_loss(loss, p, y, eps, share):
    """Replace y by the loss of each row for one output; p is the output's activation.

    The outputs' losses are added up; squared error alone is their mean, by `share`, while its
    delta is that of the sum, as in scikit-learn.
    """
    half, zero, one = y.dtype.type(0.5), y.dtype.type(0), y.dtype.type(1)
    n = len(y)
    if loss == SQUARED_ERROR:
        for j in range(n):
            y[j] = half * share * (p[j] - y[j]) * (p[j] - y[j])
    elif loss == POISSON:
        for j in range(n):
            mean = eps if p[j] < eps else p[j]
            ratio = y[j] / mean if y[j] > zero else one
            y[j] = y[j] * log(ratio) - y[j] + p[j]
    else:
        high = one - eps
        for j in range(n):
            clipped = clip(p[j], eps, high)
            y[j] = -log(clipped if y[j] > half else one - clipped)


@vectorized
def column_delta(p, y, weights, scale, delta):
    """delta = derivative of each row's loss by the pre-activation of one output, weighted.

    It is p - y for every loss above, since each goes with one output activation.
    """
    for j in range(len(delta)):
        delta[j] = (p[j] - y[j]) * weights[j] * scale


@elementwise
def output_gradient(
    code, loss, work, z, units, lanes, stride, delta,
    targets, labels, order, start, rows, weights_at, spare, eps, scale,
):  # fmt: skip
    """Loss (weighted sum over rows, float64) and delta of one block.

    Parameters
    ----------
    work : INOUT, activations of the last layer at `z`; its gradient goes to `delta`
        (padding columns are zero); the rows' weights lie at `weights_at`, two free rows
        at `spare`.
    targets : IN (n * units,) row-major; for softmax `labels` IN (n,) instead
    scale : real
        Factor on delta beside the row's weight.
    """
    weights = work[weights_at : weights_at + rows]
    total = 0.0
    if code == SOFTMAX:
        total = softmax_gradient(
            work, z, units, stride, delta, labels, order, start, rows, weights, spare, eps
        )
    else:
        share = work.dtype.type(1) / work.dtype.type(units)
        y = work[spare : spare + rows]
        for t in range(units):
            p = work[z + t * stride : z + t * stride + rows]
            d = work[delta + t * stride : delta + t * stride + rows]
            gather_column(targets, units, t, order, start, rows, y)
            column_delta(p, y, weights, scale, d)
            column_loss(loss, p, y, eps, share)
            total += weighted_sum(y, weights, rows)
    for t in range(units):
        for j in range(rows, lanes):
            work[delta + t * stride + j] = 0
    return total
