"""Normalization of a block of rows on the CPU; the formulas are in spec.py.

Everything is feature-major: value k of the block's row j lies at ``(row + k) * stride + j``. For
'batch' the block is the whole minibatch: what belongs to a unit are four numbers in the scratch,
and sums run along a row of the workspace. For 'layer' mean and 1 / d of each row are two rows of
the workspace, and vectors run along them. Padding counts nowhere, and its deltas are 0.

Arrays of channels are in `channels.py`, and these and minibatches in several parts in `parts.py`.
"""

import functools
import importlib

import numpy as np

from nnjit.core.compiler.jit import inline, vectorized, viewing
from nnjit.core.compiler.units import named_units
from nnjit.core.jobs.job import block_of, chunk_of, job_of, params_of, work_of
from nnjit.core.jobs.records import reader, view
from nnjit.formulas import find_activation
from nnjit.layers.activation import (
    ActivatedStep,
    activate,
    differentiate,
    enter_activation,
    reads_outputs,
)

__all__ = [
    "ROWS_ALONE",
    "VARIANTS",
    "NormalizationStep",
    "make_halves",
    "make_step",
    "reads_outputs",
    "units",
]

SCALE, SHIFT, MEAN, VARIANCE = range(4)  # pieces
ROWS_ALONE = True  # it has no matrix
VARIANTS = ("channels", "parts")  # modules with units of their own
# What is kept of a unit over a minibatch, each a vector of the units.
_MEANS, _FACTORS, _DELTAS, _PRODUCTS = range(4)
_STATISTICS = 4


class NormalizationStep(ActivatedStep):
    """What a normalization has beside that."""

    scale: int  # offsets of the parameters
    shift: int
    mean: int  # of the running statistics of 'batch'
    variance: int
    units: int  # values that have a scale of their own: those of a row, or channels
    statistics: int  # 'batch': in the scratch, elements of a row
    kept_units: int  # elements of these
    mask_row: int  # of series: which points a series has
    mean_row: int  # 'layer': rows of the workspace, the factors 1 / d behind the means
    momentum: float
    epsilon: float


normalization_step_of = reader(NormalizationStep)


@viewing
def _rows(work, row, stride, lanes):
    """A row of the workspace."""
    return work[row * stride : row * stride + lanes]


@inline
def _total(values):
    total = values.dtype.type(0)
    for i in range(len(values)):
        total += values[i]
    return total


@inline
def _squares(values, mean):
    """Sum of the squared differences from a mean, and of the differences."""
    total, rest = values.dtype.type(0), values.dtype.type(0)
    for i in range(len(values)):
        d = values[i] - mean
        total += d * d
        rest += d
    return total, rest


@inline
def _products(delta, x, mean):
    """sum_j delta[j] (x[j] - mean), and sum_j delta[j]."""
    total, plain = x.dtype.type(0), x.dtype.type(0)
    for j in range(len(x)):
        total += delta[j] * (x[j] - mean)
        plain += delta[j]
    return total, plain


@vectorized
def _factors(variances, epsilon, factors):
    """factors[k] = 1 / sqrt(variances[k] + epsilon)."""
    one = factors.dtype.type(1)
    for k in range(len(factors)):
        factors[k] = one / np.sqrt(variances[k] + epsilon)


@vectorized
def _follow(running, present, share, factor):
    """running += share (factor present - running)."""
    for k in range(len(running)):
        running[k] = running[k] + share * (factor * present[k] - running[k])


@vectorized
def _affine(x, mean, factor, shift, z):
    """z[j] = (x[j] - mean) factor + shift."""
    for j in range(len(z)):
        z[j] = (x[j] - mean) * factor + shift


@vectorized
def _affine_rows(x, means, factors, scale, shift, z):
    """z[j] = (x[j] - means[j]) factors[j] scale + shift."""
    for j in range(len(z)):
        z[j] = (x[j] - means[j]) * factors[j] * scale + shift


# -- 'batch' ----------------------------------------------------------------------------


@viewing
def _statistics(job, step, block, work):
    """What is kept of the units over the minibatch, (4, units) in one vector."""
    at = job.scratch_row * job.stride + step.statistics * block.lanes
    return work[at : at + _STATISTICS * step.outputs]


