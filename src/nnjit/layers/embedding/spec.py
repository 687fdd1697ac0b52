"""The embedding of categories as data."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar

from nnjit.layers.axes import checked_size
from nnjit.layers.layer import Parameter, Shape, check_rate, vector

__all__ = ["Embedding"]

# float32 holds every code up to here.
_MOST_LEVELS = 2**24


@dataclass(frozen=True)
class Embedding:
    """A learned vector in place of each category's code.

    The last ``len(levels)`` values of a row are codes. Code c of column i stands for the vector
    v_ic, a row of that column's table:

        h = (x_1 .. x_n, v_1c .. v_mc)
        dL/dv_ic = sum over the rows with code c in column i of dL/dh there

    The values x before the codes are handed on as they are. Nothing goes back to the codes.

    Attributes
    ----------
    levels : tuple of int
        How many categories each of these columns has: its codes are 0 .. levels - 1, held as
        floats.
    dimension : int
        Length of the vectors.
    rate : float
        Factor on the learning rate of the vectors.

    Notes
    -----
    A code is rounded down; what is none (below 0, too large, NaN) counts as code 0, which is free
    for what is missing or was never seen. The vectors of all columns are one array, a table above
    the other. They begin as standard normal numbers, and no penalty shrinks them.

    C. Guo and F. Berkhahn, "Entity embeddings of categorical variables", arXiv:1604.06737, 2016.
    """

    levels: tuple[int, ...]
    dimension: int = 8
    rate: float = 1.0
    kind: ClassVar[str] = "embedding"

    def __post_init__(self) -> None:
        object.__setattr__(self, "levels", _checked_levels(self.levels))
        object.__setattr__(self, "dimension", checked_size(self.dimension, "dimension"))
        check_rate(self.rate, self.kind)

    @classmethod
    def examples(cls) -> tuple[Embedding, ...]:
        """Return small layers of the kind, for tests."""
        return cls((3, 2), 2), cls((4,), 3)

    def outputs(self, inputs: Shape) -> int:
        """Return the number of values that are no codes, and those of the vectors."""
        columns = len(self.levels)
        return self._plain(inputs) + columns * self.dimension

    def parameters(self, inputs: Shape) -> tuple[Parameter, ...]:
        """Return the vectors of all columns."""
        shape = sum(self.levels), self.dimension
        return (Parameter("vectors", shape, penalized=False, rate=self.rate),)

    def kept(self, inputs: Shape) -> int:
        """Return 0: the backward pass reads the codes where they came in."""
        return 0

    def work(self, inputs: Shape) -> int:
        """Return an operation for each value."""
        return self.outputs(inputs)

    def _plain(self, inputs: Shape) -> int:
        """Return how many values of a row are no codes."""
        values, columns = vector(inputs, self.kind), len(self.levels)
        if values < columns:
            raise ValueError(f"there are {columns} columns of codes, but only {values} values.")
        return values - columns


def _checked_levels(given: Any) -> tuple[int, ...]:
    """Return the numbers of categories as a layer keeps them."""
    if isinstance(given, str) or not isinstance(given, Iterable):
        raise ValueError(f"levels are ints, one for each column of codes, got {given!r}.")
    levels = tuple(checked_size(one, "Each of levels") for one in given)
    if not levels or max(levels) > _MOST_LEVELS:
        raise ValueError(
            f"levels are ints from 1 to {_MOST_LEVELS}, one for each column of codes, got "
            f"{given!r:.200}."
        )
    return levels
