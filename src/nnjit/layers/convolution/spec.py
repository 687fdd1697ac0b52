"""The convolution layer as data."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from nnjit.formulas import find_activation
from nnjit.layers.axes import Sizes, channels, checked_size, checked_sizes, each_axis, window_count
from nnjit.layers.layer import Parameter, Shape, size_of

__all__ = ["PADDINGS", "Conv"]

PADDINGS = ("same", "valid")


@dataclass(frozen=True)
class Conv:
    r"""A convolution of series or images, in fact a cross-correlation, and an activation.

    For an input x of C channels, h being an output of F channels (filters), and p a point (of time,
    or row and column)::

        h[f, p] = phi(b[f] + sum over k, c of W[k, c, f] x[c, stride p + dilation k - before])

    where k runs over the points of the kernel, c over the channels of the filter's group, and x is
    0 outside. With delta the derivative of the loss by the sum,

        dL/dW[k, c, f] = sum over rows, p of delta[f, p] x[c, stride p + dilation k - before]
        dL/db[f] = sum over rows, p of delta[f, p]
        dL/dx[c, q] = sum over f, k, p of W[k, c, f] delta[f, p], stride p + dilation k - before = q

    Attributes
    ----------
    filters : int
        Channels that come out.
    kernel_size : int or tuple of int
        Points of the kernel, one number for all axes or one for each.
    activation : str
        Name of phi; 'identity' where a normalization follows.
    stride, dilation : int or tuple of int
        Points from one output to the next; from one point of the kernel to the next.
    groups : int
        Parts that channels and filters are divided into; a filter sees the channels of its own.
    padding : {'same', 'valid'}
        'same': ceil(n / stride) points come out of n, ``before`` being half of what the kernel
        reaches over, ``dilation (kernel_size - 1) // 2``, rounded down. 'valid': outputs whose
        kernel lies inside, ``before`` being 0.

    Notes
    -----
    As PyTorch's Conv1d and Conv2d but for the order of axes: weights have the shape (height, width,
    channels / groups, filters), or (time, channels / groups, filters);
    ``weights.transpose(3, 2, 0, 1)``, or ``(2, 1, 0)``, is PyTorch's.
    """

    filters: int
    kernel_size: Sizes = 3
    activation: str = "relu"
    stride: Sizes = 1
    dilation: Sizes = 1
    groups: int = 1
    padding: str = "same"
    kind: ClassVar[str] = "convolution"

    def __post_init__(self) -> None:
        for name in ("filters", "groups"):
            object.__setattr__(self, name, checked_size(getattr(self, name), name))
        for name in ("kernel_size", "stride", "dilation"):
            object.__setattr__(self, name, checked_sizes(getattr(self, name), name))
        if self.padding not in PADDINGS:
            known = " or ".join(map(repr, PADDINGS))
            raise ValueError(f"padding is {known}, got {self.padding!r}.")

    @classmethod
    def examples(cls) -> tuple[Conv, ...]:
        """Return small layers of the kind, for tests."""
        return (
            cls(3, 3, "tanh"),
            cls(4, 2, "relu", padding="valid"),
            cls(4, 3, "identity", stride=2, dilation=2, groups=2),
        )

    @property
    def by_points(self) -> bool:
        """Whether each point of its outputs is one of the same point alone."""
        return self.kernel_size == self.stride == 1

    def axes(self, inputs: Shape) -> list[tuple[int, int, int, int]]:
        """Return (points, kernel, stride, dilation) of each axis."""
        _, *points = channels(inputs, self.kind)
        sizes = [
            each_axis(getattr(self, name), len(points), name)
            for name in ("kernel_size", "stride", "dilation")
        ]
        return list(zip(points, *sizes, strict=True))

    def _count(self, points: int, kernel: int, stride: int, dilation: int) -> int:
        """Return the points that come out along an axis."""
        if self.padding == "same":
            return -(-points // stride)
        return window_count(points, dilation * (kernel - 1) + 1, stride)

    def outputs(self, inputs: Shape) -> tuple[int, ...]:
        """Return (filters, points of each axis)."""
        counts = [self._count(*axis) for axis in self.axes(inputs)]
        if 0 in counts:
            raise ValueError(
                f"The kernel reaches over more points than there are in arrays of shape {inputs}."
            )
        self.channels_of_group(inputs)
        return (self.filters, *counts)

    def channels_of_group(self, inputs: Shape) -> int:
        """Return the channels that a filter sees."""
        count = channels(inputs, self.kind)[0]
        if count % self.groups or self.filters % self.groups:
            raise ValueError(
                f"{count} channels and {self.filters} filters cannot be divided into "
                f"groups={self.groups}."
            )
        return count // self.groups

    def before(self, inputs: Shape) -> tuple[int, ...]:
        """Return how far the first kernel reaches over the beginning of each axis."""
        if self.padding == "valid":
            return (0,) * len(self.axes(inputs))
        return tuple(dilation * (kernel - 1) // 2 for _, kernel, _, dilation in self.axes(inputs))

    def parameters(self, inputs: Shape) -> tuple[Parameter, ...]:
        """Return the weights and the biases."""
        kernel = [kernel for _, kernel, _, _ in self.axes(inputs)]
        shape = (*kernel, self.channels_of_group(inputs), self.filters)
        return (
            Parameter("weights", shape, penalized=True),
            Parameter("biases", (self.filters,), penalized=False),
        )

    def kept(self, inputs: Shape) -> int:
        """Return the outputs where the activation's derivative needs z beside h, else 0."""
        reads_z = "z" in find_activation(self.activation).reads
        return size_of(self.outputs(inputs)) if reads_z else 0

    def work(self, inputs: Shape) -> int:
        """Return the number of weights times that of the points that come out."""
        return self.parameters(inputs)[0].size * math.prod(self.outputs(inputs)[1:])

    def length(self, n: int) -> int:
        """Return the points of time that come out of n."""
        if n == 0:
            return 0
        ((_, *axis),) = self.axes((self.groups, n))
        return self._count(n, *axis)
