"""What was read of modules so far, and what has to come into the next one."""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from nnjit._types import Array
from nnjit.interop.torch.arrays import as_array
from nnjit.layers.layer import Layer, Shape

__all__ = ["ReadNetwork", "words"]

_MANY = 2**40  # values of a vector that any layer takes


@dataclass
class ReadNetwork:
    """What was read.

    Attributes
    ----------
    layers : list of Layer
    arrays : list of dict of str to ndarray
        Parameters of each by their names here.
    shape : int, tuple of int or None
        Of what came out of the last one so far, for each row; None until a module tells it.
    input_shape : tuple of int
        Of series or images; ``()`` for vectors.
    inputs : int
        Values of a row.
    channels_last, by_points : bool
    head : str
        What is made of logits: 'softmax', 'two', 'groups', 'quantiles', or ''.
    groups, quantiles : tuple
    origin : ndarray or None
    unit : float
        Of a radial network's rows.
    """

    layers: list[Any] = field(default_factory=list)
    arrays: list[dict[str, Array]] = field(default_factory=list)
    shape: Shape | None = None
    input_shape: tuple[int, ...] = ()
    inputs: int = 0
    channels_last: bool = False
    by_points: bool = False
    head: str = ""
    groups: tuple[int, ...] = ()
    quantiles: tuple[float, ...] = ()
    origin: Array | None = None
    unit: float = 1.0
    # where the layers of modules begin, and what the next module has to be
    starts: dict[tuple[int, int], int] = field(default_factory=dict)
    padded: Any = None
    pooled: bool = False

    def add(self, layer: Layer, **arrays: Any) -> None:
        """Add a layer; its arrays may be tensors.

        Raises
        ------
        ValueError
            If one is not finite.
        """
        if self.shape is not None:
            self.shape = layer.outputs(self.shape)
        taken = {name: as_array(one) for name, one in arrays.items()}
        for name, one in taken.items():
            if not np.isfinite(one).all():
                raise ValueError(f"its {name} contain NaN or infinity")
        self.layers.append(layer)
        self.arrays.append(taken)

    def take_shape(self, given: Sequence[int]) -> None:
        """Have rows be series or images of a shape, (channels, time) or (channels, height, width).

        Raises
        ------
        ValueError
            If it is no such shape.
        """
        try:
            shape = tuple(map(operator.index, given))
        except TypeError:
            shape = ()
        shape = (1, *shape) if len(shape) == 1 else shape
        if len(shape) not in (2, 3) or min(shape) < 1:
            raise ValueError(
                "input_shape is (channels, time) or (channels, height, width), all of them ints "
                f"from 1 on, got {given!r}."
            )
        self.shape = self.input_shape = shape
        self.inputs = math.prod(shape)

    def take_width(self, width: int) -> None:
        """Have vectors of so many values come in next.

        Raises
        ------
        ValueError
            If something else comes in.
        """
        if self.shape is None:
            added = sum(layer.outputs(_MANY) - _MANY for layer in self.layers)
            self.inputs, self.shape = width - added, width
        if self.shape != width:
            raise ValueError(f"it takes {width} values, but {words(self.shape)} come in")

    def take_channels(self, count: int | None = None) -> tuple[int, ...]:
        """Return the shape of series or images that come in, of so many channels.

        Raises
        ------
        ValueError
            If something else comes in, or it is not known.
        """
        if self.shape is None:
            raise ValueError(
                "it takes series or images: give input_shape=(channels, time) or (channels, "
                "height, width)"
            )
        if not isinstance(self.shape, tuple) or count not in (None, self.shape[0]):
            wanted = "channels" if count is None else f"{count} channels"
            raise ValueError(f"it takes {wanted}, but {words(self.shape)} come in")
        return self.shape

    def take_units(self, count: int) -> None:
        """Have so many units come in: values of a vector, or channels."""
        if isinstance(self.shape, tuple):
            self.take_channels(count)
        else:
            self.take_width(count)

    def shapes(self) -> list[Shape]:
        """Return the shapes of what comes into each layer so far, and out of the last."""
        # While nothing tells how many values rows have, any number does for a comparison.
        found: list[Shape] = [self.input_shape or self.inputs or _MANY]
        for layer in self.layers:
            found.append(layer.outputs(found[-1]))
        return found

    def dtype(self) -> Any:
        """Return float64 if an array so far is that, else float32."""
        found = [one.dtype for arrays in self.arrays for one in arrays.values()]
        return np.float64 if np.dtype(np.float64) in found else np.float32


def words(shape: Shape) -> str:
    """Return what messages call values of a shape."""
    return f"arrays of shape {shape}" if isinstance(shape, tuple) else f"{shape}"
