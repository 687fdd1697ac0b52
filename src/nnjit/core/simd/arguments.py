"""What the primitives are given: matrices in flat arrays, and what is done around a product.

Offsets and strides count elements.
"""

from typing import NamedTuple

import numpy as np

__all__ = [
    "Epilogue",
    "Index",
    "Prefetch",
    "Prologue",
    "Rows",
    "Segments",
    "Strided",
    "Taps",
    "Vector",
]


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


class Taps(NamedTuple):
    """Where the factors of a gathered product lie, as pairs of integers.

    ``values[offset + 2 k]`` elements from A's start lies its column k, and
    ``values[offset + 2 k + 1] * scale`` elements from B's start its row k.
    """

    values: np.ndarray
    offset: int
    scale: int


class Segments(NamedTuple):
    """What a gathered dot product goes over, as `count` triples of integers.

    From ``values[offset + 3 s]`` on, all times `scale`: where segment s starts in the rows of A
    and in those of B, and its length.
    """

    values: np.ndarray
    offset: int
    count: int  # type: ignore[assignment]  # a tuple's method, which nobody needs here
    scale: int
