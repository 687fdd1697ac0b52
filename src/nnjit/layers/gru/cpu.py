"""The cells of gated recurrent units on the CPU; the way through time is `recurrence.cpu`'s.

Planes: r, z, n, and what of n comes from the states, m = U_n^T h_{t-1} + c.

    forward    r, z := sigmoid;  n := tanh(n + r m);  h = n + z (h_{t-1} - n)
    backward   with delta g of h, those of the sums:  n: a = g (1 - z) (1 - n^2);  m: a r
               r: a m r (1 - r);  z: g (h_{t-1} - n) z (1 - z);  straight to h_{t-1}: g z
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


@wide
def propose(r, n, m):
    """The reset gates and the new states."""
    for i in range(len(r)):
        r[i] = sigmoid(r[i])
        n[i] = tanh(n[i] + r[i] * m[i])


@wide
def renew(z, n, before, after):
    """The update gates and the states."""
    for i in range(len(z)):
        z[i] = sigmoid(z[i])
        after[i] = n[i] + z[i] * (before[i] - n[i])


@wide
def split(g, z, n, before):
    """Deltas of the update gates and the new states, and what goes to the states before."""
    one = g.dtype.type(1)
    for i in range(len(g)):
        delta, update, new = g[i], z[i], n[i]
        n[i] = delta * (one - update) * (one - new * new)
        z[i] = delta * (before[i] - new) * update * (one - update)
        g[i] = delta * update


@wide
def reset(r, n, m):
    """Deltas of the reset gates, and of what comes from the states."""
    one = r.dtype.type(1)
    for i in range(len(r)):
        gate = r[i]
        r[i] = n[i] * m[i] * gate * (one - gate)
        m[i] = n[i] * gate


@functools.cache
def units(single):
    """The units of the cells in one precision, by name."""
    like = np.float32(0) if single else np.float64(0)

    def forward(planes_at, plane, before_at, after_at, state, n):
        r, z = view(planes_at, n, like), view(planes_at + plane, n, like)
        new, m = view(planes_at + 2 * plane, n, like), view(planes_at + 3 * plane, n, like)
        propose(r, new, m)
        renew(z, new, view(before_at, n, like), view(after_at, n, like))

    def backward(planes_at, plane, before_at, after_at, state, n, delta_at, delta):
        r, z = view(planes_at, n, like), view(planes_at + plane, n, like)
        new, m = view(planes_at + 2 * plane, n, like), view(planes_at + 3 * plane, n, like)
        split(view(delta_at, n, like), z, new, view(before_at, n, like))
        reset(r, new, m)

    return named_units("gru_cell", single, forward, backward)


def make_step(program, number, layer):
    """The record of a layer of gated recurrent units.

    Parameters
    ----------
    program : Program
        Of the network that the layer is part of.
    number : int
        Of the layer.
    layer : nnjit.layers.gru.spec.GRU
    """
    return make_recurrent(program, number, layer, units(program.single))
