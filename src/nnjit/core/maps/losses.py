"""The end of the network: output activation, loss and its gradient for one block of rows.

Everything is feature-major: ``work[z + t * stride + j]`` is output t of row j. The loss of a block
is sum_j w_j l_j with l_j the sum, or the mean, over the outputs; the caller divides by the weights'
sum. The delta left is w_j dl/dz, of the sum over the outputs in either case, times `delta_scale`.
A slope by the output p becomes one by z through the output activation's `backward`, or, behind a
softmax, as delta_k = p_k (g_k - sum_i p_i g_i).
"""

import numpy as np

from nnjit.core.compiler.jit import inline, vectorized
from nnjit.core.compiler.units import Unit, call
from nnjit.core.jobs.job import block_of, job_of, order_of, present, step_at, step_of, work_of
from nnjit.core.jobs.records import view
from nnjit.core.maps.activations import copy
from nnjit.core.maps.columns import gather_column, ordered, weighted_sum
from nnjit.core.maps.entries import once_for
from nnjit.core.maps.outputs import SOFTMAX, output_map
from nnjit.core.maps.policies import ROWS, policy_columns
from nnjit.core.maps.tuples import cast, pick, take
from nnjit.core.scalar import compiled, helper
from nnjit.formulas import ACTIVATIONS, LOSSES, find_loss

__all__ = ["loss_unit", "spare_rows"]


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
    columns = _form_of(entry)(entry, single)
    activates = output != "identity" and not entry.reads_z and not entry.by_row

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


def spare_rows(network):
    """Free rows of a block's workspace that a network's loss needs, two for most."""
    entry = LOSSES.get((network.loss, network.output))
    return ROWS if entry is not None and entry.by_row else 2


def _form_of(entry):
    """The function that makes a block's loss and delta of a loss's formulas."""
    if entry.by_row:
        return policy_columns
    if entry.classes:
        return _class_columns
    return _softmax_columns if entry.output == SOFTMAX else _columns


def _slope_by_logit(entry, single, names):
    """Slope by z as a function of a tuple of what has these names."""
    slope = ordered(compiled(entry, single).slope, entry.slope_reads, names)
    if entry.link is None:
        return slope
    reads = ["p" if read == "h" else read for read in entry.link.reads]
    backward, chosen = (
        compiled(entry.link, single).backward,
        pick(tuple(names.index(read) for read in reads)),
    )

    @helper
    def led_back(values):
        return backward(slope(values), *chosen(values))

    return led_back


def _columns(entry, single):
    """Function of compiled code: loss and delta of a block, output by output."""
    like = np.float32(0) if single else np.float64(0)
    real = type(like)
    formulas = compiled(entry, single)
    names, two = ("y", "z", "p", "choices", *entry.parameters), real(2)
    value = ordered(formulas.value, entry.value_reads, names)
    slope = _slope_by_logit(entry, single, names)
    apply = output_map(entry.output, single)
    keeps_z = entry.reads_z
    mean, count = entry.mean_over_outputs, len(entry.parameters)
    parameters_of, in_precision = take(count), cast(real, count)

    @vectorized
    def column_delta(y, z, p, parameters, weights, scale, delta):
        for j in range(len(delta)):
            delta[j] = slope((y[j], z[j], p[j], two, *parameters)) * weights[j] * scale

    @vectorized
    def column_loss(y, z, p, parameters, share):
        """Replace y by the loss of each row for one output."""
        for j in range(len(y)):
            y[j] = value((y[j], z[j], p[j], two, *parameters)) * share

    @inline
    def columns(job, block, z, delta):
        work, stride, rows, units = work_of(job, block, like), job.stride, block.rows, job.outputs
        spare, order = job.spare_row * stride, order_of(block)
        width = job.target_columns
        targets = view(job.targets_at, job.n_samples * width, like)
        weights = work[job.weights_row * stride : job.weights_row * stride + rows]
        scale = real(job.delta_scale)
        share = real(1) / real(units) if mean else real(1)
        given = view(job.loss_parameters_at, count * units, np.float64(0))
        total = 0.0
        y, kept = work[spare : spare + rows], work[spare + stride : spare + stride + rows]
        for t in range(units):
            p = work[z + t * stride : z + t * stride + rows]
            d = work[delta + t * stride : delta + t * stride + rows]
            if keeps_z:
                copy(p, kept)
                apply(p)
            gather_column(targets, width, min(t, width - 1), order, rows, y)
            parameters = in_precision(parameters_of(given, t * count))
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
    """The same for the number of a class under softmax, by that class's probability."""
    if entry.output != SOFTMAX:
        raise ValueError(f"A loss of classes goes with {SOFTMAX!r}, got {entry.output!r}.")
    like = np.float32(0) if single else np.float64(0)
    real = type(like)
    zero, one = real(0), real(1)
    formulas = compiled(entry, single)
    names, count = ("p", *entry.parameters), len(entry.parameters)
    value, factor = ordered(formulas.value, entry.value_reads, names), formulas.factor
    multiply = _factors(factor and ordered(factor, entry.slope_reads, names))
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
        given = view(job.loss_parameters_at, count * units, np.float64(0))
        return class_columns(
            work, z, units, stride, delta, labels, order_of(block), weights, chosen, label,
            in_precision(parameters_of(given, 0)),
        )  # fmt: skip

    return columns


