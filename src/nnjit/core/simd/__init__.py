"""Matrix products on register tiles: the only room of the package that emits IR.

primitives.py is what kernels call, with the tuples of arguments.py. tile.py, product.py, dot.py,
gathered_product.py, gathered_dot.py, outer.py and transpose.py emit their LLVM functions with the
help of vectors.py, for the machine that targets.py finds; objects.py compiles them, once.
"""

from nnjit.core.simd.arguments import (
    Epilogue,
    Index,
    Prefetch,
    Prologue,
    Rows,
    Segments,
    Strided,
    Taps,
    Vector,
)
from nnjit.core.simd.primitives import (
    dot_product,
    gathered_dot,
    gathered_product,
    lanes,
    outer_product,
    product,
    transpose_into,
)
from nnjit.core.simd.targets import TARGETS, TILE, Tile
from nnjit.core.simd.tile import FROM_BIAS, FROM_C, FROM_ZERO, MASK, PLAIN, RELU

__all__ = [
    "FROM_BIAS",
    "FROM_C",
    "FROM_ZERO",
    "MASK",
    "PLAIN",
    "RELU",
    "TARGETS",
    "TILE",
    "Epilogue",
    "Index",
    "Prefetch",
    "Prologue",
    "Rows",
    "Segments",
    "Strided",
    "Taps",
    "Tile",
    "Vector",
    "dot_product",
    "gathered_dot",
    "gathered_product",
    "lanes",
    "outer_product",
    "product",
    "transpose_into",
]
