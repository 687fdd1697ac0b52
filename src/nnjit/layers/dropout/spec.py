"""Dropout as data."""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Real
from typing import ClassVar

from nnjit.layers.layer import Parameter, Shape, size_of

__all__ = ["Dropout"]

# To draw a value's bits costs about as much as so many multiply-adds.
_WORK_OF_BITS = 8


@dataclass(frozen=True)
class Dropout:
    """Values set to 0 at random, and the others scaled so that the mean stays.

    For a value x and a random number m, which is 0 with probability `rate` and else 1:

        h = m x / (1 - rate)
        dL/dx = m dL/dh / (1 - rate)

    in training. In a prediction h = x, so that the layer is left out.

    Attributes
    ----------
    rate : float
        Share of the values that are dropped, in [0, 1).

    Notes
    -----
    m follows from the seed, the number of the solver's step, the row's place in its minibatch, the
    number of the layer and that of the value (see `nnjit.formulas.random`).

    N. Srivastava, G. Hinton, A. Krizhevsky, I. Sutskever and R. Salakhutdinov, "Dropout: a simple
    way to prevent neural networks from overfitting", JMLR 15, 2014 (in its inverted form).
    """

    rate: float
    kind: ClassVar[str] = "dropout"
    random: ClassVar[bool] = True  # what it computes depends on a seed
    by_points: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not isinstance(self.rate, Real) or not 0.0 <= self.rate < 1.0:
            raise ValueError(
                f"The share of values that dropout leaves out is in [0, 1), got {self.rate!r}."
            )

    @classmethod
    def examples(cls) -> tuple[Dropout, ...]:
        """Return small layers of the kind, for tests."""
        return cls(0.25), cls(0.0)

    def outputs(self, inputs: Shape) -> Shape:
        """Return the shape, which does not change."""
        return inputs

    def parameters(self, inputs: Shape) -> tuple[Parameter, ...]:
        """Return nothing."""
        return ()

    def kept(self, inputs: Shape) -> int:
        """Return 0: the backward pass draws the same bits again."""
        return 0

    def work(self, inputs: Shape) -> int:
        """Return some multiply-adds for the bits of each value."""
        return size_of(inputs) * _WORK_OF_BITS
