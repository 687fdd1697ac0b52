"""The global pooling layer as data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from nnjit.layers.axes import channels
from nnjit.layers.layer import Parameter, Shape, size_of

__all__ = ["METHODS", "GlobalPool"]

METHODS = ("mean", "max")


@dataclass(frozen=True)
class GlobalPool:
    """The mean, or the largest value, of every channel over all its points.

    Of a series that is shorter than others these are the points that it has. The delta of a mean
    is shared evenly among them; that of a largest value goes to the first point that has it.

    Attributes
    ----------
    method : {'mean', 'max'}

    Notes
    -----
    No parameter depends on the number of points, so that a network of convolutions that ends in it
    takes series of any length.

    M. Lin, Q. Chen and S. Yan, "Network in network", ICLR 2014.
    """

    method: str = "mean"
    kind: ClassVar[str] = "global_pooling"

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            known = " or ".join(map(repr, METHODS))
            raise ValueError(f"The method of global pooling is {known}, got {self.method!r}.")

    @classmethod
    def examples(cls) -> tuple[GlobalPool, ...]:
        """Return small layers of the kind, for tests."""
        return cls("mean"), cls("max")

    def outputs(self, inputs: Shape) -> int:
        """Return the number of channels."""
        return channels(inputs, self.kind)[0]

    def parameters(self, inputs: Shape) -> tuple[Parameter, ...]:
        """Return none."""
        return ()

    def kept(self, inputs: Shape) -> int:
        """Return 0: which point was the largest is found by comparing."""
        return 0

    def work(self, inputs: Shape) -> int:
        """Return an operation for each value."""
        return size_of(inputs)
