"""Embeddings of categories on the CPU: vectors are read, and gradients added, by codes.

forward    h := the values that are no codes; behind them the vector of each code
backward   the delta of these values as it stands, 0 for the codes
gradient   each row's delta is added to the vector of its code

A code is looked up where the inputs lie, and checked there: nothing beside the vectors is read or
written, whatever comes in.
"""

import functools

import numpy as np

from nnjit.core.compiler.jit import inline, vectorized, viewing
from nnjit.core.compiler.units import named_units
from nnjit.core.jobs.job import Step, block_of, chunk_of, job_of, params_of, work_of
from nnjit.core.jobs.records import reader, view
from nnjit.core.maps.activations import copy

__all__ = ["ROWS_ALONE", "make_step", "reads_outputs", "units"]

ROWS_ALONE = True  # some rows of the vectors' gradient can be had without the others


class EmbeddingStep(Step):
    """What an embedding has beside that."""

    vectors: int  # offset of the parameter
    row: int  # elements from one vector to the next
    plain: int  # values of a row that are no codes
    columns: int  # of codes
    dimension: int
    levels_at: int  # (columns,) int64
    firsts_at: int  # (columns,) int64, of each column's first vector


embedding_step_of = reader(EmbeddingStep)


def reads_outputs(layer):
    """Whether the backward pass reads the outputs as they were."""
    return False


@inline
def place_of(code, levels):
    """Number of a code's vector in its table; 0 for what is no code."""
    known = code >= 0 and code < levels  # neither is true of NaN
    return np.int64(np.int32(code)) if known else np.int64(0)


@vectorized
def look_up(codes, levels, table, row, h, stride, dimension):
    """h[d * stride + j] = element d of the vector of codes[j], vectors being `row` apart."""
    for j in range(len(codes)):
        at = place_of(codes[j], levels) * row
        for d in range(dimension):
            h[d * stride + j] = table[at + d]


@vectorized
def add_to_vectors(codes, levels, shift, rows, delta, stride, dimension, target, row):
    """Add each row's delta to its vector, of which `target` has `rows`, the first being -shift."""
    for j in range(len(codes)):
        place = place_of(codes[j], levels) + shift
        if place >= 0 and place < rows:
            for d in range(dimension):
                target[place * row + d] += delta[d * stride + j]


@viewing
def column_of(step, at, column):
    """What the layer says about one column of codes."""
    return view(at, step.columns, np.int64(0))[column]


@inline
def codes_at(job, step, column):
    """Where the codes of a column begin in the workspace."""
    return (step.input_row + step.plain + column) * job.stride


@inline
def vectors_at(job, step, row, column):
    """Where the values of a column's vectors begin, or their deltas, layer values at `row`."""
    return (row + step.plain + column * step.dimension) * job.stride


@inline
def copy_rows(job, step, block, source, target, like):
    """Hand on what is no code, from one row of the workspace on to another."""
    work = work_of(job, block, like)
    for k in range(step.plain):
        x, h = (source + k) * job.stride, (target + k) * job.stride
        copy(work[x : x + block.lanes], work[h : h + block.lanes])


@inline
def forward_embedding(job, step, block, like):
    """The vectors of all codes."""
    work, params = work_of(job, block, like), params_of(job, like)
    size = step.dimension * job.stride
    for column in range(step.columns):
        codes, h = codes_at(job, step, column), vectors_at(job, step, step.output_row, column)
        first = step.vectors + column_of(step, step.firsts_at, column) * step.row
        look_up(
            work[codes : codes + block.lanes], column_of(step, step.levels_at, column),
            params[first:], step.row, work[h : h + size], job.stride, step.dimension,
        )  # fmt: skip


@inline
def clear_codes(job, step, block, like):
    """Nothing goes back to the codes."""
    work = work_of(job, block, like)
    for column in range(step.columns):
        at = (step.input_delta_row + step.plain + column) * job.stride
        work[at : at + block.lanes] = type(like)(0)


@inline
def vectors_gradient(job, step, block, chunk, target, add, like):
    """Gradient by the chunk's vectors replaces (add = 0), or is added to, `target`."""
    work, size = work_of(job, block, like), step.dimension * job.stride
    if not add:
        target[:] = type(like)(0)
    for column in range(step.columns):
        codes, delta = codes_at(job, step, column), vectors_at(job, step, step.delta_row, column)
        add_to_vectors(
            work[codes : codes + block.rows], column_of(step, step.levels_at, column),
            column_of(step, step.firsts_at, column) - chunk.first, chunk.rows,
            work[delta : delta + size], job.stride, step.dimension, target, step.row,
        )  # fmt: skip


@functools.cache
def units(single):
    """The units of an embedding in one precision, by their fields in a `Step`."""
    like = np.float32(0) if single else np.float64(0)

    def forward(job_at, step_at, block_at):
        job, step, block = job_of(job_at), embedding_step_of(step_at), block_of(block_at)
        copy_rows(job, step, block, step.input_row, step.output_row, like)
        forward_embedding(job, step, block, like)

    def backward(job_at, step_at, block_at):
        job, step, block = job_of(job_at), embedding_step_of(step_at), block_of(block_at)
        if step.input_delta_row >= 0:
            copy_rows(job, step, block, step.delta_row, step.input_delta_row, like)
            clear_codes(job, step, block, like)

    def gradient(job_at, step_at, block_at, chunk_at, target_at, add, ahead):
        job, step, block = job_of(job_at), embedding_step_of(step_at), block_of(block_at)
        chunk = chunk_of(chunk_at)
        target = view(target_at, chunk.high - chunk.low, like)
        vectors_gradient(job, step, block, chunk, target, add, like)

    return named_units("embedding", single, forward, backward, gradient)


def make_step(program, number, layer):
    """The record of an embedding.

    Parameters
    ----------
    program : Program
        Of the network that the layer is part of.
    number : int
        Of the layer.
    layer : nnjit.layers.embedding.spec.Embedding
    """
    step = program.place(EmbeddingStep.table(1), number, units(program.single))
    (vectors,) = program.layout.of(number)
    step["vectors"], step["row"] = vectors.start, vectors.row
    step["columns"], step["dimension"] = len(layer.levels), layer.dimension
    step["plain"] = program.sizes[number] - len(layer.levels)
    levels = np.array(layer.levels, np.int64)
    step["levels_at"] = program.keep(levels)
    step["firsts_at"] = program.keep(np.cumsum(levels) - levels)
    return step
