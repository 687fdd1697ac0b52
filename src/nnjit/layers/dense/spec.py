"""The dense layer as data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from nnjit.formulas import find_activation
from nnjit.layers.layer import Parameter, Shape, vector

__all__ = ["Dense"]


@dataclass(frozen=True)
class Dense:
    """h = phi(x W + b) for a row x, phi being the activation.

    Attributes
    ----------
    units : int
    activation : str
        Name of the activation; 'identity' for the last layer, whose output activation belongs to
        the network (see `nnjit.layers.network.Network`), and where a normalization follows.
    """

    units: int
    activation: str = "relu"
    kind: ClassVar[str] = "dense"

    @classmethod
    def examples(cls) -> tuple[Dense, ...]:
        """Return small layers of the kind, for tests."""
        return cls(5, "tanh"), cls(3, "relu")

    def outputs(self, inputs: Shape) -> int:
        """Return the units."""
        vector(inputs, self.kind)
        return self.units

    def parameters(self, inputs: Shape) -> tuple[Parameter, ...]:
        """Return the weight matrix and the biases."""
        return (
            Parameter("weights", (vector(inputs, self.kind), self.units), penalized=True),
            Parameter("biases", (self.units,), penalized=False),
        )

    def kept(self, inputs: Shape) -> int:
        """Return the units where the activation's derivative needs z beside h, else 0."""
        return self.units if "z" in find_activation(self.activation).reads else 0

    def work(self, inputs: Shape) -> int:
        """Return the number of weights."""
        return vector(inputs, self.kind) * self.units
