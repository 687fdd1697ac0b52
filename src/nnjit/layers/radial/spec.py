"""The radial layer as data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from nnjit.layers.layer import Parameter, Shape, vector

__all__ = ["RadialBasis"]

# An exponential costs about as much as so many multiply-adds.
_WORK_OF_EXP = 8


@dataclass(frozen=True)
class RadialBasis:
    """Gaussian bumps around centres.

    For a row x, every centre c_k with its width s_k and ``z_k = -|x - c_k|^2 / (2 s_k^2)``::

        h_k = exp(z_k)                      plain
        h_k = exp(z_k) / sum_l exp(z_l)     normalized: the softmax of z

    With g_k = dL/dz_k / s_k^2, where dL/dz_k is dL/dh_k h_k, or h_k (dL/dh_k - sum_l h_l dL/dh_l)
    if normalized::

        dL/dx = sum_k g_k (c_k - x)
        dL/dc_k = sum over the rows of g_k (x - c_k)
        dL/d log s_k = sum over the rows of g_k |x - c_k|^2

    Attributes
    ----------
    centers : int
        Number of centres.
    normalized : bool
        Whether the h_k of a row are divided by their sum.

    Notes
    -----
    The widths' logarithms are the parameters, so that a width stays above 0 whatever step is
    taken. Distances are ``|x|^2 + |c|^2 - 2 x.c``, clipped at 0: whoever hands rows and centres
    over takes a common point near their middle from both, or float32 cancels.

    D. S. Broomhead and D. Lowe, "Multivariable functional interpolation and adaptive networks",
    Complex Systems 2, 1988. J. Moody and C. Darken, "Fast learning in networks of locally-tuned
    processing units", Neural Computation 1, 1989 (also the normalized form).
    """

    centers: int
    normalized: bool = False
    kind: ClassVar[str] = "radial"

    def __post_init__(self) -> None:
        if self.centers < 1:
            raise ValueError(f"A radial layer needs at least one centre, got {self.centers}.")

    @classmethod
    def examples(cls) -> tuple[RadialBasis, ...]:
        """Return small layers of the kind, for tests."""
        return cls(4), cls(3, normalized=True)

    def outputs(self, inputs: Shape) -> int:
        """Return the number of centres."""
        vector(inputs, self.kind)
        return self.centers

    def parameters(self, inputs: Shape) -> tuple[Parameter, ...]:
        """Return the centres and the logarithms of the widths."""
        return (
            Parameter("centers", (self.centers, vector(inputs, self.kind)), penalized=False),
            Parameter("log_widths", (self.centers,), penalized=False),
        )

    def kept(self, inputs: Shape) -> int:
        """Return the number of squared distances to the centres."""
        return self.centers

    def work(self, inputs: Shape) -> int:
        """Return the multiply-adds of the distances and some for each exponential."""
        return self.centers * (vector(inputs, self.kind) + _WORK_OF_EXP)
