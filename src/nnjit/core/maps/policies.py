"""Losses by row: of a distribution over actions, whose sums come first and slopes afterwards.

See `nnjit.formulas.policies`, and `nnjit.core.maps.losses` for how everything lies. Passes go over
the outputs one after the other, each along the rows of a block.
"""

import numpy as np

from nnjit.core.compiler.jit import inline, vectorized
from nnjit.core.jobs.job import order_of, work_of
from nnjit.core.jobs.records import view
from nnjit.core.maps.columns import gather_column, ordered, weighted_sum
from nnjit.core.maps.outputs import SOFTMAX, column_maxima
from nnjit.core.maps.tuples import cast, take
from nnjit.core.scalar import compiled, exp, log
from nnjit.formulas.registry import OF_TERM

__all__ = ["ROWS", "policy_columns"]

# Free rows of the workspace: a target, the two sums, the advantage, the former log-probability.
ROWS = 5


@vectorized
def clear(row):
    """Set a row to 0."""
    for j in range(len(row)):
        row[j] = 0


@vectorized
def exponentials(z, top, logarithms, total):
    """logarithms = z - top, then z = e to that, which is added to `total`."""
    for j in range(len(z)):
        logarithms[j] = z[j] - top[j]
        z[j] = exp(logarithms[j])
        total[j] += z[j]


@vectorized
def logarithm(source, target):
    """target[j] = log(source[j])."""
    for j in range(len(source)):
        target[j] = log(source[j])


@inline
def begin_softmax(work, z, logarithms, units, stride, total, log_total):
    """A softmax and its logarithms but for the sum, and that: finite where probabilities underflow.

    z, logarithms : offsets of the first of `units` columns, INOUT and OUT
    total, log_total : rows, OUT; a probability is z / total, its logarithm less by log_total
    """
    rows = len(total)
    column_maxima(work, z, units, rows, stride, log_total)
    clear(total)
    for t in range(units):
        at, to = z + t * stride, logarithms + t * stride
        exponentials(work[at : at + rows], log_total, work[to : to + rows], total)
    logarithm(total, log_total)


@vectorized
def weigh(weights, scale, delta):
    """Multiply slopes by the rows' weights."""
    for j in range(len(delta)):
        delta[j] = delta[j] * weights[j] * scale


@vectorized
def through_log_softmax(p, total, weights, scale, delta):
    """Slopes by a logarithm of a softmax, whose sum is `total`, become those by the logit."""
    for j in range(len(delta)):
        delta[j] = (delta[j] - p[j] * total[j]) * weights[j] * scale


def _of_sums(entry, single):
    """Function of compiled code: each row's loss, and its slopes in place of the two sums."""
    names = ("log_p", "row_entropy", "advantage", "former", *entry.parameters)
    formulas = compiled(entry, single)
    value = ordered(formulas.value, entry.value_reads, names)
    slope = ordered(formulas.slope, entry.slope_reads, names)

    @vectorized
    def of_sums(log_p, row_entropy, advantage, former, parameters):
        """`advantage` is replaced by the losses."""
        for j in range(len(log_p)):
            read = (log_p[j], row_entropy[j], advantage[j], former[j], *parameters)
            log_p[j], row_entropy[j] = slope(read)
            advantage[j] = value(read)

    return of_sums


def policy_columns(entry, single):
    """Function of compiled code: loss and delta of a block of a loss by row."""
    like = np.float32(0) if single else np.float64(0)
    real, count = type(like), len(entry.parameters)
    parameters_of, in_precision = take(count), cast(real, count)
    sums, slopes = (_categorical if entry.output == SOFTMAX else _gaussian)(entry, single)
    of_sums = _of_sums(entry, single)

    @inline
    def columns(job, block, z, delta):
        work, stride, rows = work_of(job, block, like), job.stride, block.rows
        at, width, order = job.spare_row * stride, job.target_columns, order_of(block)
        targets = view(job.targets_at, job.n_samples * width, like)
        y, log_p = work[at : at + rows], work[at + stride : at + stride + rows]
        at += 2 * stride
        row_entropy, advantage = work[at : at + rows], work[at + stride : at + stride + rows]
        former = work[at + 2 * stride : at + 2 * stride + rows]
        sums(job, block, z, delta, y, log_p, row_entropy, advantage, former)
        gather_column(targets, width, width - 2, order, rows, advantage)
        gather_column(targets, width, width - 1, order, rows, former)
        given = view(job.loss_parameters_at, count * job.outputs, np.float64(0))
        of_sums(log_p, row_entropy, advantage, former, in_precision(parameters_of(given, 0)))
        slopes(job, block, z, delta, y, log_p, row_entropy, former)
        weights = work[job.weights_row * stride : job.weights_row * stride + rows]
        return weighted_sum(advantage, weights, rows)

    return columns


def _terms(entry, single):
    """Terms and their slopes as functions of tuples, in the order that the registry has."""
    formulas, names = compiled(entry, single), OF_TERM[entry.output]
    of, slope_of = entry.term_reads
    return ordered(formulas.term, of, names), ordered(formulas.term_slope, slope_of, names)


