"""What kernels are given: a few named tuples of arrays and numbers, and the layer table."""

from typing import NamedTuple

import numpy as np

from nnjit.backends.cuda.scalars import LINEAR

__all__ = [
    "FIELDS",
    "Buffers",
    "Cut",
    "Matrix",
    "Net",
    "Result",
    "Samples",
    "Schedule",
    "Team",
    "kept_units",
    "layer_table",
    "why_not",
]

# One row of the layer table. Parameters are packed as in scikit-learn: all weight matrices
# (fan_in, fan_out) row-major, then all biases. UNITS_AT counts units of the layers below, the
# input's included: layer l of r rows starts at UNITS_AT * r and is row-major. So do its
# pre-activations at KEPT_AT, after all layers and two deltas; negative if they are not kept.
FAN_IN, FAN_OUT, WEIGHTS, BIAS, ACTIVATION, UNITS_AT, KEPT_AT = range(7)
FIELDS = 7

KINDS = ("dense",)  # of layers that there is device code for


class Net(NamedTuple):
    """The network: sizes, and where everything lies."""

    layers: object  # IN (n_layers * FIELDS,) int64
    n_layers: int
    n_weights: int
    n_params: int
    units_total: int  # of all layers, the input included
    widest: int  # of the layers after the input
    row_values: int  # of the workspace of a pass, for each row


class Samples(NamedTuple):
    """Rows and targets. Members that are not used hold one element."""

    x: object  # IN dense values, or those of a CSR matrix
    x_row: int  # elements from one row to the next, 0 for CSR
    x_column: int
    indices: object  # IN CSR column numbers, int32
    indptr: object  # IN CSR row starts, int64
    targets: object  # IN (n * outputs,) row-major
    labels: object  # IN (n,) class numbers, int32
    weights: object  # IN (n,) or one element
    weighted: int
    order: object  # IN int64, the rows in the order in which each epoch visits them


class Schedule(NamedTuple):
    """How an epoch is cut up. It follows from shapes alone, and so do the bits."""

    batch_size: int
    n_order: int  # rows of an epoch
    per_epoch: int  # minibatches of an epoch
    rows: int  # in a slice, or in a pass of the whole grid
    step: int  # rows summed up in one partial gradient


class Buffers(NamedTuple):
    """What kernels write."""

    params: object  # INOUT (n_params,)
    grads: object  # INOUT (slots * n_params,)
    vectors: object  # INOUT the solver's (vectors * n_params,), or one element
    work: object  # INOUT activations, deltas and pre-activations of a pass
    row_loss: object  # OUT (rows of a minibatch,) float64
    row_weight: object  # OUT (rows of a minibatch,) float64
    squares: object  # INOUT (2 * ranges,) float64: squared weights by range, of even and odd steps
    losses: object  # OUT float64: sum over the minibatches of loss times rows, by epoch
    control: object  # INOUT float64: settings, then the state of even and of odd steps (updates.py)


class Team(NamedTuple):
    """The blocks that work on the same thing, and which of them this one is."""

    worker: int
    workers: int


class Matrix(NamedTuple):
    """Element (i, j) is ``values[at + i * row + j * column]``."""

    values: object
    at: int
    row: int
    column: int


class Result(NamedTuple):
    """Where a product goes, row-major, and what else is done with it there."""

    values: object
    at: int
    beside: object  # biases, their gradient, or the outputs of the layer below
    beside_at: int
    kept: object  # pre-activations, of the result or of the layer below
    kept_at: int  # negative if there are none
    activation: int


class Cut(NamedTuple):
    """How the sum of a product is cut into pieces."""

    step: int  # terms of a piece
    stride: int  # elements from one piece's result to the next
    add: int  # whether to add to what is there


def why_not(network):
    """None if the device has code for every layer, else the reason in words."""
    if network.groups:
        return "there is no device code for y of several columns of classes"
    missing = sorted({layer.kind for layer in network.layers} - set(KINDS))
    if not missing:
        return None
    layers = f"{' and '.join(missing)} layers"
    return f"there is no device code for {layers}, which work with device='cpu'"


def kept_units(network, hidden):
    """Units of each layer whose pre-activations its backward pass reads, else 0."""
    reading = {entry.name for entry in hidden if "z" in entry.reads}
    units = [layer.units if layer.activation in reading else 0 for layer in network.layers]
    return [*units[:-1], 0]


def layer_table(network, hidden):
    """The layer table as one int64 vector; `hidden` are the activations that layers may have."""
    sizes = network.sizes
    layers = np.zeros((len(network.layers), FIELDS), np.int64)
    names = [entry.name for entry in hidden]
    numbers = [names.index(layer.activation) for layer in network.layers[:-1]]
    layers[:, ACTIVATION] = [*numbers, LINEAR]
    offset, units = 0, sizes[0]
    for row, fan_in, fan_out in zip(layers, sizes[:-1], sizes[1:], strict=True):
        row[[FAN_IN, FAN_OUT, WEIGHTS, UNITS_AT]] = fan_in, fan_out, offset, units
        offset += fan_in * fan_out
        units += fan_out
    kept_at = units + 2 * max(sizes[1:])
    for row, kept in zip(layers, kept_units(network, hidden), strict=True):
        row[BIAS], row[KEPT_AT] = offset, kept_at if kept else -1
        offset += row[FAN_OUT]
        kept_at += kept
    return layers.ravel()
