"""Output activations: what makes outputs of the logits of a block.

Everything is feature-major: ``work[z + t * stride + j]`` is output t of row j.
"""

import numpy as np

from nnjit.core.compiler.jit import vectorized
from nnjit.core.compiler.units import Unit
from nnjit.core.jobs.job import block_of, job_of, step_at, step_of, work_of
from nnjit.core.maps.entries import once_for
from nnjit.core.scalar import compiled, exp
from nnjit.formulas import ACTIVATIONS, find_activation

__all__ = ["SOFTMAX", "output_unit", "overflows", "softmax_columns"]

SOFTMAX = "softmax"


@vectorized
def column_maxima(work, z, units, lanes, stride, top):
    """top[j] = the largest of column j's units."""
    first = work[z : z + lanes]
    for j in range(lanes):
        top[j] = first[j]
    for t in range(1, units):
        row = work[z + t * stride : z + t * stride + lanes]
        for j in range(lanes):
            top[j] = row[j] if row[j] > top[j] else top[j]


@vectorized
def subtract_from_columns(work, z, units, lanes, stride, values):
    """Subtract values[j] from all units of column j."""
    for t in range(units):
        row = work[z + t * stride : z + t * stride + lanes]
        for j in range(lanes):
            row[j] = row[j] - values[j]


@vectorized
def softmax_columns(work, z, units, lanes, stride, spare):
    """Softmax over the units of every column; `spare` is the offset of one free row."""
    top = work[spare : spare + lanes]
    first = work[z : z + lanes]
    column_maxima(work, z, units, lanes, stride, top)
    subtract_from_columns(work, z, units, lanes, stride, top)
    values = work[z : z + (units - 1) * stride + lanes]
    for i in range(len(values)):
        values[i] = exp(values[i])
    for j in range(lanes):
        top[j] = first[j]
    for t in range(1, units):
        row = work[z + t * stride : z + t * stride + lanes]
        for j in range(lanes):
            top[j] += row[j]
    for t in range(units):
        row = work[z + t * stride : z + t * stride + lanes]
        for j in range(lanes):
            row[j] = row[j] / top[j]


@once_for(ACTIVATIONS.get)
def output_unit(name, single):
    """Unit (job, block): an output activation in place on the last layer's values."""
    like = np.float32(0) if single else np.float64(0)
    suffix = "single" if single else "double"
    if name == SOFTMAX:

        def output(job_at, block_at):
            job, block = job_of(job_at), block_of(block_at)
            z = step_of(step_at(job, job.n_steps - 1)).output_row * job.stride
            work, spare = work_of(job, block, like), job.spare_row * job.stride
            softmax_columns(work, z, job.outputs, block.lanes, job.stride, spare)

        return Unit(output, f"output_{name}_{suffix}")
    apply = output_map(name, single)

    def output(job_at, block_at):
        job, block = job_of(job_at), block_of(block_at)
        z = step_of(step_at(job, job.n_steps - 1)).output_row * job.stride
        apply(work_of(job, block, like)[z : z + (job.outputs - 1) * job.stride + block.lanes])

    return Unit(output, f"output_{name}_{suffix}")


@once_for(ACTIVATIONS.get)
def overflows(name, single):
    """Whether finite logits may have infinite outputs."""
    if name == SOFTMAX:
        return False
    most = np.finfo(np.float32 if single else np.float64).max
    with np.errstate(over="ignore"):
        ends = find_activation(name).numpy().value(np.array([-most, most]))
    return not bool(np.isfinite(ends).all())


@once_for(ACTIVATIONS.get)
def output_map(name, single):
    """Function of compiled code that applies an elementwise output activation in place."""
    value = compiled(find_activation(name), single).value

    @vectorized
    def apply(h):
        for i in range(len(h)):
            h[i] = value(h[i])

    return apply
