"""Forward and backward pass of the whole network over one block of rows.

This is the serial heart: everything that runs in parallel calls it for different blocks.
A layer kind is a branch in `forward_block`, one in `delta_block` and one in `row_gradient`.
"""

from typing import NamedTuple

import numpy as np

from nnjit.core.activations import RELU, activate_piece, backward_piece
from nnjit.core.compiler.jit import inline
from nnjit.core.layout import (
    ACROSS,
    ACROSS_ROW,
    ACTIVATION,
    BIAS,
    FAN_IN,
    FAN_OUT,
    STRIDE,
    UNITS_AT,
    WEIGHTS,
)
from nnjit.core.output import apply_output, output_gradient
from nnjit.core.simd import (
    FROM_BIAS,
    FROM_C,
    FROM_ZERO,
    MASK,
    PLAIN,
    Epilogue,
    Index,
    Prefetch,
    Prologue,
    Rows,
    Strided,
    dot_product,
    product,
    transpose_into,
)
from nnjit.core.simd import RELU as TO_RELU
from nnjit.core.simd import lanes as lanes_of
from nnjit.core.sparse import sparse_product, sparse_transposed_product

__all__ = [
    "Data",
    "backward_block",
    "bias_gradient",
    "forward_block",
    "gradient_block",
    "offsets_of",
    "row_gradient",
]


class Data(NamedTuple):
    """Samples and targets as kernels read them; unused members are empty."""

    x: np.ndarray  # flat values: dense rows or columns, or CSR data
    x_row: int  # elements from one row to the next (0 for CSR)
    x_column: int  # elements from one column to the next (0 for CSR)
    indices: np.ndarray  # CSR column numbers, int32
    indptr: np.ndarray  # CSR row starts, int64
    targets: np.ndarray  # (n * outputs,) row-major
    labels: np.ndarray  # (n,) class numbers, int32
    weights: np.ndarray  # (n,) sample weights


@inline
def gather_inputs(data, n_features, base, order, start, rows, work, stride):
    """work[k, j] = x[base + order[start + j], k]."""
    if data.x_column == 1:
        transpose_into(rows, n_features, Rows(data.x, base * data.x_row, data.x_row),
                       Index(order, start), Rows(work, 0, stride))  # fmt: skip
    else:
        lanes = (rows + lanes_of(work) - 1) // lanes_of(work) * lanes_of(work)
        for k in range(n_features):
            column = data.x[k * data.x_column : k * data.x_column + data.x_column]
            row = work[k * stride : k * stride + lanes]
            for j in range(lanes):
                row[j] = column[base + order[start + min(j, rows - 1)]]


@inline
def forward_block(
    layers, params, data, base, order, start, rows, work, stride, across, coming, ahead
):
    """Activations of the hidden layers and pre-activations of the last one.

    layers : IN (n_layers, FIELDS); params : IN flat parameters
    base, order, start, rows : row j of the block is sample ``base + order[start + j]``
    work : INOUT workspace, rows of activations `stride` apart; `across` is the offset of
        the sample-major scratch that sparse input needs.
    coming, ahead : offset and number of the elements of dense input that are read next, if known
    """
    width = lanes_of(params)
    lanes = (rows + width - 1) // width * width
    sparse = data.x_column == 0
    if not sparse:
        gather_inputs(data, layers[0, FAN_IN], base, order, start, rows, work, stride)
    below = 0
    for layer in range(layers.shape[0]):
        fan_in, fan_out = layers[layer, FAN_IN], layers[layer, FAN_OUT]
        weights, bias = layers[layer, WEIGHTS], layers[layer, BIAS]
        z = layers[layer, UNITS_AT] * stride
        hidden, code = layer + 1 < layers.shape[0], layers[layer, ACTIVATION]
        end = TO_RELU if hidden and code == RELU else PLAIN
        if sparse and layer == 0:
            end = PLAIN
            sparse_product(
                data, base, order, start, rows, params, weights, layers[layer, STRIDE], bias,
                fan_out, work, across, layers[layer, ACROSS_ROW], z, stride,
            )  # fmt: skip
        else:
            product(
                fan_out, lanes, fan_in, Strided(params, weights, 1, layers[layer, STRIDE]),
                Rows(work, below, stride), Rows(work, z, stride),
                Prologue(FROM_BIAS, params, bias), Epilogue(end, 0),
                Prefetch(data.x, coming, ahead if layer == 0 else 0, 0, 1),
            )  # fmt: skip
        if hidden and end == PLAIN:
            activate_piece(code, work[z : z + (fan_out - 1) * stride + lanes])
        below = z


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
def needs_transpose(layers, layer, sparse, rows, width):
    """Whether dW of a layer is computed from the transpose of its delta."""
    if sparse and layer == 0:
        return True
    return not prefer_dot(layers[layer, FAN_IN], layers[layer, FAN_OUT], rows, width)


@inline
def delta_block(layers, params, sparse, order, rows, work, stride, delta, across, vectors):
    """Delta of every layer from the last one's, and its transpose where dW needs it.

    delta, across : offsets of the deltas (feature-major, `stride` apart, all layers after the
        input one below the other) and of their transposes (sample-major, in whole vectors)
    """
    width = lanes_of(params)
    lanes = vectors * width
    n_inputs = layers[0, FAN_IN]
    for layer in range(layers.shape[0] - 1, -1, -1):
        fan_in, fan_out = layers[layer, FAN_IN], layers[layer, FAN_OUT]
        at = delta + (layers[layer, UNITS_AT] - n_inputs) * stride
        if needs_transpose(layers, layer, sparse, rows, width):
            target = across + layers[layer, ACROSS] * lanes
            transpose_into(fan_out, lanes, Rows(work, at, stride), None,
                           Rows(work, target, layers[layer, ACROSS_ROW]))  # fmt: skip
        if layer > 0:
            below = layers[layer - 1, UNITS_AT] * stride
            target = at - fan_in * stride
            code = layers[layer - 1, ACTIVATION]
            product(
                fan_in, lanes, fan_out,
                Strided(params, layers[layer, WEIGHTS], layers[layer, STRIDE], 1),
                Rows(work, at, stride), Rows(work, target, stride), None,
                Epilogue(MASK if code == RELU else PLAIN, below - target), None,
            )  # fmt: skip
            if code != RELU:
                n = (fan_in - 1) * stride + lanes
                backward_piece(code, work[below : below + n], work[target : target + n])


