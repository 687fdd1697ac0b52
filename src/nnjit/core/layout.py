"""Where everything lies: the flat parameter buffer and the workspace of a block of rows.

Parameters are one flat array in scikit-learn's packing order, all weight matrices and then
all biases, so that gradients, moments and updates are single sweeps. A weight matrix is
(fan_in, fan_out) row-major; where its rows would be a multiple of 512 bytes apart they are
set one vector further apart, because power-of-two strides fall into few cache sets. The
padding is zero and stays zero.

Activations are feature-major: layer l of a block of rows is (units, stride), vectors running
along the samples, so that no layer is padded in its units and softmax and the losses
vectorize over samples. Bad strides are avoided there too.

A layer is one row of the table: its kind, its sizes and where its parameters and its
activations start. `KIND_DENSE` is the only kind so far; others add a kind, a forward and a
backward (see block.py).
"""

from typing import NamedTuple

import numpy as np

from nnjit.core.activations import CODES
from nnjit.core.output import LOSSES, SOFTMAX
from nnjit.core.simd import TILE

__all__ = ["ACTIVATIONS", "LOSSES", "Layout", "aligned_empty", "make_layout"]

KIND_DENSE = 0

# columns of the layer table
KIND, FAN_IN, FAN_OUT, WEIGHTS, STRIDE, BIAS, ACTIVATION, UNITS_AT, ACROSS, ACROSS_ROW = range(10)
FIELDS = 10

ACTIVATIONS = {**CODES, "softmax": SOFTMAX}

_BAD_STRIDE = 512


class Layout(NamedTuple):
    """Offsets of one network in one precision; everything a kernel needs to find its way."""

    layers: np.ndarray  # (n_layers, FIELDS) int64
    n_flat: int  # elements of the parameter buffer, padding included
    n_weights: int  # of these, the first so many are weights (penalized), the rest biases
    units_total: int  # input and all layers: rows of the activation workspace
    across_total: int  # elements of one row of all layers after the input, sample-major


def lanes_of(dtype):
    """Elements of one vector register."""
    return TILE.bytes // np.dtype(dtype).itemsize


def round_up(value, multiple):
    return -(-value // multiple) * multiple


def row_stride(n, dtype):
    """Elements from one row of n elements to the next: whole vectors, no bad stride."""
    stride = round_up(n, lanes_of(dtype))
    if stride * np.dtype(dtype).itemsize % _BAD_STRIDE == 0:
        stride += lanes_of(dtype)
    return stride


def make_layout(layer_units, activation, out_activation, dtype):
    """Lay out a dense network.

    Parameters
    ----------
    layer_units : sequence of int
        Units of every layer, input and output included.
    activation, out_activation : str
        Names in `ACTIVATIONS`, for the hidden layers and the last one.
    dtype : numpy dtype
        float32 or float64.
    """
    itemsize = np.dtype(dtype).itemsize
    n_layers = len(layer_units) - 1
    layers = np.zeros((n_layers, FIELDS), np.int64)
    offset, units, across = 0, layer_units[0], 0
    for row, fan_in, fan_out in zip(layers, layer_units[:-1], layer_units[1:], strict=True):
        bad = fan_out * itemsize % _BAD_STRIDE == 0
        stride = fan_out + (lanes_of(dtype) if bad else 0)
        row[[KIND, FAN_IN, FAN_OUT]] = KIND_DENSE, fan_in, fan_out
        row[[WEIGHTS, STRIDE, UNITS_AT, ACROSS]] = offset, stride, units, across
        row[ACROSS_ROW] = row_stride(fan_out, dtype)
        row[ACTIVATION] = ACTIVATIONS[activation]
        offset += fan_in * stride
        units += fan_out
        across += row[ACROSS_ROW]
    layers[-1, ACTIVATION] = ACTIVATIONS[out_activation]
    n_weights = offset
    for row in layers:
        row[BIAS] = offset
        offset += row[FAN_OUT]
    return Layout(layers, int(offset), int(n_weights), int(units), int(across))


def workspace_size(layout, rows, dtype, training):
    """Elements that one block of `rows` rows needs for a forward (and a backward) pass.

    Activations of every layer, some rows and, for sparse input, the first layer sample-major;
    in training the gradient of every layer after the input too, and its transpose.
    """
    stride, whole = row_stride(rows, dtype), round_up(rows, lanes_of(dtype))
    if training:
        units = 2 * layout.units_total - int(layout.layers[0, FAN_IN])
        return (units + 4) * stride + whole * layout.across_total
    return (layout.units_total + 3) * stride + whole * int(layout.layers[0, ACROSS_ROW])


def aligned_empty(n, dtype):
    """Uninitialized array that starts on a cache line."""
    itemsize = np.dtype(dtype).itemsize
    raw = np.empty(n * itemsize + 64, np.uint8)
    start = -raw.ctypes.data % 64
    return raw[start : start + n * itemsize].view(dtype)


def aligned_zeros(n, dtype):
    array = aligned_empty(n, dtype)
    array[:] = 0
    return array


def weight_views(layout, flat):
    """Views (fan_in, fan_out) of every weight matrix, and of every bias, in a flat array."""
    weights, biases = [], []
    for row in layout.layers:
        fan_in, fan_out, stride = int(row[FAN_IN]), int(row[FAN_OUT]), int(row[STRIDE])
        start = int(row[WEIGHTS])
        matrix = flat[start : start + fan_in * stride].reshape(fan_in, stride)
        weights.append(matrix[:, :fan_out])
        biases.append(flat[int(row[BIAS]) : int(row[BIAS]) + fan_out])
    return weights, biases
