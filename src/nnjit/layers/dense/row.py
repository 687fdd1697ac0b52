"""Dense layers of a prediction, where a block may be a single row: vectors run along the units.

Otherwise a large layer would spend a vector on each weight for it. The sums are added up in the
same order. Of one row reading the weights is nearly all that there is to do, so that they may stay
where their owner has them, see `nnjit.backends.cpu.CpuEngine.pack`.
"""

import functools

import numpy as np

from nnjit.core.compiler.jit import inline
from nnjit.core.compiler.units import Unit
from nnjit.core.jobs.job import block_of, job_of, params_of, work_of
from nnjit.core.jobs.records import view
from nnjit.core.maps.activations import copy
from nnjit.core.simd import FROM_C, PLAIN, Epilogue, Prologue, Rows, Strided, product
from nnjit.layers.activation import activate
from nnjit.layers.dense.cpu import dense_step_of, forward_dense, transposed_delta

__all__ = ["units"]

# Lent rows of weights that are read through before the next ones: pages one after the other. Rows
# that are a multiple of 512 bytes apart fall into few sets of the first-level cache.
TOGETHER, TOGETHER_FAR = 16, 8


@inline
def add_lent_weights(job, step, work, first, at, like):
    """Add what all inputs but the last give, if their weights are lent; how many that are.

    The last row of the weights is among the parameters, so that no vector ends behind them.
    """
    if step.lent < 0:
        return 0
    lent = view(job.lent_at, step.lent + 1, np.int64(0))[step.lent]
    if lent == 0:
        return 0
    behind, n = step.inputs - 1, step.outputs
    weights = view(lent, step.inputs * n, like)
    together = TOGETHER_FAR if n * weights.itemsize % 512 == 0 else TOGETHER
    for k in range(0, behind, together):
        product(
            1, n, min(together, behind - k), Strided(work, first + k * job.stride, 0, job.stride),
            Rows(weights, k * n, n), Rows(work, at, 0),
            Prologue(FROM_C, work, 0), Epilogue(PLAIN, 0), None,
        )  # fmt: skip
    return behind


@inline
def forward_row(job, step, block, like):
    """Affine map of one row, and ReLU if the product does it."""
    params, work, stride = params_of(job, like), work_of(job, block, like), job.stride
    at, n = transposed_delta(job, step, block), step.outputs
    copy(params[step.biases : step.biases + n], work[at : at + n])
    first = step.input_row * stride
    behind = add_lent_weights(job, step, work, first, at, like)
    product(
        1, n, step.inputs - behind, Strided(work, first + behind * stride, 0, stride),
        Rows(params, step.weights + behind * step.row, step.row), Rows(work, at, 0),
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
