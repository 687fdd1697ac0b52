"""The pooling layer as data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from nnjit.layers.axes import Sizes, channels, checked_sizes, each_axis, window_count
from nnjit.layers.layer import Parameter, Shape, size_of

__all__ = ["METHODS", "Pool"]

METHODS = ("max", "mean")


@dataclass(frozen=True)
class Pool:
    """The largest value, or the mean, of the windows of every channel.

    'max': the delta of a window goes to its first point that has the largest value; a NaN is the
    largest. 'mean': each point gets an equal share.

    Attributes
    ----------
    method : {'max', 'mean'}
    size : int or tuple of int
        Points of a window, one number for all axes or one for each.
    stride : int or tuple of int, optional
        Points from one window to the next; None for `size`.

    Notes
    -----
    Windows lie inside: what is left over at the end is in none. As PyTorch's MaxPool and AvgPool.
    """

    method: str = "max"
    size: Sizes = 2
    stride: Sizes | None = None
    kind: ClassVar[str] = "pooling"

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            known = " or ".join(map(repr, METHODS))
            raise ValueError(f"The method of a pooling layer is {known}, got {self.method!r}.")
        for name in ("size", "stride"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, checked_sizes(getattr(self, name), name))

    @classmethod
    def examples(cls) -> tuple[Pool, ...]:
        """Return small layers of the kind, for tests."""
        return cls("max", 2), cls("mean", 2), cls("max", 3, 1), cls("mean", 3, 2)

    def axes(self, inputs: Shape) -> list[tuple[int, int, int]]:
        """Return (points, size, stride) of each axis."""
        _, *points = channels(inputs, self.kind)
        size = each_axis(self.size, len(points), "size")
        stride = size if self.stride is None else each_axis(self.stride, len(points), "stride")
        return list(zip(points, size, stride, strict=True))

    def outputs(self, inputs: Shape) -> tuple[int, ...]:
        """Return (channels, windows along each axis)."""
        counts = [window_count(*axis) for axis in self.axes(inputs)]
        if 0 in counts:
            raise ValueError(f"No window fits into arrays of shape {inputs}.")
        return (channels(inputs, self.kind)[0], *counts)

    def parameters(self, inputs: Shape) -> tuple[Parameter, ...]:
        """Return none."""
        return ()

    def kept(self, inputs: Shape) -> int:
        """Return 0: which point was the largest is found by comparing."""
        return 0

    def work(self, inputs: Shape) -> int:
        """Return an operation for each value."""
        return size_of(inputs)

    def length(self, n: int) -> int:
        """Return the windows in n points of time."""
        ((_, *axis),) = self.axes((1, n))
        return window_count(n, *axis)
