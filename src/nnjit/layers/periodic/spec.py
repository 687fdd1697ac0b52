"""The periodic embedding of numbers as data."""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Real
from typing import ClassVar

from nnjit.layers.axes import checked_size
from nnjit.layers.layer import Parameter, Shape, beginning

__all__ = ["PeriodicEmbedding"]

# A cosine costs about as much as so many multiply-adds.
_WORK_OF_COSINE = 8


@dataclass(frozen=True)
class PeriodicEmbedding:
    r"""Numbers embedded by cosines of learned frequencies, each with itself beside them.

    The first `features` values of a row are embedded, each by parameters of its own. A value x
    becomes x, h_1, ..., h_units, with

        t_k = w_k x + b_k / (2 pi),  h_o = c_o + sum_k a_ko cos(2 pi t_k)

    for the frequencies w, phases b, amplitudes a and offsets c; the other values of the row follow
    behind all these as they are. With g_k = -2 pi sin(2 pi t_k) sum_o a_ko dL/dh_o,

        dL/da_ko = sum over the rows of cos(2 pi t_k) dL/dh_o
        dL/dc_o = sum over the rows of dL/dh_o
        dL/dw_k = sum over the rows of g_k x,  dL/db_k = sum over the rows of g_k / (2 pi)
        dL/dx = that of x itself + sum_k w_k g_k

    Attributes
    ----------
    features : int
        How many values are embedded, the first of each row.
    frequencies : int
        Cosines of each.
    units : int
        Values that are made of these, beside the value itself.
    scale : float
        Standard deviation of the first frequencies, in periods for each unit of a value: the
        higher, the finer is what a network can tell apart.
    rate : float
        Factor on the learning rate of its parameters.

    Notes
    -----
    Values should have been scaled. To begin with frequencies are normal numbers, phases uniform in
    [-pi, pi], amplitudes and offsets uniform up to 1 / sqrt(frequencies) on both sides of 0. A
    network of dense layers has to put together many units for a function of one column that bends
    often; here it is given some such functions.

    This is the embedding PBLD of D. Holzmüller, L. Grinsztajn and I. Steinwart, "Better by default:
    strong pre-tuned MLPs and boosted trees on tabular data", NeurIPS 2024, after Y. Gorishniy,
    I. Rubachev and A. Babenko, "On embeddings for numerical features in tabular deep learning",
    NeurIPS 2022.
    """

    features: int
    frequencies: int = 16
    units: int = 3
    scale: float = 0.1
    rate: float = 1.0
    kind: ClassVar[str] = "periodic"

    def __post_init__(self) -> None:
        for name in ("features", "frequencies", "units"):
            object.__setattr__(self, name, checked_size(getattr(self, name), name))
        for name in ("scale", "rate"):
            value = getattr(self, name)
            if not isinstance(value, Real) or not 0.0 <= float(value) < float("inf"):
                raise ValueError(f"{name} is a finite number of at least 0, got {value!r}.")

    @classmethod
    def examples(cls) -> tuple[PeriodicEmbedding, ...]:
        """Return small layers of the kind, for tests."""
        return cls(4, 3, 2), cls(2, 5, 1)

    def outputs(self, inputs: Shape) -> int:
        """Return what becomes of all values."""
        return beginning(inputs, self.features, self.kind) + self.features * self.units

    def parameters(self, inputs: Shape) -> tuple[Parameter, ...]:
        """Return frequencies, phases, amplitudes and offsets of each value."""
        cosines, made = (self.features, self.frequencies), (self.features, self.units)
        return (
            Parameter("frequencies", cosines, penalized=False, rate=self.rate),
            Parameter("phases", cosines, penalized=False, rate=self.rate),
            Parameter("amplitudes", (*cosines, self.units), penalized=True, rate=self.rate),
            Parameter("offsets", made, penalized=False, rate=self.rate),
        )

    def kept(self, inputs: Shape) -> int:
        """Return 0: the cosines are computed again, which costs less than to keep them."""
        return 0

    def work(self, inputs: Shape) -> int:
        """Return the amplitudes and some multiply-adds for each cosine."""
        return self.features * self.frequencies * (self.units + _WORK_OF_COSINE)
