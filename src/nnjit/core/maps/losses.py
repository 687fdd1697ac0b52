"""The end of the network: output activation, loss and its gradient for one block of rows.

Everything is feature-major: ``work[z + t * stride + j]`` is output t of row j. The loss of a block
is sum_j w_j l_j with l_j the sum, or the mean, over the outputs; the caller divides by the weights'
sum. The delta left is w_j dl/dz, of the sum over the outputs in either case, times `delta_scale`.
"""

import numpy as np

from nnjit.core.compiler.jit import inline, vectorized
from nnjit.core.compiler.units import Unit, call
from nnjit.core.jobs.job import block_of, job_of, order_of, present, step_at, step_of, work_of
from nnjit.core.jobs.records import view
from nnjit.core.maps.activations import copy
from nnjit.core.maps.entries import once_for
from nnjit.core.maps.outputs import SOFTMAX, output_map
from nnjit.core.maps.tuples import cast, pick, take
from nnjit.core.scalar import compiled, helper
from nnjit.formulas import ACTIVATIONS, find_loss

__all__ = ["loss_unit"]


@vectorized
def gather_column(values, width, column, order, rows, row):
    """row[j] = values[order[j], column] for a row-major matrix of `width` columns."""
    for j in range(rows):
        row[j] = values[order[j] * width + column]


@vectorized
def weighted_sum(row, weights, rows):
    """sum_j weights[j] row[j] in float64, in the order of j."""
    total = 0.0
    for j in range(rows):
        total += float(weights[j]) * float(row[j])
    return total


@inline
def load_weights(job, block, like):
    """Weights of the block's rows in the workspace; 1 where there are none, and in the padding."""
    work, at = work_of(job, block, like), job.weights_row * job.stride
    given = view(job.weights_at, present(job.weights_at, job.n_samples), like)
    w = work[at : at + block.lanes]
    for j in range(block.lanes):
        w[j] = 1
    if given.shape[0] > 0:
        order = order_of(block)
        for j in range(block.rows):
            w[j] = given[order[j]]
    one = work[job.ones_row * job.stride : job.ones_row * job.stride + block.lanes]
    for j in range(block.lanes):
        one[j] = 1


@inline
def clear_delta(job, block, delta, like):
    """Zeros where a block has no rows."""
    work = work_of(job, block, like)
    for t in range(job.outputs):
        for j in range(block.rows, block.lanes):
            work[delta + t * job.stride + j] = 0


@once_for(lambda name, output: (find_loss(name, output), ACTIVATIONS.get(output)))
def loss_unit(name, output, single):
    """Unit (job, block): output activation in place, delta of the logits, and the block's loss."""
    entry = find_loss(name, output)
    like = np.float32(0) if single else np.float64(0)
    columns = _class_columns(entry, single) if entry.classes else _columns(entry, single)
    activates = output != "identity" and not _keeps_z(entry)

    def loss(job_at, block_at):
        job, block = job_of(job_at), block_of(block_at)
        step = step_of(step_at(job, job.n_steps - 1))
        load_weights(job, block, like)
        if activates:
            call(job.output_at, (job_at, block_at))
        total = columns(job, block, step.output_row * job.stride, step.delta_row * job.stride)
        clear_delta(job, block, step.delta_row * job.stride, like)
        return total

    suffix = "single" if single else "double"
    return Unit(loss, f"loss_{name}_{output}_{suffix}", real=True)


def _ordered(formula, reads, names):
    """The formula as a function of a tuple of what has these names, whatever it reads of it."""
    chosen = pick(tuple(names.index(read) for read in reads))

    @helper
    def ordered(values):
        return formula(*chosen(values))

    return ordered


def _keeps_z(entry):
    """Whether the loss reads the logits, which the output activation is to leave alone."""
    return "z" in entry.value_reads + entry.slope_reads


