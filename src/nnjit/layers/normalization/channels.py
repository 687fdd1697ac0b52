"""Batch normalization of arrays of channels on the CPU: a channel is one unit.

Its values lie behind one another, ``points * rows`` of them in a block (see
`nnjit.core.jobs.job.Step`), and may be very many: sums are taken piece by piece in the values'
precision, and those of the pieces added up in float64. Of series that are shorter than others only
the points count that they have.

In training they are the two steps of `parts.py`, for which the passes take vectors as well.
"""

import functools

import numpy as np

from nnjit.core.compiler.jit import inline, viewing
from nnjit.core.compiler.units import named_units
from nnjit.core.jobs.job import block_of, chunk_of, job_of, order_of, params_of, step_of, work_of
from nnjit.core.jobs.records import view
from nnjit.core.maps.lengths import clear_tails, is_ragged, length_of
from nnjit.layers.activation import activate, differentiate
from nnjit.layers.channels import PIECE, unit_lanes, unit_length, unit_values, values_of
from nnjit.layers.normalization.cpu import (
    SHIFT,
    _affine,
    _batch_delta,
    _factors,
    _follow,
    _products,
    _squares,
    _total,
    normalization_step_of,
)

__all__ = ["units"]

# What is kept of a unit over a minibatch, each a vector of the units. For parts of a minibatch two
# more follow: what rounding takes from the means, and later, over all parts, the means of DELTAS
# and of PRODUCTS.
MEANS, FACTORS, DELTAS, PRODUCTS, JOINED = range(5)
REST = JOINED


# -- a unit's values --------------------------------------------------------------------


@viewing
def kept_of(job, step, block, work):
    """What is kept of the units, one vector behind the other."""
    at = job.scratch_row * job.stride + step.statistics * block.lanes
    return work[at : at + step.kept_units]


@inline
def count_values(job, step, plain, block):
    """How many values of a unit in a block are of points that there are."""
    total = unit_values(block, step)
    if is_ragged(job, plain):
        total, order = 0, order_of(block)
        for j in range(block.rows):
            total += length_of(job, plain, block.start + order[j])
    return total


@viewing
def mark_points(job, step, plain, block, like):
    """For each value of a unit 1 where the series has the point, else 0; empty where all have."""
    work, order, rows = work_of(job, block, like), order_of(block), block.rows
    if not is_ragged(job, plain):
        return work[:0]
    at = step.mask_row * job.stride
    marks = work[at : at + step.points * rows]
    for j in range(rows):
        there = length_of(job, plain, block.start + order[j])
        for p in range(step.points):
            marks[p * rows + j] = 1 if p < there else 0
    return marks


# -- sums -------------------------------------------------------------------------------


@inline
def _marked_squares(values, marks, mean):
    """Sum of the squared differences from a mean, and of the differences, where a mark is 1."""
    total, rest = values.dtype.type(0), values.dtype.type(0)
    for i in range(len(values)):
        d = (values[i] - mean) * marks[i]
        total += d * d
        rest += d
    return total, rest


@inline
def _long_total(values):
    total = np.float64(0)
    for first in range(0, len(values), PIECE):
        total += np.float64(_total(values[first : min(first + PIECE, len(values))]))
    return total


@inline
def _long_squares(values, marks, mean):
    """The sums of `_squares`, or of `_marked_squares` where there are marks."""
    total, rest = np.float64(0), np.float64(0)
    for first in range(0, len(values), PIECE):
        last = min(first + PIECE, len(values))
        if len(marks) > 0:
            a, b = _marked_squares(values[first:last], marks[first:last], mean)
        else:
            a, b = _squares(values[first:last], mean)
        total += np.float64(a)
        rest += np.float64(b)
    return total, rest


@inline
def _long_products(delta, x, mean):
    """sum_j delta[j] (x[j] - mean), and sum_j delta[j]."""
    total, plain = np.float64(0), np.float64(0)
    for first in range(0, len(x), PIECE):
        last = min(first + PIECE, len(x))
        a, b = _products(delta[first:last], x[first:last], mean)
        total += np.float64(a)
        plain += np.float64(b)
    return total, plain


# -- the passes -------------------------------------------------------------------------


@inline
def measure_values(job, step, plain, block, like):
    """Keep every unit's mean, and the sum of its squared differences from that.

    Values of points that a series does not have are 0 and add nothing to the first sum.
    """
    work, n = work_of(job, block, like), step.units
    kept, count = kept_of(job, step, block, work), max(count_values(job, step, plain, block), 1)
    marks = mark_points(job, step, plain, block, like)
    length, values = unit_length(job, block, step), unit_values(block, step)
    for k in range(n):
        x = values_of(work, step.input_row, length, k, values, job.stride)
        about = type(like)(_long_total(x) / count)
        total, rest = _long_squares(x, marks, about)
        mean = np.float64(about) + rest / count
        kept[MEANS * n + k] = mean
        kept[REST * n + k] = mean - np.float64(kept[MEANS * n + k])
        kept[FACTORS * n + k] = max(total - rest * rest / count, np.float64(0))


