"""What kernels are given: a few named tuples of arrays and numbers, and the layer table."""

from typing import NamedTuple

import numpy as np

from nnjit.backends.cuda.scalars import LINEAR
from nnjit.formulas.random import threshold_of
from nnjit.formulas.registry import find_loss

__all__ = [
    "FIELDS",
    "Buffers",
    "Cut",
    "Draw",
    "Matrix",
    "Net",
    "Result",
    "Samples",
    "Schedule",
    "Team",
    "dense_layers",
    "dense_sizes",
    "drop_scales",
    "dropped_units",
    "kept_units",
    "layer_table",
    "why_no_layers",
    "why_no_options",
]

# One row of the layer table. Parameters are packed as in scikit-learn: all weight matrices
# (fan_in, fan_out) row-major, then all biases. UNITS_AT counts units of the layers below, the
# input's included: layer l of r rows starts at UNITS_AT * r and is row-major. So do its
# pre-activations at KEPT_AT, after all layers and two deltas; negative if they are not kept.
# INPUTS_AT is where a layer reads: the outputs below, or a copy of these with some left out.
# DROP is the number of the dropout layer that does it, negative if there is none; values whose bits
# are below THRESHOLD are left out.
FAN_IN, FAN_OUT, WEIGHTS, BIAS, ACTIVATION, UNITS_AT, KEPT_AT, INPUTS_AT = range(8)
DROP, THRESHOLD = 8, 9
FIELDS = 10

DENSE, DROPOUT = "dense", "dropout"  # kinds of layers that there is device code for


class Net(NamedTuple):
    """The network: sizes, and where everything lies."""

    layers: object  # IN (n_layers * FIELDS,) int64
    n_layers: int
    n_weights: int
    n_params: int
    units_total: int  # of all layers, the input included
    widest: int  # of the layers after the input
    row_values: int  # of the workspace of a pass, for each row
    scales: object  # IN (n_layers,) float64: of the inputs that dropout leaves


class Samples(NamedTuple):
    """Rows and targets. Members that are not used hold one element."""

    x: object  # IN dense values, or those of a CSR matrix
    x_row: int  # elements from one row to the next, 0 for CSR
    x_column: int
    indices: object  # IN CSR column numbers, int32
    indptr: object  # IN CSR row starts, int64
    targets: object  # IN (n * target_columns,) row-major
    target_columns: int  # as many as outputs, or 1 where all have the same target
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
    seed: int  # of dropout


class Draw(NamedTuple):
    """What the bits of dropout follow from, beside layer, row and unit."""

    seed: int
    step: int


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
    loss_parameters: object  # IN (outputs * parameters,) float64: those of the loss by output
    rates: object  # IN float64: the base rate of each minibatch, or one element


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


def why_no_layers(network):
    """None if the device has code for every layer, else the reason in words."""
    if network.groups:
        what = "several softmaxes (y of several columns of classes)"
        return f"there is no device code for {what}, which work with device='cpu'"
    kinds = [layer.kind for layer in network.layers]
    missing = sorted({*kinds} - {DENSE, DROPOUT})
    if missing:
        layers = f"{' and '.join(missing)} layers"
        return f"there is no device code for {layers}, which work with device='cpu'"
    if (DROPOUT, DROPOUT) in zip(kinds, kinds[1:]):
        return "there is no device code for dropout behind dropout"
    if network.parametrization != "standard":
        what = f"the parametrization {network.parametrization!r}"
        return f"there is no device code for {what}, which works with device='cpu'"
    if find_loss(network.loss, network.output).by_row:
        what = f"the loss {network.loss!r}"
        return f"there is no device code for {what}, which works with device='cpu'"
    return None


def why_no_options(options):
    """None if the device has code for what a solver is asked for, else the reason in words."""
    if not options:
        return None
    named = " and ".join(options)
    return f"there is no device code for {named}, which works with device='cpu'"


class DenseLayer(NamedTuple):
    """A dense layer with the dropout before it."""

    units: int
    activation: str
    drop: int  # number of the dropout layer in the network; negative without one
    rate: float


def dense_layers(network):
    """The dense layers of a network, each with the dropout before it."""
    layers, drop, rate = [], -1, 0.0
    for number, layer in enumerate(network.layers):
        if layer.kind == DROPOUT:
            drop, rate = (number, layer.rate) if layer.rate else (-1, 0.0)
        else:
            layers.append(DenseLayer(layer.units, layer.activation, drop, rate))
            drop, rate = -1, 0.0
    return layers


def dense_sizes(network):
    """Values of a row: the inputs, and the outputs of every dense layer."""
    return (network.inputs, *[layer.units for layer in dense_layers(network)])


def kept_units(network, hidden):
    """Units of each layer whose pre-activations its backward pass reads, else 0."""
    reading = {entry.name for entry in hidden if "z" in entry.reads}
    layers = dense_layers(network)
    return [*[layer.units if layer.activation in reading else 0 for layer in layers[:-1]], 0]


def dropped_units(network):
    """Inputs of each layer that are a copy with some left out, else 0.

    The network's own inputs are a copy already.
    """
    below = dense_sizes(network)
    layers = dense_layers(network)
    return [0, *[n if layer.drop >= 0 else 0 for layer, n in zip(layers[1:], below[1:])]]


def layer_table(network, hidden):
    """The layer table as one int64 vector; `hidden` are the activations that layers may have."""
    sizes, dense = dense_sizes(network), dense_layers(network)
    layers = np.zeros((len(dense), FIELDS), np.int64)
    names = [entry.name for entry in hidden]
    numbers = [names.index(layer.activation) for layer in dense[:-1]]
    layers[:, ACTIVATION] = [*numbers, LINEAR]
    offset, units = 0, sizes[0]
    for row, fan_in, fan_out in zip(layers, sizes[:-1], sizes[1:], strict=True):
        row[[FAN_IN, FAN_OUT, WEIGHTS, UNITS_AT]] = fan_in, fan_out, offset, units
        row[INPUTS_AT] = units - fan_in
        offset += fan_in * fan_out
        units += fan_out
    kept_at = units + 2 * max(sizes[1:])
    for row, kept in zip(layers, kept_units(network, hidden), strict=True):
        row[BIAS], row[KEPT_AT] = offset, kept_at if kept else -1
        offset += row[FAN_OUT]
        kept_at += kept
    for row, layer, dropped in zip(layers, dense, dropped_units(network), strict=True):
        row[DROP], row[THRESHOLD] = layer.drop, threshold_of(layer.rate)
        if dropped:
            row[INPUTS_AT] = kept_at
            kept_at += dropped
    return layers.ravel()


def drop_scales(network):
    """What the inputs of each layer that are not left out are multiplied by, float64."""
    return np.array([1.0 / (1.0 - layer.rate) for layer in dense_layers(network)])
