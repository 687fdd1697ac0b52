"""The flatten layer as data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from nnjit.layers.axes import channels
from nnjit.layers.layer import Parameter, Shape, size_of

__all__ = ["Flatten"]


@dataclass(frozen=True)
class Flatten:
    """The values of an array of channels as one vector, in C order.

    Points behind the end of a series that is shorter than others are 0.
    """

    kind: ClassVar[str] = "flatten"

    @classmethod
    def examples(cls) -> tuple[Flatten, ...]:
        """Return small layers of the kind, for tests."""
        return (cls(),)

    def outputs(self, inputs: Shape) -> int:
        """Return the number of values."""
        return size_of(channels(inputs, self.kind))

    def parameters(self, inputs: Shape) -> tuple[Parameter, ...]:
        """Return none."""
        return ()

    def kept(self, inputs: Shape) -> int:
        """Return 0: the backward pass needs no values."""
        return 0

    def work(self, inputs: Shape) -> int:
        """Return an operation for each value."""
        return size_of(inputs)