def _categorical(entry, single):
    """Sums and slopes of a softmax, whose logarithms stand where deltas will."""
    like = np.float32(0) if single else np.float64(0)
    real = type(like)
    zero, one = real(0), real(1)
    term, term_slope = _terms(entry, single)

    @vectorized
    def add_term(action, unit, p, logarithms, total, log_total, log_p, row_entropy):
        """End the softmax of one output, and add what it has of the sums."""
        for j in range(len(p)):
            p[j] = p[j] / total[j]
            logarithms[j] = logarithms[j] - log_total[j]
            y = one if action[j] == unit else zero
            share, mixed = term((y, p[j], logarithms[j]))
            log_p[j] += share
            row_entropy[j] += mixed

    @vectorized
    def term_delta(action, unit, p, by_log_p, by_entropy, delta, total):
        """`delta` holds the logarithms of `p`; `total` is the sum of what replaces them."""
        for j in range(len(p)):
            y = one if action[j] == unit else zero
            first, second = term_slope((y, p[j], delta[j]))
            delta[j] = by_log_p[j] * first + by_entropy[j] * second
            total[j] += delta[j]

    @inline
    def sums(job, block, z, delta, y, log_p, row_entropy, total, log_total):
        """`total` and `log_total` are free rows."""
        work, stride, rows, width = (
            work_of(job, block, like),
            job.stride,
            len(y),
            job.target_columns,
        )
        targets = view(job.targets_at, job.n_samples * width, like)
        begin_softmax(work, z, delta, job.outputs, stride, total, log_total)
        gather_column(targets, width, 0, order_of(block), rows, y)
        clear(log_p)
        clear(row_entropy)
        for t in range(job.outputs):
            p, d = work[z + t * stride : z + t * stride + rows], delta + t * stride
            add_term(y, real(t), p, work[d : d + rows], total, log_total, log_p, row_entropy)

    @inline
    def slopes(job, block, z, delta, y, by_log_p, by_entropy, total):
        work, stride, rows = work_of(job, block, like), job.stride, len(y)
        weights = work[job.weights_row * stride : job.weights_row * stride + rows]
        scale = real(job.delta_scale)
        clear(total)
        for t in range(job.outputs):
            p, d = work[z + t * stride : z + t * stride + rows], delta + t * stride
            term_delta(y, real(t), p, by_log_p, by_entropy, work[d : d + rows], total)
        for t in range(job.outputs):
            p, d = work[z + t * stride : z + t * stride + rows], delta + t * stride
            through_log_softmax(p, total, weights, scale, work[d : d + rows])

    return sums, slopes


def _gaussian(entry, single):
    """Sums and slopes of normal distributions: all means, then all logarithms of deviations."""
    like = np.float32(0) if single else np.float64(0)
    real = type(like)
    term, term_slope = _terms(entry, single)

    @vectorized
    def add_term(y, mean, log_std, log_p, row_entropy):
        for j in range(len(y)):
            share, mixed = term((y[j], mean[j], log_std[j]))
            log_p[j] += share
            row_entropy[j] += mixed

    @vectorized
    def term_delta(y, mean, log_std, by_log_p, by_entropy, of_mean, of_log_std):
        for j in range(len(y)):
            first, second, third, fourth = term_slope((y[j], mean[j], log_std[j]))
            of_mean[j] = by_log_p[j] * first + by_entropy[j] * second
            of_log_std[j] = by_log_p[j] * third + by_entropy[j] * fourth

    @inline
    def sums(job, block, z, delta, y, log_p, row_entropy, spare, other):
        work, stride, rows, width = (
            work_of(job, block, like),
            job.stride,
            len(y),
            job.target_columns,
        )
        targets = view(job.targets_at, job.n_samples * width, like)
        clear(log_p)
        clear(row_entropy)
        for t in range(job.outputs // 2):
            mean, log_std = z + t * stride, z + (job.outputs // 2 + t) * stride
            gather_column(targets, width, t, order_of(block), rows, y)
            add_term(
                y, work[mean : mean + rows], work[log_std : log_std + rows], log_p, row_entropy
            )

    @inline
    def slopes(job, block, z, delta, y, by_log_p, by_entropy, spare):
        work, stride, rows, width = (
            work_of(job, block, like),
            job.stride,
            len(y),
            job.target_columns,
        )
        targets = view(job.targets_at, job.n_samples * width, like)
        weights = work[job.weights_row * stride : job.weights_row * stride + rows]
        for t in range(job.outputs // 2):
            mean, log_std = t * stride, (job.outputs // 2 + t) * stride
            of_mean = work[delta + mean : delta + mean + rows]
            of_log_std = work[delta + log_std : delta + log_std + rows]
            gather_column(targets, width, t, order_of(block), rows, y)
            term_delta(
                y, work[z + mean : z + mean + rows], work[z + log_std : z + log_std + rows],
                by_log_p, by_entropy, of_mean, of_log_std,
            )  # fmt: skip
            weigh(weights, real(job.delta_scale), of_mean)
            weigh(weights, real(job.delta_scale), of_log_std)

    return sums, slopes
