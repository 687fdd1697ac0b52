"""The forward pass over many rows, block by block, in constant memory."""

import numpy as np

from nnjit.core.block import forward_block
from nnjit.core.jit import inline
from nnjit.core.layout import ACTIVATION, FAN_OUT, UNITS_AT
from nnjit.core.output import apply_output

__all__ = ["forward_slot"]


@inline
def write_rows(work, z, stride, units, rows, out, at):
    """out[at + j, t] = work[z + t * stride + j]; out is row-major."""
    for j in range(rows):
        for t in range(units):
            out[at + j * units + t] = work[z + t * stride + j]


@inline
def forward_slot(slot, slots, layers, logits, params, data, first, n, order, block_rows, stride,
                 units_total, work, out):  # fmt: skip
    """Every `slots`-th block of the rows first..first+n-1, from number `slot` on."""
    last = layers.shape[0] - 1
    units = layers[last, FAN_OUT]
    z = layers[last, UNITS_AT] * stride
    spare = units_total * stride
    start = first + slot * block_rows
    while start < first + n:
        rows = min(block_rows, first + n - start)
        forward_block(
            layers, params, data, start, order, np.int64(0), rows, work, stride, spare + stride
        )
        if not logits:
            apply_output(layers[last, ACTIVATION], work, z, units, rows, stride, spare)
        write_rows(work, z, stride, units, rows, out, start * units)
        start += slots * block_rows
