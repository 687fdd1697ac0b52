"""Batch normalization in two steps: of arrays of channels, and of vectors in several parts.

The layer has two steps: behind the first one's forward pass stands the mean over all parts, and
behind the second one's backward pass the sums of all deltas (see `nnjit.core.jobs.segments`). Every
part keeps both, so that it goes on by itself. A part's means and squares are joined to those of the
parts before it by T. Chan, G. Golub and R. LeVeque, "Updating formulae and a pairwise algorithm for
computing sample variances", 1979.
"""

import functools

import numpy as np

from nnjit.core.compiler.jit import inline, vectorized
from nnjit.core.compiler.units import named_units
from nnjit.core.jobs.job import block_of, job_of, step_of, work_of
from nnjit.core.maps.activations import copy
from nnjit.layers.normalization.channels import (
    DELTAS,
    FACTORS,
    JOINED,
    MEANS,
    REST,
    count_values,
    input_delta,
    kept_of,
    measure_values,
    settle,
    standardize_values,
    sum_deltas,
)
from nnjit.layers.normalization.cpu import normalization_step_of

__all__ = ["make_halves", "units"]


@vectorized
def _merge(means, rests, squares, more_means, more_rests, more_squares, share, weight):
    """Means and sums of squared differences of two sets of values together.

    means, rests : INOUT the means as sums of two numbers: those of two parts are close
    share, weight : m / (n + m) and n m / (n + m) for n values and m more
    """
    for k in range(len(means)):
        mean = np.float64(means[k]) + np.float64(rests[k])
        difference = np.float64(more_means[k]) + np.float64(more_rests[k]) - mean
        mean = mean + share * difference
        means[k] = mean
        rests[k] = mean - np.float64(means[k])
        squares[k] = (
            np.float64(squares[k]) + np.float64(more_squares[k]) + weight * difference * difference
        )


@vectorized
def _add_to(x, total):
    """total[k] += x[k]."""
    for k in range(len(total)):
        total[k] += x[k]


@vectorized
def _divide(x, number):
    """x[k] /= number."""
    for k in range(len(x)):
        x[k] = x[k] / number


@inline
def join_values(job, step, plain, parts, like):
    """Statistics of all parts, in each of them; the running ones follow."""
    n, first = step.units, block_of(job.blocks_at)
    kept = kept_of(job, step, first, work_of(job, first, like))
    count = count_values(job, step, plain, first)
    means, squares = kept[MEANS * n : MEANS * n + n], kept[FACTORS * n : FACTORS * n + n]
    for part in range(1, parts):
        block = block_of(job.blocks_at + part * job.block_bytes)
        more = kept_of(job, step, block, work_of(job, block, like))
        added = count_values(job, step, plain, block)
        share = np.float64(added) / np.float64(max(count + added, 1))
        _merge(
            means, kept[REST * n : REST * n + n], squares, more[MEANS * n : MEANS * n + n],
            more[REST * n : REST * n + n], more[FACTORS * n : FACTORS * n + n],
            share, share * count,
        )  # fmt: skip
        count += added
    settle(job, step, kept, count, like)
    for part in range(1, parts):
        block = block_of(job.blocks_at + part * job.block_bytes)
        copy(kept[: 2 * n], kept_of(job, step, block, work_of(job, block, like))[: 2 * n])


@inline
def join_deltas(job, step, plain, parts, like):
    """Means over all parts of what `sum_deltas` adds up, in each of them."""
    n, first = step.units, block_of(job.blocks_at)
    kept, count = kept_of(job, step, first, work_of(job, first, like)), 0
    joined = kept[JOINED * n : JOINED * n + 2 * n]
    joined[:] = type(like)(0)
    for part in range(parts):
        block = block_of(job.blocks_at + part * job.block_bytes)
        more = kept_of(job, step, block, work_of(job, block, like))
        _add_to(more[DELTAS * n : DELTAS * n + 2 * n], joined)
        count += count_values(job, step, plain, block)
    _divide(joined, type(like)(max(count, 1)))
    for part in range(1, parts):
        block = block_of(job.blocks_at + part * job.block_bytes)
        copy(joined, kept_of(job, step, block, work_of(job, block, like))[JOINED * n :])


@functools.cache
def units(single):
    """The units of the two steps, and what comes between them, in one precision."""
    like = np.float32(0) if single else np.float64(0)

    def measure(job_at, step_at, block_at):
        job, step, block = job_of(job_at), normalization_step_of(step_at), block_of(block_at)
        measure_values(job, step, step_of(step_at), block, like)

    def standardize(job_at, step_at, block_at):
        job, step, block = job_of(job_at), normalization_step_of(step_at), block_of(block_at)
        kept, n = kept_of(job, step, block, work_of(job, block, like)), step.units
        means, factors = kept[MEANS * n : MEANS * n + n], kept[FACTORS * n : FACTORS * n + n]
        standardize_values(job, step, step_of(step_at), block, means, factors, like)

    def sums(job_at, step_at, block_at):
        job, step, block = job_of(job_at), normalization_step_of(step_at), block_of(block_at)
        sum_deltas(job, step, step_of(step_at), block, like)

    def delta(job_at, step_at, block_at):
        job, step, block = job_of(job_at), normalization_step_of(step_at), block_of(block_at)
        kept, n = kept_of(job, step, block, work_of(job, block, like)), step.units
        joined = kept[JOINED * n : JOINED * n + 2 * n]
        input_delta(job, step, step_of(step_at), block, joined, 1, like)

    def values_joined(job_at, step_at, parts):
        step = normalization_step_of(step_at)
        join_values(job_of(job_at), step, step_of(step_at), parts, like)

    def deltas_joined(job_at, step_at, parts):
        step = normalization_step_of(step_at)
        join_deltas(job_of(job_at), step, step_of(step_at), parts, like)

    return named_units(
        "normalization", single, measure, standardize, sums, delta, values_joined, deltas_joined
    )


def make_halves(program, step):
    """The two steps in place of a layer's, and the units that put together what parts measure.

    Parameters
    ----------
    program : Program
    step : record
        That of the layer.

    Returns
    -------
    first, second : record
    values_at, deltas_at : int
        Units (job, step, parts), behind the second one's backward pass 0 where no delta is asked
        for.
    """
    made = units(program.single)
    first, second, asked = step.copy(), step.copy(), step["input_delta_row"][0] >= 0
    first["forward_at"], second["forward_at"] = made["measure"].address, made["standardize"].address
    first["backward_at"] = made["delta"].address if asked else 0
    second["backward_at"] = made["sums"].address
    return (
        first, second, made["values_joined"].address,
        made["deltas_joined"].address if asked else 0,
    )  # fmt: skip
