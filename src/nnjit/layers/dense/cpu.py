"""Dense layers on the CPU: forward, backward and gradient of one block of rows.

Everything is feature-major: output t of row j lies at ``work[output + t * stride + j]``.

    forward    H = phi(W^T X + b)
    backward   delta := delta phi'(z);  delta of the inputs = W delta
    gradient   dW = X delta^T, db = sum over the rows of delta

A register tile does ReLU as the last thing of the product, and its derivative as the last thing
of the product that makes the delta of the inputs; other activations are units of their own.
"""

import functools
import importlib
import math

import numpy as np

from nnjit.core.compiler.jit import inline
from nnjit.core.compiler.units import named_units
from nnjit.core.jobs.job import block_of, chunk_of, job_of, params_of, work_of
from nnjit.core.jobs.records import reader, view
from nnjit.core.simd import (
    FROM_BIAS,
    FROM_C,
    FROM_ZERO,
    MASK,
    PLAIN,
    RELU,
    Epilogue,
    Prefetch,
    Prologue,
    Rows,
    Strided,
    dot_product,
    product,
    transpose_into,
)
from nnjit.core.simd import lanes as lanes_of
from nnjit.formulas import find_activation
from nnjit.layers.activation import (
    ActivatedStep,
    activate,
    differentiate,
    enter_activation,
    reads_outputs,
)

__all__ = [
    "MASKS_INPUTS",
    "ROWS_ALONE",
    "VARIANTS",
    "DenseStep",
    "make_step",
    "reads_outputs",
    "units",
]

WEIGHTS, BIASES = range(2)  # pieces
ROWS_ALONE = True  # some rows of the weights' gradient can be had without the others
MASKS_INPUTS = True  # backward can end in the derivative of a ReLU below
VARIANTS = ("csr", "row")  # modules with units of their own
# Weights from which one row is predicted along the units, for which more has to be compiled.
ROW_WEIGHTS = 4096


class DenseStep(ActivatedStep):
    """What a dense layer has beside that."""

    weights: int  # offsets of the parameters
    row: int  # elements from one row of the weights to the next
    biases: int
    epilogue: int  # of the product: PLAIN or RELU
    mask_inputs: int  # 1: the delta of the inputs is masked by ReLU's derivative
    transposed: int  # of its transposed delta in the scratch, elements of a row
    transposed_row: int
    lent: int  # place among the addresses of lent weights; -1 where they are the parameters' always


dense_step_of = reader(DenseStep)


@inline
def forward_dense(job, step, block, like):
    """Affine map, and ReLU if the product does it."""
    params, work, stride = params_of(job, like), work_of(job, block, like), job.stride
    # the samples of the next block, asked for by the layer that reads those of this one
    size = block.next_size if step.input_row == 0 else 0
    product(
        step.outputs, block.lanes, step.inputs, Strided(params, step.weights, 1, step.row),
        Rows(work, step.input_row * stride, stride), Rows(work, step.output_row * stride, stride),
        Prologue(FROM_BIAS, params, step.biases), Epilogue(step.epilogue, 0),
        Prefetch(view(block.next_at, block.next_size, like), 0, size, 0, 1),
    )  # fmt: skip


@inline
def prefer_dot(fan_in, fan_out, rows, width):
    """Whether dW costs less as dot products than with a transposed delta.

    Estimates in fused multiply-adds on whole vectors: a dot product pays about six more for
    its horizontal sum, a transposed block about eighty.
    """
    along = (rows + width - 1) // width
    across = (fan_out + width - 1) // width
    return fan_in * fan_out * (along + 6) <= across * (fan_in * rows + 80 * along)


@inline
def transposed_delta(job, step, block):
    """Offset of the transposed delta in the workspace."""
    return job.scratch_row * job.stride + step.transposed * block.lanes


@inline
def transpose_delta(job, step, block, like):
    """Lay the delta down sample by sample, in whole vectors."""
    work, stride = work_of(job, block, like), job.stride
    target = Rows(work, transposed_delta(job, step, block), step.transposed_row)
    delta = Rows(work, step.delta_row * stride, stride)
    transpose_into(step.outputs, block.lanes, delta, None, target)


@inline
def backward_dense(job, step, block, like):
    """Delta of the inputs, masked by the derivative of a ReLU below."""
    params, work, stride = params_of(job, like), work_of(job, block, like), job.stride
    target, below = step.input_delta_row * stride, step.input_row * stride
    product(
        step.inputs, block.lanes, step.outputs, Strided(params, step.weights, step.row, 1),
        Rows(work, step.delta_row * stride, stride), Rows(work, target, stride),
        None, Epilogue(MASK if step.mask_inputs else PLAIN, below - target), None,
    )  # fmt: skip


