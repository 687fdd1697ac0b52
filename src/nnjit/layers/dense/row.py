"""Dense layers of a prediction, where a block may be a single row: vectors run along the units.

Where rows are series or images one of them is work enough for a call, and a dense layer behind the
convolutions would spend a vector on it for each weight. The sums are added up in the same order.
"""

import functools

import numpy as np

from nnjit.core.compiler.jit import inline
from nnjit.core.compiler.units import Unit
from nnjit.core.jobs.job import block_of, job_of, params_of, work_of
from nnjit.core.maps.activations import copy
from nnjit.core.simd import FROM_C, Epilogue, Prologue, Rows, Strided, product
from nnjit.layers.activation import activate
from nnjit.layers.dense.cpu import dense_step_of, forward_dense, transposed_delta

__all__ = ["units"]


@inline
def forward_row(job, step, block, like):
    """Affine map of one row, and ReLU if the product does it."""
    params, work, stride = params_of(job, like), work_of(job, block, like), job.stride
    at, n = transposed_delta(job, step, block), step.outputs
    copy(params[step.biases : step.biases + n], work[at : at + n])
    product(
        1, n, step.inputs, Strided(work, step.input_row * stride, 0, stride),
        Rows(params, step.weights, step.row), Rows(work, at, 0),
        Prologue(FROM_C, work, 0), Epilogue(step.epilogue, 0), None,
    )  # fmt: skip
    for t in range(n):
        work[(step.output_row + t) * stride] = work[at + t]


@functools.cache
def units(single):
    """The unit of such a layer in one precision, by its field in a `Step`."""
    like = np.float32(0) if single else np.float64(0)

    def forward(job_at, step_at, block_at):
        job, step, block = job_of(job_at), dense_step_of(step_at), block_of(block_at)
        if block.rows == 1:
            forward_row(job, step, block, like)
        else:
            forward_dense(job, step, block, like)
        activate(job, step, block, like)

    return {"forward": Unit(forward, f"dense_row_forward_{'single' if single else 'double'}")}
