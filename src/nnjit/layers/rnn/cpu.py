"""The cells of plain recurrent layers on the CPU; the way through time is `recurrence.cpu`'s.

forward    h = phi(a)
backward   with delta g of h: that of the sum, g phi'(h), in place of a; nothing goes straight
           to the states before
"""

import functools

import numpy as np

from nnjit.core.compiler.jit import wide
from nnjit.core.compiler.units import named_units
from nnjit.core.jobs.records import view
from nnjit.core.scalar import tanh
from nnjit.layers.recurrence.cpu import make_recurrent, reads_outputs

__all__ = ["ROWS_ALONE", "SORTS_ROWS", "make_step", "reads_outputs", "units"]

ROWS_ALONE = True
SORTS_ROWS = True


@wide
def tanh_states(a, after):
    for i in range(len(a)):
        after[i] = tanh(a[i])


@wide
def tanh_deltas(a, after, g):
    zero, one = g.dtype.type(0), g.dtype.type(1)
    for i in range(len(a)):
        a[i] = g[i] * (one - after[i] * after[i])
        g[i] = zero


@wide
def relu_states(a, after):
    zero = a.dtype.type(0)
    for i in range(len(a)):
        after[i] = zero if a[i] < zero else a[i]  # NaN stays NaN


@wide
def relu_deltas(a, after, g):
    zero = g.dtype.type(0)
    for i in range(len(a)):
        a[i] = g[i] if after[i] > zero else zero
        g[i] = zero


@functools.cache
def units(single):
    """The units of the cells in one precision, by activation and name."""
    like = np.float32(0) if single else np.float64(0)

    def tanh_forward(planes_at, plane, before_at, after_at, state, n):
        tanh_states(view(planes_at, n, like), view(after_at, n, like))

    def tanh_backward(planes_at, plane, before_at, after_at, state, n, delta_at, delta):
        tanh_deltas(view(planes_at, n, like), view(after_at, n, like), view(delta_at, n, like))

    def relu_forward(planes_at, plane, before_at, after_at, state, n):
        relu_states(view(planes_at, n, like), view(after_at, n, like))

    def relu_backward(planes_at, plane, before_at, after_at, state, n, delta_at, delta):
        relu_deltas(view(planes_at, n, like), view(after_at, n, like), view(delta_at, n, like))

    return named_units("rnn", single, tanh_forward, tanh_backward, relu_forward, relu_backward)


def make_step(program, number, layer):
    """The record of a plain recurrent layer.

    Parameters
    ----------
    program : Program
        Of the network that the layer is part of.
    number : int
        Of the layer.
    layer : nnjit.layers.rnn.spec.RNN
    """
    made = units(program.single)
    cells = {name: made[f"{layer.activation}_{name}"] for name in ("forward", "backward")}
    return make_recurrent(program, number, layer, cells)
