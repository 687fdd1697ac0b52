"""Max and mean pooling of series and images, forward and backward."""

from __future__ import annotations

import math
from typing import Any

from numpy.typing import ArrayLike

from nnjit._arrays import apart, check_shape, deliver, output, real, same_dtype
from nnjit._types import Array, FloatArray
from nnjit.core.arrays import pooling as kernels
from nnjit.core.arrays.windows import Axis
from nnjit.core.jobs.threads import call
from nnjit.functional._parts import PARALLEL_LOOPS, flat
from nnjit.functional._windows import Sizes, axes_of, check_arrays, image_axes, outputs_of, sizes_of


def max_pool(
    x: ArrayLike, size: Sizes, stride: Sizes | None = None, *, out: Array | None = None
) -> FloatArray:
    """Largest value of each window of every channel.

    Windows lie inside: what is left over at the end is in none.

    Parameters
    ----------
    x : array_like of real numbers, shape (n, channels, time) or (n, channels, height, width)
        Cases.
    size : int or sequence of int
        Points of a window, one number for all axes or one for each.
    stride : int or sequence of int, optional
        Points from one window to the next; `size` if None.
    out : ndarray of shape (n, channels, *windows), optional
        Where the result goes, of its dtype.

    Returns
    -------
    ndarray of shape (n, channels, *windows)
        float32 if x is, else float64. NaN where a window has one.

    Raises
    ------
    TypeError, ValueError
        As for `relu`; ValueError if x has another number of axes, or no window fits into it.

    Examples
    --------
    >>> from nnjit.functional import max_pool
    >>> max_pool([[[1.0, 3.0, 2.0, 2.0, 5.0]]], 2)
    array([[[3., 2.]]])
    """
    return _forward(kernels.max_pool, x, size, stride, out)


def mean_pool(
    x: ArrayLike, size: Sizes, stride: Sizes | None = None, *, out: Array | None = None
) -> FloatArray:
    """Mean of each window of every channel.

    Windows lie inside: what is left over at the end is in none.

    Parameters
    ----------
    x : array_like of real numbers, shape (n, channels, time) or (n, channels, height, width)
        Cases.
    size : int or sequence of int
        Points of a window, one number for all axes or one for each.
    stride : int or sequence of int, optional
        Points from one window to the next; `size` if None.
    out : ndarray of shape (n, channels, *windows), optional
        Where the result goes, of its dtype.

    Returns
    -------
    ndarray of shape (n, channels, *windows)
        float32 if x is, else float64.

    Raises
    ------
    TypeError, ValueError
        As for `max_pool`.

    Examples
    --------
    >>> from nnjit.functional import mean_pool
    >>> mean_pool([[[1.0, 3.0, 2.0, 2.0, 5.0]]], 2)
    array([[[2., 2.]]])
    """
    return _forward(kernels.mean_pool, x, size, stride, out)


def max_pool_backward(
    x: ArrayLike,
    delta: ArrayLike,
    size: Sizes,
    stride: Sizes | None = None,
    *,
    out: Array | None = None,
) -> FloatArray:
    """Backpropagate through `max_pool`.

    The delta of a window goes to its first point, in the order of the array, that has the largest
    value; a NaN is the largest. Where windows overlap, deltas add up.

    Parameters
    ----------
    x : array_like of real numbers, shape (n, channels, time) or (n, channels, height, width)
        What was pooled.
    delta : array_like of real numbers, shape (n, channels, *windows)
        Gradient of the loss by what `max_pool` gives.
    size : int or sequence of int
        As for `max_pool`.
    stride : int or sequence of int, optional
        As for `max_pool`.
    out : ndarray of x's shape, optional
        Where the result goes, of its dtype.

    Returns
    -------
    ndarray of x's shape
        Gradient by x; float32 if both are, else float64.

    Raises
    ------
    TypeError, ValueError
        As for `max_pool`; ValueError if delta has another shape.

    Examples
    --------
    >>> from nnjit.functional import max_pool_backward
    >>> max_pool_backward([[[1.0, 3.0, 2.0, 2.0, 5.0]]], [[[10.0, 20.0]]], 2)
    array([[[ 0., 10., 20.,  0.,  0.]]])
    """
    a, d = same_dtype(real(x, "x"), real(delta, "delta"))
    axes = _axes(a, size, stride)
    return _backward(kernels.max_pool_backward, (flat(a),), a, d, axes, out)


def mean_pool_backward(
    x: ArrayLike,
    delta: ArrayLike,
    size: Sizes,
    stride: Sizes | None = None,
    *,
    out: Array | None = None,
) -> FloatArray:
    """Backpropagate through `mean_pool`: each point of a window gets an equal share.

    Parameters
    ----------
    x : array_like of real numbers, shape (n, channels, time) or (n, channels, height, width)
        What was pooled; only its shape and dtype matter.
    delta : array_like of real numbers, shape (n, channels, *windows)
        Gradient of the loss by what `mean_pool` gives.
    size : int or sequence of int
        As for `mean_pool`.
    stride : int or sequence of int, optional
        As for `mean_pool`.
    out : ndarray of x's shape, optional
        Where the result goes, of its dtype.

    Returns
    -------
    ndarray of x's shape
        Gradient by x; float32 if both are, else float64.

    Raises
    ------
    TypeError, ValueError
        As for `max_pool_backward`.

    Examples
    --------
    >>> from nnjit.functional import mean_pool_backward
    >>> mean_pool_backward([[[1.0, 3.0, 2.0, 2.0, 5.0]]], [[[10.0, 20.0]]], 2)
    array([[[ 5.,  5., 10., 10.,  0.]]])
    """
    a, d = same_dtype(real(x, "x"), real(delta, "delta"))
    axes = _axes(a, size, stride)
    return _backward(kernels.mean_pool_backward, (), a, d, axes, out)


def _axes(a: Array, size: Sizes, stride: Sizes | None) -> list[Axis]:
    """The axes with their windows, if everything fits."""
    check_arrays(a, "x")
    points = a.shape[2:]
    sizes = sizes_of(size, len(points), "size")
    return axes_of(
        points, sizes, sizes if stride is None else sizes_of(stride, len(points), "stride")
    )


def _repays(a: Array, axes: list[Axis]) -> bool:
    """Whether two threads do: by the points of all windows."""
    work: int = a.shape[0] * a.shape[1] * math.prod(axis.outputs * axis.size for axis in axes)
    return work >= PARALLEL_LOOPS


def _forward(
    kernel: Any, x: ArrayLike, size: Sizes, stride: Sizes | None, out: Array | None
) -> FloatArray:
    a = real(x, "x")
    axes = _axes(a, size, stride)
    result, target = output(out, (*a.shape[:2], *outputs_of(axes)), a.dtype, a)
    target = apart(target, a)
    if target.size:
        call(kernel, _repays(a, axes), flat(a), *image_axes(axes), flat(target))
    return deliver(result, target)


def _backward(
    kernel: Any, inputs: tuple[Array, ...], a: Array, d: Array, axes: list[Axis], out: Array | None
) -> FloatArray:
    check_shape(d, "delta", (*a.shape[:2], *outputs_of(axes)))
    result, target = output(out, a.shape, d.dtype, a, d)
    target = apart(target, a, d)
    if target.size:
        call(kernel, _repays(a, axes), *inputs, flat(d), *image_axes(axes), flat(target))
    return deliver(result, target)
