"""The piecewise-linear encoding of numbers as data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from nnjit.layers.axes import checked_size
from nnjit.layers.layer import Parameter, Shape, beginning

__all__ = ["PiecewiseLinear"]


@dataclass(frozen=True)
class PiecewiseLinear:
    """Numbers encoded by how far they have come through each of some bins.

    The first `features` values of a row are encoded, each by bins of its own with the edges
    e_0 <= ... <= e_bins. A value x becomes h_0, ..., h_(bins-1), with

        h_k = (x - e_k) / (e_(k+1) - e_k), not below 0 and not above 1
        dL/dx = sum_k dL/dh_k / (e_(k+1) - e_k) over the bin that x lies in

    but that the first bin is open below, so that h_0 may be negative, and the last one above. A bin
    without width is none: its h is 0, and the first and the last one are of the others. The other
    values of the row follow behind all these as they are.

    Attributes
    ----------
    features : int
        How many values are encoded, the first of each row.
    bins : int
        Bins of each.

    Notes
    -----
    The edges are no parameters that are learned. They are quantiles of what comes into the layer
    for the training rows, of which `bins` bins have as many each, weighted by the sample weights;
    or the values themselves where no more than ``bins + 1`` differ. What a dense layer makes of the
    encoding is any function of a value that is linear within the bins.

    Y. Gorishniy, I. Rubachev and A. Babenko, "On embeddings for numerical features in tabular deep
    learning", NeurIPS 2022.
    """

    features: int
    bins: int = 16
    kind: ClassVar[str] = "piecewise"

    def __post_init__(self) -> None:
        for name in ("features", "bins"):
            object.__setattr__(self, name, checked_size(getattr(self, name), name))

    @classmethod
    def examples(cls) -> tuple[PiecewiseLinear, ...]:
        """Return small layers of the kind, for tests."""
        return cls(4, 3), cls(2, 5)

    def outputs(self, inputs: Shape) -> int:
        """Return what becomes of all values."""
        return beginning(inputs, self.features, self.kind) + self.features * (self.bins - 1)

    def parameters(self, inputs: Shape) -> tuple[Parameter, ...]:
        """Return the edges of each value's bins."""
        shape = (self.features, self.bins + 1)
        return (Parameter("edges", shape, penalized=False, trained=False),)

    def kept(self, inputs: Shape) -> int:
        """Return 0: which bin a value lies in is seen from it."""
        return 0

    def work(self, inputs: Shape) -> int:
        """Return about two multiply-adds for each bin."""
        return 2 * self.features * self.bins
