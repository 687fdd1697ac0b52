"""A dense layer that reads CSR rows; nothing is densified."""

import functools

import numpy as np

from nnjit.core.compiler.jit import inline
from nnjit.core.compiler.units import named_units
from nnjit.core.jobs.job import block_of, chunk_of, job_of, order_of, params_of, work_of
from nnjit.core.jobs.records import view
from nnjit.core.simd import Rows, transpose_into
from nnjit.layers.activation import activate, differentiate
from nnjit.layers.dense.cpu import (
    BIASES,
    bias_gradient,
    dense_step_of,
    transpose_delta,
    transposed_delta,
)

__all__ = ["units"]


@inline
def forward_csr(job, step, block, like):
    """z[:, j] = b + sum over the row's entries of value * W[column, :].

    Rows are summed up sample-major in the scratch and transposed.
    """
    params, work, order = params_of(job, like), work_of(job, block, like), order_of(block)
    x = view(job.x_at, job.x_size, like)
    indices = view(job.indices_at, job.x_size, np.int32(0))
    indptr = view(job.indptr_at, job.n_samples + 1, np.int64(0))
    scratch, n = job.scratch_row * job.stride, step.outputs
    b = params[step.biases : step.biases + n]
    for j in range(block.rows):
        out = work[scratch + j * step.transposed_row : scratch + j * step.transposed_row + n]
        for t in range(n):
            out[t] = b[t]
        sample = block.start + order[j]
        for p in range(indptr[sample], indptr[sample + 1]):
            value = x[p]
            at = step.weights + indices[p] * step.row
            w = params[at : at + n]
            for t in range(n):
                out[t] += value * w[t]
    source = Rows(work, scratch, step.transposed_row)
    transpose_into(
        block.rows, n, source, None, Rows(work, step.output_row * job.stride, job.stride)
    )


@inline
def weight_gradient_csr(job, step, block, chunk, target, add, like):
    """The chunk's rows of dW (+)= X^T delta, with delta sample-major in the scratch."""
    work, order, n = work_of(job, block, like), order_of(block), step.outputs
    x = view(job.x_at, job.x_size, like)
    indices = view(job.indices_at, job.x_size, np.int32(0))
    indptr = view(job.indptr_at, job.n_samples + 1, np.int64(0))
    if add == 0:
        whole = target[: chunk.rows * step.row]
        for i in range(len(whole)):
            whole[i] = 0
    source = transposed_delta(job, step, block)
    for j in range(block.rows):
        delta = work[source + j * step.transposed_row : source + j * step.transposed_row + n]
        sample = order[j]
        for p in range(indptr[sample], indptr[sample + 1]):
            row = indices[p] - chunk.first
            if row < 0 or row >= chunk.rows:
                continue
            value = x[p]
            g = target[row * step.row : row * step.row + n]
            for t in range(n):
                g[t] += value * delta[t]


@functools.cache
def units(single):
    """The units of a dense layer over CSR rows in one precision."""
    like = np.float32(0) if single else np.float64(0)

    def forward(job_at, step_at, block_at):
        job, step, block = job_of(job_at), dense_step_of(step_at), block_of(block_at)
        forward_csr(job, step, block, like)
        activate(job, step, block, like)

    def backward(job_at, step_at, block_at):
        job, step, block = job_of(job_at), dense_step_of(step_at), block_of(block_at)
        differentiate(job, step, block, like)
        transpose_delta(job, step, block, like)

    def gradient(job_at, step_at, block_at, chunk_at, target_at, add, ahead):
        job, step, block = job_of(job_at), dense_step_of(step_at), block_of(block_at)
        chunk = chunk_of(chunk_at)
        target = view(target_at, chunk.high - chunk.low, like)
        if chunk.piece == BIASES:
            bias_gradient(job, step, block, target, add, like)
        else:
            weight_gradient_csr(job, step, block, chunk, target, add, like)

    return named_units("csr", single, forward, backward, gradient)
