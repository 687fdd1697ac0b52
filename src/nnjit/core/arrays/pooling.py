"""Pooling of row-major images: the largest value or the mean of each window, and the way back.

The innermost loops run along a row of windows.
"""

import numpy as np

from nnjit.core.compiler.jit import prange, twins, vectorized

__all__ = ["max_pool", "max_pool_backward", "mean_pool", "mean_pool_backward"]


@vectorized
def _first(values, step, out):
    for j in range(len(out)):
        out[j] = values[j * step]


@vectorized
def _larger(values, step, out):
    """out = the larger one; a NaN is the largest."""
    for j in range(len(out)):
        value = values[j * step]
        out[j] = value if value > out[j] or value != value else out[j]


@vectorized
def _larger_at(values, step, place, best, places):
    """The same, and where: the earlier of two that are equal."""
    for j in range(len(best)):
        value, known = values[j * step], best[j]
        take = value > known or (value != value and known == known)
        best[j] = value if take else known
        places[j] = place if take else places[j]


@vectorized
def _add(values, step, out):
    for j in range(len(out)):
        out[j] += values[j * step]


@vectorized
def _add_apart(values, out, step):
    for j in range(len(values)):
        out[j * step] += values[j]


@vectorized
def _divide(out, number):
    for j in range(len(out)):
        out[j] /= number


@twins
def max_pool(x, height, width, out):
    """out[n, p] = the largest x[n, q] of window p. Windows lie inside.

    x : IN (n, height.points, width.points), flat
    height, width : Axis
    out : OUT (n, height.outputs, width.outputs), flat, apart from x
    """
    for line in prange(len(out) // width.outputs):
        n, p = line // height.outputs, line % height.outputs
        target = out[line * width.outputs : (line + 1) * width.outputs]
        for i in range(height.size):
            row = n * height.points + p * height.stride + i
            for j in range(width.size):
                values = x[row * width.points + j : (row + 1) * width.points]
                if i == 0 and j == 0:
                    _first(values, width.stride, target)
                else:
                    _larger(values, width.stride, target)


@twins
def max_pool_backward(x, delta, height, width, out):
    """out[n, q] = sum of delta[n, p] of the windows p whose first largest value x[n, q] is.

    x IN, out OUT, delta IN of the shape of `max_pool`'s outputs.
    """
    plane, count = height.points * width.points, width.outputs
    for n in prange(len(out) // plane):
        gradient = out[n * plane : (n + 1) * plane]
        gradient[:] = 0
        best, places = np.empty(count, x.dtype), np.empty(count, np.int64)
        for p in range(height.outputs):
            places[:] = 0
            for i in range(height.size):
                row = n * height.points + p * height.stride + i
                for j in range(width.size):
                    values = x[row * width.points + j : (row + 1) * width.points]
                    if i == 0 and j == 0:
                        _first(values, width.stride, best)
                    else:
                        place = i * width.points + j
                        _larger_at(values, width.stride, place, best, places)
            first = p * height.stride * width.points
            source = (n * height.outputs + p) * count
            for j in range(count):
                gradient[first + j * width.stride + places[j]] += delta[source + j]


@twins
def mean_pool(x, height, width, out):
    """out[n, p] = the mean of x[n, q] over window p. The arrays are those of `max_pool`."""
    number = out.dtype.type(height.size * width.size)
    for line in prange(len(out) // width.outputs):
        n, p = line // height.outputs, line % height.outputs
        target = out[line * width.outputs : (line + 1) * width.outputs]
        for i in range(height.size):
            row = n * height.points + p * height.stride + i
            for j in range(width.size):
                values = x[row * width.points + j : (row + 1) * width.points]
                if i == 0 and j == 0:
                    _first(values, width.stride, target)
                else:
                    _add(values, width.stride, target)
        _divide(target, number)


@twins
def mean_pool_backward(delta, height, width, out):
    """out[n, q] = sum of delta[n, p] over the windows p that q is in, divided by their size.

    delta IN and out OUT as of `max_pool_backward`.
    """
    plane, count = height.points * width.points, width.outputs
    number = out.dtype.type(height.size * width.size)
    for n in prange(len(out) // plane):
        gradient = out[n * plane : (n + 1) * plane]
        gradient[:] = 0
        for p in range(height.outputs):
            source = (n * height.outputs + p) * count
            deltas = delta[source : source + count]
            for i in range(height.size):
                row = p * height.stride + i
                for j in range(width.size):
                    target = gradient[row * width.points + j : (row + 1) * width.points]
                    _add_apart(deltas, target, width.stride)
        _divide(gradient, number)