@inline
def measure(job, step, block, like):
    """Mean and 1 / d of every unit over the minibatch; the running statistics follow.

    The mean is corrected by the differences from it, or float32 would lose a variance that is
    small beside the mean. A gradient for its own sake leaves the running statistics alone.
    """
    real, n = type(like), step.outputs
    work, params = work_of(job, block, like), params_of(job, like)
    kept, rows = _statistics(job, step, block, work), real(block.rows)
    means, variances = kept[:n], kept[n : 2 * n]
    for k in range(n):
        x = _rows(work, step.input_row + k, job.stride, block.rows)
        mean = _total(x) / rows
        total, rest = _squares(x, mean)
        means[k] = mean + rest / rows
        variances[k] = max(total - rest * rest / rows, real(0)) / rows
    if not job.accumulates:
        share, unbiased = real(step.momentum), rows / max(rows - real(1), real(1))
        _follow(params[step.mean : step.mean + n], means, share, real(1))
        _follow(params[step.variance : step.variance + n], variances, share, unbiased)
    _factors(variances, real(step.epsilon), variances)


@inline
def standardize(job, step, block, means, factors, like):
    """z of every unit, by a mean and a factor of its own."""
    work, params = work_of(job, block, like), params_of(job, like)
    for k in range(step.outputs):
        x = _rows(work, step.input_row + k, job.stride, block.lanes)
        z = _rows(work, step.output_row + k, job.stride, block.lanes)
        factor = factors[k] * params[step.scale + k]
        _affine(x, means[k], factor, params[step.shift + k], z)


@vectorized
def _batch_delta(delta, x, mean, plain, slope, factor, target):
    """target[j] = (delta[j] - plain - (x[j] - mean) slope) factor."""
    for j in range(len(x)):
        target[j] = (delta[j] - plain - (x[j] - mean) * slope) * factor


@inline
def batch_delta(job, step, block, like):
    """Delta of the inputs, and the sums that are the gradients of scale and shift."""
    real, n, rows = type(like), step.outputs, block.rows
    work, params = work_of(job, block, like), params_of(job, like)
    kept = _statistics(job, step, block, work)
    for k in range(n):
        x = _rows(work, step.input_row + k, job.stride, rows)
        delta = _rows(work, step.delta_row + k, job.stride, rows)
        mean, factor = kept[_MEANS * n + k], kept[_FACTORS * n + k]
        total, plain = _products(delta, x, mean)
        total *= factor
        kept[_DELTAS * n + k], kept[_PRODUCTS * n + k] = plain, total
        if step.input_delta_row >= 0:
            target = _rows(work, step.input_delta_row + k, job.stride, block.lanes)
            target[rows:] = real(0)
            slope, scale = total * factor / real(rows), params[step.scale + k]
            _batch_delta(
                delta, x, mean, plain / real(rows), slope, factor * scale, target[:rows]
            )  # fmt: skip


# -- 'layer' ----------------------------------------------------------------------------


@vectorized
def _row_moments(work, x, units, stride, means, factors, rest, epsilon):
    """Mean and 1 / d of each column of `units` rows from `x` on; `rest` is overwritten."""
    real, lanes = work.dtype.type, len(means)
    zero, one, n = real(0), real(1), real(units)
    for j in range(lanes):
        means[j] = zero
    for k in range(units):
        row = work[x + k * stride : x + k * stride + lanes]
        for j in range(lanes):
            means[j] += row[j]
    for j in range(lanes):
        means[j] = means[j] / n
        factors[j] = zero
        rest[j] = zero
    for k in range(units):
        row = work[x + k * stride : x + k * stride + lanes]
        for j in range(lanes):
            d = row[j] - means[j]
            factors[j] += d * d
            rest[j] += d
    for j in range(lanes):
        variance = max(factors[j] - rest[j] * rest[j] / n, zero) / n
        means[j] = means[j] + rest[j] / n
        factors[j] = one / np.sqrt(variance + epsilon)


@inline
def standardize_rows(job, step, block, like):
    """z of every row, by a mean and a factor of its own."""
    work, params, stride = work_of(job, block, like), params_of(job, like), job.stride
    means = _rows(work, step.mean_row, stride, block.lanes)
    factors = _rows(work, step.mean_row + 1, stride, block.lanes)
    rest = _rows(work, job.spare_row, stride, block.lanes)
    epsilon = type(like)(step.epsilon)
    _row_moments(
        work, step.input_row * stride, step.outputs, stride, means, factors, rest, epsilon
    )  # fmt: skip
    for k in range(step.outputs):
        x = _rows(work, step.input_row + k, stride, block.lanes)
        z = _rows(work, step.output_row + k, stride, block.lanes)
        _affine_rows(x, means, factors, params[step.scale + k], params[step.shift + k], z)


