"""Convolutions and pooling, of series and images alike.

In float64 onnxruntime has neither Conv nor AveragePool: there each point of the windows is a slice
of the array, and a product of all with a matrix, or a mean, does the rest.
"""

from __future__ import annotations

import itertools
from typing import TypeAlias

import numpy as np

from nnjit._types import Array
from nnjit.interop.onnx.chain import Chain
from nnjit.interop.onnx.formulas import activation
from nnjit.interop.onnx.graph import Graph, Value
from nnjit.interop.onnx.registry import layer

__all__ = ["convolution", "pooling"]

Axes: TypeAlias = list[tuple[int, int, int, int]]  # (points, kernel, stride, dilation) of each


@layer("convolution")
def convolution(chain: Chain, number: int, x: Value) -> Value:
    """h[f, p] = phi(b[f] + sum over k, c of W[k, c, f] x[c, stride p + dilation k - before])."""
    graph, spec = chain.graph, chain.spec(number)
    weights, biases = (chain.parameter(number, name) for name in ("weights", "biases"))
    inputs, outputs = chain.layer(number).inputs, chain.layer(number).outputs
    assert isinstance(inputs, tuple) and isinstance(outputs, tuple)
    axes, before = spec.axes(inputs), spec.before(inputs)
    # What the last kernel reaches over the end.
    after = [
        max((count - 1) * stride + dilation * (kernel - 1) + 1 - first - points, 0)
        for count, first, (points, kernel, stride, dilation) in zip(outputs[1:], before, axes)
    ]
    make = _single if x.dtype == np.float32 else _double
    z = make(graph, x, weights, biases, axes, [*before, *after], outputs, spec.groups)
    return chain.cleared(number, activation(graph, spec.activation, z))


def _single(
    graph: Graph,
    x: Value,
    weights: Array,
    biases: Array,
    axes: Axes,
    pads: list[int],
    outputs: tuple[int, ...],
    groups: int,
) -> Value:
    """Return the sums by ONNX's Conv, whose weights are (filters, channels, kernel)."""
    return graph.add(
        "Conv",
        x,
        np.moveaxis(weights, (-1, -2), (0, 1)),
        biases,
        kernel_shape=[kernel for _, kernel, _, _ in axes],
        strides=[stride for _, _, stride, _ in axes],
        dilations=[dilation for *_, dilation in axes],
        pads=pads,
        group=groups,
    )


def _double(
    graph: Graph,
    x: Value,
    weights: Array,
    biases: Array,
    axes: Axes,
    pads: list[int],
    outputs: tuple[int, ...],
    groups: int,
) -> Value:
    """Return the sums as products of what windows hold and a matrix, group by group.

    Channels come last in between, so that all windows of all rows are one matrix.
    """
    x = graph.transpose(x, 0, *range(2, 2 + len(axes)), 1)
    if any(pads):
        both = np.zeros((2, 2 + len(axes)), np.int64)  # before and after
        both[:, 1:-1] = np.reshape(pads, (2, -1))
        x = graph.add("Pad", x, both.ravel())
    channels, filters = weights.shape[-2], weights.shape[-1] // groups
    flat = weights.reshape(-1, channels, weights.shape[-1])
    taps = _taps(graph, x, axes, outputs[1:], 1)
    last, sums = 1 + len(axes), []
    for group in range(groups):
        first, own = group * channels, taps
        if groups > 1:
            own = [graph.columns(tap, first, first + channels, last) for tap in taps]
        matrix = flat[:, :, group * filters : (group + 1) * filters].reshape(-1, filters)
        sums.append(graph.add("MatMul", graph.concatenate(own, last), matrix))
    return graph.transpose(graph.concatenate(sums, last) + biases, 0, last, *range(1, last))


def _taps(graph: Graph, x: Value, axes: Axes, counts: tuple[int, ...], first: int) -> list[Value]:
    """Return what each point of the kernel reads for all windows; `first` is the axis of points."""
    found = []
    numbers = np.arange(first, first + len(axes))
    strides = np.array([stride for _, _, stride, _ in axes])
    for tap in itertools.product(*(range(kernel) for _, kernel, _, _ in axes)):
        starts = np.array([at * dilation for at, (*_, dilation) in zip(tap, axes)])
        ends = starts + strides * (np.array(counts) - 1) + 1
        found.append(graph.add("Slice", x, starts, ends, numbers, strides))
    return found


@layer("pooling")
def pooling(chain: Chain, number: int, x: Value) -> Value:
    """The largest value, or the mean, of the windows of every channel."""
    graph, spec = chain.graph, chain.spec(number)
    inputs, outputs = chain.layer(number).inputs, chain.layer(number).outputs
    assert isinstance(inputs, tuple) and isinstance(outputs, tuple)
    axes = spec.axes(inputs)
    sizes, strides = [size for _, size, _ in axes], [stride for *_, stride in axes]
    if spec.method == "max":
        h = graph.add("MaxPool", x, kernel_shape=sizes, strides=strides)
    elif x.dtype == np.float32:
        h = graph.add("AveragePool", x, kernel_shape=sizes, strides=strides)
    else:
        windows = [(points, size, stride, 1) for points, size, stride in axes]
        taps = _taps(graph, x, windows, outputs[1:], 2)
        h = graph.add("Sum", *taps) * (1.0 / len(taps))
    return chain.cleared(number, h)
