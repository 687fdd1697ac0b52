"""The scaling layer as data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from nnjit.layers.layer import Parameter, Shape, check_rate, size_of, units_of

__all__ = ["Scaling"]


@dataclass(frozen=True)
class Scaling:
    """h = s x, with a learned factor s for each value of a vector, or for each channel.

    All s are 1 at first, and no penalty draws them to 0. With delta the derivative of the loss
    by h,

        dL/dx = s delta
        dL/ds = sum over the rows (and the points of a channel) of delta x

    Attributes
    ----------
    rate : float
        Factor on the learning rate of s, at least 0.

    Notes
    -----
    As the first layer it weighs the features: with a high rate those that tell nothing are turned
    down within a few epochs. D. Holzmueller, L. Grinsztajn and I. Steinwart, "Better by default:
    strong pre-tuned MLPs and boosted trees on tabular data", NeurIPS 2024, take ``rate=6``.
    """

    rate: float = 1.0
    kind: ClassVar[str] = "scaling"
    by_points: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_rate(self.rate, self.kind)

    @classmethod
    def examples(cls) -> tuple[Scaling, ...]:
        """Return small layers of the kind, for tests."""
        return (cls(),)

    def outputs(self, inputs: Shape) -> Shape:
        """Return the inputs."""
        return inputs

    def parameters(self, inputs: Shape) -> tuple[Parameter, ...]:
        """Return the factors."""
        shape = (units_of(inputs),)
        return (Parameter("factors", shape, penalized=False, start=1.0, rate=self.rate),)

    def kept(self, inputs: Shape) -> int:
        """Return 0: the backward pass reads the inputs."""
        return 0

    def work(self, inputs: Shape) -> int:
        """Return a product for each value."""
        return size_of(inputs)
