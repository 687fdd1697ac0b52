"""Gaussian noise as data."""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Real
from typing import ClassVar

from nnjit.layers.layer import Parameter, Shape, size_of

__all__ = ["GaussianNoise"]

# To draw a value's normal number costs about as much as so many multiply-adds.
_WORK_OF_NUMBERS = 16


@dataclass(frozen=True)
class GaussianNoise:
    """Normal numbers added to all values.

    For a value x and a standard normal number n:

        h = x + scale n
        dL/dx = dL/dh

    in training. In a prediction h = x, so that the layer is left out.

    Attributes
    ----------
    scale : float
        Standard deviation of what is added, at least 0, in the units of the values.

    Notes
    -----
    n follows from the seed, the number of the solver's step, the row's place in its minibatch, the
    number of the layer and that of the value (see `nnjit.formulas.random`). Points that a series
    which is shorter than others does not have stay 0. Unlike ``Augment(noise=scale)`` it may stand
    anywhere.

    C. M. Bishop, "Training with noise is equivalent to Tikhonov regularization", Neural Computation
    7, 1995.
    """

    scale: float
    kind: ClassVar[str] = "noise"
    random: ClassVar[bool] = True  # what it computes depends on a seed
    by_points: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not isinstance(self.scale, Real) or not 0.0 <= self.scale < float("inf"):
            raise ValueError(
                f"The scale of noise is a standard deviation of at least 0, got {self.scale!r}."
            )

    @classmethod
    def examples(cls) -> tuple[GaussianNoise, ...]:
        """Return small layers of the kind, for tests."""
        return (cls(0.25),)

    def outputs(self, inputs: Shape) -> Shape:
        """Return the shape, which does not change."""
        return inputs

    def parameters(self, inputs: Shape) -> tuple[Parameter, ...]:
        """Return nothing."""
        return ()

    def kept(self, inputs: Shape) -> int:
        """Return 0: the delta goes through as it is."""
        return 0

    def work(self, inputs: Shape) -> int:
        """Return some multiply-adds for the number of each value."""
        return size_of(inputs) * _WORK_OF_NUMBERS
