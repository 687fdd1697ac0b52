"""The normalization layer as data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from nnjit.formulas import find_activation
from nnjit.layers.layer import Parameter, Shape, size_of, vector

__all__ = ["METHODS", "Normalization"]

METHODS = ("batch", "layer")
# Passes over the values, each about as dear as a multiply-add for each of them.
_PASSES = 4


@dataclass(frozen=True)
class Normalization:
    r"""h = phi(z), each value standardized, scaled and shifted before: z = s (x - m) / d + t.

    m is a mean and d^2 a variance plus `epsilon`, the variance being that of the values at hand
    (divided by their number).

    - 'batch': of each of the layer's values over the rows of a minibatch, without regard to sample
      weights; of arrays of channels, of each channel over the rows and the points, of series of
      unequal length those that there are. Predictions use running statistics, which follow each
      minibatch by the share `momentum`, the running variance the unbiased one (divided by the
      number less 1).
    - 'layer': of all values of a row.

    With delta the derivative of the loss by z, y = (x - m) / d, and averages over what m and d are
    taken over,

        dL/dx = (s delta - mean(s delta) - y mean(s delta y)) / d
        dL/ds = sum over the rows of delta y,  dL/dt = sum over the rows of delta

    Attributes
    ----------
    method : {'batch', 'layer'}
    activation : str
        Name of phi.
    momentum : float
        Share of a minibatch in the running statistics.
    epsilon : float
        Added to the variances.

    Notes
    -----
    As PyTorch's BatchNorm1d, BatchNorm2d and LayerNorm, an activation behind it. A minibatch of
    one row of a vector has the variance 0, and z is the shift.

    S. Ioffe and C. Szegedy, "Batch normalization: accelerating deep network training by reducing
    internal covariate shift", ICML 2015. J. Ba, J. Kiros and G. Hinton, "Layer normalization",
    arXiv:1607.06450, 2016.
    """

    method: str
    activation: str = "identity"
    momentum: float = 0.1
    epsilon: float = 1e-5
    kind: ClassVar[str] = "normalization"

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            known = " or ".join(map(repr, METHODS))
            raise ValueError(f"A normalization is {known}, got {self.method!r}.")
        if not (0.0 <= self.momentum <= 1.0 and self.epsilon > 0.0):
            raise ValueError(
                "A normalization has a momentum from 0 to 1 and an epsilon above 0, got "
                f"{self.momentum!r} and {self.epsilon!r}."
            )

    @classmethod
    def examples(cls) -> tuple[Normalization, ...]:
        """Return small layers of the kind, for tests."""
        return cls("batch", "tanh"), cls("layer", "relu")

    @property
    def joins_rows(self) -> bool:
        """Whether in training the values of a row depend on the other rows of its minibatch."""
        return self.method == "batch"

    @property
    def by_points(self) -> bool:
        """Whether in a prediction each point of a series is one of the same point alone."""
        return self.joins_rows

    def outputs(self, inputs: Shape) -> Shape:
        """Return the inputs."""
        if not self.joins_rows:
            vector(inputs, f"{self.method!r} {self.kind}")
        return inputs

    def parameters(self, inputs: Shape) -> tuple[Parameter, ...]:
        """Return scale and shift, and for 'batch' the running mean and variance."""
        units = inputs[0] if isinstance(inputs, tuple) else inputs  # a channel is one unit
        learned = [
            Parameter(name, (units,), penalized=False, start=start)
            for name, start in (("scale", 1.0), ("shift", 0.0))
        ]
        running = [
            Parameter(name, (units,), penalized=False, trained=False, start=start)
            for name, start in (("mean", 0.0), ("variance", 1.0))
        ]
        return (*learned, *running) if self.joins_rows else tuple(learned)

    def kept(self, inputs: Shape) -> int:
        """Return how many z the derivative of phi reads, and what is known of a row.

        That is its mean and 1 / d, or which points a series has.
        """
        z = size_of(inputs) if "z" in find_activation(self.activation).reads else 0
        if not self.joins_rows:
            return z + 2
        return z + (inputs[1] if isinstance(inputs, tuple) and len(inputs) == 2 else 0)

    def work(self, inputs: Shape) -> int:
        """Return some multiply-adds for each value."""
        return _PASSES * size_of(inputs)
