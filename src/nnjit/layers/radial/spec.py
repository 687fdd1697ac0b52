"""The radial layer as data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from nnjit.layers.layer import Parameter

__all__ = ["Radial"]


@dataclass(frozen=True)
class Radial:
    """h_k = exp(-|x - c_k|^2 / (2 s_k^2)) for a row x and every centre c_k with its width s_k.

    Attributes
    ----------
    centers : int
    normalized : bool
        Whether the h_k of a row are divided by their sum.
    """

    centers: int
    normalized: bool = False
    kind: ClassVar[str] = "radial"

    def outputs(self, inputs: int) -> int:
        """Return the number of centres."""
        return self.centers

    def parameters(self, inputs: int) -> tuple[Parameter, ...]:
        """Return the centres and the logarithms of the widths."""
        return (
            Parameter("centers", (self.centers, inputs), penalized=False),
            Parameter("log_widths", (self.centers,), penalized=False),
        )

    def kept(self, inputs: int) -> int:
        """Return the squared distances to the centres."""
        return self.centers

    def work(self, inputs: int) -> int:
        """Return the multiply-adds of the distances and some for each exponential."""
        return self.centers * (inputs + 8)