@vectorized
def gather_labels(labels, order, label):
    """Numbers of the rows' classes, as reals, to be compared a vector at a time."""
    for j in range(len(label)):
        label[j] = labels[order[j]]


@vectorized
def product_of_columns(work, p, delta, units, stride, dot):
    """dot[j] = sum_k p_k delta_k of row j."""
    rows = len(dot)
    for j in range(rows):
        dot[j] = 0
    for t in range(units):
        of = work[p + t * stride : p + t * stride + rows]
        d = work[delta + t * stride : delta + t * stride + rows]
        for j in range(rows):
            dot[j] += of[j] * d[j]


@vectorized
def lead_back(p, dot, delta):
    """delta[j] = p[j] (delta[j] - dot[j]): slopes by p of a softmax become those by z."""
    for j in range(len(delta)):
        delta[j] = p[j] * (delta[j] - dot[j])


@inline
def through_softmax(work, p, delta, units, stride, dot):
    """Multiply the deltas of a block by the Jacobian of the softmax; `dot` is one free row."""
    rows = len(dot)
    product_of_columns(work, p, delta, units, stride, dot)
    for t in range(units):
        of = work[p + t * stride : p + t * stride + rows]
        lead_back(of, dot, work[delta + t * stride : delta + t * stride + rows])


def _softmax_columns(entry, single):
    """The same for the number of a class under softmax, output by output.

    The target of output k is 1 where k is the row's class, else 0.
    """
    like = np.float32(0) if single else np.float64(0)
    real = type(like)
    zero, one = real(0), real(1)
    names, count = ("y", "p", "choices", *entry.parameters), len(entry.parameters)
    formulas, mean, by_output = compiled(entry, single), entry.mean_over_outputs, entry.by_output
    value = ordered(formulas.value, entry.value_reads, names)
    slope = ordered(formulas.slope, entry.slope_reads, names)
    parameters_of, in_precision = take(count), cast(real, count)

    @vectorized
    def column_slope(label, unit, p, choices, parameters, delta):
        for j in range(len(delta)):
            y = one if label[j] == unit else zero
            delta[j] = slope((y, p[j], choices, *parameters))

    @vectorized
    def weigh(weights, scale, delta):
        for j in range(len(delta)):
            delta[j] = delta[j] * weights[j] * scale

    @vectorized
    def add_loss(label, unit, p, choices, parameters, share, losses):
        for j in range(len(losses)):
            y = one if label[j] == unit else zero
            losses[j] += value((y, p[j], choices, *parameters)) * share

    @inline
    def columns(job, block, z, delta):
        work, stride, rows, units = work_of(job, block, like), job.stride, block.rows, job.outputs
        weights = work[job.weights_row * stride : job.weights_row * stride + rows]
        spare = job.spare_row * stride
        row, label = work[spare : spare + rows], work[spare + stride : spare + stride + rows]
        gather_labels(view(job.labels_at, job.n_samples, np.int32(0)), order_of(block), label)
        given = view(job.loss_parameters_at, count * units, np.float64(0))
        parameters = in_precision(parameters_of(given, 0))
        choices, scale = real(units), real(job.delta_scale)
        share = one / choices if mean else one
        for t in range(units):
            p = work[z + t * stride : z + t * stride + rows]
            d = work[delta + t * stride : delta + t * stride + rows]
            column_slope(label, real(t), p, choices, parameters, d)
        if by_output:
            through_softmax(work, z, delta, units, stride, row)
        for j in range(rows):
            row[j] = zero
        for t in range(units):
            p = work[z + t * stride : z + t * stride + rows]
            weigh(weights, scale, work[delta + t * stride : delta + t * stride + rows])
            add_loss(label, real(t), p, choices, parameters, share, row)
        return weighted_sum(row, weights, rows)

    return columns
