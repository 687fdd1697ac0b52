"""Forward and backward pass of the whole network over one block of rows.

This is the serial heart: everything that runs in parallel calls it for different blocks.
A layer kind is a branch in `forward_block` and one in `backward_block`.
"""

from typing import NamedTuple

import numpy as np

from nnjit.core.activations import activate_piece, backward_piece
from nnjit.core.jit import inline
from nnjit.core.layout import ACTIVATION, BIAS, FAN_IN, FAN_OUT, STRIDE, UNITS_AT, WEIGHTS
from nnjit.core.output import apply_output, output_gradient
from nnjit.core.simd import dot_product, product, transpose_into
from nnjit.core.simd import lanes as lanes_of
from nnjit.core.sparse import sparse_product, sparse_transposed_product

__all__ = ["Data", "backward_block", "forward_block", "gradient_block"]


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
        transpose_into(rows, n_features, data.x, base * data.x_row, data.x_row, order, start, 1,
                       work, 0, stride)  # fmt: skip
    else:
        lanes = (rows + lanes_of(work) - 1) // lanes_of(work) * lanes_of(work)
        for k in range(n_features):
            column = data.x[k * data.x_column : k * data.x_column + data.x_column]
            row = work[k * stride : k * stride + lanes]
            for j in range(lanes):
                row[j] = column[base + order[start + min(j, rows - 1)]]


@inline
def forward_block(layers, params, data, base, order, start, rows, work, stride, across):
    """Activations of the hidden layers and pre-activations of the last one.

    layers : IN (n_layers, FIELDS); params : IN flat parameters
    base, order, start, rows : row j of the block is sample ``base + order[start + j]``
    work : INOUT workspace, rows of activations `stride` apart; `across` is the offset of
        the sample-major scratch that sparse input needs.
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
        if sparse and layer == 0:
            sparse_product(
                data, base, order, start, rows, params, weights, layers[layer, STRIDE], bias,
                fan_out, work, across, z, stride,
            )  # fmt: skip
        else:
            product(
                fan_out, lanes, fan_in, params, weights, 1, layers[layer, STRIDE],
                work, below, stride, work, z, stride, params, bias, 1, 0,
            )  # fmt: skip
        if layer + 1 < layers.shape[0]:
            activate_piece(layers[layer, ACTIVATION], work[z : z + (fan_out - 1) * stride + lanes])
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
def weight_gradient(
    layer, layers, data, order, start, rows, work, stride, below, delta, across, ones,
    grads, g0, add,
):  # fmt: skip
    """dW (+)= inputs^T delta and db (+)= sum of delta, into the gradient at g0."""
    width = lanes_of(work)
    vectors = (rows + width - 1) // width
    fan_in, fan_out = layers[layer, FAN_IN], layers[layer, FAN_OUT]
    row = layers[layer, STRIDE]
    at = g0 + layers[layer, WEIGHTS]
    across_row = (fan_out + width - 1) // width * width
    sparse = data.x_column == 0 and layer == 0
    dot_product(fan_out, 1, vectors, work, delta, stride, work, ones, 0,
                grads, g0 + layers[layer, BIAS], 1, add)  # fmt: skip
    if not sparse and prefer_dot(fan_in, fan_out, rows, width):
        dot_product(fan_in, fan_out, vectors, work, below, stride, work, delta, stride,
                    grads, at, row, add)  # fmt: skip
        return
    transpose_into(fan_out, vectors * width, work, delta, stride, order, 0, 0,
                   work, across, across_row)  # fmt: skip
    if sparse:
        sparse_transposed_product(
            data, order, start, rows, work, across, across_row, fan_in, fan_out, grads, at, row, add
        )
    else:
        product(fan_in, fan_out, rows, work, below, stride, 1, work, across, across_row,
                grads, at, row, grads, at, 0, add)  # fmt: skip


@inline
def backward_block(
    layers, params, data, order, start, rows, work, stride, delta, other, across, ones,
    grads, g0, add,
):  # fmt: skip
    """Gradients of all layers from the last one's delta.

    grads : INOUT, overwritten (add = 0) or added to (add = 1) from g0 on
    delta, other : offsets of two buffers of the widest layer; delta holds the last layer's.
    """
    width = lanes_of(params)
    lanes = (rows + width - 1) // width * width
    for layer in range(layers.shape[0] - 1, -1, -1):
        below = layers[layer - 1, UNITS_AT] * stride if layer > 0 else 0
        weight_gradient(
            layer, layers, data, order, start, rows, work, stride, below, delta, across, ones,
            grads, g0, add,
        )  # fmt: skip
        if layer > 0:
            fan_in, fan_out = layers[layer, FAN_IN], layers[layer, FAN_OUT]
            product(
                fan_in, lanes, fan_out, params, layers[layer, WEIGHTS], layers[layer, STRIDE], 1,
                work, delta, stride, work, other, stride, params, 0, 0, 0,
            )  # fmt: skip
            n = (fan_in - 1) * stride + lanes
            backward_piece(
                layers[layer - 1, ACTIVATION], work[below : below + n], work[other : other + n]
            )
            delta, other = other, delta


@inline
def load_weights(data, order, start, rows, lanes, work, weights, ones):
    """Weights of the block's rows, and a row of ones (padding too)."""
    w = work[weights : weights + lanes]
    one = work[ones : ones + lanes]
    for j in range(lanes):
        w[j] = 1
        one[j] = 1
    if data.weights.shape[0] > 0:
        for j in range(rows):
            w[j] = data.weights[order[start + j]]


@inline
def gradient_block(
    layers, loss, params, data, order, start, rows, work, stride, units_total, widest,
    grads, g0, add, scale, eps,
):  # fmt: skip
    """Loss (weighted sum, float64) of one block; its gradient goes into grads[g0:]."""
    width = lanes_of(params)
    lanes = (rows + width - 1) // width * width
    last = layers.shape[0] - 1
    delta = units_total * stride
    other = delta + widest * stride
    ones = other + widest * stride
    weights, spare = ones + stride, ones + 2 * stride
    across = ones + 3 * stride
    load_weights(data, order, start, rows, lanes, work, weights, ones)
    forward_block(layers, params, data, np.int64(0), order, start, rows, work, stride, across)
    z, units = layers[last, UNITS_AT] * stride, layers[last, FAN_OUT]
    code = layers[last, ACTIVATION]
    apply_output(code, work, z, units, lanes, stride, spare)
    total = output_gradient(
        code, loss, work, z, units, lanes, stride, delta, data.targets, data.labels, order, start,
        rows, weights, spare, eps, scale,
    )  # fmt: skip
    backward_block(
        layers, params, data, order, start, rows, work, stride, delta, other, across, ones,
        grads, g0, add,
    )  # fmt: skip
    return total
