"""Sums over the neighbourhoods of a map's units: a product with bumps around each unit."""

import numpy as np

from nnjit.core.compiler.jit import elementwise, prange, twins, vectorized
from nnjit.core.scalar import exp
from nnjit.core.simd import Rows, Strided, product

__all__ = ["HEIGHT", "smooth"]

HEIGHT = 32  # units per block


@vectorized
def _nearer(ys, xs, y, x, squares):
    """squares[v] = min(squares[v], (ys[v] - y)^2 + (xs[v] - x)^2)."""
    for v in range(len(squares)):
        up, right = ys[v] - y, xs[v] - x
        square = up * up + right * right
        squares[v] = square if square < squares[v] else squares[v]


@vectorized
def _bumps(squares, start, factor):
    for v in range(len(squares)):
        squares[v] = exp((squares[v] - start) * factor)


@elementwise
def _least(values):
    least = values[0]
    for v in range(1, len(values)):
        least = values[v] if values[v] < least else least
    return least


@twins
def smooth(y, x, ys, xs, up, right, factor, relative, summands, reach, nearest, out):
    """out[u] = sum_v h[u, v] summands[v], h = exp(factor d^2), d the distance on the map.

    Parameters
    ----------
    y, x : IN (n_units,) where the units are
    ys, xs : IN (n,) where the summands are
    up, right : IN (images,) by how much a map that closes upon itself is shifted to meet itself
        again; (0, 0) is one of these
    factor : -1 / (2 sigma^2)
    relative : whether h is divided by its value at the nearest summand, so that the sums of units
        that are far from all do not vanish
    summands : IN (n * reach,), rows padded to whole vectors
    nearest : OUT (n_units,) squared distance to the nearest summand
    out : OUT (n_units * reach,)
    """
    n_units, n = len(y), len(ys)
    for block in prange((n_units + HEIGHT - 1) // HEIGHT):
        first = block * HEIGHT
        rows = min(HEIGHT, n_units - first)
        bumps = np.full(rows * n, np.inf)
        for i in range(rows):
            row, u = bumps[i * n : (i + 1) * n], first + i
            for image in range(len(up)):
                _nearer(ys, xs, y[u] + up[image], x[u] + right[image], row)
            nearest[u] = _least(row)
            _bumps(row, nearest[u] if relative else 0.0, factor)
        product(
            rows, reach, n, Strided(bumps, 0, n, 1), Rows(summands, 0, reach),
            Rows(out, first * reach, reach), None, None, None,
        )  # fmt: skip
