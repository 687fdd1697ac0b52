"""Augmentation as data."""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Real
from typing import ClassVar

from nnjit.layers.axes import Sizes, channels, checked_sizes, each_axis
from nnjit.layers.layer import Parameter, Shape, size_of

__all__ = ["Augment"]

# To draw and to move a value costs about as much as so many multiply-adds.
_WORK = 8


@dataclass(frozen=True)
class Augment:
    """Rows changed at random, anew in every step of training; predictions take them as they are.

    A row is cropped, flipped, shifted and then noise is added, each where it is asked for.

    Attributes
    ----------
    shift : int or tuple of int
        Most points by which a row is moved along each axis, forwards or backwards, each number of
        points being as likely; what comes in is 0. At least one point of a row stays.
    flip : bool
        Whether half of the rows are mirrored: images left to right, series in time.
    crop : float
        Share of each axis that is cut off at most, in [0, 1): a window of between 1 - crop and 1
        of it, at a random place, is stretched to the whole by linear interpolation. Every share
        and every place is as likely, and each axis has its own.
    noise : float
        Standard deviation of the normal numbers added to every value.

    Notes
    -----
    The random numbers follow from the seed, the number of the solver's step, the row's place in its
    minibatch, the number of the layer and that of the value (see `nnjit.formulas.random`). Of a
    series that is shorter than others, the points it has are what is moved. All channels of a row
    are moved together.

    No delta comes back through it: no layer below has parameters (see
    `nnjit.layers.network.Network`).
    """

    shift: Sizes = 0
    flip: bool = False
    crop: float = 0.0
    noise: float = 0.0
    kind: ClassVar[str] = "augmentation"
    random: ClassVar[bool] = True  # what it computes depends on a seed
    changes_rows: ClassVar[bool] = True  # as data do; there is no way back through it

    def __post_init__(self) -> None:
        object.__setattr__(self, "shift", checked_sizes(self.shift, "shift", least=0))
        if self.flip not in (False, True):
            raise ValueError(f"flip is True or False, got {self.flip!r}.")
        object.__setattr__(self, "flip", bool(self.flip))
        if not isinstance(self.crop, Real) or not 0.0 <= self.crop < 1.0:
            raise ValueError(f"crop is a share in [0, 1), got {self.crop!r}.")
        if not isinstance(self.noise, Real) or not 0.0 <= self.noise < float("inf"):
            raise ValueError(f"noise is a standard deviation of at least 0, got {self.noise!r}.")

    @property
    def moves(self) -> bool:
        """Whether points change their places."""
        shift = self.shift if isinstance(self.shift, tuple) else (self.shift,)
        return bool(max(shift) or self.flip or self.crop)

    @classmethod
    def examples(cls) -> tuple[Augment, ...]:
        """Return small layers of the kind, for tests."""
        return cls(shift=1, flip=True), cls(crop=0.5), cls(noise=0.25)

    def outputs(self, inputs: Shape) -> tuple[int, ...]:
        """Return the shape, which does not change."""
        found = channels(inputs, self.kind)
        each_axis(self.shift, len(found) - 1, "shift")
        return found

    def parameters(self, inputs: Shape) -> tuple[Parameter, ...]:
        """Return nothing."""
        return ()

    def kept(self, inputs: Shape) -> int:
        """Return 0: nothing lies below it."""
        return 0

    def work(self, inputs: Shape) -> int:
        """Return some multiply-adds for each value."""
        return size_of(inputs) * _WORK
