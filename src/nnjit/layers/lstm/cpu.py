"""The cells of long short-term memory on the CPU; the way through time is `recurrence.cpu`'s.

Planes: i, f, g, o, and t = tanh(c), kept for the way back. States: h, c.

    forward    i, f, o := sigmoid;  g := tanh;  c = f c_{t-1} + i g;  h = o tanh(c)
    backward   with deltas of h and c, e and d:  o: e t o (1 - o);  d += e o (1 - t^2)
               i: d g i (1 - i);  g: d i (1 - g^2);  f: d c_{t-1} f (1 - f)
               straight to c_{t-1}: d f;  to h_{t-1}: nothing
"""

import functools

import numpy as np

from nnjit.core.compiler.jit import wide
from nnjit.core.compiler.units import named_units
from nnjit.core.jobs.records import view
from nnjit.core.scalar import sigmoid, tanh
from nnjit.layers.recurrence.cpu import make_recurrent, reads_outputs

__all__ = ["ROWS_ALONE", "SORTS_ROWS", "make_step", "reads_outputs", "units"]

ROWS_ALONE = True
SORTS_ROWS = True


# A loop over few arrays at a time: LLVM compares each one written with all others before it.


@wide
def take_in(i, g):
    """Input gates and candidates."""
    for k in range(len(i)):
        i[k] = sigmoid(i[k])
        g[k] = tanh(g[k])


@wide
def remember(i, f, g, before, after):
    """Forget gates and cells."""
    for k in range(len(f)):
        f[k] = sigmoid(f[k])
        after[k] = f[k] * before[k] + i[k] * g[k]


@wide
def show(o, t, cell, after):
    """Output gates and states."""
    for k in range(len(o)):
        o[k] = sigmoid(o[k])
        t[k] = tanh(cell[k])
        after[k] = o[k] * t[k]


@wide
def show_back(o, t, e, d):
    """Deltas of output gates; that of the states goes on to the cells."""
    zero, one = e.dtype.type(0), e.dtype.type(1)
    for k in range(len(o)):
        delta, gate = e[k], o[k]
        d[k] += delta * gate * (one - t[k] * t[k])
        o[k] = delta * t[k] * gate * (one - gate)
        e[k] = zero


@wide
def take_in_back(i, g, d):
    """Deltas of input gates and candidates."""
    one = d.dtype.type(1)
    for k in range(len(i)):
        gate, new = i[k], g[k]
        i[k] = d[k] * new * gate * (one - gate)
        g[k] = d[k] * gate * (one - new * new)


@wide
def remember_back(f, before, d):
    """Deltas of forget gates and of the cells before."""
    one = d.dtype.type(1)
    for k in range(len(f)):
        gate = f[k]
        f[k] = d[k] * before[k] * gate * (one - gate)
        d[k] *= gate


@functools.cache
def units(single):
    """The units of the cells in one precision, by name."""
    like = np.float32(0) if single else np.float64(0)

    def forward(planes_at, plane, before_at, after_at, state, n):
        i, f = view(planes_at, n, like), view(planes_at + plane, n, like)
        g, o = view(planes_at + 2 * plane, n, like), view(planes_at + 3 * plane, n, like)
        cell = view(after_at + state, n, like)
        take_in(i, g)
        remember(i, f, g, view(before_at + state, n, like), cell)
        show(o, view(planes_at + 4 * plane, n, like), cell, view(after_at, n, like))

    def backward(planes_at, plane, before_at, after_at, state, n, delta_at, delta):
        i, f = view(planes_at, n, like), view(planes_at + plane, n, like)
        g, o = view(planes_at + 2 * plane, n, like), view(planes_at + 3 * plane, n, like)
        d = view(delta_at + delta, n, like)
        show_back(o, view(planes_at + 4 * plane, n, like), view(delta_at, n, like), d)
        take_in_back(i, g, d)
        remember_back(f, view(before_at + state, n, like), d)

    return named_units("lstm_cell", single, forward, backward)


def make_step(program, number, layer):
    """The record of a layer of long short-term memory.

    Parameters
    ----------
    program : Program
        Of the network that the layer is part of.
    number : int
        Of the layer.
    layer : nnjit.layers.lstm.spec.LSTM
    """
    return make_recurrent(program, number, layer, units(program.single))
