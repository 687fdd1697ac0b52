"""Layers that take each unit by itself, a value of a vector or a channel, and sums of layers."""

from __future__ import annotations

import numpy as np

from nnjit._types import Array
from nnjit.interop.onnx.chain import Chain
from nnjit.interop.onnx.formulas import activation
from nnjit.interop.onnx.graph import Value
from nnjit.interop.onnx.registry import layer

__all__ = ["normalization", "parametric", "residual", "scaling"]


def _of_units(chain: Chain, number: int, array: Array) -> Array:
    """Return numbers, one for each unit, in the shape in which they meet a layer's values."""
    shape = chain.layer(number).inputs
    return array.reshape(-1, *(1,) * (len(shape) - 1)) if isinstance(shape, tuple) else array


@layer("normalization")
def normalization(chain: Chain, number: int, x: Value) -> Value:
    """h = phi(s (x - m) / d + t), m and d being running statistics, or those of the row."""
    spec, graph = chain.spec(number), chain.graph
    scale, shift = chain.parameter(number, "scale"), chain.parameter(number, "shift")
    if spec.method == "batch":
        mean, variance = (chain.parameter(number, name) for name in ("mean", "variance"))
        # In float64 as long as these are constants.
        factor = scale.astype(np.float64) / np.sqrt(variance.astype(np.float64) + spec.epsilon)
        rest = shift - mean * factor
        z = x * _of_units(chain, number, factor) + _of_units(chain, number, rest)
    elif x.dtype == np.float32:
        z = graph.add("LayerNormalization", x, scale, shift, axis=-1, epsilon=spec.epsilon)
    else:  # which keeps its statistics in float32
        centred = x - graph.reduce("Mean", x, 1, keepdims=True)
        variance = graph.reduce("Mean", centred * centred, 1, keepdims=True)
        z = centred / graph.add("Sqrt", variance + spec.epsilon) * scale + shift
    return chain.cleared(number, activation(graph, spec.activation, z))


@layer("parametric")
def parametric(chain: Chain, number: int, x: Value) -> Value:
    """h = (1 - a) x + a phi(x)."""
    share = _of_units(chain, number, chain.parameter(number, "shares"))
    phi = activation(chain.graph, chain.spec(number).activation, x)
    return chain.cleared(number, x * (1.0 - share) + phi * share)


@layer("scaling")
def scaling(chain: Chain, number: int, x: Value) -> Value:
    """h = s x."""
    factors: Array = chain.parameter(number, "factors")
    scaled: Value = x * _of_units(chain, number, factors)
    return scaled


@layer("residual")
def residual(chain: Chain, number: int, x: Value) -> Value:
    """h = x + x', x' being what came into the layer so many layers before."""
    span: int = chain.spec(number).span
    return x + chain.values[number - span]
