"""Network outputs for one block of rows."""

import numpy as np

from nnjit.core.activations import EXP, copy
from nnjit.core.block import forward_block
from nnjit.core.compiler.jit import inline
from nnjit.core.layout import ACTIVATION, FAN_IN, FAN_OUT, UNITS_AT
from nnjit.core.output import apply_output
from nnjit.core.simd import Rows, transpose_into
from nnjit.core.simd import lanes as lanes_of

__all__ = ["all_finite", "predict_block"]


@inline
def write_rows(work, z, stride, units, rows, order, out, at):
    """out[at + j * units + t] = work[z + t * stride + j]; out is row-major.

    A row is written in whole vectors, the last of which may run over into the next row. So
    those come first and rise; where one would leave the block, elements are written.
    """
    if units == 1:
        copy(work[z : z + rows], out[at : at + rows])
        return
    width = lanes_of(work)
    whole = units // width * width
    if whole < units:
        inside = max(0, (rows * units - whole - width) // units + 1) // width * width
        transpose_into(units - whole, inside, Rows(work, z + whole * stride, stride), None,
                       Rows(out, at + whole, units))  # fmt: skip
        for j in range(inside, rows):
            for t in range(whole, units):
                out[at + j * units + t] = work[z + t * stride + j]
    transpose_into(whole, rows, Rows(work, z, stride), None, Rows(out, at, units))


@inline
def all_finite(work, at, units, lanes, stride):
    """Whether the sum of a layer's values is finite; one that overflows says no."""
    total = work.dtype.type(0)
    for k in range(units):
        row = work[at + k * stride : at + k * stride + lanes]
        for j in range(lanes):
            total += row[j]
    return np.isfinite(total)


@inline
def predict_block(layers, logits, params, data, start, rows, order, stride, units_total, work, out):
    """Outputs of the samples start..start+rows-1; `order` counts from 0.

    Returns whether logits, outputs, and inputs unless they are sparse, are surely finite. Logits
    count by themselves: in a sum that overflows, the order decides the sign of the infinity, and a
    logistic output is 0 or 1 by it.
    """
    last = layers.shape[0] - 1
    units = layers[last, FAN_OUT]
    z = layers[last, UNITS_AT] * stride
    spare = units_total * stride
    forward_block(
        layers, params, data, start, order, np.int64(0), rows, work, stride, spare + stride,
        (start + rows) * data.x_row, rows * data.x_row if data.x_column == 1 else 0,
    )  # fmt: skip
    code = layers[last, ACTIVATION]
    finite = all_finite(work, z, units, rows, stride)
    if not logits:
        apply_output(code, work, z, units, rows, stride, spare)
        if code == EXP:  # of finite logits all others are finite
            finite = all_finite(work, z, units, rows, stride) and finite
    write_rows(work, z, stride, units, rows, order, out, start * units)
    return finite and (data.x_column == 0 or all_finite(work, 0, layers[0, FAN_IN], rows, stride))
