"""Convolutions of series and images, forward and backward."""

from __future__ import annotations

from typing import Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from nnjit._arrays import apart, check_shape, deliver, output, real, same_dtype
from nnjit._types import Array, FloatArray
from nnjit.core.arrays import convolution as kernels
from nnjit.core.arrays.convolution import Channels
from nnjit.core.arrays.windows import Axis
from nnjit.core.jobs.threads import call
from nnjit.functional._parts import PARALLEL_LOOPS, choice, flat, three_outputs
from nnjit.functional._windows import Sizes, axes_of, check_arrays, image_axes, outputs_of, sizes_of

Padding: TypeAlias = Literal["same", "valid"]


def convolve(
    x: ArrayLike,
    weights: ArrayLike,
    bias: ArrayLike | None = None,
    *,
    stride: Sizes = 1,
    dilation: Sizes = 1,
    groups: int = 1,
    padding: Padding = "same",
    out: Array | None = None,
) -> FloatArray:
    """Convolution of series or images, in fact a cross-correlation: the kernel is not turned.

    ::

        h[n, f, p] = b[f] + sum_k sum_c W[k, c, f] x[n, c, stride p + dilation k - before]

    where p is a point (of time, or row and column), k runs over the points of the kernel, c over
    the channels of the filter's group, and x is 0 outside. With ``padding="same"``
    ``ceil(points / stride)`` points come out, and the kernel reaches over the beginning by
    ``before = dilation (size - 1) // 2``; with "valid" it stays inside, and before is 0.

    Parameters
    ----------
    x : array_like of real numbers, shape (n, channels, time) or (n, channels, height, width)
        Cases.
    weights : array_like of real numbers, shape (*kernel, channels / groups, filters)
        Filters; the kernel has one size for time, or height and width.
    bias : array_like of real numbers, shape (filters,), optional
        Zeros if None.
    stride, dilation : int or sequence of int
        Points from one output to the next, and from one point of the kernel to the next; one
        number for all axes or one for each.
    groups : int
        Parts that channels and filters are divided into; a filter sees the channels of its own.
    padding : {"same", "valid"}
        What happens at the ends.
    out : ndarray of shape (n, filters, *points), optional
        Where h goes, of the result's dtype.

    Returns
    -------
    ndarray of shape (n, filters, *points)
        float32 if all inputs are, else float64.

    Raises
    ------
    TypeError, ValueError
        As for `relu`; ValueError if shapes do not fit, or the kernel into x.

    Examples
    --------
    >>> from nnjit.functional import convolve
    >>> difference = [[[-1.0]], [[1.0]]]  # two points, one channel, one filter
    >>> convolve([[[0.0, 1.0, 3.0, 6.0]]], difference, padding="valid")
    array([[[1., 2., 3.]]])
    """
    a, w = real(x, "x"), real(weights, "weights")
    b = None if bias is None else real(bias, "bias")
    a, w, b = same_dtype(a, w, b)
    job = _checked(a, w, stride, dilation, groups, padding)
    if b is None:
        b = np.zeros(w.shape[-1], w.dtype)
    check_shape(b, "bias", w.shape[-1:])
    result, target = output(out, job.outputs, a.dtype, a, w, b)
    target = apart(target, a, w, b)
    if target.size:
        call(
            kernels.convolve, job.work >= PARALLEL_LOOPS,
            flat(a), flat(w), b, job.channels, job.height, job.width, flat(target),
        )  # fmt: skip
    return deliver(result, target)