@inline
def weight_gradient(job, step, block, chunk, target, add, ahead, like):
    """dW (+)= X delta^T for the chunk's rows.

    `ahead` says what is wanted next: the solver's vectors (1), the parameters (2) or nothing (0).
    """
    work, stride = work_of(job, block, like), job.stride
    below = (step.input_row + chunk.first) * stride
    if prefer_dot(step.inputs, step.outputs, block.rows, lanes_of(work)):
        dot_product(
            chunk.rows, step.outputs, block.lanes // lanes_of(work), Rows(work, below, stride),
            Rows(work, step.delta_row * stride, stride), Rows(target, 0, step.row), add,
        )  # fmt: skip
        return
    vectors = view(job.vectors_at, job.n_vectors * job.n_flat, like)
    prefetch = Prefetch(
        vectors if ahead == 1 else params_of(job, like),
        chunk.low,
        chunk.high - chunk.low if ahead > 0 else 0,
        job.n_flat,
        2 if ahead == 1 and job.n_vectors > 1 else 1,
    )
    product(
        chunk.rows, step.outputs, block.rows, Strided(work, below, stride, 1),
        Rows(work, transposed_delta(job, step, block), step.transposed_row),
        Rows(target, 0, step.row), Prologue(FROM_C if add else FROM_ZERO, target, 0), None,
        prefetch,
    )  # fmt: skip


@inline
def bias_gradient(job, step, block, target, add, like):
    """db (+)= sum of delta over the rows."""
    work, stride = work_of(job, block, like), job.stride
    delta, ones = Rows(work, step.delta_row * stride, stride), Rows(work, job.ones_row * stride, 0)
    vectors = block.lanes // lanes_of(work)
    dot_product(step.outputs, 1, vectors, delta, ones, Rows(target, 0, 1), add)


@functools.cache
def units(single):
    """The units of a dense layer in one precision, by their fields in a `Step`."""
    like = np.float32(0) if single else np.float64(0)

    def forward(job_at, step_at, block_at):
        job, step, block = job_of(job_at), dense_step_of(step_at), block_of(block_at)
        forward_dense(job, step, block, like)
        activate(job, step, block, like)

    def backward(job_at, step_at, block_at):
        job, step, block = job_of(job_at), dense_step_of(step_at), block_of(block_at)
        differentiate(job, step, block, like)
        if not prefer_dot(step.inputs, step.outputs, block.rows, lanes_of(params_of(job, like))):
            transpose_delta(job, step, block, like)
        if step.input_delta_row >= 0:
            backward_dense(job, step, block, like)

    def gradient(job_at, step_at, block_at, chunk_at, target_at, add, ahead):
        job, step, block = job_of(job_at), dense_step_of(step_at), block_of(block_at)
        chunk = chunk_of(chunk_at)
        target = view(target_at, chunk.high - chunk.low, like)
        if chunk.piece == BIASES:
            bias_gradient(job, step, block, target, add, like)
        else:
            weight_gradient(job, step, block, chunk, target, add, ahead, like)

    return named_units("dense", single, forward, backward, gradient)


def make_step(program, number, layer):
    """The record of a dense layer.

    Parameters
    ----------
    program : Program
        Of the network that the layer is part of.
    number : int
        Of the layer.
    layer : nnjit.layers.dense.spec.Dense
    """
    csr = program.sparse and number == program.first
    alone = not csr and _takes_single_rows(program, number)
    made = _variant("csr", program.single) if csr else units(program.single)
    if alone:
        made = {**made, **_variant("row", program.single)}
    lends = alone and _lends(program, number)
    step = program.place(DenseStep.table(1), number, made)
    weights, biases = program.layout.of(number)
    step["weights"], step["row"], step["biases"] = weights.start, weights.row, biases.start
    step["lent"] = program.lend(weights) if lends else -1
    if csr or alone or program.training:
        step["transposed"], step["transposed_row"] = program.take_scratch(layer.units)
    in_product = find_activation(layer.activation).epilogue == "relu" and not csr
    step["epilogue"] = RELU if in_product else PLAIN
    enter_activation(program, number, layer, step, done=in_product)
    if program.training:
        step["mask_inputs"] = program.masks_below(number)
    return step


def _takes_single_rows(program, number):
    """Whether blocks of one row have a way of their own.

    It reads the weights in whole vectors, which must not end behind the parameters.
    """
    weights = program.layout.of(number)[WEIGHTS]
    if not program.one_row or not (program.network.shape or _is_large(weights)):
        return False
    vectors = -(-weights.shape[-1] // program.lanes)
    end = weights.stop - weights.row + vectors * program.lanes
    return end <= program.layout.n_flat


def _lends(program, number):
    """Whether that way may read all rows of the weights but the last where their owner has them.

    The last vector of a row may end in the next one, but not behind that.
    """
    weights = program.layout.of(number)[WEIGHTS]
    return _is_large(weights) and weights.shape[-1] >= program.lanes


def _is_large(weights):
    return math.prod(weights.shape) >= ROW_WEIGHTS


def _variant(name, single):
    return importlib.import_module(f"nnjit.layers.dense.{name}").units(single)
