"""Which padding of ours a convolution of PyTorch has."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

__all__ = ["padding_name"]


def padding_name(module: Any, points: Sequence[int], padded: Any = None) -> str:
    """Return 'same' or 'valid'.

    Parameters
    ----------
    module : torch.nn.Conv1d or torch.nn.Conv2d
    points : sequence of int
        Points of each axis that come in.
    padded : tuple of int or None
        What a module of zero padding in front of it puts around these, the last axis first.

    Returns
    -------
    str

    Raises
    ------
    ValueError
        If it has another padding.
    """
    if module.padding_mode != "zeros":
        raise ValueError(f"behind the edges there are zeros here: {module.padding_mode!r}")
    sides = _sides(module, padded)
    axes = zip(points, module.kernel_size, module.stride, module.dilation, sides, strict=True)
    fits = [_fitting(*axis, exact=len(points) == 1) for axis in axes]
    for name in ("same", "valid"):  # a kernel of one point has both
        if all(name in fit for fit in fits):
            return name
    raise ValueError(
        f"it has a padding of {sides} points, but here it is 'valid', none, or 'same', as many "
        "points as the kernel reaches over"
    )


def _sides(module: Any, padded: Any) -> list[tuple[int, int]]:
    """Return the zeros in front of and behind each axis."""
    axes = len(module.kernel_size)
    if padded is not None:
        pairs = [(int(padded[2 * k]), int(padded[2 * k + 1])) for k in range(len(padded) // 2)]
        if module.padding not in (0, (0,) * axes, "valid"):
            raise ValueError("it pads what has been padded in front of it")
        if len(pairs) != axes:
            raise ValueError("the padding in front of it is of other axes")
        return pairs[::-1]
    if module.padding == "valid":
        return [(0, 0)] * axes
    if module.padding == "same":
        reaches = [d * (k - 1) for k, d in zip(module.kernel_size, module.dilation, strict=True)]
        return [(reach // 2, reach - reach // 2) for reach in reaches]
    return [(int(one), int(one)) for one in module.padding]


def _fitting(
    points: int, kernel: int, stride: int, dilation: int, sides: tuple[int, int], exact: bool
) -> set[str]:
    """Return which paddings these zeros are, for any number of points if `exact`."""
    reach, (before, behind) = dilation * (kernel - 1), sides
    found = {"valid"} if (before, behind) == (0, 0) else set()
    if before == reach // 2:
        count = (points + before + behind - reach - 1) // stride + 1
        if behind == reach - before or (not exact and count == -(-points // stride)):
            found.add("same")
    return found
