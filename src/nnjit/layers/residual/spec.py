"""The residual layer as data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from nnjit.layers.layer import Parameter, Shape, size_of

__all__ = ["Residual"]


@dataclass(frozen=True)
class Residual:
    """h = x + x', x' being what came into the layer `span` layers before this one.

    The delta of h is that of x, and is added to that of x'.

    Attributes
    ----------
    span : int
        Number of layers that it leads around, the ones right below it. They have as many outputs
        as inputs together (see `nnjit.layers.network.Network`).

    Notes
    -----
    K. He, X. Zhang, S. Ren and J. Sun, "Deep residual learning for image recognition", CVPR 2016.
    """

    span: int
    kind: ClassVar[str] = "residual"
    by_points: ClassVar[bool] = True

    @classmethod
    def examples(cls) -> tuple[Residual, ...]:
        """Return small layers of the kind, for tests."""
        return cls(1), cls(2)

    def outputs(self, inputs: Shape) -> Shape:
        """Return the inputs."""
        return inputs

    def parameters(self, inputs: Shape) -> tuple[Parameter, ...]:
        """Return none."""
        return ()

    def kept(self, inputs: Shape) -> int:
        """Return 0: the backward pass needs no values."""
        return 0

    def work(self, inputs: Shape) -> int:
        """Return an addition for each value."""
        return size_of(inputs)
