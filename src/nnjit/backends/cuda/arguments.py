"""What kernels are given: a few named tuples of arrays and numbers, and the layer table."""

from typing import NamedTuple

import numpy as np

from nnjit.core.layout import ACTIVATIONS

__all__ = ["FIELDS", "Buffers", "Net", "Samples", "Schedule", "layer_table"]

# One row of the layer table. Parameters are packed as in scikit-learn: all weight matrices
# (fan_in, fan_out) row-major, then all biases. UNITS_AT counts units of the layers below, the
# input's included: layer l of r rows starts at UNITS_AT * r and is row-major.
FAN_IN, FAN_OUT, WEIGHTS, BIAS, ACTIVATION, UNITS_AT = range(6)
FIELDS = 6


class Net(NamedTuple):
    """The network: sizes, and where everything lies."""

    layers: object  # IN (n_layers * FIELDS,) int64
    n_layers: int
    n_weights: int
    n_params: int
    units_total: int  # of all layers, the input included
    widest: int  # of the layers after the input
    loss: int


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
    solver: int


class Buffers(NamedTuple):
    """What kernels write."""

    params: object  # INOUT (n_params,)
    grads: object  # INOUT (slots * n_params,)
    first: object  # INOUT (n_params,) velocity or first moment; gradient of 'gradient'
    second: object  # INOUT (n_params,) second moment, or one element
    work: object  # INOUT activations and deltas of a pass
    row_loss: object  # OUT (rows of a minibatch,) float64
    row_weight: object  # OUT (rows of a minibatch,) float64
    squares: object  # INOUT (2 * ranges,) float64: squared weights by range, of even and odd steps
    losses: object  # OUT float64: sum over the minibatches of loss times rows, by epoch
    control: object  # INOUT float64: hyperparameters, then the state of even and of odd steps


def layer_table(layer_units, activation, out_activation):
    """The layer table as one int64 vector."""
    layers = np.zeros((len(layer_units) - 1, FIELDS), np.int64)
    offset, units = 0, layer_units[0]
    for row, fan_in, fan_out in zip(layers, layer_units[:-1], layer_units[1:], strict=True):
        row[[FAN_IN, FAN_OUT, WEIGHTS, UNITS_AT]] = fan_in, fan_out, offset, units
        row[ACTIVATION] = ACTIVATIONS[activation]
        offset += fan_in * fan_out
        units += fan_out
    layers[-1, ACTIVATION] = ACTIVATIONS[out_activation]
    for row in layers:
        row[BIAS] = offset
        offset += row[FAN_OUT]
    return layers.ravel()
