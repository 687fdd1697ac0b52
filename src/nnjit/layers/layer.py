"""What every kind of layer says about itself."""

from __future__ import annotations

import math
from typing import ClassVar, NamedTuple, Protocol

__all__ = ["Layer", "Parameter"]


class Parameter(NamedTuple):
    """One array of a layer's parameters."""

    name: str
    shape: tuple[int, ...]
    penalized: bool  # by the L2 term
    trained: bool = True  # by the solver; else state that the layer itself keeps

    @property
    def size(self) -> int:
        """Number of its elements."""
        return math.prod(self.shape)


class Layer(Protocol):
    """A layer as a frozen dataclass of plain data, which is what a checkpoint keeps of it.

    `inputs` is the number of values that it reads for each row. If it likes, a layer has as well

    - `activation`, the name of what its outputs have gone through;
    - `span`: it adds what came into the layer so many layers before;
    - `joins_rows`: whether in training a row's values depend on its minibatch's other rows.
    """

    kind: ClassVar[str]  # the name of its folder

    @classmethod
    def examples(cls) -> tuple[Layer, ...]:
        """Return small layers of the kind: what every kind has to keep is tested with them."""

    def outputs(self, inputs: int) -> int:
        """Return the number of values for each row that the next layer reads."""

    def parameters(self, inputs: int) -> tuple[Parameter, ...]:
        """Return its parameters, in the order in which they are kept."""

    def kept(self, inputs: int) -> int:
        """Return how many values for each row its backward pass needs beside its outputs."""

    def work(self, inputs: int) -> int:
        """Return the multiply-adds of its forward pass for each row."""
