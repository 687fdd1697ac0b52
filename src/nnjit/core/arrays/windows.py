"""Windows along the axes of series and images: which points a place of the kernel meets.

A series of T points is an image of one row.
"""

from typing import NamedTuple

from nnjit.core.compiler.jit import elementwise

__all__ = ["Axis", "reach"]


class Axis(NamedTuple):
    """One axis of an image and the windows along it.

    Place k of the window at output p lies at ``stride p + dilation k - before``, which may be
    outside.
    """

    points: int
    outputs: int
    size: int  # places of a window
    stride: int
    dilation: int
    before: int


@elementwise
def reach(axis, place):
    """First output whose window has this place inside, how many there are, and the point."""
    shift = axis.dilation * place - axis.before
    first = max(0, -(shift // axis.stride))
    end = min(axis.outputs, (axis.points - 1 - shift) // axis.stride + 1)
    return first, max(0, end - first), first * axis.stride + shift
