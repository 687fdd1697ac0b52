"""From series and images to vectors: one value for each channel, or all values."""

from __future__ import annotations

import math

import numpy as np

from nnjit.interop.onnx.chain import Chain
from nnjit.interop.onnx.graph import Value
from nnjit.interop.onnx.registry import layer

__all__ = ["flatten", "global_pooling"]


@layer("flatten")
def flatten(chain: Chain, number: int, x: Value) -> Value:
    """All values in C order."""
    outputs = chain.layer(number).outputs
    assert isinstance(outputs, int)
    return chain.graph.reshape(x, 0, outputs)


@layer("global_pooling")
def global_pooling(chain: Chain, number: int, x: Value) -> Value:
    """The mean, or the largest value, of every channel over the points that there are."""
    graph, spec = chain.graph, chain.spec(number)
    inputs = chain.layer(number).inputs
    assert isinstance(inputs, tuple)
    axes, lengths = range(2, len(inputs) + 1), chain.points(number)
    if spec.method == "max":
        there = chain.there(number)
        present = x if there is None else graph.where(there, x, -math.inf)
        return graph.reduce("Max", present, *axes)
    if lengths is None:
        return graph.reduce("Mean", x, *axes)
    counts = graph.reshape(graph.cast(lengths, x.dtype), -1, 1)
    # Of no point the mean is 0, as the sum is.
    return graph.reduce("Sum", x, *axes) / graph.add("Max", counts, np.array(1.0))
