"""The parametric activation as data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from nnjit.layers.layer import Parameter, Shape, check_rate, size_of, units_of

__all__ = ["ParametricActivation"]

# Passes over the values, each about as dear as a multiply-add for each of them, phi being some.
_PASSES = 8


@dataclass(frozen=True)
class ParametricActivation:
    """h = (1 - a) x + a phi(x), with a learned a for each value of a vector, or for each channel.

    All a are 1 at first, where h = phi(x); a unit that needs none of its activation learns 0. No
    penalty draws them there. With delta the derivative of the loss by h,

        dL/dx = (1 - a) delta + a delta phi'(x)
        dL/da = sum over the rows (and the points of a channel) of delta (phi(x) - x)

    Attributes
    ----------
    activation : str
        Name of phi.
    rate : float
        Factor on the learning rate of a, at least 0.

    Notes
    -----
    It takes the place of the activation of the layer below: ``Dense(100, "identity"),
    ParametricActivation("selu")``. D. Holzmueller, L. Grinsztajn and I. Steinwart, "Better by
    default: strong pre-tuned MLPs and boosted trees on tabular data", NeurIPS 2024, take 'selu'
    for classes, 'mish' for regression, and ``rate=0.1``.
    """

    activation: str = "selu"
    rate: float = 1.0
    kind: ClassVar[str] = "parametric"
    by_points: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_rate(self.rate, self.kind)

    @classmethod
    def examples(cls) -> tuple[ParametricActivation, ...]:
        """Return small layers of the kind, for tests."""
        return cls(), cls("mish")

    def outputs(self, inputs: Shape) -> Shape:
        """Return the inputs."""
        return inputs

    def parameters(self, inputs: Shape) -> tuple[Parameter, ...]:
        """Return the shares of the activation."""
        shape = (units_of(inputs),)
        return (Parameter("shares", shape, penalized=False, start=1.0, rate=self.rate),)

    def kept(self, inputs: Shape) -> int:
        """Return the number of values: phi(x) is kept, of which the gradient is made."""
        return size_of(inputs)

    def kept_forward(self, inputs: Shape) -> int:
        """Return 0: without a gradient nobody reads it."""
        return 0

    def work(self, inputs: Shape) -> int:
        """Return some multiply-adds for each value."""
        return _PASSES * size_of(inputs)