@vectorized
def _row_sums(delta, x, means, factors, scale, plain, products):
    """plain[j] += scale delta[j], products[j] += scale delta[j] y[j]."""
    for j in range(len(x)):
        scaled = scale * delta[j]
        plain[j] += scaled
        products[j] += scaled * ((x[j] - means[j]) * factors[j])


@vectorized
def _row_delta(delta, x, means, factors, scale, plain, products, share, target):
    """target[j] = (scale delta[j] - share plain[j] - y[j] share products[j]) factors[j]."""
    for j in range(len(x)):
        y = (x[j] - means[j]) * factors[j]
        rest = share * (plain[j] + y * products[j])
        target[j] = (scale * delta[j] - rest) * factors[j]


@inline
def layer_delta(job, step, block, like):
    """Delta of the inputs."""
    work, params, stride = work_of(job, block, like), params_of(job, like), job.stride
    lanes, zero = block.lanes, type(like)(0)
    means = _rows(work, step.mean_row, stride, lanes)
    factors = _rows(work, step.mean_row + 1, stride, lanes)
    plain = _rows(work, job.spare_row, stride, lanes)
    products = _rows(work, job.spare_row + 1, stride, lanes)
    plain[:], products[:] = zero, zero
    for k in range(step.outputs):
        x = _rows(work, step.input_row + k, stride, lanes)
        delta = _rows(work, step.delta_row + k, stride, lanes)
        _row_sums(delta, x, means, factors, params[step.scale + k], plain, products)
    share = type(like)(1) / type(like)(step.outputs)
    for k in range(step.outputs):
        x = _rows(work, step.input_row + k, stride, lanes)
        delta = _rows(work, step.delta_row + k, stride, lanes)
        target = _rows(work, step.input_delta_row + k, stride, lanes)
        scale = params[step.scale + k]
        _row_delta(delta, x, means, factors, scale, plain, products, share, target)


@inline
def _products_by_rows(delta, x, means, factors):
    """sum_j delta[j] y[j]."""
    total = x.dtype.type(0)
    for j in range(len(x)):
        total += delta[j] * ((x[j] - means[j]) * factors[j])
    return total


@inline
def layer_gradient(job, step, block, piece, target, add, like):
    """Gradient by scale or shift replaces (add = 0), or is added to, `target`."""
    work, stride, lanes = work_of(job, block, like), job.stride, block.lanes
    means = _rows(work, step.mean_row, stride, lanes)
    factors = _rows(work, step.mean_row + 1, stride, lanes)
    for k in range(step.outputs):
        delta = _rows(work, step.delta_row + k, stride, lanes)
        if piece == SHIFT:
            total = _total(delta)
        else:
            x = _rows(work, step.input_row + k, stride, lanes)
            total = _products_by_rows(delta, x, means, factors)
        target[k] = target[k] + total if add else total


# -- units ------------------------------------------------------------------------------


@functools.cache
def units(single):
    """The units of normalizations in one precision, by name; a layer takes what it needs."""
    return named_units("normalization", single, *_batch_units(single), *_layer_units(single))


def _batch_units(single):
    """Functions of 'batch': in training forward, backward and gradient, and forward elsewhere."""
    like = np.float32(0) if single else np.float64(0)

    def batch_forward(job_at, step_at, block_at):
        job, step, block = job_of(job_at), normalization_step_of(step_at), block_of(block_at)
        measure(job, step, block, like)
        kept, n = _statistics(job, step, block, work_of(job, block, like)), step.outputs
        standardize(job, step, block, kept[:n], kept[n : 2 * n], like)
        activate(job, step, block, like)

    def batch_backward(job_at, step_at, block_at):
        job, step, block = job_of(job_at), normalization_step_of(step_at), block_of(block_at)
        differentiate(job, step, block, like)
        batch_delta(job, step, block, like)

    def batch_gradient(job_at, step_at, block_at, chunk_at, target_at, add, ahead):
        job, step, block = job_of(job_at), normalization_step_of(step_at), block_of(block_at)
        kept, n = _statistics(job, step, block, work_of(job, block, like)), step.outputs
        at = (_DELTAS if chunk_of(chunk_at).piece == SHIFT else _PRODUCTS) * n
        target = view(target_at, n, like)
        for k in range(n):
            target[k] = target[k] + kept[at + k] if add else kept[at + k]

    def running_forward(job_at, step_at, block_at):
        job, step, block = job_of(job_at), normalization_step_of(step_at), block_of(block_at)
        params, n = params_of(job, like), step.outputs
        factors = _statistics(job, step, block, work_of(job, block, like))[:n]
        variances = params[step.variance : step.variance + n]
        _factors(variances, type(like)(step.epsilon), factors)
        standardize(job, step, block, params[step.mean : step.mean + n], factors, like)
        activate(job, step, block, like)

    return batch_forward, batch_backward, batch_gradient, running_forward


