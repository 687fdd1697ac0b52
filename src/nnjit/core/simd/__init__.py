"""Matrix products on register tiles: the only room of the package that emits IR.

`primitives` are what kernels call; tile, product, dot, outer and transpose emit their LLVM
functions with the help of `vectors`, for the machine that `targets` finds.
"""

from nnjit.core.simd.primitives import (
    GATE,
    PLAIN,
    RELU,
    dot_product,
    lanes,
    outer_product,
    product,
    product_ahead,
    transpose_into,
)
from nnjit.core.simd.targets import TARGETS, TILE, Tile

__all__ = [
    "GATE",
    "PLAIN",
    "RELU",
    "TARGETS",
    "TILE",
    "Tile",
    "dot_product",
    "lanes",
    "outer_product",
    "product",
    "product_ahead",
    "transpose_into",
]
