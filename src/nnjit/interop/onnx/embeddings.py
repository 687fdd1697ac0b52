"""Embeddings of categories, and of numbers by cosines or by bins."""

from __future__ import annotations

import math

import numpy as np

from nnjit.interop.onnx.chain import Chain
from nnjit.interop.onnx.formulas import library_of
from nnjit.interop.onnx.graph import Graph, Value
from nnjit.interop.onnx.registry import layer

__all__ = ["embedding", "periodic", "piecewise"]


@layer("embedding")
def embedding(chain: Chain, number: int, x: Value) -> Value:
    """The values that are no codes, and behind them the vector of each code."""
    graph, spec = chain.graph, chain.spec(number)
    width, levels = chain.layer(number).inputs, np.array(spec.levels)
    assert isinstance(width, int)
    plain = width - len(levels)
    codes = graph.columns(x, plain, width)
    known = (codes >= 0.0) & (codes < levels.astype(np.float64))  # neither is true of NaN
    firsts = np.cumsum([0, *levels[:-1]]).astype(np.int64)
    numbers = graph.cast(graph.where(known, codes, 0.0), np.int64) + firsts
    vectors = graph.take(chain.parameter(number, "vectors"), numbers, 0)
    vectors = graph.reshape(vectors, 0, len(levels) * spec.dimension)
    return _with_others(graph, vectors, x, 0, plain, before=True)


@layer("periodic")
def periodic(chain: Chain, number: int, x: Value) -> Value:
    """x, and c_o + sum_k a_ko cos(2 pi (w_k x + b_k / (2 pi))), feature by feature."""
    graph, spec = chain.graph, chain.spec(number)
    frequencies, phases, amplitudes, offsets = (
        chain.parameter(number, name) for name in ("frequencies", "phases", "amplitudes", "offsets")
    )
    of_features = graph.transpose(graph.columns(x, 0, spec.features), 1, 0)
    values = graph.reshape(of_features, 0, -1, 1)  # (features, n, 1)
    shifts = phases.astype(np.float64) / (2.0 * math.pi)
    t = values * frequencies[:, np.newaxis] + shifts[:, np.newaxis]
    cosines = library_of(graph, x.dtype).cos_2pi(t)
    made = graph.add("MatMul", cosines, amplitudes) + offsets[:, np.newaxis]
    together = graph.transpose(graph.concatenate([values, made], 2), 1, 0, 2)
    return _behind(chain, number, x, together, spec.features, 1 + spec.units)


@layer("piecewise")
def piecewise(chain: Chain, number: int, x: Value) -> Value:
    """How far each value has come through each of its bins."""
    graph, spec = chain.graph, chain.spec(number)
    edges = chain.parameter(number, "edges")
    widths = edges[:, 1:] - edges[:, :-1]
    real = widths >= 2 * np.finfo(edges.dtype).smallest_normal
    factors = np.where(real, 1.0 / np.where(real, widths, 1.0), 0.0)
    least, most = np.zeros(widths.shape), np.ones(widths.shape)
    for f, there in enumerate(real):
        if there.any():  # the first and the last bin are open
            least[f, there.argmax()] = -np.inf
            most[f, len(there) - 1 - there[::-1].argmax()] = np.inf
    values = graph.reshape(graph.columns(x, 0, spec.features), 0, spec.features, 1)
    h = (values - edges[:, :-1]) * factors
    h = graph.add("Min", graph.add("Max", h, least), most)
    return _behind(chain, number, x, h, spec.features, spec.bins)


def _behind(chain: Chain, number: int, x: Value, made: Value, features: int, each: int) -> Value:
    """Return what was made of the first values, (n, features, each), and behind it the others."""
    graph, width = chain.graph, chain.layer(number).inputs
    assert isinstance(width, int)
    flat = graph.reshape(made, 0, features * each)
    return _with_others(graph, flat, x, features, width)


def _with_others(
    graph: Graph, made: Value, x: Value, start: int, stop: int, before: bool = False
) -> Value:
    """Return values with those of some columns of x behind or before them."""
    if start == stop:
        return made
    others = graph.columns(x, start, stop)
    return graph.concatenate([others, made] if before else [made, others], 1)