def _columns(entry, single):
    """Function of compiled code: loss and delta of a block, output by output."""
    like = np.float32(0) if single else np.float64(0)
    real = type(like)
    formulas = compiled(entry, single)
    names = ("y", "z", "p", *entry.parameters)
    value = _ordered(formulas.value, entry.value_reads, names)
    slope = _ordered(formulas.slope, entry.slope_reads, names)
    apply = output_map(entry.output, single)
    keeps_z = _keeps_z(entry)
    mean, count = entry.mean_over_outputs, len(entry.parameters)
    parameters_of, in_precision = take(count), cast(real, count)

    @vectorized
    def column_delta(y, z, p, parameters, weights, scale, delta):
        for j in range(len(delta)):
            delta[j] = slope((y[j], z[j], p[j], *parameters)) * weights[j] * scale

    @vectorized
    def column_loss(y, z, p, parameters, share):
        """Replace y by the loss of each row for one output."""
        for j in range(len(y)):
            y[j] = value((y[j], z[j], p[j], *parameters)) * share

    @inline
    def columns(job, block, z, delta):
        work, stride, rows, units = work_of(job, block, like), job.stride, block.rows, job.outputs
        spare, order = job.spare_row * stride, order_of(block)
        targets = view(job.targets_at, job.n_samples * units, like)
        weights = work[job.weights_row * stride : job.weights_row * stride + rows]
        scale = real(job.delta_scale)
        share = real(1) / real(units) if mean else real(1)
        given = view(job.loss_parameters_at, count, np.float64(0))
        parameters = in_precision(parameters_of(given, 0))
        total = 0.0
        y, kept = work[spare : spare + rows], work[spare + stride : spare + stride + rows]
        for t in range(units):
            p = work[z + t * stride : z + t * stride + rows]
            d = work[delta + t * stride : delta + t * stride + rows]
            if keeps_z:
                copy(p, kept)
                apply(p)
            gather_column(targets, units, t, order, rows, y)
            column_delta(y, kept, p, parameters, weights, scale, d)
            column_loss(y, kept, p, parameters, share)
            total += weighted_sum(y, weights, rows)
        return total

    return columns


def _factors(factor):
    """Function of compiled code that multiplies delta by the factor of each row's class."""
    if factor is None:
        return inline(lambda work, delta, units, stride, chosen, parameters: None)

    @vectorized
    def multiply(work, delta, units, stride, chosen, parameters):
        for t in range(units):
            d = work[delta + t * stride : delta + t * stride + len(chosen)]
            for j in range(len(chosen)):
                d[j] = d[j] * factor((chosen[j], *parameters))

    return multiply


def _class_columns(entry, single):
    """The same for the number of a class under softmax."""
    if entry.output != SOFTMAX:
        raise ValueError(f"A loss of classes goes with {SOFTMAX!r}, got {entry.output!r}.")
    like = np.float32(0) if single else np.float64(0)
    real = type(like)
    zero, one = real(0), real(1)
    formulas = compiled(entry, single)
    names, count = ("p", *entry.parameters), len(entry.parameters)
    value, factor = _ordered(formulas.value, entry.value_reads, names), formulas.factor
    multiply = _factors(factor and _ordered(factor, entry.slope_reads, names))
    parameters_of, in_precision = take(count), cast(real, count)

    @vectorized
    def class_columns(
        work, z, units, stride, delta, labels, order, weights, chosen, label, parameters
    ):
        rows = len(chosen)
        for j in range(rows):  # as reals, to be compared a vector at a time
            label[j] = labels[order[j]]
        for t in range(units):
            p = work[z + t * stride : z + t * stride + rows]
            d = work[delta + t * stride : delta + t * stride + rows]
            for j in range(rows):
                d[j] = (p[j] - (one if label[j] == real(t) else zero)) * weights[j]
            for j in range(rows):
                chosen[j] = p[j] if label[j] == real(t) else chosen[j]
        multiply(work, delta, units, stride, chosen, parameters)
        for j in range(rows):
            chosen[j] = value((chosen[j], *parameters))
        return weighted_sum(chosen, weights, rows)

    @inline
    def columns(job, block, z, delta):
        work, stride, rows, units = work_of(job, block, like), job.stride, block.rows, job.outputs
        labels = view(job.labels_at, job.n_samples, np.int32(0))
        weights = work[job.weights_row * stride : job.weights_row * stride + rows]
        spare = job.spare_row * stride
        chosen, label = work[spare : spare + rows], work[spare + stride : spare + stride + rows]
        given = view(job.loss_parameters_at, count, np.float64(0))
        return class_columns(
            work, z, units, stride, delta, labels, order_of(block), weights, chosen, label,
            in_precision(parameters_of(given, 0)),
        )  # fmt: skip

    return columns