def convolve_backward(
    x: ArrayLike,
    weights: ArrayLike,
    delta: ArrayLike,
    *,
    stride: Sizes = 1,
    dilation: Sizes = 1,
    groups: int = 1,
    padding: Padding = "same",
    out: tuple[Array, Array, Array] | None = None,
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Backpropagate through a convolution.

    ::

        dW[k, c, f] = sum_n sum_p delta[n, f, p] x[n, c, stride p + dilation k - before]
        db[f] = sum_n sum_p delta[n, f, p]
        dx[n, c, q] = sum_f sum_k,p W[k, c, f] delta[n, f, p], stride p + dilation k - before = q

    They are sums over the cases, not means.

    Parameters
    ----------
    x : array_like of real numbers, shape (n, channels, time) or (n, channels, height, width)
        Cases.
    weights : array_like of real numbers, shape (*kernel, channels / groups, filters)
        Filters.
    delta : array_like of real numbers, shape (n, filters, *points)
        Gradient of the loss by what `convolve` gives, in front of an activation.
    stride, dilation : int or sequence of int
        As for `convolve`.
    groups : int
        As for `convolve`.
    padding : {"same", "valid"}
        As for `convolve`.
    out : tuple of ndarray, of the shapes of x, of weights and (filters,), optional
        Where dx, dW and db go, of the result's dtype.

    Returns
    -------
    dx : ndarray of x's shape
        Gradient by x; float32 if all inputs are, else float64, as the others.
    dW : ndarray of the shape of weights
        Gradient by the weights.
    db : ndarray of shape (filters,)
        Gradient by the bias.

    Raises
    ------
    TypeError, ValueError
        As for `convolve`; ValueError if `out` is not three arrays.

    References
    ----------
    LeCun et al., Backpropagation applied to handwritten zip code recognition, Neural Computation
    1, 1989.

    Examples
    --------
    >>> from nnjit.functional import convolve_backward
    >>> x, difference, delta = [[[0.0, 1.0, 3.0]]], [[[-1.0]], [[1.0]]], [[[1.0, 2.0]]]
    >>> dx, dW, db = convolve_backward(x, difference, delta, padding="valid")
    >>> dx, dW.ravel(), db
    (array([[[-1., -1.,  2.]]]), array([2., 7.]), array([3.]))
    """
    a, w, d = same_dtype(real(x, "x"), real(weights, "weights"), real(delta, "delta"))
    job = _checked(a, w, stride, dilation, groups, padding)
    check_shape(d, "delta", job.outputs)
    pairs = three_outputs(out, "dx, dW and db", (a.shape, w.shape, w.shape[-1:]), d, a, w)
    targets = [apart(target, a, w, d) for _, target in pairs]
    parallel = job.work >= PARALLEL_LOOPS
    geometry = job.channels, job.height, job.width
    if a.size:
        call(kernels.input_gradient, parallel, flat(w), flat(d), *geometry, flat(targets[0]))
    call(kernels.weight_gradient, parallel, flat(a), flat(d), *geometry, flat(targets[1]))
    image = job.height.outputs * job.width.outputs
    call(kernels.bias_gradient, d.size >= PARALLEL_LOOPS, flat(d), image, targets[2])
    dx, dW, db = (deliver(result, target) for (result, _), target in zip(pairs, targets))
    return dx, dW, db


class _Job(NamedTuple):
    """A convolution's shapes, its axes, and its multiply-adds."""

    outputs: tuple[int, ...]
    channels: Channels
    height: Axis
    width: Axis
    work: int


def _checked(a: Array, w: Array, stride: Sizes, dilation: Sizes, groups: int, padding: str) -> _Job:
    """The convolution, if everything fits."""
    check_arrays(a, "x")
    cases, channels, *points = a.shape
    if w.ndim != a.ndim or 0 in w.shape:
        raise ValueError(
            f"weights must have shape ({'time' if len(points) == 1 else 'height, width'}, channels "
            f"/ groups, filters) for x of shape {a.shape}, got {w.shape}"
        )
    *kernel, seen, filters = w.shape
    (groups,) = sizes_of(groups, 1, "groups")
    if seen * groups != channels or filters % groups:
        raise ValueError(
            f"weights of shape {w.shape} do not fit {channels} channels in groups={groups}"
        )
    axes = axes_of(
        points,
        kernel,
        sizes_of(stride, len(points), "stride"),
        sizes_of(dilation, len(points), "dilation"),
        same=choice(padding, "padding", {"same": True, "valid": False}),
    )
    outputs = (cases, filters, *outputs_of(axes))
    work = int(np.prod(outputs)) * (w.size // filters)
    return _Job(outputs, Channels(seen, filters // groups, groups), *image_axes(axes), work)
