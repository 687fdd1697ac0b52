"""What the primitives are given: matrices in flat arrays, and what is done around a product.

Offsets and strides count elements.
"""

from typing import NamedTuple

import numpy as np

__all__ = ["Epilogue", "Index", "Prefetch", "Prologue", "Rows", "Strided", "Vector"]


class Strided(NamedTuple):
    """A matrix whose element (i, k) lies at ``offset + i * row + k * column``."""

    values: np.ndarray
    offset: int
    row: int
    column: int


class Rows(NamedTuple):
    """A matrix whose element (i, j) lies at ``offset + i * row + j``."""

    values: np.ndarray
    offset: int
    row: int


class Vector(NamedTuple):
    """Element i lies at ``offset + i``."""

    values: np.ndarray
    offset: int


class Prologue(NamedTuple):
    """What the sums of a product begin with.

    `kind` is FROM_ZERO, FROM_BIAS (row i with ``values[offset + i]``) or FROM_C (what C holds).
    """

    kind: int
    values: np.ndarray
    offset: int


class Epilogue(NamedTuple):
    """What is done to the sums of a product.

    `kind` is PLAIN (nothing), RELU (max(x, 0)) or MASK: x where the element `mask` places behind
    C[i, j] is positive and 0 elsewhere, the Hadamard product with ReLU's derivative.
    """

    kind: int
    mask: int


class Prefetch(NamedTuple):
    """What the caller reads next, to be in the caches by then.

    That is `length` elements of each of 1, 2 or 4 `arrays`, which lie `gap` elements apart.
    """

    values: np.ndarray
    offset: int
    length: int
    gap: int
    arrays: int


class Index(NamedTuple):
    """Row i of a matrix is its row ``values[offset + i]``."""

    values: np.ndarray
    offset: int