@inline
def row_gradient(
    layer, first, n, layers, data, order, start, rows, work, stride, delta, across, vectors,
    grads, g0, add, prefetch,
):  # fmt: skip
    """dW (+)= inputs^T delta for n rows of a layer's weights from `first` on, to grads[g0:]."""
    width = lanes_of(work)
    fan_in, fan_out = layers[layer, FAN_IN], layers[layer, FAN_OUT]
    row = layers[layer, STRIDE]
    sparse = data.x_column == 0 and layer == 0
    below = (layers[layer, UNITS_AT] - fan_in + first) * stride
    if not needs_transpose(layers, layer, sparse, rows, width):
        at = delta + (layers[layer, UNITS_AT] - layers[0, FAN_IN]) * stride
        dot_product(n, fan_out, vectors, Rows(work, below, stride), Rows(work, at, stride),
                    Rows(grads, g0, row), add)  # fmt: skip
        return
    across_row = layers[layer, ACROSS_ROW]
    source = across + layers[layer, ACROSS] * vectors * width
    if sparse:
        sparse_transposed_product(
            data, order, start, rows, work, source, across_row, first, n, fan_out, grads, g0, row,
            add,
        )  # fmt: skip
    else:
        product(
            n, fan_out, rows, Strided(work, below, stride, 1), Rows(work, source, across_row),
            Rows(grads, g0, row), Prologue(FROM_C if add else FROM_ZERO, grads, g0), None, prefetch,
        )  # fmt: skip


@inline
def bias_gradient(layer, layers, work, stride, delta, ones, vectors, grads, g0, add):
    """db (+)= sum of delta over the rows, to grads[g0:]."""
    at = delta + (layers[layer, UNITS_AT] - layers[0, FAN_IN]) * stride
    dot_product(layers[layer, FAN_OUT], 1, vectors, Rows(work, at, stride), Rows(work, ones, 0),
                Rows(grads, g0, 1), add)  # fmt: skip


@inline
def load_weights(data, order, start, rows, lanes, work, weights):
    """Weights of the block's rows; 1 where there are none, and in the padding."""
    w = work[weights : weights + lanes]
    for j in range(lanes):
        w[j] = 1
    if data.weights.shape[0] > 0:
        for j in range(rows):
            w[j] = data.weights[order[start + j]]


class Offsets(NamedTuple):
    """Where things lie in the workspace of a block of rows; activations start at 0.

    `spare` is two free rows.
    """

    delta: int
    ones: int
    weights: int
    spare: int
    across: int


@inline
def offsets_of(layers, units_total, stride):
    delta = units_total * stride
    ones = delta + (units_total - layers[0, FAN_IN]) * stride
    return Offsets(delta, ones, ones + stride, ones + 2 * stride, ones + 4 * stride)


@inline
def backward_block(
    layers, loss, params, data, order, start, rows, work, stride, units_total, scale, eps
):
    """Loss (weighted sum, float64) of one block; activations and deltas stay in `work`."""
    width = lanes_of(params)
    vectors = (rows + width - 1) // width
    lanes = vectors * width
    at = offsets_of(layers, units_total, stride)
    last = layers.shape[0] - 1
    none = np.int64(0)
    forward_block(
        layers, params, data, none, order, start, rows, work, stride, at.across, none, none
    )
    z, units = layers[last, UNITS_AT] * stride, layers[last, FAN_OUT]
    delta = at.delta + (layers[last, UNITS_AT] - layers[0, FAN_IN]) * stride
    code = layers[last, ACTIVATION]
    apply_output(code, work, z, units, lanes, stride, at.spare)
    load_weights(data, order, start, rows, lanes, work, at.weights)
    total = output_gradient(
        code, loss, work, z, units, lanes, stride, delta, data.targets, data.labels, order, start,
        rows, at.weights, at.spare, eps, scale,
    )  # fmt: skip
    one = work[at.ones : at.ones + lanes]
    for j in range(lanes):
        one[j] = 1
    delta_block(
        layers, params, data.x_column == 0, order, rows, work, stride, at.delta, at.across, vectors
    )
    return total


@inline
def gradient_block(layers, data, order, start, rows, work, stride, units_total, grads, g0, add):
    """Gradients of all layers from what `backward_block` left, to grads[g0:]."""
    width = lanes_of(work)
    vectors = (rows + width - 1) // width
    at = offsets_of(layers, units_total, stride)
    for layer in range(layers.shape[0] - 1, -1, -1):
        bias_gradient(
            layer, layers, work, stride, at.delta, at.ones, vectors,
            grads, g0 + layers[layer, BIAS], add,
        )  # fmt: skip
        row_gradient(
            layer, np.int64(0), layers[layer, FAN_IN], layers, data, order, start, rows, work,
            stride, at.delta, at.across, vectors, grads, g0 + layers[layer, WEIGHTS], add, None,
        )  # fmt: skip
