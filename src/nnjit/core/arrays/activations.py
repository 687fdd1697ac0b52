"""Units of activations (see `nnjit.core.maps.activations`) over flat arrays, as twins.

An array is worked through in pieces that stay in the L1 cache: a piece is copied to the
output and transformed there in place. Loops over one array need no check for overlap, and an
output that is also the input costs nothing extra. A kernel gets the address of the unit, so it is
compiled once for all activations.
"""

from nnjit.core.compiler.jit import inline, prange, twins, vectorized
from nnjit.core.compiler.units import call
from nnjit.core.maps.activations import copy

__all__ = ["PIECE", "backward", "output_derivative", "transform"]

PIECE = 4096


@vectorized
def _ones(target):
    """target[i] = 1."""
    for i in range(len(target)):
        target[i] = 1


@inline
def piece_of(piece, n):
    """First element and number of elements of a piece."""
    return piece * PIECE, min(PIECE, n - piece * PIECE)


@twins
def transform(unit, x, copied, out):
    """out = f(x). x IN (n,), out OUT (n,); `copied` says that out is x.

    unit : address of a unit (x, n) that works in place
    """
    size, to = out.itemsize, out.ctypes.data
    for piece in prange((len(x) + PIECE - 1) // PIECE):
        first, n = piece_of(piece, len(x))
        if not copied:
            copy(x[first : first + n], out[first : first + n])
        call(unit, (to + first * size, n))


@twins
def output_derivative(unit, h, copied, out):
    """out = phi'(z) where h = phi(z). h IN (n,), out OUT (n,); `copied`: out is h.

    unit : address of a `backward_unit` that reads h alone
    """
    size, to, at = out.itemsize, out.ctypes.data, h.ctypes.data
    for piece in prange((len(h) + PIECE - 1) // PIECE):
        first, n = piece_of(piece, len(h))
        if copied:
            source = h[first : first + n].copy()
            _ones(out[first : first + n])
            call(unit, (0, source.ctypes.data, to + first * size, n))
        else:
            _ones(out[first : first + n])
            call(unit, (0, at + first * size, to + first * size, n))


@twins
def backward(unit, h, delta, copied, out):
    """out = delta * phi'(z) where h = phi(z). h, delta IN (n,), out OUT (n,), not h.

    unit : address of a `backward_unit` that reads h alone
    `copied` says that out is delta.
    """
    size, to, at = out.itemsize, out.ctypes.data, h.ctypes.data
    for piece in prange((len(h) + PIECE - 1) // PIECE):
        first, n = piece_of(piece, len(h))
        if not copied:
            copy(delta[first : first + n], out[first : first + n])
        call(unit, (0, at + first * size, to + first * size, n))
