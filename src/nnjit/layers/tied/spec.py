"""The dense layer with another one's weights as data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from numbers import Integral
from typing import Any, ClassVar

from nnjit.formulas import find_activation
from nnjit.layers.layer import Layer, Parameter, Shape, vector

__all__ = ["TiedDense"]


@dataclass(frozen=True)
class TiedDense:
    """h = phi(x W' + b), W' being the transposed weights of a dense layer before this one.

    So it makes as many values as come into that layer, of as many as come out of it. W is one
    parameter, in whose gradient both layers have a part; the biases are its own:

        dL/dW = X^T delta + delta'^T X'

    X being what comes into the other layer, delta its delta, and X' and delta' those of this one.

    Attributes
    ----------
    back : int
        How many layers before this one that ``Dense`` layer stands: 1 for the one right below.
    activation : str
        Name of the activation.
    units : int or None
        Values that come out; None for as many as come into that layer, which a network enters.

    Notes
    -----
    The decoder of an autoencoder with layers tied to those of the encoder, from the last one on, is
    ``[Dense(64), Dense(2, "identity"), TiedDense(1), TiedDense(3, "identity")]``. Its biases start
    at 0.

    P. Vincent, H. Larochelle, Y. Bengio and P.-A. Manzagol, "Extracting and composing robust
    features with denoising autoencoders", ICML 2008 (tied weights).
    """

    back: int
    activation: str = "relu"
    units: int | None = None
    kind: ClassVar[str] = "tied"

    def __post_init__(self) -> None:
        if not isinstance(self.back, Integral) or isinstance(self.back, bool) or self.back < 1:
            raise ValueError(
                "A tied layer says how many layers before it its weights are, an int of at least "
                f"1: got back={self.back!r}."
            )

    @classmethod
    def examples(cls) -> tuple[TiedDense, ...]:
        """Return small layers of the kind, for tests."""
        return cls(1, "tanh", 4), cls(1, "relu", 4)

    def settled(self, layers: Sequence[Layer], shapes: Sequence[Shape]) -> TiedDense:
        """Return the layer with its units.

        Parameters
        ----------
        layers : sequence of Layer
            All before it.
        shapes : sequence of Shape
            What comes into each of them, and out of the last.

        Returns
        -------
        TiedDense

        Raises
        ------
        ValueError
            If the weights do not fit.
        """
        if self.back > len(layers):
            raise ValueError(f"there are {len(layers)} layers before it, got back={self.back!r}.")
        other: Any = layers[-self.back]
        if other.kind != "dense":
            raise ValueError(
                f"its weights are those of a dense layer, but back={self.back} is {other}."
            )
        inputs, units = vector(shapes[-1], self.kind), vector(shapes[-1 - self.back], "dense")
        if inputs != other.units:
            raise ValueError(
                f"{inputs} values come into it, but {other.units} come out of the layer whose "
                "weights it has."
            )
        if self.units not in (None, units):
            raise ValueError(
                f"units={self.units!r}, but {units} values come into the layer whose weights it "
                "has."
            )
        return replace(self, units=units)

    def outputs(self, inputs: Shape) -> int:
        """Return the units."""
        vector(inputs, self.kind)
        if self.units is None:
            raise ValueError("its units follow from the layers before it, in a network.")
        return self.units

    def parameters(self, inputs: Shape) -> tuple[Parameter, ...]:
        """Return the biases."""
        return (Parameter("biases", (self.outputs(inputs),), penalized=False),)

    def kept(self, inputs: Shape) -> int:
        """Return the units where the activation's derivative needs z beside h, else 0."""
        return self.outputs(inputs) if "z" in find_activation(self.activation).reads else 0

    def work(self, inputs: Shape) -> int:
        """Return the number of weights."""
        return vector(inputs, self.kind) * self.outputs(inputs)