@inline
def settle(job, step, kept, count, like):
    """Make 1 / d of the sums of squares of so many values; the running statistics follow.

    A gradient for its own sake leaves these alone.
    """
    real, n, params = type(like), step.units, params_of(job, like)
    means, variances = kept[MEANS * n : MEANS * n + n], kept[FACTORS * n : FACTORS * n + n]
    values = real(max(count, 1))
    for k in range(n):
        variances[k] = variances[k] / values
    if not job.accumulates:
        share, unbiased = real(step.momentum), values / max(values - real(1), real(1))
        _follow(params[step.mean : step.mean + n], means, share, real(1))
        _follow(params[step.variance : step.variance + n], variances, share, unbiased)
    _factors(variances, real(step.epsilon), variances)


@inline
def standardize_values(job, step, plain, block, means, factors, like):
    """Outputs of the block by a mean and a factor of every unit."""
    work, params = work_of(job, block, like), params_of(job, like)
    length, lanes = unit_length(job, block, step), unit_lanes(block, step)
    for k in range(step.units):
        x = values_of(work, step.input_row, length, k, lanes, job.stride)
        z = values_of(work, step.output_row, length, k, lanes, job.stride)
        factor = factors[k] * params[step.scale + k]
        _affine(x, means[k], factor, params[step.shift + k], z)
    activate(job, step, block, like)
    clear_tails(job, plain, block, step.output_row, like)


@inline
def sum_deltas(job, step, plain, block, like):
    """Delta by z; keep its sums, which are the gradients of shift and scale."""
    clear_tails(job, plain, block, step.delta_row, like)
    differentiate(job, step, block, like)
    work, n = work_of(job, block, like), step.units
    kept = kept_of(job, step, block, work)
    length, values = unit_length(job, block, step), unit_values(block, step)
    for k in range(n):
        x = values_of(work, step.input_row, length, k, values, job.stride)
        delta = values_of(work, step.delta_row, length, k, values, job.stride)
        total, plain_sum = _long_products(delta, x, kept[MEANS * n + k])
        kept[DELTAS * n + k] = plain_sum
        kept[PRODUCTS * n + k] = total * np.float64(kept[FACTORS * n + k])


@inline
def input_delta(job, step, plain, block, sums, count, like):
    """Delta of the inputs, by the sums that `sum_deltas` keeps, of so many values.

    sums : IN (2 * units,) those of all rows that were measured together
    """
    work, params, n = work_of(job, block, like), params_of(job, like), step.units
    kept, real = kept_of(job, step, block, work), type(like)
    length, lanes = unit_length(job, block, step), unit_lanes(block, step)
    values = unit_values(block, step)
    for k in range(n):
        x = values_of(work, step.input_row, length, k, values, job.stride)
        delta = values_of(work, step.delta_row, length, k, values, job.stride)
        target = values_of(work, step.input_delta_row, length, k, lanes, job.stride)
        target[values:] = real(0)
        factor = kept[FACTORS * n + k]
        slope, scale = sums[n + k] * factor / real(count), params[step.scale + k]
        mean = kept[MEANS * n + k]
        plain_mean = sums[k] / real(count)
        _batch_delta(delta, x, mean, plain_mean, slope, factor * scale, target[:values])
    clear_tails(job, plain, block, step.input_delta_row, like)


# -- units ------------------------------------------------------------------------------


@functools.cache
def units(single):
    """The units of arrays of channels in one precision that `parts.py` does not have, by name.

    'running' is forward in a prediction.
    """
    like = np.float32(0) if single else np.float64(0)

    def gradient(job_at, step_at, block_at, chunk_at, target_at, add, ahead):
        job, step, block = job_of(job_at), normalization_step_of(step_at), block_of(block_at)
        kept, n = kept_of(job, step, block, work_of(job, block, like)), step.units
        at = (DELTAS if chunk_of(chunk_at).piece == SHIFT else PRODUCTS) * n
        target = view(target_at, n, like)
        for k in range(n):
            target[k] = target[k] + kept[at + k] if add else kept[at + k]

    def running(job_at, step_at, block_at):
        job, step, block = job_of(job_at), normalization_step_of(step_at), block_of(block_at)
        params, n = params_of(job, like), step.units
        factors = kept_of(job, step, block, work_of(job, block, like))[:n]
        _factors(params[step.variance : step.variance + n], type(like)(step.epsilon), factors)
        means = params[step.mean : step.mean + n]
        standardize_values(job, step, step_of(step_at), block, means, factors, like)

    return named_units("normalization_channels", single, gradient, running)
