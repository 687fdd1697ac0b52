"""Network outputs for one block of rows."""

import numpy as np

from nnjit.core.block import forward_block
from nnjit.core.jit import inline
from nnjit.core.layout import ACTIVATION, FAN_OUT, UNITS_AT
from nnjit.core.output import apply_output

__all__ = ["predict_block"]


@inline
def write_rows(work, z, stride, units, rows, out, at):
    """out[at + j, t] = work[z + t * stride + j]; out is row-major."""
    for j in range(rows):
        for t in range(units):
            out[at + j * units + t] = work[z + t * stride + j]


@inline
def predict_block(layers, logits, params, data, start, rows, order, stride, units_total, work, out):
    """Outputs of the samples start..start+rows-1; `order` counts from 0."""
    last = layers.shape[0] - 1
    units = layers[last, FAN_OUT]
    z = layers[last, UNITS_AT] * stride
    spare = units_total * stride
    forward_block(
        layers, params, data, start, order, np.int64(0), rows, work, stride, spare + stride
    )
    if not logits:
        apply_output(layers[last, ACTIVATION], work, z, units, rows, stride, spare)
    write_rows(work, z, stride, units, rows, out, start * units)