def _layer_units(single):
    """The same of 'layer', which does not tell training from prediction."""
    like = np.float32(0) if single else np.float64(0)

    def layer_forward(job_at, step_at, block_at):
        job, step, block = job_of(job_at), normalization_step_of(step_at), block_of(block_at)
        standardize_rows(job, step, block, like)
        activate(job, step, block, like)

    def layer_backward(job_at, step_at, block_at):
        job, step, block = job_of(job_at), normalization_step_of(step_at), block_of(block_at)
        differentiate(job, step, block, like)
        if step.input_delta_row >= 0:
            layer_delta(job, step, block, like)

    def gradient(job_at, step_at, block_at, chunk_at, target_at, add, ahead):
        job, step, block = job_of(job_at), normalization_step_of(step_at), block_of(block_at)
        target = view(target_at, step.outputs, like)
        layer_gradient(job, step, block, chunk_of(chunk_at).piece, target, add, like)

    gradient.__name__ = "layer_gradient"
    return layer_forward, layer_backward, gradient


def make_step(program, number, layer):
    """The record of a normalization.

    Parameters
    ----------
    program : Program
        Of the network that the layer is part of.
    number : int
        Of the layer.
    layer : nnjit.layers.normalization.spec.Normalization
    """
    step = program.place(NormalizationStep.table(1), number, _passes(program, number, layer))
    names = [one.name for one in layer.parameters(program.shapes[number])]
    for name, place in zip(names, program.layout.of(number), strict=True):
        step[name] = place.start
    step["momentum"], step["epsilon"] = layer.momentum, layer.epsilon
    _place_statistics(program, number, layer, step)
    enter_activation(program, number, layer, step)
    return step


def make_halves(program, step):
    """The two steps in place of a layer's where a minibatch has parts, see `parts.py`."""
    parts = importlib.import_module("nnjit.layers.normalization.parts")
    return parts.make_halves(program, step)


def _passes(program, number, layer):
    """The units of a layer, by their fields in a `Step`."""
    predicts = layer.method == "batch" and not program.training
    if isinstance(program.shapes[number], tuple):
        return _passes_of_channels(program)
    made, method = units(program.single), layer.method
    passes = {name: made[f"{method}_{name}"] for name in ("forward", "backward", "gradient")}
    return passes | ({"forward": made["running_forward"]} if predicts else {})


def _passes_of_channels(program):
    """The same of arrays; in training `make_halves` enters what its two steps do."""
    name = "nnjit.layers.normalization."
    made = importlib.import_module(f"{name}channels").units(program.single)
    if not program.training:
        return {"forward": made["running"]}
    halves = importlib.import_module(f"{name}parts").units(program.single)
    return {
        "forward": halves["measure"], "backward": halves["sums"], "gradient": made["gradient"],
    }  # fmt: skip


def _place_statistics(program, number, layer, step):
    """Find room for what is known of the units, or of the rows, behind the pre-activations."""
    shape, values = program.shapes[number], program.sizes[number]
    reads_z = "z" in find_activation(layer.activation).reads
    behind = step["kept_row"] + (values if reads_z else 0)
    step["units"] = shape[0] if isinstance(shape, tuple) else shape
    if layer.method == "layer":
        step["mean_row"] = behind
        return
    # of parts of a minibatch two more
    step["mask_row"], step["kept_units"] = behind, (_STATISTICS + 2) * step["units"]
    # a block has one vector of rows at least
    columns = -(-int(step["kept_units"][0]) // program.lanes)
    step["statistics"], _ = program.take_scratch(columns)
