"""Series and images as arguments, and the windows over them."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral
from typing import Any, TypeAlias

from nnjit._types import Array
from nnjit.core.arrays.windows import Axis

__all__ = ["Sizes", "axes_of", "check_arrays", "image_axes", "outputs_of", "sizes_of"]

# One number for all axes, or one for each.
Sizes: TypeAlias = int | Sequence[int]

# A series is an image of one row.
_ONE_ROW = Axis(1, 1, 1, 1, 1, 0)


def check_arrays(array: Array, name: str) -> None:
    """Refuse what is neither series nor images."""
    if array.ndim not in (3, 4) or 0 in array.shape[1:]:
        raise ValueError(
            f"{name} must have shape (n, channels, time) or (n, channels, height, width) and at "
            f"least one channel and point, got {array.shape}"
        )


def sizes_of(given: Any, count: int, name: str) -> tuple[int, ...]:
    """One int for each of `count` axes."""
    numbers = tuple(given) if isinstance(given, (tuple, list)) else (given,) * count
    integers = all(isinstance(n, Integral) and not isinstance(n, bool) for n in numbers)
    if not integers or len(numbers) != count or min(numbers) < 1:
        each = "" if count == 1 else ", or one for each axis"
        raise ValueError(f"{name} must be an int of at least 1{each}, got {given!r}")
    return tuple(map(int, numbers))


def axes_of(
    points: Sequence[int],
    sizes: Sequence[int],
    strides: Sequence[int],
    dilations: Sequence[int] | None = None,
    *,
    same: bool = False,
) -> list[Axis]:
    """The axes with their windows; `same` has them reach over the ends."""
    axes = []
    for n, size, stride, dilation in zip(points, sizes, strides, dilations or [1] * len(sizes)):
        span = dilation * (size - 1)
        if same:
            axes.append(Axis(n, -(-n // stride), size, stride, dilation, span // 2))
            continue
        if span >= n:
            raise ValueError(f"a window over {span + 1} points does not fit into {n}")
        axes.append(Axis(n, (n - span - 1) // stride + 1, size, stride, dilation, 0))
    return axes


def outputs_of(axes: Sequence[Axis]) -> tuple[int, ...]:
    """Points that come out along each axis."""
    return tuple(axis.outputs for axis in axes)


def image_axes(axes: Sequence[Axis]) -> tuple[Axis, Axis]:
    """Rows and columns, as kernels want them."""
    return (_ONE_ROW if len(axes) == 1 else axes[0]), axes[-1]
