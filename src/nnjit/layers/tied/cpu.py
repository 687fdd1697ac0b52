"""Dense layers on the CPU that have the weights of another one, transposed.

W is that layer's matrix, of which this one reads rows where that one reads columns:

    forward    H = phi(W X + b)
    backward   delta := delta phi'(z);  delta of the inputs = W^T delta
    gradient   dW += delta X^T, db = sum over the rows of delta

The gradient of W is asked of the last layer that has it. It has those before make theirs, and adds
its own.
"""

import functools

import numpy as np

from nnjit.core.compiler.jit import inline
from nnjit.core.compiler.units import call, named_units
from nnjit.core.jobs.job import block_of, chunk_of, job_of, params_of, step_of, work_of
from nnjit.core.jobs.records import reader, view
from nnjit.core.simd import (
    FROM_BIAS,
    FROM_C,
    MASK,
    PLAIN,
    RELU,
    Epilogue,
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
from nnjit.layers.dense.cpu import (
    WEIGHTS,
    bias_gradient,
    prefer_dot,
    transposed_delta,
)

__all__ = ["MASKS_INPUTS", "ROWS_ALONE", "make_step", "reads_outputs", "units"]

ROWS_ALONE = True  # some rows of the weights' gradient can be had without the others
MASKS_INPUTS = True  # backward can end in the derivative of a ReLU below


class TiedStep(ActivatedStep):
    """What a tied layer has beside that, with the names of a `DenseStep`."""

    others_at: int  # step of the layer that makes the rest of the weights' gradient
    weights: int  # offsets of the parameters
    row: int  # elements from one row of the weights to the next
    biases: int
    epilogue: int  # of the product: PLAIN or RELU
    mask_inputs: int  # 1: the delta of the inputs is masked by ReLU's derivative
    transposed: int  # of its transposed inputs in the scratch, elements of a row
    transposed_row: int


tied_step_of = reader(TiedStep)


@inline
def forward_tied(job, step, block, like):
    """Affine map, and ReLU if the product does it."""
    params, work, stride = params_of(job, like), work_of(job, block, like), job.stride
    product(
        step.outputs, block.lanes, step.inputs, Strided(params, step.weights, step.row, 1),
        Rows(work, step.input_row * stride, stride), Rows(work, step.output_row * stride, stride),
        Prologue(FROM_BIAS, params, step.biases), Epilogue(step.epilogue, 0), None,
    )  # fmt: skip


@inline
def transpose_inputs(job, step, block, like):
    """Lay the inputs down sample by sample, in whole vectors, if the gradient wants them so."""
    work, stride = work_of(job, block, like), job.stride
    if not prefer_dot(step.outputs, step.inputs, block.rows, lanes_of(work)):
        target = Rows(work, transposed_delta(job, step, block), step.transposed_row)
        inputs = Rows(work, step.input_row * stride, stride)
        transpose_into(step.inputs, block.lanes, inputs, None, target)


@inline
def backward_tied(job, step, block, like):
    """Delta of the inputs, masked by the derivative of a ReLU below."""
    params, work, stride = params_of(job, like), work_of(job, block, like), job.stride
    target, below = step.input_delta_row * stride, step.input_row * stride
    product(
        step.inputs, block.lanes, step.outputs, Strided(params, step.weights, 1, step.row),
        Rows(work, step.delta_row * stride, stride), Rows(work, target, stride),
        None, Epilogue(MASK if step.mask_inputs else PLAIN, below - target), None,
    )  # fmt: skip


@inline
def add_weight_gradient(job, step, block, chunk, target, like):
    """dW += delta X^T for the chunk's rows."""
    work, stride = work_of(job, block, like), job.stride
    delta = (step.delta_row + chunk.first) * stride
    if prefer_dot(step.outputs, step.inputs, block.rows, lanes_of(work)):
        dot_product(
            chunk.rows, step.inputs, block.lanes // lanes_of(work), Rows(work, delta, stride),
            Rows(work, step.input_row * stride, stride), Rows(target, 0, step.row), 1,
        )  # fmt: skip
        return
    product(
        chunk.rows, step.inputs, block.rows, Strided(work, delta, stride, 1),
        Rows(work, transposed_delta(job, step, block), step.transposed_row),
        Rows(target, 0, step.row), Prologue(FROM_C, target, 0), None, None,
    )  # fmt: skip


@functools.cache
def units(single):
    """The units of a tied layer in one precision, by their fields in a `Step`."""
    like = np.float32(0) if single else np.float64(0)

    def forward(job_at, step_at, block_at):
        job, step, block = job_of(job_at), tied_step_of(step_at), block_of(block_at)
        forward_tied(job, step, block, like)
        activate(job, step, block, like)

    def backward(job_at, step_at, block_at):
        job, step, block = job_of(job_at), tied_step_of(step_at), block_of(block_at)
        differentiate(job, step, block, like)
        transpose_inputs(job, step, block, like)
        if step.input_delta_row >= 0:
            backward_tied(job, step, block, like)

    def gradient(job_at, step_at, block_at, chunk_at, target_at, add, ahead):
        job, step, block = job_of(job_at), tied_step_of(step_at), block_of(block_at)
        chunk = chunk_of(chunk_at)
        target = view(target_at, chunk.high - chunk.low, like)
        if chunk.rows == 0:  # a vector: the biases
            bias_gradient(job, step, block, target, add, like)
        else:
            others = step.others_at
            given = job_at, others, block_at, chunk_at, target_at, add, ahead
            call(step_of(others).gradient_at, given)
            add_weight_gradient(job, step, block, chunk, target, like)

    return named_units("tied", single, forward, backward, gradient)


def make_step(program, number, layer):
    """The record of a tied layer.

    Parameters
    ----------
    program : Program
        Of the network that the layer is part of.
    number : int
        Of the layer.
    layer : nnjit.layers.tied.spec.TiedDense
    """
    step = program.place(TiedStep.table(1), number, units(program.single))
    weights, (biases,) = program.layout.of(number - layer.back)[WEIGHTS], program.layout.of(number)
    step["weights"], step["row"], step["biases"] = weights.start, weights.row, biases.start
    program.take_back(weights)
    in_product = find_activation(layer.activation).epilogue == "relu"
    step["epilogue"] = RELU if in_product else PLAIN
    enter_activation(program, number, layer, step, done=in_product)
    if program.training:
        step["transposed"], step["transposed_row"] = program.take_scratch(program.sizes[number])
        step["mask_inputs"] = program.masks_below(number)
        step["others_at"] = program.take_gradient(number - layer.back, WEIGHTS, step)
    return step
