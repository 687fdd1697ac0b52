"""What layers over series and images share: their shapes, and the sizes given for each axis."""

from __future__ import annotations

from numbers import Integral
from typing import Any, TypeAlias

from nnjit.layers.layer import Shape

__all__ = ["Sizes", "channels", "checked_size", "checked_sizes", "each_axis", "window_count"]

# One number for all axes, or one for each.
Sizes: TypeAlias = int | tuple[int, ...]


def channels(shape: Shape, kind: str) -> tuple[int, ...]:
    """Return the shape for a layer that takes series or images only.

    Raises
    ------
    ValueError
        If it is given vectors.
    """
    if not isinstance(shape, tuple):
        raise ValueError(
            f"A {kind} layer takes series of shape (channels, time) or images of shape (channels, "
            f"height, width), but it gets vectors of {shape} values."
        )
    return shape


def checked_size(given: Any, name: str, least: int = 1) -> int:
    """Return one int as a layer keeps it.

    Raises
    ------
    ValueError
        If that is something else, or below `least`.
    """
    if not _is_size(given, least):
        raise ValueError(f"{name} is an int of at least {least}, got {given!r}.")
    return int(given)


def checked_sizes(given: Any, name: str, least: int = 1) -> Sizes:
    """Return one int, or one for each of one or two axes, as a layer keeps it.

    Raises
    ------
    ValueError
        If that is something else, or below `least`.
    """
    numbers = tuple(given) if isinstance(given, (tuple, list)) else (given,)
    if not (1 <= len(numbers) <= 2 and all(_is_size(n, least) for n in numbers)):
        raise ValueError(
            f"{name} is an int of at least {least}, or one for each axis, got {given!r}."
        )
    found = tuple(map(int, numbers))
    return found if isinstance(given, (tuple, list)) else found[0]


def _is_size(given: Any, least: int) -> bool:
    return isinstance(given, Integral) and not isinstance(given, bool) and int(given) >= least


def each_axis(given: Sizes, axes: int, name: str) -> tuple[int, ...]:
    """Return one number for each axis.

    Raises
    ------
    ValueError
        If there are as many as for something else.
    """
    if isinstance(given, int):
        return (given,) * axes
    if len(given) != axes:
        what = "series have one axis" if axes == 1 else "images have two"
        raise ValueError(f"{name}={given!r} has {len(given)} numbers, but {what}.")
    return given


def window_count(points: int, size: int, stride: int) -> int:
    """Return how many whole windows of `size` points, `stride` apart, there are in `points`."""
    return max(0, (points - size) // stride + 1)
