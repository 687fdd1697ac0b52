"""Convolution of row-major images by its definition: one case, filter, channel and tap at a time.

The innermost loop runs along a row of the image. Training has a path of its own over whole
networks; this one serves a layer at a time.
"""

from typing import NamedTuple

import numpy as np

from nnjit.core.arrays.windows import reach
from nnjit.core.compiler.jit import elementwise, prange, twins, vectorized

__all__ = ["Channels", "bias_gradient", "convolve", "input_gradient", "weight_gradient"]


class Channels(NamedTuple):
    """Channels that a filter sees, filters of a group, and groups."""

    channels: int
    filters: int
    groups: int


class Lines(NamedTuple):
    """Points in an array of images, row by row: where they start, from row to row, in a row."""

    start: int
    row: int
    step: int


@vectorized
def _add_scaled(factor, x, source, out, target, rows, count):
    """out += factor * x over `rows` rows of `count` points each."""
    for r in range(rows):
        start, to = source.start + r * source.row, target.start + r * target.row
        values = x[start : start + (count - 1) * source.step + 1]
        sums = out[to : to + (count - 1) * target.step + 1]
        if source.step == 1 and target.step == 1:
            for j in range(count):
                sums[j] += factor * values[j]
        else:
            for j in range(count):
                sums[j * target.step] += factor * values[j * source.step]


@vectorized
def _add_products(x, source, delta, target, sums, rows, count):
    """sums[j] += x * delta, over the rows, at point j of each."""
    for r in range(rows):
        start, to = source.start + r * source.row, target.start + r * target.row
        values = x[start : start + (count - 1) * source.step + 1]
        deltas = delta[to : to + count]
        if source.step == 1:
            for j in range(count):
                sums[j] += values[j] * deltas[j]
        else:
            for j in range(count):
                sums[j] += values[j * source.step] * deltas[j]


@vectorized
def _fill(value, out):
    for j in range(len(out)):
        out[j] = value


@elementwise
def _total(sums):
    """The sum, in the order of the elements."""
    total = sums.dtype.type(0)
    for j in range(len(sums)):
        total += sums[j]
    return total


@elementwise
def _tap(height, width, i, j, plane, image):
    """Where a tap's points lie: in the input's plane, in the output's, and how many there are."""
    top, rows, y = reach(height, i)
    left, count, x = reach(width, j)
    points = Lines(plane + y * width.points + x, height.stride * width.points, width.stride)
    outputs = Lines(image + top * width.outputs + left, width.outputs, 1)
    return points, outputs, rows, count


@twins
def convolve(x, weights, biases, sizes, height, width, out):
    """out[n, f, p] = b[f] + sum over taps k and channels c of W[k, c, f] x[n, c, point(p, k)].

    Parameters
    ----------
    x : IN (n, groups * channels, height.points, width.points), flat
    weights : IN (height.size, width.size, channels, groups * filters), flat
    biases : IN (groups * filters,)
    sizes : Channels
    height, width : Axis
    out : OUT (n, groups * filters, height.outputs, width.outputs), flat, apart from the inputs
    """
    channels, filters = sizes.channels, sizes.filters * sizes.groups
    plane, image = height.points * width.points, height.outputs * width.outputs
    for number in prange(len(out) // image):
        case, f = number // filters, number % filters
        first = (case * sizes.groups + f // sizes.filters) * channels
        _fill(biases[f], out[number * image : (number + 1) * image])
        for c in range(channels):
            for i in range(height.size):
                for j in range(width.size):
                    points, outputs, rows, count = _tap(
                        height, width, i, j, (first + c) * plane, number * image
                    )
                    weight = weights[((i * width.size + j) * channels + c) * filters + f]
                    _add_scaled(weight, x, points, out, outputs, rows, count)


@twins
def input_gradient(weights, delta, sizes, height, width, out):
    """out[n, c, q] = sum over filters f, taps k, p of W[k, c, f] delta[n, f, p], point(p, k) = q.

    The arrays are those of `convolve`: delta IN has the shape of its outputs, out OUT of x.
    """
    channels, filters = sizes.channels, sizes.filters * sizes.groups
    plane, image = height.points * width.points, height.outputs * width.outputs
    for number in prange(len(out) // plane):
        case, c = number // (channels * sizes.groups), number % channels
        first = number // channels % sizes.groups * sizes.filters
        _fill(out.dtype.type(0), out[number * plane : (number + 1) * plane])
        for f in range(first, first + sizes.filters):
            for i in range(height.size):
                for j in range(width.size):
                    points, outputs, rows, count = _tap(
                        height, width, i, j, number * plane, (case * filters + f) * image
                    )
                    weight = weights[((i * width.size + j) * channels + c) * filters + f]
                    _add_scaled(weight, delta, outputs, out, points, rows, count)


@twins
def weight_gradient(x, delta, sizes, height, width, out):
    """out[k, c, f] = sum over cases n and points p of delta[n, f, p] x[n, c, point(p, k)].

    The arrays are those of `convolve`: x and delta IN, out OUT has the shape of the weights.
    """
    channels, filters = sizes.channels, sizes.filters * sizes.groups
    plane, image = height.points * width.points, height.outputs * width.outputs
    taps = height.size * width.size
    for number in prange(channels * filters):
        c, f = number // filters, number % filters
        group = f // sizes.filters
        sums = np.zeros(taps * width.outputs, out.dtype)
        for case in range(len(delta) // (filters * image)):
            first = (case * sizes.groups + group) * channels + c
            for tap in range(taps):
                points, outputs, rows, count = _tap(
                    height, width, tap // width.size, tap % width.size,
                    first * plane, (case * filters + f) * image,
                )  # fmt: skip
                part = sums[tap * width.outputs : tap * width.outputs + count]
                _add_products(x, points, delta, outputs, part, rows, count)
        for tap in range(taps):
            part = sums[tap * width.outputs : (tap + 1) * width.outputs]
            out[(tap * channels + c) * filters + f] = _total(part)


@twins
def bias_gradient(delta, image, out):
    """out[f] = sum over cases n and points p of delta[n, f, p], of `image` points each.

    delta IN, out OUT (filters,).
    """
    filters = len(out)
    for f in prange(filters):
        sums = np.zeros(image, out.dtype)
        for case in range(len(delta) // (filters * image)):
            start = (case * filters + f) * image
            for j in range(image):
                sums[j] += delta[start + j]
        out[f] = _total(sums)
