"""The normalization layer as data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from nnjit.formulas import find_activation
from nnjit.layers.layer import Parameter

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
      weights. Predictions use running statistics, which follow each minibatch by the share
      `momentum`, the running variance the unbiased one (divided by the number less 1).
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
    As PyTorch's BatchNorm1d and LayerNorm, an activation behind it. A minibatch of one row has the
    variance 0, and z is the shift.

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

    def outputs(self, inputs: int) -> int:
        """Return the inputs."""
        return inputs

    def parameters(self, inputs: int) -> tuple[Parameter, ...]:
        """Return scale and shift, and for 'batch' the running mean and variance."""
        learned = [Parameter(name, (inputs,), penalized=False) for name in ("scale", "shift")]
        running = [
            Parameter(name, (inputs,), penalized=False, trained=False)
            for name in ("mean", "variance")
        ]
        return (*learned, *running) if self.joins_rows else tuple(learned)

    def kept(self, inputs: int) -> int:
        """Return how many z the derivative of phi reads, and the mean and 1 / d of a row."""
        z = inputs if "z" in find_activation(self.activation).reads else 0
        return z if self.joins_rows else z + 2

    def work(self, inputs: int) -> int:
        """Return some multiply-adds for each value."""
        return _PASSES * inputs
