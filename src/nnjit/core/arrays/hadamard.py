"""The Hadamard product on flat arrays."""

from nnjit.core.arrays.activations import PIECE
from nnjit.core.compiler.jit import elementwise, prange, twins
from nnjit.core.maps.activations import copy

__all__ = ["hadamard"]


@elementwise
def _multiply(a, product):
    for i in range(len(product)):
        product[i] *= a[i]


@twins
def hadamard(a, b, copied, out):
    """out = a * b, element by element. a, b IN (n,), out OUT (n,), not a.

    `copied` says that out is b.
    """
    for piece in prange((len(a) + PIECE - 1) // PIECE):
        target = out[piece * PIECE : (piece + 1) * PIECE]
        if not copied:
            copy(b[piece * PIECE : (piece + 1) * PIECE], target)
        _multiply(a[piece * PIECE : (piece + 1) * PIECE], target)
