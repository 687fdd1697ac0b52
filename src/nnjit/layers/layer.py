"""What every kind of layer says about itself."""

from __future__ import annotations

import math
from numbers import Real
from typing import ClassVar, NamedTuple, Protocol, TypeAlias

__all__ = [
    "Layer",
    "Parameter",
    "Shape",
    "beginning",
    "check_rate",
    "size_of",
    "units_of",
    "vector",
]

# What goes into a layer, or comes out of it, for each row: so many values of a vector, or an array
# of channels, (channels, time) of a series or (channels, height, width) of an image. Its values
# are in C order.
Shape: TypeAlias = int | tuple[int, ...]


def size_of(shape: Shape) -> int:
    """Return the number of values."""
    return math.prod(shape) if isinstance(shape, tuple) else shape


def units_of(shape: Shape) -> int:
    """Return the number of units, a channel being one: values of a vector, or channels."""
    return shape[0] if isinstance(shape, tuple) else shape


def check_rate(rate: float, kind: str) -> None:
    """Check the factor of a layer on the learning rate of its parameters.

    Raises
    ------
    ValueError
        If it is none.
    """
    if not isinstance(rate, Real) or isinstance(rate, bool) or not 0.0 <= rate < math.inf:
        raise ValueError(
            f"The rate of a {kind} layer is a factor of at least 0 on the learning rate, got "
            f"{rate!r}."
        )


def vector(shape: Shape, kind: str) -> int:
    """Return the number of values for a layer that takes vectors only.

    Raises
    ------
    ValueError
        If it is given an array of channels.
    """
    if isinstance(shape, tuple):
        raise ValueError(
            f"A {kind} layer takes vectors, but it gets arrays of shape {shape}: put a flatten or "
            "global pooling layer below it."
        )
    return shape


def beginning(shape: Shape, features: int, kind: str) -> int:
    """Return the number of values for a layer that changes the first so many of a vector.

    Raises
    ------
    ValueError
        If there are not so many, or it is given an array of channels.
    """
    values = vector(shape, kind)
    if values < features:
        raise ValueError(
            f"A {kind} layer of {features} features takes at least as many values, got {values}."
        )
    return values


class Parameter(NamedTuple):
    """One array of a layer's parameters."""

    name: str
    shape: tuple[int, ...]
    penalized: bool  # by the L2 term
    trained: bool = True  # by the solver; else state that the layer itself keeps
    start: float = 0.0  # what its elements are at first, where they are neither drawn nor chosen
    rate: float = 1.0  # factor on the learning rate of its elements

    @property
    def size(self) -> int:
        """Number of its elements."""
        return math.prod(self.shape)


class Layer(Protocol):
    """A layer as a frozen dataclass of plain data, which is what a checkpoint keeps of it.

    `inputs` is the shape of what it reads for each row, an int for a vector; a layer raises a
    ValueError that says what is wrong where it does not fit. If it likes, a layer has as well

    - `activation`, the name of what its outputs have gone through;
    - `span`: it adds what came into the layer so many layers before;
    - `joins_rows`: whether in training a row's values depend on its minibatch's other rows;
    - `random`: whether it draws at random in training;
    - `changes_rows`: it is a change of the data, and no layer below it may have parameters;
    - `length(n)`: how many points of time come out of n, for series of unequal length;
    - `kept_forward(inputs)`: what `kept` is where there is no backward pass;
    - `carried(inputs)`: how many values of a series one window leaves to the next window of it;
    - `by_points`: in a prediction it makes each point of a series out of that point alone;
    - `settled(layers, shapes)`: the layer with what follows from those before it, and the shapes of
      what comes into each and out of the last; a ValueError where it does not fit them.
    """

    kind: ClassVar[str]  # the name of its folder

    @classmethod
    def examples(cls) -> tuple[Layer, ...]:
        """Return small layers of the kind: what every kind has to keep is tested with them."""

    def outputs(self, inputs: Shape) -> Shape:
        """Return the shape of what the next layer reads for each row."""

    def parameters(self, inputs: Shape) -> tuple[Parameter, ...]:
        """Return its parameters, in the order in which they are kept."""

    def kept(self, inputs: Shape) -> int:
        """Return how many values for each row its backward pass needs beside its outputs."""

    def work(self, inputs: Shape) -> int:
        """Return the multiply-adds of its forward pass for each row."""
